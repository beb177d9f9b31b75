"""Tables of Dask give what tables in memory give."""

import numpy as np
import pandas as pd
import pytest

from skem import MixtureModel
from skem._inputs import families as _families
from skem._inputs import tables as _table
from skem._inputs.dask_tables import DaskRows
from skem.families import search

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

pytestmark = pytest.mark.usefixtures("short_search")

FAMILIES = {"visits": "poisson", "kind": "categorical"}


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(_table, "ROWS_IN_BLOCKS", 1000)
    monkeypatch.setattr(_families, "ROWS_IN_BLOCKS", 1000)
    monkeypatch.setattr(search, "POOL_ROWS", 400)
    monkeypatch.setattr(search, "POOL_ROWS_PER_COMPONENT", 100)


def frame_of(n):
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=n)
    frame = pd.DataFrame(
        {
            "age": rng.normal(4.0 * z),
            "height": rng.normal(-2.0 * z),
            "visits": rng.poisson(2 + 8 * z),
            "kind": rng.integers(0, 2 + z),
        }
    )
    frame.loc[::11, "age"] = None
    return frame


def model_of(families=FAMILIES):
    return MixtureModel(
        2, families=families, covariance_type="diag", tol=100.0, random_state=0
    )


def assert_same(own, model):
    assert own.lower_bound_ == pytest.approx(model.lower_bound_, rel=1e-12)
    for name, laws in model.parameters_.items():
        for key, values in laws.items():
            np.testing.assert_allclose(
                own.parameters_[name][key], values, rtol=1e-8, atol=1e-8
            )


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("unknown", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_arrays_are_read_by_chunks(unknown, monkeypatch):
    X = frame_of(1501).to_numpy()
    chunks = da.from_array(X, chunks=(450, 2))
    if unknown:
        chunks = chunks[da.from_array(np.ones(len(X), bool), chunks=350)]
    families = {2: "poisson", 3: "categorical"}
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    model = model_of(families).fit(X, sample_weight=weight)
    whole = da.Array.compute

    def compute(self, **options):
        assert self.shape[0] <= 450 or self.ndim == 1
        return whole(self, **options)

    monkeypatch.setattr(da.Array, "compute", compute)
    own = model_of(families).fit(chunks, sample_weight=da.from_array(weight))
    assert_same(own, model)
    np.testing.assert_array_equal(own.predict(chunks), model.predict(X))
    assert own.score(chunks) == pytest.approx(model.score(X))
    assert_same(own.partial_fit(chunks), model.partial_fit(X))


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("labelled", [False, True])
def test_passes_are_computed_where_the_chunks_are(labelled, monkeypatch):
    X = frame_of(1600).to_numpy()
    X[:, 2] = np.random.default_rng(2).negative_binomial(2, 1 / (2 + 3 * X[:, 2]))
    families = {2: "negative_binomial", 3: "categorical"}
    labels = np.where(np.arange(1600) < 300, X[:, 1] < -1, -1) if labelled else None
    monkeypatch.setattr(_table, "READ", 400)
    read = []
    chunk = DaskRows._chunk
    monkeypatch.setattr(
        DaskRows, "_chunk", lambda self, i: read.append(i) or chunk(self, i)
    )
    # One of the chunks has no rows.
    chunks = da.from_array(X, chunks=((500, 0, 700, 400), (4,)))
    own = model_of(families).set_params(tol=0.01).fit(chunks, labels=labels)
    model = model_of(families).set_params(tol=0.01).fit(X, labels=labels)
    assert_same(own, model)
    # The first one shows that there is a value in each column.
    assert set(read) <= {0}


@pytest.mark.slow
@pytest.mark.usefixtures("_small")
def test_workers_of_a_cluster_fold_their_chunks():
    distributed = pytest.importorskip("distributed")
    X = frame_of(1600).to_numpy()
    families = {2: "poisson", 3: "categorical"}
    with distributed.Client(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ):
        own = model_of(families).fit(da.from_array(X, chunks=(500, 4)))
    assert_same(own, model_of(families).fit(X))


@pytest.mark.usefixtures("_small")
def test_masked_arrays_have_gaps_in_memory_and_in_chunks():
    X = frame_of(1200).to_numpy()
    families = {2: "poisson", 3: "categorical"}
    masked = np.ma.array(np.nan_to_num(X, nan=1e3), mask=np.isnan(X))
    data = da.from_array(masked, chunks=(500, 4))
    model = model_of(families).fit(X)
    assert_same(model_of(families).fit(masked), model)
    assert_same(model_of(families).fit(data), model)
    np.testing.assert_array_equal(model.predict(data), model.predict(X))


def test_masked_text_is_a_gap():
    X = np.array([["a", "u"], ["b", "v"], ["a", "u"], ["b", "v"]])
    masked = np.ma.array(X, mask=[[0, 0], [0, 0], [0, 1], [0, 0]])
    objects = np.where(masked.mask, None, X.astype(object))
    assert MixtureModel().fit(masked).lower_bound_ == pytest.approx(
        MixtureModel().fit(objects).lower_bound_
    )
    given = MixtureModel().fit(X).conditional(masked[2])
    assert list(given.parameters_) == ["x1"]


@pytest.mark.usefixtures("_small")
def test_frames_of_numbers_are_read_by_partitions():
    frame = frame_of(1200)
    own = model_of().fit(dd.from_pandas(frame, npartitions=5))
    model = model_of().fit(frame)
    assert_same(own, model)
    assert own.feature_names_in_.tolist() == list(frame)
    drawn, same = own.sample(10, 0)[0], model.sample(10, 0)[0]
    pd.testing.assert_frame_equal(drawn, same)
    with pytest.raises(ValueError, match="feature names"):
        own.predict(dd.from_pandas(frame.rename(columns={"age": "b"}), npartitions=5))


@pytest.mark.usefixtures("_small")
def test_nullable_columns_beside_others_had_lost_the_names(monkeypatch):
    frame = frame_of(1200).astype({"visits": "Int64", "height": "Float32"})
    frame.loc[::7, "visits"] = pd.NA
    model = model_of().fit(frame)
    whole = da.Array.compute

    def compute(self, **options):
        assert self.dtype == float
        assert self.shape[0] <= 240 or self.ndim == 1
        return whole(self, **options)

    with monkeypatch.context() as patched:
        patched.setattr(da.Array, "compute", compute)
        own = model_of().fit(dd.from_pandas(frame, npartitions=5))
    assert_same(own, model)
    assert own.feature_names_in_.tolist() == list(frame)
    assert own.families_ == model.families_
    pd.testing.assert_frame_equal(own.sample(10, 0)[0], model.sample(10, 0)[0])
    lazy = own.predict_proba(dd.from_pandas(frame, npartitions=5))
    np.testing.assert_allclose(lazy, model.predict_proba(frame), atol=1e-8)


@pytest.mark.usefixtures("_small")
def test_many_rows_of_text_are_refused_and_few_are_not():
    frame = frame_of(1000).assign(kind="a")
    with pytest.raises(NotImplementedError, match="Column 'kind' of the Dask data fr"):
        model_of().fit(dd.from_pandas(frame, npartitions=2))
    few = frame[:500].assign(kind=np.where(frame.visits[:500] > 5, "b", "c"))
    own = model_of().fit(dd.from_pandas(few, npartitions=2))
    assert_same(own, model_of().fit(few))
    assert own.categories_["kind"].tolist() == ["b", "c"]


@pytest.mark.usefixtures("_small")
def test_bad_values_in_a_chunk_are_refused():
    X = frame_of(3000).to_numpy()
    X[2999, 1] = np.inf
    with pytest.raises(ValueError, match=r"contains infinity .* in column 'x1'"):
        model_of({}).fit(da.from_array(X, chunks=(1000, 4)))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        model_of({}).fit(da.from_array(X[:, 0]))


def text_frame():
    frame = frame_of(600)
    return frame.assign(kind=np.array(["a", "b", "c"])[frame.kind])


METHODS = ["predict", "predict_proba", "score_samples", "component_log_density"]


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_lazy(method, monkeypatch):
    frame = text_frame()
    model = model_of({"visits": "poisson"}).fit(frame)
    expected = getattr(model, method)(frame)
    numbers = frame_of(600).to_numpy()
    plain = model_of({2: "poisson", 3: "categorical"}).fit(numbers)
    # One of the chunks has no rows.
    chunks = da.from_array(numbers, chunks=((250, 0, 350), (2, 2)))
    monkeypatch.setattr(da.Array, "compute", None)
    own = getattr(model, method)(dd.from_pandas(frame, npartitions=3))
    other = getattr(plain, method)(chunks)
    monkeypatch.undo()
    for found in (own, other):
        assert isinstance(found, da.Array)
        assert found.dtype == expected.dtype
        assert [len(c) for c in found.chunks[1:]] == [1] * (expected.ndim - 1)
        assert found.shape[1:] == expected.shape[1:]
    np.testing.assert_array_equal(own.compute(), expected)
    np.testing.assert_array_equal(other.compute(), getattr(plain, method)(numbers))


@pytest.mark.parametrize(
    ("weighted", "unknown"),
    [(True, False), pytest.param(False, True, marks=pytest.mark.slow)],
)
def test_scores_are_added_up_where_the_chunks_are(weighted, unknown):
    frame = text_frame()
    model = model_of({"visits": "poisson"}).fit(frame)
    numbers = frame_of(600).to_numpy()
    plain = model_of({2: "poisson", 3: "categorical"}).fit(numbers)
    chunks = da.from_array(numbers, chunks=((250, 0, 350), (4,)))
    if unknown:
        chunks = chunks[da.from_array(np.ones(600, bool), chunks=170)]
    weight = np.random.default_rng(0).uniform(size=600) if weighted else None
    for name in ("score", "bic", "aic", "icl"):
        own = getattr(model, name)(dd.from_pandas(frame, 3), sample_weight=weight)
        expected = getattr(model, name)(frame, sample_weight=weight)
        assert own == pytest.approx(expected, rel=1e-12)
        own = getattr(plain, name)(chunks, sample_weight=weight)
        expected = getattr(plain, name)(numbers, sample_weight=weight)
        assert own == pytest.approx(expected, rel=1e-12)


def test_what_is_wrong_with_rows_is_said_when_they_are_computed():
    frame = text_frame()
    model = model_of({"visits": "poisson"}).fit(frame)
    odd = frame.assign(kind=["z", *frame.kind[1:]])
    lazy = model.predict(dd.from_pandas(odd, npartitions=3))
    with pytest.raises(ValueError, match="Found unknown categories"):
        lazy.compute()
    chunks = dd.from_pandas(frame, npartitions=3)
    weight = np.ones(600)
    weight[-1] = -1
    with pytest.raises(ValueError, match="Negative values in data"):
        model.score(chunks, sample_weight=da.from_array(weight))
    with pytest.raises(ValueError, match="at least one non-zero"):
        model.score(chunks, sample_weight=da.zeros(600))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(chunks.rename(columns={"age": "old"}))


def test_fit_predict_of_a_collection_is_lazy():
    X = frame_of(600).to_numpy()
    families = {2: "poisson", 3: "categorical"}
    labels = model_of(families).fit_predict(da.from_array(X, chunks=(200, 4)))
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels.compute(), model_of(families).fit_predict(X))


