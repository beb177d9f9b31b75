"""Fits that go on from a mixture, and parts of it that are fixed."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import skem
from skem import MixtureModel

pytestmark = pytest.mark.usefixtures("short_search")

FAMILIES = {"spend": "lognormal", "visits": "poisson", "score": "student"}


def rows(n, seed, share=0.5):
    rng = np.random.default_rng(seed)
    z = (rng.random(n) < share).astype(int)
    return pd.DataFrame(
        {
            "age": rng.normal(30 + 25 * z, 5),
            "height": rng.normal(170 - 5 * z, 6),
            "spend": np.exp(rng.normal(2 + z, 0.4)),
            "visits": rng.poisson(2 + 8 * z),
            "plan": np.where(rng.random(n) < 0.2 + 0.6 * z, "pro", "free"),
            "score": 6 * z + rng.standard_t(4, n),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    model = MixtureModel(2, families=FAMILIES, random_state=0, tol=1e-6)
    return model.fit(rows(300, 0))


@pytest.fixture
def model(fitted):
    return pickle.loads(pickle.dumps(fitted))


def test_a_fit_of_the_same_rows_stays_where_it_is(model):
    before = pickle.loads(pickle.dumps(model))
    model.set_params(warm_start=True, max_iter=3, algorithm="em").fit(rows(300, 0))
    assert model.n_iter_ <= 3
    for name, laws in before.parameters_.items():
        for key, values in laws.items():
            found = model.parameters_[name][key]
            np.testing.assert_allclose(found, values, rtol=1e-3)
    assert model.score(rows(300, 0)) == pytest.approx(before.lower_bound_, abs=1e-7)


def test_other_rows_come_to_the_optimum_of_a_search(model, tmp_path):
    other = rows(300, 1)
    model.save(tmp_path / "model.json")
    loaded = skem.load(tmp_path / "model.json").set_params(warm_start=True)
    whole = clone(model).fit(other)
    for warm in (model.set_params(warm_start=True), loaded):
        assert warm.fit(other).lower_bound_ == pytest.approx(
            whole.lower_bound_, abs=1e-6
        )


def test_places_of_components_are_kept(model):
    old = model.parameters_["age"]["mean"].argmin()
    model.set_params(warm_start=True).fit(rows(400, 2, share=0.15 if old else 0.85))
    assert model.parameters_["age"]["mean"].argmin() == old
    assert model.weights_[old] < model.weights_[1 - old]


@pytest.mark.parametrize(
    "algorithm",
    [
        "auto",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("em", "squarem")),
    ],
)
def test_what_is_fixed_stays_and_the_rest_is_at_its_optimum(algorithm, model):
    before = model.parameters_
    fixed = ["age", "height", "visits", 4]
    other = rows(400, 3, share=0.8)
    model.set_params(warm_start=True, fixed=fixed, algorithm=algorithm)
    n_free = model.n_parameters_
    model.fit(other)
    for name in ("age", "height", "visits", "plan"):
        for key, values in before[name].items():
            found = model.parameters_[name][key]
            np.testing.assert_allclose(found, values, rtol=1e-12)
    assert n_free - model.n_parameters_ == 2 * (2 + 3) + 2 + 2
    assert model.weights_.max() == pytest.approx(0.8, abs=0.05)
    assert abs(before["spend"]["mean"] - model.parameters_["spend"]["mean"]).max() > 0
    # At the optimum, a mixture's weights are means of the posterior.
    found = model.predict_proba(other).mean(axis=0)
    np.testing.assert_allclose(found, model.weights_, atol=1e-4)
    model.partial_fit(rows(100, 4))
    np.testing.assert_allclose(
        model.parameters_["visits"]["rate"], before["visits"]["rate"], rtol=1e-12
    )


def test_weights_may_be_fixed(model, tmp_path):
    weights, n_free = model.weights_.copy(), model.n_parameters_
    other = rows(400, 5, share=0.8)
    model.set_params(warm_start=True, fixed=["weights"]).fit(other)
    np.testing.assert_array_equal(model.weights_, weights)
    assert model.n_parameters_ == n_free - 1
    model.save(tmp_path / "model.json")
    assert skem.load(tmp_path / "model.json").bic(other) == model.bic(other)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fixed": ["age"]}, "fixed needs values: warm_start=True"),
        ({"fixed": ["b"], "warm_start": True}, "fixed names 'b', which is no column"),
        ({"fixed": ["age"], "warm_start": True}, "are one group: fix all of them"),
        ({"n_components": 3, "warm_start": True}, "from 2 to 3. Set warm_start=F"),
    ],
)
def test_what_cannot_be_is_refused(params, message, model):
    before = model.weights_
    with pytest.raises(ValueError, match=message):
        model.set_params(**params).fit(rows(100, 6))
    assert model.weights_ is before
    with pytest.raises(ValueError, match=r"needs the columns of .* Set warm_start=F"):
        model.set_params(n_components=2, fixed=None, warm_start=True).fit(
            rows(100, 6).drop(columns="plan")
        )
