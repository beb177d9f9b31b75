"""Fits and predictions of Dask collections, beside those of the same rows in memory."""

import os
import pickle
import signal
from contextlib import contextmanager
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")
import cloudpickle  # noqa: E402

from skem import (  # noqa: E402
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    StudentMixtureIC,
)
from skem.core.blocks.dask import DaskBlocks  # noqa: E402
from skem.core.blocks.graph import Chunks  # noqa: E402
from skem.core.gaussian.covariance import STRUCTURES  # noqa: E402
from skem.core.search import effort, initialize  # noqa: E402

pytestmark = pytest.mark.usefixtures("short_search")

ROWS = 400


@contextmanager
def client_of(**params):
    """Return a client of two workers, which is not the default one."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            **params,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    """Return a client of two workers in this process."""
    with client_of(processes=False) as client:
        yield client


@pytest.fixture(scope="module")
def processes():
    """Return a client of two processes, which take long to start."""
    with client_of(host="127.0.0.1") as client:
        yield client


@pytest.fixture
def cluster(processes):
    """Make the client of two processes the active one."""
    processes.wait_for_workers(2, timeout=60)
    with processes.as_current():
        yield processes


# In one process of pytest-xdist: another one would start a cluster of its own.
OF_CLUSTER = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]


@pytest.fixture(params=["default", pytest.param("cluster", marks=OF_CLUSTER)])
def scheduler(request):
    """Compute by Dask's default scheduler, or by the processes."""
    if request.param == "cluster":
        request.getfixturevalue("cluster")
    return request.param


