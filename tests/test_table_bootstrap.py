"""Standard errors of tables by refits to random weights of the rows."""

import copy

import numpy as np
import pytest

from skem import MixtureIC, MixtureModel, load

FAMILIES = {1: "poisson", 2: "bernoulli", 3: "categorical"}


def table_of(rng, n=300):
    z = rng.integers(2, size=n)
    X = [rng.normal(3 * z), rng.poisson(2 + 5 * z), rng.random(n) < 0.2 + 0.6 * z]
    X = np.column_stack([*X, rng.integers(0, 2 + z)])
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, z


def fitted(X, **options):
    model = MixtureModel(2, families=FAMILIES, random_state=0)
    return model.set_params(**options).fit(X)


def listed(errors):
    return errors.to_frame()["error"].to_numpy()


def bootstrap(model, X, n_boot=60, **options):
    options = {"random_state": 0} | options
    return model.standard_errors(X, method="bootstrap", n_boot=n_boot, **options)


def test_errors_of_one_component_are_those_of_weighted_means(rng):
    X, weight = rng.poisson(3, size=(40, 1)), rng.integers(0, 5, size=40)
    model = MixtureModel(families="poisson", tol=1e-8).fit(X, sample_weight=weight)
    errors = bootstrap(model, X, n_boot=3, sample_weight=weight)
    means = []
    for seed in np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=3):
        drawn = np.random.RandomState(seed).standard_gamma(weight)
        means.append(np.average(X[:, 0], weights=drawn))
    found = errors.parameters["x0"]["rate"][0]
    # But for pseudo-observations.
    assert found == pytest.approx(np.std(means, ddof=1), rel=0.02)
    assert errors.weights[0] == 0


def test_errors_are_about_those_of_the_sandwich(rng):
    X, _ = table_of(rng, 600)
    model = fitted(X)
    before = copy.deepcopy(vars(model))
    errors = bootstrap(model, X)
    ratio = listed(errors) / listed(model.standard_errors(X))
    # Of 60 refits a relative standard error of 9 %.
    assert (np.abs(ratio - 1) < 0.5).all(), ratio
    assert abs(np.median(ratio) - 1) < 0.1
    assert errors.n_boot == 60
    assert str(errors).startswith("Standard errors by the bootstrap, 60 refits\n")
    for name, value in vars(model).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, before[name])


def test_rows_of_a_group_have_a_weight_in_common(rng):
    X, _ = table_of(rng, 150)
    repeated, groups = np.repeat(X, 4, axis=0), np.repeat(np.arange(150), 4)
    model = fitted(repeated)
    errors = bootstrap(model, repeated, groups=groups)
    alone = bootstrap(model, repeated)
    assert 1.7 < np.median(listed(errors) / listed(alone)) < 2.3
    assert errors.n_groups == 150


def test_what_is_fixed_or_known_stays(rng):
    X, z = table_of(rng)
    model = fitted(X).set_params(fixed=["x0"], warm_start=True).fit(X)
    errors = bootstrap(model, X, n_boot=5)
    assert (errors.parameters["x0"]["mean"] == 0).all()
    assert (errors.parameters["x1"]["rate"] > 0).all()
    known = MixtureModel(2, families=FAMILIES, random_state=0).fit(X, labels=z)
    errors = bootstrap(known, X, labels=z, n_boot=40)
    # Weights of known labels are shares.
    expected = np.sqrt(known.weights_.prod() / 300)
    np.testing.assert_allclose(errors.weights, expected, rtol=0.4)


def test_what_the_rows_tell_nothing_of_has_an_infinite_error(rng):
    z = rng.integers(2, size=300)
    X = np.column_stack([rng.normal(6 * z), rng.poisson(2 + 5 * z)])
    families = {0: "student", 1: "negative_binomial"}
    model = MixtureModel(3, families=families, random_state=0).fit(X, labels=z)
    errors = bootstrap(model, X, labels=z, n_boot=5)
    for own in errors.parameters.values():
        for name, found in own.items():
            # The third component has no rows.
            assert np.isinf(found[2]), name
    assert np.isfinite(errors.parameters["x0"]["location"][:2]).all()
    # Of counts that are Poisson the size is on its bound.
    assert np.isinf(errors.parameters["x1"]["size"]).all()
    assert np.isfinite(errors.parameters["x1"]["mean"][:2]).all()


def test_files_and_searches_have_the_same(rng, tmp_path):
    X, _ = table_of(rng)
    search = MixtureIC(2, families=FAMILIES, random_state=0).fit(X)
    path = tmp_path / "model.json"
    search.save(path)
    expected = listed(bootstrap(search.best_estimator_, X, n_boot=3))
    for other in (search, load(path)):
        found = listed(bootstrap(other, X, n_boot=3))
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    other = bootstrap(search, X, n_boot=3, random_state=1)
    assert (listed(other) != expected).all()


@pytest.mark.slow
def test_processes_have_the_same(rng):
    X, _ = table_of(rng)
    model = fitted(X)
    expected = listed(bootstrap(model, X, n_boot=4))
    found = listed(bootstrap(model, X, n_boot=4, n_jobs=2))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_bad_arguments_are_said(rng):
    X, _ = table_of(rng, 60)
    model = fitted(X)
    with pytest.raises(ValueError, match="The 'n_boot' parameter of"):
        bootstrap(model, X, n_boot=1)
    da = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="The bootstrap needs the rows in an array"):
        bootstrap(model, da.from_array(X), groups=np.arange(60) // 2)
