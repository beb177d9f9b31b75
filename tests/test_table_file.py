"""Tables in files: read block by block, they give what arrays give."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone

from skem import MixtureModel
from skem._inputs import families as _families
from skem._inputs import tables as _table
from skem.families import search

pytestmark = pytest.mark.usefixtures("short_search")

FAMILIES = {2: "poisson", 3: "categorical", 4: "negative_binomial", 5: "student"}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(_table, "ROWS_IN_BLOCKS", 1000)
    monkeypatch.setattr(_families, "ROWS_IN_BLOCKS", 1000)
    monkeypatch.setattr(_table, "READ", 400)
    monkeypatch.setattr(search, "POOL_ROWS", 400)
    monkeypatch.setattr(search, "POOL_ROWS_PER_COMPONENT", 100)


def rows(n, gaps=0.05):
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=n)
    X = np.column_stack(
        [
            rng.normal(3.0 * z),
            rng.normal(-2.0 * z),
            rng.poisson(2 + 6 * z),
            rng.integers(0, 2 + 2 * z) - 1,
            rng.negative_binomial(3, 1 / (2 + 4 * z)),
            5 * z + rng.standard_t(4, n),
        ]
    )
    X[rng.random(X.shape) < gaps] = np.nan
    # A category and a count that rows evenly spaced do not have, and one late gap.
    X[-2, 3], X[-2, 2] = 9, 31
    return X


def in_file(X, path, dtype="f8"):
    file = np.memmap(path, dtype=dtype, mode="w+", shape=X.shape)
    file[:] = X
    return file


@pytest.mark.parametrize(
    "covariance_type", ["diag", pytest.param("full", marks=pytest.mark.slow)]
)
def test_a_file_is_fitted_as_an_array(covariance_type, tmp_path):
    X = rows(1501)
    if covariance_type == "diag":
        X = X[:, :5]
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    model = MixtureModel(
        2,
        families={j: f for j, f in FAMILIES.items() if j < X.shape[1]},
        covariance_type=covariance_type,
        max_iter=40,
        tol=300.0,
        random_state=0,
    )
    file = in_file(X, tmp_path / "X")
    own = MixtureModel(**model.get_params()).fit(file, sample_weight=weight)
    model.fit(X, sample_weight=weight)
    assert own.categories_["x3"].tolist() == [-1, 0, 1, 2, 9]
    for name, laws in model.parameters_.items():
        for key, values in laws.items():
            np.testing.assert_allclose(own.parameters_[name][key], values, rtol=1e-7)
    assert own.lower_bound_ == pytest.approx(model.lower_bound_, rel=1e-12)
    np.testing.assert_array_equal(own.predict(file), own.predict(X))
    np.testing.assert_allclose(own.score_samples(file), own.score_samples(X))
    np.testing.assert_allclose(own.impute(file), own.impute(X))
    own.partial_fit(file, sample_weight=weight)
    model.partial_fit(X, sample_weight=weight)
    np.testing.assert_allclose(own.weights_, model.weights_, rtol=1e-7)


def test_what_a_fit_sees_of_many_rows_is_all_of_the_categories(monkeypatch):
    X = rows(2501)
    model = MixtureModel(families=FAMILIES, random_state=0, tol=10.0).fit(X)
    monkeypatch.setattr(_families, "ROWS_IN_BLOCKS", 10**6)
    whole = MixtureModel(families=FAMILIES, random_state=0, tol=10.0).fit(X)
    for name in ("x2", "x3"):
        for key, values in whole.parameters_[name].items():
            found = model.parameters_[name][key]
            np.testing.assert_allclose(found, values, rtol=1e-3)
    assert whole.score(X) == pytest.approx(model.score(X), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((2000, 0, np.inf), "contains infinity .* in column 'x0'"),
        ((2499, 2, -1.0), "Column 'x2' has negative values, such as -1, which"),
        ((slice(None), 1, np.nan), r"Feature 1 \('x1'\) of X has no value at all"),
    ],
)
def test_bad_values_anywhere_in_a_file_are_refused(change, message, tmp_path):
    X = rows(2501)
    row, column, value = change
    X[row, column] = value
    with pytest.raises(ValueError, match=message):
        MixtureModel(2, families=FAMILIES).fit(in_file(X, tmp_path / "X"))


def test_categories_that_are_unknown(tmp_path):
    X = rows(1500)[:, 2:4]
    X[-2] = [3, 0]
    model = MixtureModel(2, families={0: "poisson", 1: "ordinal"})
    model.fit(X[:1000])
    X[1400, 1] = 7
    file = in_file(X, tmp_path / "X")
    with pytest.raises(ValueError, match=r"Found unknown categories \[7\]"):
        model.predict(file)
    model.set_params(handle_unknown="missing")
    np.testing.assert_allclose(model.predict_proba(file), model.predict_proba(X))


@pytest.mark.slow
def test_a_category_of_rows_without_weight_is_none(tmp_path):
    X = rows(1501)[:, :4]
    X[-3, 3] = 7.5
    weight = np.ones(len(X))
    weight[-3] = 0
    families = {2: "poisson", 3: "categorical"}
    model = MixtureModel(2, families=families, random_state=0, tol=1.0)
    own = model.fit(X, sample_weight=weight)
    bound, labels = own.lower_bound_, own.categories_["x3"]
    found = model.fit(in_file(X, tmp_path / "X"), sample_weight=weight)
    assert found.lower_bound_ == pytest.approx(bound)
    np.testing.assert_array_equal(found.categories_["x3"], labels)
    assert 7.5 not in labels
    with pytest.raises(ValueError, match=r"unknown categories \[7.5\]"):
        found.predict(in_file(X, tmp_path / "Y"))


@pytest.mark.parametrize("collection", ["file", "dask"])
@pytest.mark.parametrize("family", ["poisson", "gamma"])
def test_values_of_rows_without_weight_may_be_any(family, collection, tmp_path):
    rng = np.random.default_rng(0)
    X = np.c_[1.0 + rng.poisson(4, 1501), rng.normal(size=1501)]
    X[[3, 700, 1400], 0] = -1, 1.5, -2
    weight = np.ones(len(X))
    weight[[3, 700, 1400]] = 0
    given = in_file(X, tmp_path / "X")
    if collection == "dask":
        da = pytest.importorskip("dask.array")
        given = da.from_array(X, chunks=(400, 2))
    families = [(family, [0]), ("gaussian", [1])]
    model = MixtureModel(1, families=families, random_state=0)
    expected = clone(model).fit(X[weight > 0])
    found = clone(model).fit(given, sample_weight=weight)
    for name, own in expected.parameters_.items():
        for parameter, values in own.items():
            got = found.parameters_[name][parameter]
            np.testing.assert_allclose(got, values, rtol=1e-3)
    assert found.lower_bound_ == pytest.approx(expected.lower_bound_)
    score = found.score(given, sample_weight=weight)
    assert score == pytest.approx(found.score(X[weight > 0]))
    stream = found.partial_fit(given, sample_weight=weight)
    expected.partial_fit(X[weight > 0])
    means = [each.parameters_["x1"]["mean"] for each in (stream, expected)]
    np.testing.assert_allclose(*means, rtol=1e-3, atol=1e-6)
    # A row that has weight is refused as before.
    weight[1400] = 1
    with pytest.raises(ValueError, match="such as -2"):
        clone(model).fit(given, sample_weight=weight)


def test_memory_is_that_of_blocks(tmp_path):
    n, d = 200_000, 20
    file = np.memmap(tmp_path / "X", dtype="f4", mode="w+", shape=(n, d))
    rng = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        file[start : start + 10_000] = rng.normal(size=(10_000, d))
    model = MixtureModel(1, covariance_type="diag")
    tracemalloc.start()
    model.fit(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A copy in float64 would be 32 MB; a part for the search and blocks take less.
    assert peak < 20e6