@pytest.fixture
def X(rng):
    return np.concatenate(
        [rng.normal(-2, 0.5, (ROWS // 4, 2)), rng.normal(0.5, 1, (3 * ROWS // 4, 2))]
    )[rng.permutation(ROWS)]


@pytest.fixture
def weight(rng):
    return rng.integers(0, 3, ROWS).astype(float)


def mixture(**params):
    """One start: of equally good moves, rounding may choose another."""
    return GaussianMixture(2, **{"n_init": 1, "random_state": 0, **params})


def assert_same_fit(lazy, memory, tolerance=1e-8):
    """Compare all that a fit has found: only the order of sums differs."""
    # In single precision a fit may end a step earlier or later.
    assert abs(lazy.n_iter_ - memory.n_iter_) <= (tolerance > 1e-6)
    assert lazy.converged_ == memory.converged_
    assert lazy.n_features_in_ == memory.n_features_in_
    for name in ("weights_", "means_", "covariances_", "precisions_", "lower_bound_"):
        actual, expected = getattr(lazy, name), getattr(memory, name)
        np.testing.assert_allclose(
            actual, expected, rtol=tolerance, atol=tolerance, err_msg=name
        )
        assert np.asarray(actual).dtype == np.asarray(expected).dtype


@pytest.mark.each_value
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_fit_equals_that_in_memory(covariance_type, weighted, X, weight):
    weight = weight if weighted else None
    lazy_weight = da.from_array(weight, chunks=150) if weighted else None
    data = da.from_array(X, chunks=(90, 2))
    lazy = mixture(covariance_type=covariance_type)
    assert lazy.fit(data, sample_weight=lazy_weight) is lazy
    memory = mixture(covariance_type=covariance_type).fit(X, sample_weight=weight)
    assert_same_fit(lazy, memory)
    for method in ("score", "bic", "aic", "icl"):
        np.testing.assert_allclose(
            getattr(lazy, method)(data, sample_weight=lazy_weight),
            getattr(memory, method)(X, sample_weight=weight),
            rtol=1e-8,
            err_msg=method,
        )


@pytest.mark.parametrize("covariance_type", ["full", "EVE"])
def test_fit_of_collinear_columns_equals_that_in_memory(covariance_type, X):
    """Rounding in the direction without variance had decided, by up to 1e-3."""
    X = np.column_stack([X, X.sum(axis=1), 3 * X[:, 0]])
    params = {"n_components": 3, "covariance_type": covariance_type, "random_state": 0}
    lazy = GaussianMixture(**params).fit(da.from_array(X, chunks=(37, 4)))
    assert_same_fit(lazy, GaussianMixture(**params).fit(X))


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_bounds_of_collinear_columns_equal_those_in_memory(covariance_type, X):
    X = np.column_stack([X, 1e6 * X[:, 1] + 1e-3 * X[:, 0], X[:, 0]])
    mixture = BayesianGaussianMixture(
        3, covariance_type=covariance_type, random_state=0
    )
    expected = mixture.fit(X).lower_bound_
    found = mixture.fit(da.from_array(X, chunks=(37, 4))).lower_bound_
    # They had been up to 4e-5 nats apart.
    assert found == pytest.approx(expected, rel=0, abs=5e-7)


def test_selection_searches_few_rows_as_those_in_memory(X):
    """Fewer starts had been tried, and the end was another one."""
    params = {"covariance_type": "tied", "random_state": 0}
    memory = GaussianMixtureIC((1, 2), **params).fit(X)
    lazy = GaussianMixtureIC((1, 2), **params).fit(da.from_array(X, chunks=(130, 2)))
    assert lazy.n_iter_ == memory.n_iter_
    for name in ("criterion", "log_likelihood"):
        np.testing.assert_allclose(lazy.results_[name], memory.results_[name], 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("criterion", "covariance_type", "n_jobs"),
    [("bic", list(STRUCTURES), None), ("icl", "diag", 2)],
)
def test_selection_equals_that_in_memory(criterion, covariance_type, n_jobs, X, weight):
    parameters = {
        "covariance_type": covariance_type,
        "criterion": criterion,
        "n_init": 2,
        "random_state": 0,
        "n_jobs": n_jobs,
    }
    selection = GaussianMixtureIC((1, 2), **parameters).fit(X, sample_weight=weight)
    lazy = GaussianMixtureIC((1, 2), **parameters)
    data = da.from_array(X, chunks=(130, 2))
    lazy.fit(data, sample_weight=da.from_array(weight, chunks=130))
    for name in ("criterion", "log_likelihood"):
        np.testing.assert_allclose(
            lazy.results_[name], selection.results_[name], rtol=1e-8
        )
    assert lazy.best_index_ == selection.best_index_
    labels = lazy.predict(data)
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels, selection.predict(X))


@pytest.mark.parametrize("choice", [GaussianMixtureIC, StudentMixtureIC])
def test_selection_counts_rows_without_a_value(choice, X):
    X = X[:200].copy()
    X[:20] = np.nan
    params = {"covariance_type": "full", "n_init": 1, "random_state": 0}
    lazy, memory = (
        choice((1, 2), **params).fit(data) for data in (da.from_array(X, (50, 2)), X)
    )
    assert lazy.criterion_ == pytest.approx(memory.criterion_, rel=1e-8)
    assert lazy.lower_bound_ == pytest.approx(memory.lower_bound_, rel=1e-8)


def test_selection_walks_on_a_sample_in_memory(monkeypatch, X):
    monkeypatch.setattr("skem.core.search.path.PATH_ROWS", 100)
    monkeypatch.setattr("skem.core.search.path.POOL_ROWS_PER_COMPONENT", 10)
    data = da.from_array(X, chunks=(90, 2))
    params = {"covariance_type": ["full", "diag"], "n_init": 2, "random_state": 0}
    lazy = GaussianMixtureIC((1, 2), **params).fit(data)
    selection = GaussianMixtureIC((1, 2), **params).fit(X)
    assert lazy.criterion_ == pytest.approx(selection.criterion_, rel=1e-8)
    assert lazy.best_estimator_.bic(data) == pytest.approx(lazy.criterion_, rel=1e-8)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_bit_depends_on_the_scheduler(client, X, weight):
    data = da.from_array(X, chunks=(90, 2))
    params = {"max_iter": 3, "tol": 0, "algorithm": "squarem"}
    with client.as_current():
        there = mixture(**params).fit(data, sample_weight=weight)
    here = mixture(**params).fit(data, sample_weight=weight)
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


@pytest.mark.parametrize("weighted", [False, True])
def test_starts_and_subsamples_are_the_same_rows(monkeypatch, X, weight, weighted):
    monkeypatch.setattr(initialize, "SEED_ROWS", 50)
    monkeypatch.setattr(initialize, "SEED_ROWS_PER_COMPONENT", 10)
    monkeypatch.setattr(effort, "POOL_ROWS", 20)
    monkeypatch.setattr(effort, "POOL_ROWS_PER_COMPONENT", 10)
    weight = weight if weighted else None
    data = da.from_array(X, chunks=(70, 2))
    for params in ({}, {"init_params": "random_from_data"}):
        lazy = mixture(**params).fit(data, sample_weight=weight)
        assert_same_fit(lazy, mixture(**params).fit(X, sample_weight=weight))
    lazy, memory = (
        mixture(n_init="auto").fit(rows, sample_weight=weight) for rows in (data, X)
    )
    # Rounding may choose another of equally good moves: both end within `tol`.
    assert ROWS * abs(lazy.lower_bound_ - memory.lower_bound_) <= 2 * memory.tol


@pytest.mark.parametrize(
    ("covariance_type", "weighted", "scheduler"),
    [
        *product(STRUCTURES, [False, True], ["default"]),
        pytest.param("full", True, "cluster", marks=OF_CLUSTER),
    ],
    indirect=["scheduler"],
)
def test_standard_errors_equal_those_in_memory(
    covariance_type, weighted, scheduler, X, weight
):
    weight = weight if weighted else None
    fitted = mixture(covariance_type=covariance_type).fit(X, sample_weight=weight)
    data = da.from_array(X, chunks=(90, 1))
    found = fitted.standard_errors(data, sample_weight=weight)
    expected = fitted.standard_errors(X, sample_weight=weight)
    for one, other in zip(found, expected, strict=True):
        # Only the order of sums differs.
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_standard_errors_gather_no_rows(X, monkeypatch):
    fitted = mixture().fit(X)
    data = da.from_array(X.astype(np.float32), chunks=(90, 2))
    expected = fitted.standard_errors(X.astype(np.float32))

    def gather(self, *args, **kwargs):
        raise AssertionError("gathered the rows")

    monkeypatch.setattr(da.Array, "__array__", gather)
    monkeypatch.setattr(DaskBlocks, "take", gather)
    found = fitted.standard_errors(data)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


CHUNKED = {
    "columns": lambda X: da.from_array(X, chunks=(130, 1)),
    "one block": lambda X: da.from_array(X, chunks=-1),
    "unknown": lambda X: da.from_array(X, chunks=(60, 2))[da.ones(ROWS, chunks=60) > 0],
    "unknown, columns": lambda X: da.from_array(X, chunks=(60, 1))[
        da.ones(ROWS, chunks=60) > 0
    ],
    "empty blocks": lambda X: da.concatenate(
        [np.empty((0, 2)), X[:100], np.empty((0, 2)), X[100:], np.empty((0, 2))]
    ),
    "persisted": lambda X: da.from_array(X, chunks=(60, 2)).persist(),
    "computed each time": lambda X: da.from_array(X / 2, chunks=(60, 2)) * 2,
}


KINDS = ["none", "NumPy", "Dask", "number"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("chunked", "kind"),
    [
        *((chunked, "Dask") for chunked in CHUNKED),
        *(("unknown, columns", kind) for kind in KINDS if kind != "Dask"),
        ("persisted", "NumPy"),
    ],
)
def test_rows_may_be_chunked_in_any_way(chunked, kind, X, weight):
    weights = {
        "none": (None, None),
        "NumPy": (weight, weight),
        "Dask": (da.from_array(weight.astype(int), chunks=33), weight),
        "number": (2, np.full(ROWS, 2)),
    }
    lazy, memory = weights[kind]
    data = CHUNKED[chunked](X)
    params = {"max_iter": 2, "tol": 0, "algorithm": "em"}
    fitted = mixture(**params).fit(data, sample_weight=lazy)
    assert_same_fit(fitted, mixture(**params).fit(X, sample_weight=memory))
    np.testing.assert_array_equal(fitted.predict(data), fitted.predict(X))


def test_weights_of_chunks_of_unknown_size(X, weight):
    data, lazy_weight = da.from_array(X, chunks=90), da.from_array(weight, chunks=90)
    kept = data[:, 0] > -1
    fitted = mixture().fit(data[kept], sample_weight=lazy_weight[kept])
    rows = X[:, 0] > -1
    assert_same_fit(fitted, mixture().fit(X[rows], sample_weight=weight[rows]))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(\d+,\), expected"):
        mixture().fit(data[kept], sample_weight=lazy_weight[lazy_weight > 0])


def test_a_weight_for_all_may_be_an_array_without_dimensions(X):
    expected = mixture().fit(X, sample_weight=2)
    for data in (X, da.from_array(X, chunks=90)):
        assert_same_fit(mixture().fit(data, sample_weight=np.array(2.0)), expected)


@pytest.mark.parametrize("weight", ["2", b"2", 1j, np.array("2"), np.array(None)])
def test_what_is_no_number_is_no_weight_in_memory_either(weight, X):
    for data in (X, da.from_array(X, chunks=90)):
        with pytest.raises(ValueError, match="must be 1D array or scalar, of real"):
            mixture().fit(data, sample_weight=weight)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.int64, np.uint8, bool, object]
)
def test_types(dtype, X):
    # float16 would overflow, and unsigned types wrap around.
    X = np.abs(np.round(4 * X)).astype(dtype)
    data = da.from_array(X, chunks=(150, 2))
    lazy, memory = mixture().fit(data), mixture().fit(X)
    # In float32 the log-density, and so a responsibility, has an error of 1e-6, which
    # quasi-Newton steps along flat directions make a thousand times as large.
    assert_same_fit(lazy, memory, 2e-3 if dtype == np.float32 else 1e-8)
    for method in (
        "predict",
        "predict_proba",
        "score_samples",
        "component_log_density",
    ):
        actual, expected = getattr(lazy, method)(data), getattr(memory, method)(X)
        assert actual.dtype == actual.compute().dtype == expected.dtype


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_big_endian_float32_had_become_float64(dtype, X):
    X = np.round(4 * X).astype(dtype)
    lazy, memory = mixture().fit(cut(X)), mixture().fit(X)
    # In float32 the log-density, and so a responsibility, has an error of 1e-6, and
    # where little is left to be gained the fits may end a step apart.
    assert_same_fit(lazy, memory, 2e-3 if dtype == ">f4" else 1e-8)
    assert lazy.predict_proba(cut(X)).dtype == memory.predict_proba(X).dtype


