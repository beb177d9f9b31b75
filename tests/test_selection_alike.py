"""A selection of one feature: structures that are the same model there."""

import numpy as np
import pytest

from skem import GaussianMixtureIC
from skem._selection.alike import first_alike
from skem.core.gaussian.covariance import FOURTEEN, SHAPES

SHARED = ["tied", "EII", "EEI", "EVI", "EVE", "EEV", "EVV"]
OWN = ["full", "diag", "spherical", "VEI", "VEE", "VVE", "VEV"]


@pytest.fixture
def X(rng):
    return np.r_[rng.normal(0, 1, 90), rng.normal(8, 3, 60)][:, None]


def table(X, names, **options):
    model = GaussianMixtureIC(
        [1, 2, 3], covariance_type=names, random_state=0, **options
    ).fit(X)
    rows = {}
    for name in names:
        own = model.results_["param_covariance_type"] == name
        rows[name] = {key: column[own] for key, column in model.results_.items()}
    return model, rows


def test_structures_are_alike_where_they_share_one_variance_or_none():
    structures = [SHAPES[name] for name in FOURTEEN]
    first = first_alike(structures, 1)
    groups = {place: set() for place in first}
    for name, place in zip(FOURTEEN, first, strict=True):
        groups[place].add(name)
    assert list(groups.values()) == [set(OWN), set(SHARED)]
    assert first_alike(structures, 2) == list(range(14))


def test_equal_models_have_equal_rows_and_the_first_is_chosen(X):
    for names in (["diag", "full", "spherical"], ["spherical", "VEV", "diag"]):
        model, rows = table(X, names)
        one, *others = rows.values()
        for other in others:
            for name in ("bic", "aic", "icl", "n_parameters", "n_iter", "converged"):
                np.testing.assert_array_equal(one[name], other[name])
        assert model.covariance_type_ == names[0]
        assert model.n_components_ == 2


@pytest.mark.parametrize("weighted", [False, True])
def test_each_is_what_it_is_alone(X, rng, weighted):
    weight = rng.uniform(0.5, 2, len(X)) if weighted else None
    names = ["full", "EEV", "spherical", "tied", "VVI"]
    together = GaussianMixtureIC([1, 2], covariance_type=names, random_state=0)
    together.fit(X, sample_weight=weight)
    for i, name in enumerate(names):
        alone = GaussianMixtureIC([2], covariance_type=name, random_state=0)
        alone.fit(X, sample_weight=weight)
        row = {key: values[len(names) + i] for key, values in together.results_.items()}
        assert row["param_covariance_type"] == name
        assert row["n_parameters"] == alone.n_parameters_
        # Both stop where 0.01 nats are left.
        assert row["bic"] == pytest.approx(alone.criterion_, abs=0.1)


def test_candidates_that_fail_are_marked_in_all_structures():
    X = np.repeat([[0.0], [1.0], [5.0]], 10, axis=0)
    names = ["diag", "spherical"]
    selection = GaussianMixtureIC([1, 3], covariance_type=names, reg_covar=0.0)
    results = selection.fit(X).results_
    assert results["param_covariance_type"].tolist() == names * 2
    assert results["eligible"].tolist() == [True, True, False, False]
    first, second = results["warning"][2:]
    assert first == second
    assert "ill-defined empirical covariance" in first


def test_what_is_not_fitted_takes_no_time(X):
    model, _ = table(X, ["full", "spherical"])
    seconds = model.results_["fit_time"].reshape(3, 2)
    assert (seconds[:, 0] > 0).all()
    assert (seconds[:, 1] == 0).all()


def test_missing_values_and_noise(X, rng):
    X = np.r_[X[::3], [[np.nan]]]
    _, rows = table(X, ["full", "spherical"], noise=True)
    np.testing.assert_array_equal(rows["full"]["bic"], rows["spherical"]["bic"])
