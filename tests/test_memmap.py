"""Data larger than memory: files are read by blocks, and give what arrays give."""

import gc
import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from skem import GaussianMixture, GaussianMixtureIC
from skem._inputs import validation as _validation
from skem.core.blocks import arrays as blocks_module
from skem.core.mixture import scale as scale_module
from skem.core.search import effort
from skem.core.search import initialize as initialize_module
from skem.core.search import path as path_module

pytestmark = pytest.mark.usefixtures("short_search")

DTYPES = ["<f8", "<f4", ">f8", ">f4", "<f2", "<i4", ">i2", "u1", "?"]
ORDERS = ["C", "F"]
N_ROWS = 550_000
N_READ = 150_000
SCORES = ["score", "bic", "aic", "icl"]
ROWWISE = ["score_samples", "predict_proba", "predict"]


def fit(X, sample_weight=None, **params):
    params = {"n_components": 3, "random_state": 0, "max_iter": 5, **params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(**params).fit(X, sample_weight=sample_weight)


@pytest.fixture
def as_file(tmp_path):
    """Write an array to a file of its own, and return it memory-mapped."""

    def write(values, order="C", mode="r"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        file = np.memmap(
            path, dtype=values.dtype, mode="w+", shape=values.shape, order=order
        )
        file[...] = values
        file.flush()
        return np.memmap(
            path, dtype=values.dtype, mode=mode, shape=values.shape, order=order
        )

    return write


@pytest.fixture
def small_parts(monkeypatch):
    """Make everything that is done by parts small beside one byte per row."""
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 64)
    monkeypatch.setattr(blocks_module, "SEARCHED", 2**12)
    monkeypatch.setattr(_validation, "CHECKED", 2**12)
    monkeypatch.setattr(initialize_module, "SEED_ROWS", 500)
    monkeypatch.setattr(effort, "POOL_ROWS", 500)
    monkeypatch.setattr(effort, "POOL_ROWS_PER_COMPONENT", 0)
    monkeypatch.setattr(path_module, "PATH_ROWS", 500)
    monkeypatch.setattr(path_module, "POOL_ROWS_PER_COMPONENT", 0)
    monkeypatch.setattr(path_module, "GROWTH", 10**4)
    monkeypatch.setattr(effort, "SUBSAMPLE_VALUES", 4_000)
    monkeypatch.setattr(effort, "CELL_VALUES", 4_000)
    monkeypatch.setattr(scale_module, "ROWS", 500)
    # What is imported and kept at a first fit is no memory of the fits that follow.
    fit(integers(1000).astype(np.float32), n_init="auto", max_iter=1)


def integers(n, d=2, seed=0):
    """Small integers in three groups: every type can hold them but bool."""
    rng = np.random.default_rng(seed)
    centres = np.array([5, 15, 25])[rng.integers(3, size=n)]
    return centres[:, None] + rng.integers(0, 6, size=(n, d))


def peak_memory(job):
    """Bytes allocated at one time, at most, besides the result.

    In one thread: each thread has blocks of its own. CPython keeps up to 2000 tuples
    of each length that are no longer in use; they are made before.
    """
    gc.collect()
    gc.disable()  # A collection would drop them.
    for size in range(1, 21):
        del [(i,) * size for i in range(2000)][:]
    with threadpool_limits(1, user_api="blas"):
        tracemalloc.start()
        try:
            result = job()
            return tracemalloc.get_traced_memory()[1] - np.asarray(result).nbytes
        finally:
            tracemalloc.stop()
            gc.enable()


@pytest.mark.each_value
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_gives_what_an_array_gives(dtype, order, as_file, small_parts):
    data = integers(3000)
    data = (data > 14).astype(dtype) if dtype == "?" else data.astype(dtype)
    native = data.astype("f4" if dtype.endswith("f4") else "f8")
    weight = np.arange(3000) % 4
    mapped, mapped_weight = as_file(data, order), as_file(weight.astype(">f4"))
    expected, actual = fit(native, weight), fit(mapped, mapped_weight)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))
        assert getattr(actual, name).dtype == native.dtype
    for method in ROWWISE:
        result = getattr(actual, method)(mapped)
        np.testing.assert_array_equal(result, getattr(expected, method)(native))
        assert result.dtype == (np.intp if method == "predict" else native.dtype)
    for method in SCORES:
        result = getattr(actual, method)(mapped, sample_weight=mapped_weight)
        assert result == getattr(expected, method)(native, sample_weight=weight)
    assert expected.score(native, sample_weight=weight) == pytest.approx(
        expected.lower_bound_, rel=1e-4 if native.dtype == np.float32 else 1e-9
    )