def test_frame(scheduler, X, weight):
    table = pd.DataFrame(X, columns=["a", "b"])
    table["b"] = table["b"].astype(np.float32)
    frame = dd.from_pandas(table, npartitions=3)
    series = dd.from_pandas(pd.Series(weight), npartitions=3)
    lazy = mixture().fit(frame, sample_weight=series)
    memory = mixture().fit(table, sample_weight=weight)
    assert_same_fit(lazy, memory)
    np.testing.assert_array_equal(lazy.feature_names_in_, ["a", "b"])
    labels = lazy.predict(frame)
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels, memory.predict(table))
    with pytest.raises(ValueError, match="feature names should match"):
        lazy.predict(frame.rename(columns={"a": "c"}))
    with pytest.raises(ValueError, match="could not convert string to float"):
        mixture().fit(frame.assign(b="x"))
    persisted = frame.persist()
    assert_same_fit(mixture().fit(persisted, sample_weight=series), memory)


def test_missing_values_of_nullable_columns(X):
    table = pd.DataFrame(X, columns=["a", "b"]).convert_dtypes()
    table.loc[::7, "a"] = pd.NA
    memory = mixture().fit(np.where(table.isna(), np.nan, X))
    assert_same_fit(mixture().fit(dd.from_pandas(table, npartitions=2)), memory)


