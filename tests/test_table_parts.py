"""Marginals and conditionals of mixtures of tables: beside the joint density."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from skem import GaussianMixture, MixtureModel

FAMILIES = [
    ("gaussian", ["a", "b"]),
    ("lognormal", ["c", "d"]),
    ("poisson", ["n"]),
    ("student", ["t"]),
    ("categorical", ["kind"]),
]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    z = rng.integers(2, size=300)
    first = rng.normal(size=(300, 2)) @ [[1, 0.7], [0, 1]] + 3 * z[:, None]
    second = np.exp(rng.normal(size=(300, 2)) @ [[0.3, 0.2], [0, 0.3]] + z[:, None])
    return pd.DataFrame(
        {
            "a": first[:, 0],
            "c": second[:, 0],
            "kind": np.where(rng.random(300) < 0.2 + 0.5 * z, "x", "y"),
            "b": first[:, 1],
            "n": rng.poisson(2 + 6 * z),
            "d": second[:, 1],
            "t": z + rng.standard_t(4, 300),
        }
    )


@pytest.fixture(scope="module", params=["tied", "VEE"])
def model(table, request):
    return MixtureModel(
        2, families=FAMILIES, covariance_type=request.param, random_state=0
    ).fit(table)


@pytest.mark.parametrize("given", [["b", "d"], ["kind", "a", "n"], ["t"]])
def test_joint_density_is_that_of_what_is_given_times_the_conditional(
    model, table, given
):
    row = table.iloc[[7]]
    left = [name for name in table.columns if name not in given]
    conditional = model.conditional({name: row[name].iloc[0] for name in given})
    assert list(conditional.parameters_) == left
    joint = model.score_samples(row)
    parts = model.marginal(given).score_samples(row[given])
    parts += conditional.score_samples(row[left])
    np.testing.assert_allclose(parts, joint, rtol=1e-9)


def test_marginal_is_as_if_the_others_were_missing(model, table):
    chosen = ["n", "kind", "b", "c"]
    part = model.marginal(chosen)
    gaps = table.copy()
    gaps[[name for name in table.columns if name not in chosen]] = np.nan
    np.testing.assert_allclose(
        part.score_samples(table[chosen]), model.score_samples(gaps), rtol=1e-9
    )
    np.testing.assert_allclose(
        part.predict_proba(table[chosen]), model.predict_proba(gaps), atol=1e-9
    )
    assert list(part.sample(3)[0].columns) == chosen
    assert str(part.summary()).startswith("Mixture of 2 components: ")
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again.weights_, model.weights_)


def test_numbers_alone_are_those_of_a_gaussian_mixture(table):
    X = table[["a", "b", "c"]].to_numpy()
    ours = MixtureModel(2, random_state=0, tol=1e-8).fit(X)
    peer = GaussianMixture(2, random_state=0, tol=1e-8).fit(X)
    given = ours.conditional([0.5, None, 2.0])
    other = peer.conditional({0: 0.5, 2: 2.0})
    np.testing.assert_allclose(
        np.sort(given.weights_), np.sort(other.weights_), atol=1e-4
    )
    means = given.parameters_["x1"]["mean"]
    np.testing.assert_allclose(np.sort(means), np.sort(other.means_[:, 0]), atol=1e-3)


def test_part_goes_on_as_a_mixture_of_its_own(model, table, tmp_path):
    part = model.marginal(["kind", "n"])
    with pytest.raises(NotImplementedError, match="no marginals"):
        part.save(tmp_path / "part.json")
    assert part.n_parameters_ == 2 * 1 + 2 + 1
    with pytest.raises(ValueError, match="no statistics that a stream could go on"):
        part.partial_fit(table[["kind", "n"]])
    part.fit(table[["kind", "n"]])
    assert part.families_ == {"kind": "categorical", "n": "poisson"}


@pytest.mark.parametrize(
    "values, match",
    [
        ({"z": 1}, "'z' not in feature_names"),
        ({7: 1}, r"entries of values must be names, or integers in \[0, 6\], got 7"),
        ({0: 1.0, "a": 1.0}, "distinct columns"),
        ({"kind": "w"}, "no category 'w'"),
        ({"a": "low"}, "should be a finite number"),
        ({"n": -1}, "'n' has negative values"),
        ([1.0], "has 1 columns, but the mixture has 7"),
        ([1.0, 1.0, "x", 1.0, 1.0, 1.0, 1.0], "all 7 have one"),
    ],
)
def test_bad_values_are_named(model, values, match):
    with pytest.raises(ValueError, match=match):
        model.conditional(values)


def test_parts_need_a_mixture():
    for method, argument in (("marginal", [0]), ("conditional", {0: 1})):
        with pytest.raises(NotFittedError):
            getattr(MixtureModel(), method)(argument)
    with pytest.raises(ValueError, match="at least one feature"):
        MixtureModel().fit([[1.0], [2.0]]).marginal([])