@pytest.mark.parametrize(
    ("weight", "n_init"),
    [
        (None, 1),
        pytest.param("<f8", 1, marks=pytest.mark.slow),
        pytest.param("<f4", 1, marks=pytest.mark.slow),
        ("?", 1),
        ("<f4", "auto"),
    ],
)
def test_a_fit_takes_less_than_a_byte_per_row(weight, n_init, as_file, small_parts):
    X = as_file(integers(N_ROWS).astype(np.float32))
    if weight is not None:
        weight = as_file((np.arange(N_ROWS) % 3 > 0).astype(weight))
    params = {"n_init": n_init, "max_iter": 1, "n_components": 2}
    assert peak_memory(lambda: fit(X, weight, **params).lower_bound_) < N_ROWS


@pytest.mark.slow
def test_the_memory_of_a_selection_does_not_grow(as_file, small_parts):
    X = as_file(integers(N_ROWS).astype(np.float32))
    selection = GaussianMixtureIC(
        (1, 2), covariance_type=["full", "diag"], n_init=1, max_iter=2, random_state=0
    )

    def peak(n_rows):
        return peak_memory(lambda: selection.fit(X[:n_rows]).criterion_)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # The first of them fills caches.
        _, few, many = peak(2_000), peak(N_ROWS // 10), peak(N_ROWS)
    # Less than half a byte for each row: sums of blocks.
    assert many < few + N_ROWS / 2


@pytest.mark.parametrize(
    ("dtype", "order"),
    [
        (">f4", "F"),
        ("<f2", "C"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [("<f8", "F"), (">f8", "C"), ("<i4", "F"), ("?", "C")]
        ),
    ],
)
def test_no_type_or_layout_of_the_data_is_copied(dtype, order, as_file, small_parts):
    X = as_file(integers(N_ROWS).astype(dtype), order)
    params = {"max_iter": 1, "n_components": 2}
    # A copy takes two bytes a row at the least; blocks and samples take some, too.
    assert peak_memory(lambda: fit(X, **params).lower_bound_) < 1.5 * N_ROWS


@pytest.mark.parametrize("method", SCORES + ROWWISE)
def test_evaluation_takes_less_than_a_byte_per_row(method, as_file, small_parts):
    data = integers(N_READ).astype(np.float32)
    mixture, X = fit(data[:1000], n_components=2), as_file(data)
    assert peak_memory(lambda: getattr(mixture, method)(X)) < N_READ


@pytest.mark.each_value
@pytest.mark.parametrize("method", ["score", "icl"])
@pytest.mark.parametrize("weight", ["<f8", ">f4", "<i8", "?"])
def test_weighted_evaluation_takes_less_than_a_byte_per_row(
    method, weight, as_file, small_parts
):
    data = integers(N_READ).astype(np.float32)
    mixture, X = fit(data[:1000], n_components=2), as_file(data)
    weight = as_file((np.arange(N_READ) % 3 > 0).astype(weight))
    score = getattr(mixture, method)
    assert peak_memory(lambda: score(X, sample_weight=weight)) < N_READ


def test_one_weight_for_all_rows_takes_no_memory_for_each(small_parts):
    X = integers(N_ROWS).astype(np.float32)
    mixture = fit(X[:1000], n_components=2)
    assert peak_memory(lambda: mixture.score(X, sample_weight=2.0)) < N_ROWS
    assert mixture.score(X, sample_weight=2.0) == pytest.approx(
        mixture.score(X), rel=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_a_first_batch_of_a_stream_is_not_copied(weighted, as_file, small_parts):
    X = as_file(integers(N_ROWS).astype(np.float32))
    weight = as_file((np.arange(N_ROWS) % 3 > 0).astype("f4")) if weighted else None
    streamed = GaussianMixture(2, random_state=0, n_init=1, max_iter=1)
    # What a first batch imports and keeps is no memory of those that follow.
    few = integers(1000).astype(np.float32)
    clone(streamed).partial_fit(few, sample_weight=np.ones(1000, "f4"))
    first = peak_memory(
        lambda: streamed.partial_fit(X, sample_weight=weight).lower_bound_
    )
    assert first < N_ROWS


@pytest.mark.each_value
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_large_values_are_checked_without_a_copy(dtype, order, as_file, small_parts):
    # Their plain sum overflows, so that each value must be looked at.
    data = np.full((N_ROWS, 2), np.finfo(dtype).max / 4, dtype)
    X = as_file(data, order)
    mixture = GaussianMixture()

    def check():
        _validation.check_data(mixture, X, reset=True)

    assert peak_memory(check) < N_ROWS


@pytest.mark.each_pair
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f8", ">f4", "<f2"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_value_that_is_infinite_is_found_anywhere(
    dtype, order, value, as_file, small_parts
):
    mixture = fit(integers(100).astype("f8"))
    before = dict(vars(mixture))
    for row in (0, 2500, 4999):
        X = integers(5000).astype(dtype)
        X[row, 1] = value
        X[0, 0] = np.nan
        X = as_file(X, order)
        with pytest.raises(ValueError, match="Input X contains infinity"):
            mixture.fit(X)
        with pytest.raises(ValueError, match="Input X contains infinity"):
            mixture.score(X)
        assert vars(mixture) == before


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "Input sample_weight contains NaN"),
        (np.inf, "Input sample_weight contains infinity"),
        (-1, "Negative values in data passed to `sample_weight`"),
    ],
)
@pytest.mark.parametrize("dtype", ["<f8", ">f4"])
def test_a_bad_weight_is_found_anywhere(value, message, dtype, as_file, small_parts):
    X = as_file(integers(5000).astype("f4"))
    for row in (0, 4999):
        weight = np.zeros(5000, dtype)
        weight[row] = value
        with pytest.raises(ValueError, match=message):
            fit(X, as_file(weight))