def test_imputed_frames_are_of_pandas(X):
    table = pd.DataFrame(
        {"a": [2.0, np.nan, 1.0, np.nan], "b": [np.nan, 3.0, 5.0, np.nan]},
        index=[5, 6, 8, 9],
    )
    frame = dd.from_pandas(table, npartitions=2)
    model = GaussianMixture.from_parameters([1], [[0, 3]], [[[1, 0.5], [0.5, 4]]])
    model.feature_names_in_ = np.array(["a", "b"], dtype=object)
    # b given a is 3 + a/2, and a given b (b - 3)/8.
    filled = table.fillna({"a": 0.0}).assign(b=[4.0, 3.0, 5.0, 3.0])
    pd.testing.assert_frame_equal(model.impute(frame), filled)
    drawn = model.impute(frame, sample=True, random_state=0)
    pd.testing.assert_frame_equal(
        drawn, model.impute(table, sample=True, random_state=0)
    )
    search = GaussianMixtureIC([1], covariance_type="full").fit(X)
    twin = table.to_numpy()
    lazy = search.impute(da.from_array(twin, chunks=(2, 1)))
    np.testing.assert_array_equal(lazy, search.impute(twin))


def test_masks_and_objects_with_gaps(X, weight):
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    memory = mixture().fit(rows)
    masked = np.ma.array(np.nan_to_num(rows, nan=1e3), mask=np.isnan(rows))
    objects = np.where(np.isnan(rows), pd.NA, rows.astype(object))
    frame = dd.from_pandas(pd.DataFrame(objects, columns=["a", "b"]), npartitions=2)
    for data in (cut(masked), cut(objects), frame):
        assert_same_fit(mixture().fit(data), memory)
    np.testing.assert_array_equal(memory.predict(cut(masked)), memory.predict(rows))
    assert_same_fit(
        mixture().fit(cut(rows), sample_weight=cut(np.ma.array(weight))),
        mixture().fit(rows, sample_weight=weight),
    )
    weight = np.ma.array(weight, mask=np.arange(ROWS) == 250)
    for given in (weight, cut(weight)):
        with pytest.raises(ValueError, match="Values of sample_weight are masked"):
            mixture().fit(cut(X), sample_weight=given)
    labels = cut(np.ma.array(np.zeros(ROWS, int), mask=weight.mask))
    with pytest.raises(ValueError, match="Values of labels are masked"):
        mixture().fit(cut(X), labels=labels)


