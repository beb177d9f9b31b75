"""Fits from parameters that are given: one run, and components keep their numbers."""

import numpy as np
import pandas as pd
import pytest

from skem import MixtureModel
from skem.core.blocks.threads import Workers
from skem.families import search
from skem.families.table_map import TableMap

FAMILIES = {
    "n": "poisson",
    "calls": "negative_binomial",
    "wait": "exponential",
    "t": "student",
    "income": "lognormal",
}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    z = rng.integers(3, size=400)
    return pd.DataFrame(
        {
            "x": rng.normal(4 * z),
            "n": rng.poisson(1 + 5 * z),
            "calls": rng.negative_binomial(4, 1 / (1 + 2 * z + 0.5)),
            "wait": rng.exponential(np.array([1, 8, 64])[z]),
            "t": 5 * z + rng.standard_t(4, 400),
            "income": np.exp(rng.normal(z)),
            "kind": np.array(["a", "b", "c"])[
                np.where(rng.random(400) < 0.8, z, rng.integers(3, size=400))
            ],
            "flag": rng.random(400) < np.array([0.1, 0.5, 0.9])[z],
        }
    )


STARTS = [
    {"x": {"mean": [4, 8, 0]}},
    {"n": {"rate": [6, 11, 1]}},
    {"calls": {"mean": [10, 18, 2], "size": [4, 4, 4]}},
    {"wait": {"mean": [8, 64, 1]}},
    {"t": {"location": [5, 10, 0], "scale": [1, 1, 1], "df": [4, 4, 4]}},
    {"income": {"mean": [1, 2, 0], "standard_deviation": [1, 1, 1]}},
    {"kind": {"proportions": [[0.1, 0.8, 0.1], [0, 0, 1], [8, 1, 1]]}},
    {"flag": {"probability": [0.5, 0.9, 0.1]}, 6: {"proportions": np.ones((3, 3))}},
]


@pytest.mark.parametrize("start", STARTS, ids=lambda start: next(iter(start)))
def test_every_family_may_be_given(table, start, monkeypatch):
    monkeypatch.setattr(search.TableSearch, "optimum", None)
    families = FAMILIES | {"flag": "bernoulli"}
    model = MixtureModel(
        3, families=families, covariance_type="diag", parameters_init=start
    ).fit(table)
    # In the order of the start, not of the weights.
    np.testing.assert_allclose(model.parameters_["x"]["mean"], [4, 8, 0], atol=0.4)


def test_first_step_is_that_of_em(table):
    columns = table[["x", "n"]]
    start = {
        "x": {"mean": [0.0, 6.0], "standard_deviation": [1.0, 2.0]},
        "n": {"rate": [2.0, 8.0]},
    }
    weights = [0.3, 0.7]
    options = dict(
        families={"n": "poisson"}, pseudo_observations=0, max_iter=1, tol=1e9
    )
    model = MixtureModel(2, weights_init=weights, parameters_init=start, **options)
    with pytest.warns():
        model.fit(columns)
    from scipy import stats

    x, n = columns.to_numpy().T
    joint = np.log(weights) + stats.norm.logpdf(x[:, None], [0, 6], [1, 2])
    joint += stats.poisson.logpmf(n[:, None], [2, 8])
    resp = np.exp(joint - joint.max(axis=1, keepdims=True))
    resp = (resp / resp.sum(axis=1, keepdims=True)).T
    values = np.ascontiguousarray(columns.to_numpy(dtype=float).T)
    em = TableMap(model._product.of(values), values, np.ones(400), Workers())
    here = em.evaluate(em.labelled(resp))
    expected = em.evaluate(here.successor)
    assert model.lower_bound_ * 400 == pytest.approx(expected.loglik, rel=1e-12)


@pytest.mark.parametrize(
    "options, match",
    [
        ({"weights_init": [0.5, 0.5]}, "weights_init needs parameters_init"),
        ({"parameters_init": {}}, "should be a mapping from columns"),
        ({"parameters_init": {"z": {}}}, "parameters_init names 'z'"),
        ({"parameters_init": {"x": [1, 2]}}, "should be a mapping from names"),
        ({"parameters_init": {"x": {"mean": [1.0]}}}, "should have 2 finite entries"),
        ({"parameters_init": {"x": {"rate": [1, 2]}}}, "the first at least"),
        (
            {"parameters_init": {"x": {"mean": [1, 2], "standard_deviation": [0, 1]}}},
            "should be positive",
        ),
        ({"parameters_init": {"n": {"mean": [1, 2]}}}, "the family 'poisson': 'rate'"),
        (
            {"parameters_init": {"kind": {"proportions": np.ones((2, 2))}}},
            r"proportions of shape \(2, 3\)",
        ),
        (
            {"weights_init": [2, 2], "parameters_init": {"x": {"mean": [1, 2]}}},
            "weights",
        ),
    ],
)
def test_bad_starts_are_named(table, options, match):
    with pytest.raises(ValueError, match=match):
        MixtureModel(2, families={"n": "poisson"}, **options).fit(
            table[["x", "n", "kind"]]
        )