def test_weights_that_are_all_zero_are_refused(as_file, small_parts):
    X = as_file(integers(5000).astype("f4"))
    with pytest.raises(ValueError, match="at least one non-zero number"):
        fit(X, as_file(np.zeros(5000, "f4")))
    weight = np.zeros(5000, "f4")
    weight[[5, 4998, 4999]] = 1
    assert fit(X, as_file(weight)).means_.shape == (3, 2)


@pytest.mark.parametrize("shape", [(4999,), (5000, 1), (5000, 2)])
def test_weights_of_another_shape_are_refused(shape, as_file, small_parts):
    X = as_file(integers(5000).astype("f4"))
    with pytest.raises(ValueError, match=r"sample_weight\.shape|must be 1D array"):
        fit(X, as_file(np.ones(shape)))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_the_file_is_not_written_to(mode, as_file, small_parts):
    data = integers(3000).astype(np.float32)
    X, weight = as_file(data, mode=mode), as_file(np.ones(3000), mode=mode)
    fit(X, weight).icl(X, sample_weight=weight)
    np.testing.assert_array_equal(X, data)
    np.testing.assert_array_equal(weight, 1)


def test_criteria_equal_their_definitions(as_file, small_parts):
    data = integers(3000).astype(float)
    weight = np.arange(3000) % 4
    mixture, X = fit(data), as_file(data)
    loglik = mixture.score_samples(data) @ weight
    certainty = np.log(mixture.predict_proba(data).max(axis=1)) @ weight
    N, p = weight.sum(), mixture.n_parameters_
    criteria = {
        "score": loglik / N,
        "bic": -2 * loglik + p * np.log(N),
        "aic": -2 * loglik + 2 * p,
        "icl": -2 * loglik + p * np.log(N) - 2 * certainty,
    }
    for name, expected in criteria.items():
        # Sums of 3 000 terms in another order.
        assert getattr(mixture, name)(X, sample_weight=weight) == pytest.approx(
            expected, rel=1e-12
        )


@pytest.mark.parametrize("method", SCORES)
def test_scores_of_rows_that_overflow_a_sum_are_not_nan(method, small_parts):
    mixture = fit(integers(1000).astype(float))
    far = np.full((3000, 2), 1e160)
    assert not np.isnan(getattr(mixture, method)(far))
    assert np.isfinite(mixture.score(far))