@pytest.mark.parametrize("known", [False, True])
def test_predictions_are_lazy(known, scheduler, X):
    memory = mixture().fit(X)
    rows = (150, 150, 100) if known else (np.nan,) * 3
    data = da.from_array(X, chunks=((150, 150, 100), (1, 1)))
    if not known:
        data = data[da.ones(ROWS, chunks=((150, 150, 100),)) > 0]
    for method, columns in (
        ("predict", ()),
        ("predict_proba", (2,)),
        ("component_log_density", (2,)),
        ("score_samples", ()),
    ):
        lazy, expected = getattr(memory, method)(data), getattr(memory, method)(X)
        assert isinstance(lazy, da.Array)
        np.testing.assert_equal(lazy.chunks, (rows, *((columns,) if columns else ())))
        assert lazy.dtype == expected.dtype == lazy._meta.dtype
        assert lazy.ndim == expected.ndim == lazy._meta.ndim
        # The pieces that a chunk is cut into are rounded differently.
        np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-10, atol=1e-12)


def test_predictions_of_blocks_without_rows_had_divided_by_zero(X):
    fitted, data = mixture().fit(X), cut(X)
    rows = da.concatenate([data[data[:, 0] > 1e9], data])
    assert_same_fit(mixture().fit(rows), fitted)
    for method in ("predict", "predict_proba", "score_samples", "support_probability"):
        found, expected = (getattr(fitted, method)(each) for each in (rows, X))
        # The pieces that a chunk is cut into are rounded differently.
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-10, atol=1e-12)
    assert fitted.predict(data[data[:, 0] > 1e9]).compute().shape == (0,)


def test_predictions_compute_nothing_until_they_are_asked_for(X):
    def fail(x):
        raise KeyError("computed")

    data = da.from_array(X, chunks=(100, 2)).map_blocks(fail, meta=np.empty((0, 0)))
    labels = mixture().fit(X).predict(data)
    with pytest.raises(KeyError, match="computed"):
        labels.compute()


def test_fit_predict_and_warm_start(X):
    data = da.from_array(X, chunks=(150, 2))
    labels = mixture().fit_predict(data)
    np.testing.assert_array_equal(labels.compute(), mixture().fit_predict(X))
    start = {"means_init": X[:2], "max_iter": 3, "tol": 0, "algorithm": "em"}
    twice = mixture(warm_start=True, **start)
    with pytest.warns(UserWarning, match="did not converge"):
        twice.fit(data).fit(data)
        memory = mixture(**start | {"max_iter": 6}).fit(X)
    np.testing.assert_allclose(twice.means_, memory.means_, rtol=1e-8)


def test_a_fitted_mixture_holds_no_client(client, X):
    with client.as_current():
        fitted = mixture().fit(da.from_array(X, chunks=(150, 2)))
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))


