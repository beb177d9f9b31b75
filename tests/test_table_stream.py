"""A stream of batches of a table."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture, MixtureModel

pytestmark = pytest.mark.usefixtures("short_search")

K = 3
FAMILIES = {
    "income": "lognormal",
    "spend": "gamma",
    "visits": "poisson",
    "calls": "negative_binomial",
    "member": "bernoulli",
    "score": "student",
}


FEW = ["age", "visits", "plan"]
FEW_FAMILIES = {"visits": "poisson"}


def rows(n, seed, gaps=0.0):
    rng = np.random.default_rng(seed)
    z = rng.integers(K, size=n)
    table = pd.DataFrame(
        {
            "age": rng.normal(np.array([30, 45, 60])[z], 5),
            "height": rng.normal(np.array([170, 165, 175])[z], 6),
            "income": np.exp(rng.normal(np.array([8, 9, 10])[z], 0.3)),
            "spend": rng.gamma(np.array([2, 5, 9])[z], 2.0),
            "visits": rng.poisson(np.array([1, 5, 20])[z]),
            "calls": rng.negative_binomial(3, 3 / (3 + np.array([2, 10, 30])[z])),
            "member": rng.random(n) < np.array([0.1, 0.5, 0.9])[z],
            "plan": np.array(["free", "basic", "pro"])[
                np.where(rng.random(n) < 0.7, z, rng.integers(3, size=n))
            ],
            "score": np.array([0, 3, 9])[z] + rng.standard_t(3, n),
        }
    )
    if gaps:
        table = table.astype({name: float for name in ("visits", "calls")})
        table["member"] = table.member.map({True: "yes", False: "no"})
        for name in table:
            table.loc[rng.random(n) < gaps, name] = None
    return table


def flat(model):
    found = [model.weights_, *model.covariances_.values()]
    return np.concatenate(
        [np.ravel(each) for each in found]
        + [np.ravel(v) for laws in model.parameters_.values() for v in laws.values()]
    )


def feed(model, table, size, weight=None):
    for start in range(0, len(table), size):
        part = slice(start, start + size)
        own = None if weight is None else weight[part]
        model.partial_fit(table[part], sample_weight=own)
    return model


@pytest.mark.parametrize("size", [600, 60])
@pytest.mark.slow
def test_start_is_a_fit_of_what_has_come(size):
    table = rows(600, 1, gaps=0.1)[FEW]
    model = MixtureModel(K, families=FEW_FAMILIES, tol=1.0, random_state=0)
    whole = clone(model).fit(table)
    feed(model, table, size)
    if size == 600:
        np.testing.assert_array_equal(flat(model), flat(whole))
        assert not model.converged_
    else:
        # 450 rows begin the stream, and three batches follow.
        begun = clone(model).fit(table[: 60 * 8])
        assert model.n_iter_ == begun.n_iter_ + 2
        assert model.score(table) == pytest.approx(whole.score(table), abs=0.02)


@pytest.mark.parametrize(
    ("covariance_type", "gaps"),
    [
        ("diag", 0.1),
        *(
            pytest.param(name, gaps, marks=pytest.mark.slow)
            for name, gaps in [
                ("full", 0.0),
                ("diag", 0.0),
                ("full", 0.1),
                ("tied", 0.0),
                ("tied", 0.1),
                ("spherical", 0.1),
            ]
        ),
    ],
)
def test_optimum_is_where_a_stream_of_the_same_rows_stays(covariance_type, gaps):
    table = rows(80, 2, gaps).drop(columns=["income", "spend"])
    families = {name: f for name, f in FAMILIES.items() if name in table}
    model = MixtureModel(
        K,
        families=families,
        covariance_type=covariance_type,
        pseudo_observations=0,
        n_init=1,
        tol=1e-7,
        random_state=0,
    ).fit(table)
    before = flat(model)
    for _ in range(2):
        model.partial_fit(table)
    np.testing.assert_allclose(flat(model), before, rtol=1e-3, atol=1e-4)
    assert model.lower_bound_ == pytest.approx(model.score(table), abs=1e-6)


@pytest.mark.parametrize("penalty", ["auto", 0.0, 5.0])
def test_one_component_that_forgets_nothing_is_the_fit_of_all_rows(penalty):
    families = {name: f for name, f in FAMILIES.items() if f != "student"}
    del families["calls"]
    table = rows(500, 3, gaps=0.2).drop(columns=["score", "calls"])
    weight = np.random.default_rng(0).integers(0, 3, size=500)
    # Incomplete Gaussian columns take more than one step, unless each is by itself.
    complete = table.dropna(subset=["age", "height", "income"])
    weight = weight[complete.index]
    model = MixtureModel(
        families=families, pseudo_observations=penalty, learning_decay=1
    )
    whole = clone(model).fit(complete, sample_weight=weight)
    feed(model, complete, 170, weight)
    np.testing.assert_allclose(flat(model), flat(whole), rtol=1e-9)


@pytest.mark.slow
def test_stream_comes_to_what_a_fit_of_all_rows_does():
    table, test = rows(4000, 4), rows(500, 5)
    model = MixtureModel(K, families=FAMILIES, random_state=0, covariance_type="diag")
    whole = clone(model).fit(table[:1000])
    feed(model, table, 500)
    assert model.score(test) > whole.score(test) - 0.02
    assert np.all(np.diff(np.sort(model.parameters_["visits"]["rate"])) > 3)
    np.testing.assert_allclose(
        np.sort(model.parameters_["age"]["mean"]), [30, 45, 60], atol=0.7
    )


def test_weights_are_repeated_rows_and_zero_is_none():
    start, batch = rows(300, 6)[FEW], rows(100, 7)[FEW]
    model = MixtureModel(2, families=FEW_FAMILIES, random_state=0).fit(start)
    other = pickle.loads(pickle.dumps(model))
    weight = np.arange(100) % 3
    model.partial_fit(batch, sample_weight=weight)
    other.partial_fit(batch.loc[np.repeat(np.arange(100), weight)])
    np.testing.assert_allclose(flat(model), flat(other), rtol=1e-9)


@pytest.mark.parametrize("n", [10, 200])
def test_a_category_without_weight_has_not_come_yet(n):
    table = pd.DataFrame({"c": ["u", "v"] * n})
    beside = pd.concat([table, pd.DataFrame({"c": ["rare"]})])
    weight = np.r_[np.ones(2 * n), 0]
    stream = MixtureModel(1).partial_fit(beside, sample_weight=weight)
    stream.partial_fit(beside, sample_weight=weight)
    assert list(stream.categories_["c"]) == ["u", "v"]
    if n == 10:
        stream.partial_fit(beside).partial_fit(beside)
        assert list(stream.categories_["c"]) == ["rare", "u", "v"]
    else:
        with pytest.raises(ValueError, match=r"unknown categories \['rare'\]"):
            stream.partial_fit(beside)


def test_a_drift_is_followed_with_a_window():
    rng = np.random.default_rng(8)
    model = MixtureModel(families="poisson", learning_window=200)
    for rate in np.linspace(2, 30, 40):
        model.partial_fit(rng.poisson(rate, size=(100, 1)))
    assert model.parameters_["x0"]["rate"][0] == pytest.approx(30, abs=3)


def test_few_rows_are_kept_with_categories_of_either():
    model = MixtureModel(2, random_state=0)
    model.partial_fit(pd.DataFrame({"a": ["y"], "b": [None], "c": [1.0]}))
    with pytest.raises(NotFittedError):
        model.predict([["y", None, 1.0]])
    with pytest.raises(ValueError, match="Column 'c' has categories; the stream has"):
        model.partial_fit(pd.DataFrame({"a": ["y"], "b": ["u"], "c": ["x"]}))
    last = pd.DataFrame(
        {"a": ["x", "y", None], "b": ["u", "v", "u"], "c": [2.0, 0.0, 5.0]}
    )
    model.partial_fit(last)
    assert model.categories_["a"].tolist() == ["x", "y"]
    whole = pd.DataFrame(
        {
            "a": ["y", "x", "y", None],
            "b": [None, "u", "v", "u"],
            "c": [1.0, 2.0, 0.0, 5.0],
        }
    )
    np.testing.assert_array_equal(flat(model), flat(clone(model).fit(whole)))


def test_errors_leave_the_stream_as_it_was():
    table = rows(300, 9)[FEW]
    model = MixtureModel(K, families=FEW_FAMILIES, random_state=0).fit(table)
    before = pickle.dumps(model)
    unknown = table[:5].assign(plan="gold")
    with pytest.raises(ValueError, match="Found unknown categories"):
        model.partial_fit(unknown)
    with pytest.raises(ValueError, match="negative values"):
        model.partial_fit(table[:5].assign(visits=-1))
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(table.drop(columns="plan"))
    assert pickle.dumps(model) == before
    model.set_params(n_components=2)
    with pytest.raises(ValueError, match="n_components has changed from 3 to 2"):
        model.partial_fit(table)
    model.set_params(n_components=K, handle_unknown="missing").partial_fit(unknown)
    assert model.categories_["plan"].tolist() == ["basic", "free", "pro"]


@pytest.mark.parametrize(
    "covariance_type", ["full", pytest.param("diag", marks=pytest.mark.slow)]
)
def test_gaussian_streams_are_those_of_gaussian_mixture(covariance_type):
    rng = np.random.default_rng(10)
    z = rng.integers(2, size=900)
    X = rng.normal(size=(900, 3)) + 4 * z[:, None]
    X[:, 1:][rng.random((900, 2)) < 0.05] = np.nan
    options = {
        "covariance_type": covariance_type,
        "random_state": 0,
        "tol": 1e-4,
        "n_init": 1,
    }
    model, peer = MixtureModel(2, **options), GaussianMixture(2, **options)
    for batch in np.split(X, [400, 500, 700]):
        model.partial_fit(batch)
        peer.partial_fit(batch)
    order = np.argsort(peer.means_[:, 0])
    (found,) = model.covariances_.values()
    means = np.column_stack([laws["mean"] for laws in model.parameters_.values()])
    own = np.argsort(means[:, 0])
    np.testing.assert_allclose(means[own], peer.means_[order], atol=1e-4)
    np.testing.assert_allclose(found[own], peer.covariances_[order], atol=1e-3)
    np.testing.assert_allclose(model.weights_[own], peer.weights_[order], atol=1e-4)
    assert model.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-4)


@pytest.mark.parametrize("exponent", [-900, 960])
@pytest.mark.parametrize("family", ["exponential", "gamma"])
def test_positive_values_may_have_any_unit(family, exponent):
    """Sums had overflowed, and searches raised for natural parameters out of range."""
    rng = np.random.default_rng(11)
    x = rng.gamma(3.0, np.repeat([1.0, 40.0], 60))[:, None]
    unit, weight = 2.0**exponent, np.full(120, 1e9)
    fits = [
        MixtureModel(2, families=family, random_state=0).fit(X, sample_weight=weight)
        for X in (x, x * unit)
    ]
    ours, theirs = (fit.parameters_["x0"] for fit in fits)
    np.testing.assert_allclose(theirs["mean"] / unit, ours["mean"], rtol=1e-6)
    shift = exponent * np.log(2)
    assert fits[1].lower_bound_ == pytest.approx(fits[0].lower_bound_ - shift, abs=1e-6)
    np.testing.assert_array_equal(fits[0].labels_, fits[1].labels_)
    streams = [
        fit.partial_fit(x[:40] * u) for fit, u in zip(fits, (1, unit), strict=True)
    ]
    ours, theirs = (stream.parameters_["x0"] for stream in streams)
    np.testing.assert_allclose(theirs["mean"] / unit, ours["mean"], rtol=1e-6)


@pytest.mark.parametrize("families", ["gaussian", dict.fromkeys(range(3), "gaussian")])
def test_a_value_that_comes_late_does_not_hide_clusters(families, rng):
    n = 4000
    y = rng.integers(3, size=n)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    X = np.c_[centres[y] + rng.normal(size=(n, 2)), np.full(n, 5.1)]
    X[[2100, 3000], 2] = 5.4
    if isinstance(families, dict):
        families = {f"x{j}": family for j, family in families.items()}
    model = MixtureModel(3, families=families, random_state=0)
    for start in range(0, n, 500):
        model.partial_fit(X[start : start + 500])
    assert adjusted_rand_score(y, model.predict(X)) > 0.98


def test_the_other_category_of_a_pair_may_come_late():
    frame = pd.DataFrame({"a": ["x"] * 400, "b": [*"pq"] * 200})
    model = MixtureModel(1, families={"a": "bernoulli"}).partial_fit(frame)
    assert model.parameters_["a"]["probability"] == [1]
    free = model.n_parameters_
    late = frame.assign(a=[*"xw"] * 200)
    for _ in range(60):
        model.partial_fit(late)
    assert model.categories_["a"].tolist() == ["x", "w"]
    assert model.n_parameters_ == free + 1
    np.testing.assert_allclose(model.parameters_["a"]["probability"], 0.5, atol=0.05)
    assert np.isfinite(model.score_samples(late)).all()
    before = copy.deepcopy(model.parameters_)
    with pytest.raises(ValueError, match="unknown categories \\['z'\\] in column 'a'"):
        model.partial_fit(frame.assign(a="z"))
    np.testing.assert_equal(model.parameters_, before)
    # Among the rows that are gathered.
    model = MixtureModel(1, families={"a": "bernoulli"}).partial_fit(frame[:20])
    model.partial_fit(late)
    assert model.categories_["a"].tolist() == ["w", "x"]


def test_a_stream_of_a_pair_takes_one_other_category_and_no_two():
    model = MixtureModel(families="bernoulli", random_state=0)
    model.partial_fit([["a"]] * 500)
    with pytest.raises(ValueError, match=r"unknown categories \['b', 'c'\]"):
        model.partial_fit([["b"], ["c"]])
    model.partial_fit([["b"], ["a"]])


@pytest.mark.parametrize(
    ("family", "good", "bad", "message"),
    [
        ("bernoulli", [["a"], ["b"]] * 20, [["c"]], "3 categories"),
        ("poisson", [[1], [4]] * 20, [[-1]], "has negative values"),
    ],
)
def test_a_bad_batch_among_the_first_rows_is_refused_and_forgotten(
    family, good, bad, message
):
    """It had been kept, and all later batches were refused."""
    model = MixtureModel(families=family, random_state=0).partial_fit(good)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(bad)
    model.partial_fit(good * 10)
    alone = MixtureModel(families=family, random_state=0).partial_fit(good)
    alone.partial_fit(good * 10)
    assert model.score(good) == alone.score(good)