def test_criteria_of_known_components_are_those_in_memory():
    rng = np.random.default_rng(0)
    X = rng.integers(2, size=(50, 3)).astype(float)
    labels, weight = rng.integers(-1, 2, size=50), rng.integers(3, size=50)
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(X, labels=labels)
    right = model.icl(X, weight, labels)
    assert right != pytest.approx(model.icl(X, weight))
    chunks = da.from_array(X, chunks=((20, 0, 30), 3))
    for known in (labels, da.from_array(labels, chunks=25)):
        assert model.icl(chunks, weight, known) == pytest.approx(right)
    with pytest.raises(ValueError, match="labels should be in the range"):
        model.bic(chunks, labels=labels + 1)


@pytest.mark.parametrize("n", [400, 1500])
@pytest.mark.usefixtures("_small")
def test_a_category_of_rows_without_weight_is_none(n):
    frame = frame_of(n)
    frame.loc[n - 3, "kind"] = 7
    weight = np.ones(n)
    weight[n - 3] = 0
    lazy = dd.from_pandas(frame, npartitions=3)
    own = model_of().fit(frame.drop(n - 3))
    found = model_of().fit(lazy, sample_weight=weight)
    assert list(found.categories_["kind"]) == list(own.categories_["kind"])
    wanted = own.bic(frame.drop(n - 3))
    assert found.bic(lazy, weight) == pytest.approx(wanted, rel=1e-3)
    assert found.bic(frame, weight) == pytest.approx(found.bic(lazy, weight))
    with pytest.raises(ValueError, match=r"unknown categories \[7\]"):
        found.bic(lazy)


@pytest.mark.usefixtures("_small")
def test_imputed_frames_have_their_index():
    frame = text_frame()
    model = model_of({"visits": "poisson"}).fit(frame)
    gaps = pd.concat([frame, frame[:500]], ignore_index=True)
    gaps.index = np.arange(len(gaps)) * 2 + 5
    gaps.loc[5, ["kind", "visits"]] = None
    filled = model.impute(gaps)
    assert filled.index.equals(gaps.index)
    pd.testing.assert_frame_equal(
        filled.reset_index(drop=True), model.impute(gaps.reset_index(drop=True))
    )
    lazy = dd.from_pandas(gaps, npartitions=3)
    pd.testing.assert_frame_equal(model.impute(lazy), filled)
    drawn = model.impute(gaps, sample=True, random_state=0)
    assert drawn.index.equals(gaps.index) and drawn.notna().all(axis=None)
    same = model.impute(lazy, sample=True, random_state=0)
    pd.testing.assert_frame_equal(same, drawn)