def test_only_statistics_travel(client, X, monkeypatch):
    sizes, total = [], Chunks.total

    def measured(chunks, function):
        assert all(
            isinstance(getattr(node, "value", node), distributed.Future)
            for node in chunks.graph.values()
        )
        value = total(chunks, function)
        sizes.append(len(cloudpickle.dumps(function)) + len(cloudpickle.dumps(value)))
        return value

    monkeypatch.setattr(Chunks, "total", measured)
    X = np.tile(X, (25, 1))
    with client.as_current():
        mixture().fit(da.from_array(X, chunks=(5000, 2)))
    assert len(sizes) > 5
    # Parameters, statistics and the names of classes.
    assert max(sizes) < 8_000 < X.nbytes / 10


@pytest.mark.filterwarnings("ignore:the matrix subclass is not")
@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("kind", [np.matrix, sparse.csr_matrix, np.ma.MaskedArray])
def test_blocks_that_are_not_numpy_arrays(kind, declared, X):
    if kind is np.ma.MaskedArray and declared:
        pytest.skip("those are filled with NaN")
    meta = np.empty((0, 0))
    data = da.from_array(X, chunks=(100, 2)).map_blocks(
        kind, meta=kind(meta) if declared else meta
    )
    with pytest.raises(TypeError, match=f"Expected NumPy arrays.*{kind.__name__}"):
        mixture().fit(data)


def cut(X, rows=100):
    return da.from_array(X, chunks=(rows, *X.shape[1:]))


def put(values, value):
    changed = values.copy()
    changed.reshape(ROWS, -1)[250, -1] = value
    return cut(changed)


PLACE = r"\nFound in block 2 of X, row 50 of the block"
LENGTHS = r"sample_weight.shape == \(399,\), expected \(400,\)!"
INVALID = {
    "infinity": (
        lambda X, v: (put(X, np.inf), v),
        rf"Input X contains infinity or a value too large for .*{PLACE}, column 1",
    ),
    "negative weight": (
        lambda X, v: (cut(X), put(v, -1)),
        f"Negative values in data passed to `sample_weight`.{PLACE}",
    ),
    "NaN weight": (
        lambda X, v: (cut(X), put(v, np.nan)),
        f"(?s)Input sample_weight contains NaN.{PLACE}",
    ),
    "zero weights": (lambda X, v: (cut(X), 0 * v), "at least one non-zero number"),
    "complex weights": (
        lambda X, v: (cut(X), cut(v + 1j)),
        "Complex data not supported",
    ),
    "weights without a finite sum": (
        lambda X, v: (cut(X), cut(np.full(ROWS, 1e307))),
        "Sample weights add up to inf, expected a number from 1e-300 to",
    ),
    "too few weights": (lambda X, v: (cut(X), v[1:]), LENGTHS),
    "too few lazy weights": (lambda X, v: (cut(X), cut(v[1:])), LENGTHS),
    "two-dimensional weights": (
        lambda X, v: (cut(X), X),
        "Sample weights must be 1D array",
    ),
    "fewer rows than components": (
        lambda X, v: (cut(X)[:2], None),
        "Expected n_samples >= n_components but got n_components = 3, n_samples = 2",
    ),
    "fewer positive weights than components": (
        lambda X, v: (cut(X), np.arange(ROWS) // (ROWS - 2)),
        "Expected n_samples >= n_components but got n_components = 3, n_samples = 2",
    ),
    "one row": (lambda X, v: (cut(X)[:1], None), "Found array with 1 sample"),
    "no row": (
        lambda X, v: (cut(X)[cut(X)[:, 0] > 1e9], None),
        "Found array with 0 sample",
    ),
    "no column": (lambda X, v: (cut(X)[:, :0], None), "Found array with 0 feature"),
    "one dimension": (
        lambda X, v: (cut(X)[:, 0], None),
        "Expected 2D array, got 1D array",
    ),
    "three dimensions": (lambda X, v: (cut(X)[None], None), "Found array with dim 3"),
    "complex": (
        lambda X, v: (cut(X).astype(complex), None),
        "Complex data not supported",
    ),
    "unknown columns": (
        lambda X, v: (cut(X)[:, cut(X)[0] > 0], None),
        "The number of columns of X is unknown",
    ),
    "wrong width": (
        lambda X, v: (cut(X).map_blocks(lambda x: x[:, :1], dtype=float), None),
        r"shape \(rows, 2\).*got shape \(100, 1\)(?s:.*)block 0 of X",
    ),
}


@pytest.mark.each_value
@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("case", INVALID)
def test_invalid_input_is_an_error_that_changes_nothing(case, fitted, X, weight):
    make, message = INVALID[case]
    data, sample_weight = make(X, weight)
    estimator = GaussianMixture(3, random_state=0)
    if fitted:
        estimator.fit(X)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=message):
        estimator.fit(data, sample_weight=sample_weight)
    assert vars(estimator) == before


def test_tiny_weights_of_one_block_are_no_error(X, weight):
    weight = np.where(np.arange(ROWS) < 100, 5e-324, weight)
    lazy = mixture().fit(cut(X), sample_weight=cut(weight))
    assert_same_fit(lazy, mixture().fit(X, sample_weight=weight))


def test_a_delayed_object_is_not_taken_for_a_collection(X):
    import dask

    with pytest.raises((TypeError, ValueError)) as caught:
        mixture().fit(dask.delayed(X))
    assert "_meta" not in str(caught.value)


def test_blocks_of_a_client_that_is_not_active_had_been_taken_for_tuples(client, X):
    with client.as_current():
        data = cut(X).persist()
    with pytest.raises(RuntimeError, match="closed or not the active one"):
        mixture().fit(data + 0)


def test_invalid_input_of_predictions(X):
    fitted = mixture().fit(X)
    changed = X.copy()
    changed[250, 1] = np.inf
    labels = fitted.predict(da.from_array(changed, chunks=(100, 2)))
    with pytest.raises(ValueError, match=r"(?s)X contains infinity.*block 2 of X"):
        labels.compute()
    with pytest.raises(ValueError, match="X has 1 features, but GaussianMixture is"):
        fitted.predict(da.from_array(X[:, :1], chunks=(100, 1)))


def test_a_block_that_raises_is_named(scheduler, X):
    def fail(x, block_id):
        if block_id[0] == 3:
            raise KeyError("broken file")
        return x

    data = da.from_array(X, chunks=(50, 2)).map_blocks(fail, meta=np.empty((0, 0)))
    with pytest.raises(KeyError, match="broken file") as caught:
        mixture().fit(data)
    assert caught.value.__notes__ == ["Raised by the computation of block 3 of X."]


@pytest.fixture
def before_third_pass(monkeypatch):
    """Return a function that sets what happens before the third pass of a fit."""
    fold, passes = DaskBlocks.fold, []

    def run(action):
        def folded(blocks, *arguments):
            passes.append(None)
            if len(passes) == 3:
                action()
            return fold(blocks, *arguments)

        monkeypatch.setattr(DaskBlocks, "fold", folded)
        return passes

    return run


def assert_equal_fit(fitted, expected):
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        np.testing.assert_array_equal(getattr(fitted, name), getattr(expected, name))


def few_steps():
    """A mixture that takes long enough for a worker to be lost."""
    return mixture(max_iter=6, tol=0, algorithm="em")


@pytest.mark.slow
@pytest.mark.xdist_group("cluster")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_losing_a_worker_with_its_blocks_changes_nothing(cluster, X, before_third_pass):
    data = da.from_array(X, chunks=(40, 2)).map_blocks(np.copy, dtype=float)
    expected = few_steps().fit(data)
    persisted = data.persist()
    distributed.wait(persisted)
    pids = cluster.run(os.getpid)
    assert all(cluster.has_what().values())
    passes = before_third_pass(lambda: os.kill(min(pids.values()), signal.SIGKILL))
    assert_equal_fit(few_steps().fit(persisted), expected)
    assert len(passes) > 3


@pytest.mark.slow
@pytest.mark.xdist_group("cluster")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_losing_a_worker_in_a_task_changes_nothing(
    cluster, X, before_third_pass, tmp_path
):
    marker = tmp_path / "kill"

    def die_once(x, block_id):
        # Not persisted: every pass computes the block anew.
        if block_id[0] == 5 and marker.exists():
            marker.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return x + 0

    data = da.zeros((ROWS, 2), chunks=(40, 2)) + da.from_array(X, chunks=(40, 2))
    expected = few_steps().fit(data)
    before_third_pass(marker.touch)
    fitted = few_steps().fit(data.map_blocks(die_once, meta=np.empty((0, 0))))
    assert not marker.exists()
    assert_equal_fit(fitted, expected)
