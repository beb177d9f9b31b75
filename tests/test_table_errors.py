"""Standard errors of tables: beside closed forms and Gaussian mixtures."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skem import GaussianMixture, MixtureModel, load
from skem._tables.errors import Information, Matrices, _delta

n = 4000


@pytest.mark.parametrize("gaps", [False, True])
def test_errors_of_one_component_are_the_known_ones(rng, gaps):
    X = np.column_stack(
        [
            rng.poisson(4, n),
            rng.random(n) < 0.3,
            rng.exponential(2, n),
            rng.normal(1, 3, n),
        ]
    ).astype(float)
    if gaps:
        X[rng.random(X.shape) < 0.3] = np.nan
    families = {0: "poisson", 1: "bernoulli", 2: "exponential"}
    model = MixtureModel(families=families).fit(X)
    found = model.standard_errors(X).parameters
    root = np.sqrt((~np.isnan(X)).sum(axis=0))
    # Outer products of 4000 scores are within a few per cent of their mean.
    expected = np.array([2, np.sqrt(0.21), 2, 3]) / root
    names = ["rate", "probability", "mean", "mean"]
    for j, name in enumerate(names):
        assert found[f"x{j}"][name][0] == pytest.approx(expected[j], rel=0.1)
    doubled = model.standard_errors(X, sample_weight=np.full(n, 4.0))
    assert doubled.parameters["x0"]["rate"][0] == pytest.approx(
        found["x0"]["rate"][0] / 2
    )


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_errors_are_those_of_a_gaussian_mixture(rng, covariance_type):
    X = np.r_[rng.normal(0, 1, (200, 2)), rng.normal(3, [1, 2], (150, 2))]
    options = dict(tol=1e-8, random_state=0, covariance_type=covariance_type)
    model, peer = MixtureModel(2, **options).fit(X), GaussianMixture(2, **options)
    peer.fit(X)
    for method in ("sandwich", "hessian", "opg"):
        ours = model.standard_errors(X, method=method)
        theirs = peer.standard_errors(X, method=method)
        # Central differences with steps of a hundredth.
        np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-3)
        means = np.column_stack([ours.parameters[f"x{j}"]["mean"] for j in range(2)])
        np.testing.assert_allclose(means, theirs.means, rtol=1e-3)
    assert ours.weights != pytest.approx(model.standard_errors(X).weights, rel=1e-3)


def test_known_components_tell_as_in_a_gaussian_mixture(rng):
    X = np.r_[rng.normal(0, 1, (200, 2)), rng.normal(1, [1, 2], (150, 2))]
    labels = np.where(np.arange(350) % 2, np.arange(350) >= 200, -1)
    weight = rng.integers(0, 3, size=350)
    options = dict(tol=1e-8, random_state=0)
    model = MixtureModel(2, **options).fit(X, sample_weight=weight, labels=labels)
    peer = GaussianMixture(2, **options).fit(X, None, weight, labels)
    for method in ("sandwich", "hessian", "opg"):
        ours = model.standard_errors(X, weight, method=method, labels=labels)
        theirs = peer.standard_errors(X, weight, method=method, labels=labels)
        np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-3)
        means = np.column_stack([ours.parameters[f"x{j}"]["mean"] for j in range(2)])
        np.testing.assert_allclose(means, theirs.means, rtol=1e-3)
    with pytest.warns(UserWarning, match="not at a maximum .* labels of the fit"):
        without = model.standard_errors(X, weight, method="opg").weights
    assert (ours.weights < 0.9 * without).all()
    with pytest.raises(ValueError, match="labels should be in the range"):
        model.standard_errors(X, labels=labels + 2)


def test_what_is_fixed_has_no_errors_and_is_known_to_the_others(rng, tmp_path):
    k = rng.random(300) < 0.4
    X = np.column_stack([rng.normal(2.0 * k), rng.poisson(np.where(k, 6, 3))])
    options = dict(families={1: "poisson"}, random_state=0)
    model = MixtureModel(2, **options).fit(X)
    model.set_params(warm_start=True, fixed=["x0", "x1"]).fit(X)
    joint = np.exp(
        [
            stats.norm.logpdf(X[:, 0], mean, sd) + stats.poisson.logpmf(X[:, 1], rate)
            for mean, sd, rate in zip(
                *model.parameters_["x0"].values(),
                *model.parameters_["x1"].values(),
                strict=True,
            )
        ]
    )
    slope = (joint[0] - joint[1]) / (model.weights_ @ joint)
    model.save(tmp_path / "model.json")
    for fitted in (model, load(tmp_path / "model.json")):
        errors = fitted.standard_errors(X, method="hessian")
        right = 1 / np.sqrt(np.square(slope).sum())
        np.testing.assert_allclose(errors.weights, right, rtol=1e-4)
        assert not errors.parameters["x0"]["mean"].any()
        assert not errors.parameters["x1"]["rate"].any()
    model.set_params(fixed=["x0", "weights"]).fit(X)
    free = model.standard_errors(X, method="opg").parameters["x1"]["rate"]
    resp = model.predict_proba(X)
    rate = model.parameters_["x1"]["rate"]
    scores = resp * (X[:, 1:] / rate - 1)
    covariance = np.linalg.inv(scores.T @ scores)
    np.testing.assert_allclose(free, np.sqrt(np.diag(covariance)), rtol=1e-3)
    model.set_params(fixed=["x0", "x1", "weights"]).fit(X)
    errors = model.standard_errors(X)
    assert not errors.weights.any()
    assert not errors.parameters["x1"]["rate"].any()


def test_a_wrong_model_has_the_errors_of_the_sandwich(rng):
    X = rng.negative_binomial(2, 0.2, (n, 1))
    model = MixtureModel(families="poisson").fit(X)
    found = {
        method: model.standard_errors(X, method=method).parameters["x0"]["rate"][0]
        for method in ("sandwich", "hessian")
    }
    assert found["sandwich"] == pytest.approx(X.std() / np.sqrt(n), rel=1e-3)
    assert found["hessian"] == pytest.approx(np.sqrt(X.mean() / n), rel=1e-3)
    with pytest.raises(ValueError, match="The 'method' parameter of"):
        model.standard_errors(X, method="louis")


def test_hessian_is_that_of_the_likelihood(rng):
    z = rng.integers(2, size=200)
    X = np.column_stack(
        [rng.normal(2 * z), rng.integers(0, 2 + z), rng.gamma(2 + 3 * z)]
    )
    X[rng.random(X.shape) < 0.1] = np.nan
    families = {1: "categorical", 2: "gamma"}
    model = MixtureModel(2, families=families, random_state=0).fit(X)
    em, weight = model._map(X), rng.uniform(size=200)
    information = Information(em, model._point, weight)
    hessian, *_ = information.matrices()
    size = len(hessian)

    def loglik(vector):
        density = np.empty(200)
        for rows, found, _ in em.posterior(information.at(vector)):
            density[rows] = found
        return density @ weight

    direction = rng.normal(size=(2, size))
    for d in direction / np.linalg.norm(direction, axis=1, keepdims=True):
        h = 1e-2 * d
        second = loglik(h) - 2 * loglik(0 * h) + loglik(-h)
        assert -second / 1e-4 == pytest.approx(d @ hessian @ d, rel=1e-3)


ON_BOUNDS = {
    "student": ("df", 200, lambda r: r.normal(size=400)),
    "heavy": ("df", 1, lambda r: r.standard_t(0.5, 400)),
    "negative_binomial": ("size", 1e5, lambda r: r.binomial(10, 0.5, 400)),
    "gamma": ("shape", 1e6, lambda r: 100 + 0.01 * r.normal(size=400)),
}


@pytest.mark.parametrize("family", list(ON_BOUNDS))
def test_what_is_on_a_bound_is_not_known_and_held_for_the_others(family):
    """Errors had been of steps that the bound had cut off: df 1 ± 0.00006."""
    name, bound, draw = ON_BOUNDS[family]
    x = draw(np.random.default_rng(2)).astype(float)
    used = "student" if family == "heavy" else family
    # The penalty is left out of errors.
    options = dict(pseudo_observations=0, tol=1e-10)
    model = MixtureModel(families=used, **options).fit(x[:, None])
    own = {key: values[0] for key, values in model.parameters_["x0"].items()}
    assert own[name] == pytest.approx(bound, rel=1e-6)
    # Those of the others are of the log-likelihood in them alone.
    kept = [key for key in own if key != name]
    point = np.array([own[key] for key in kept])

    def density(values):
        laws = {**own, **dict(zip(kept, values, strict=True))}
        if used == "student":
            return stats.t.logpdf(x, bound, laws["location"], laws["scale"])
        if used == "gamma":
            return stats.gamma.logpdf(x, bound, scale=laws["mean"] / bound)
        return stats.nbinom.logpmf(x, bound, bound / (bound + laws["mean"]))

    h = np.eye(len(kept)) * 1e-3 * own.get("scale", 1.0)
    slopes = np.array([density(point + s) - density(point - s) for s in h])
    slopes /= 2 * np.diag(h)[:, None]
    A = np.empty((len(kept), len(kept)))
    for i, a in enumerate(h):
        for j, b in enumerate(h):
            signs = [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
            terms = [s * density(point + u * a + v * b).sum() for u, v, s in signs]
            A[i, j] = -sum(terms) / (4 * h[i, i] * h[j, j])
    B, inverse = slopes @ slopes.T, np.linalg.inv(A)
    expected = {
        "sandwich": inverse @ B @ inverse,
        "hessian": inverse,
        "opg": np.linalg.inv(B),
    }
    for method, covariance in expected.items():
        errors = model.standard_errors(x[:, None], method=method).parameters["x0"]
        assert np.isinf(errors[name][0])
        found = [errors[key][0] for key in kept]
        np.testing.assert_allclose(found, np.sqrt(np.diag(covariance)), rtol=1e-2)


def test_one_component_on_a_bound_leaves_the_others_theirs(rng):
    x = np.r_[rng.standard_t(3, 400), rng.uniform(40, 44, size=400)]
    gaps = np.column_stack([x, rng.poisson(3 + 9 * (x > 20))])
    gaps[::7, 0] = np.nan
    options = dict(families={0: "student", 1: "poisson"}, random_state=0)
    model = MixtureModel(2, **options).fit(gaps)
    df = model.parameters_["x0"]["df"]
    errors = model.standard_errors(gaps).parameters["x0"]
    heavy = df < 10
    assert heavy.sum() == 1 and np.isinf(errors["df"][~heavy]).all()
    # Components are far apart: the error is that of the rows of one of them.
    rows = gaps[:400][~np.isnan(gaps[:400, 0]), :1]
    alone = MixtureModel(families="student").fit(rows)
    expected = alone.standard_errors(rows).parameters["x0"]["df"]
    assert errors["df"][heavy] == pytest.approx(expected, rel=1e-2)
    model.set_params(warm_start=True, fixed=["x0"]).fit(gaps)
    assert not model.standard_errors(gaps).parameters["x0"]["df"].any()


@pytest.mark.filterwarnings("ignore:The parameters of the mixture are not identified")
@pytest.mark.filterwarnings("ignore:Some standard errors of .* are NaN")
def test_parameters_without_information_have_no_errors():
    # A table of one column cannot tell two classes apart.
    X = np.repeat([[0.0], [1.0]], 30, axis=0)
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(X)
    with pytest.warns(UserWarning, match="of 'weights', 'x0' are NaN: the rows do not"):
        errors = model.standard_errors(X)
    assert np.isnan(errors.parameters["x0"]["probability"]).all()


@pytest.mark.filterwarnings("ignore:The parameters of the mixture are not identified")
@pytest.mark.filterwarnings("ignore:Some standard errors of .* are NaN")
@pytest.mark.parametrize("method", ["hessian", "opg", "sandwich"])
@pytest.mark.parametrize(
    ("levels", "n_components", "identified"),
    [
        ((2, 2, 2), 2, True),
        ((2, 2), 2, False),
        ((3, 3), 2, False),
        ((2, 2, 2), 3, False),
        # Fourteen parameters for fifteen free cells, but the rank is thirteen.
        ((2, 2, 2, 2), 3, False),
    ],
)
def test_latent_classes_that_are_not_identified(
    levels, n_components, identified, method, rng
):
    z = rng.integers(2, size=300)
    X = np.column_stack([rng.binomial(c - 1, 0.25 + 0.5 * z) for c in levels])
    model = MixtureModel(n_components, families="categorical", random_state=0).fit(X)
    errors = model.standard_errors(X, method=method)
    assert np.isfinite(errors.weights).all() == identified
    assert np.isnan(errors.weights).all() != identified


@pytest.mark.parametrize("method", ["hessian", "opg", "sandwich"])
def test_what_has_no_finite_curvature_is_not_known(method):
    hessian = np.array([[4.0, np.inf, 1.0], [np.inf, np.nan, 0.0], [1.0, 0.0, 2.0]])
    gradients = np.array([[1.0, 0.0, 1e200], [0.0, 1.0, np.nan], [0.0, 0.0, 0.0]])
    matrices = Matrices(hessian, hessian, {method: hessian})
    errors = _delta(matrices, gradients, method)
    # The first alone is known: beside the last one it has the variance 2/7.
    assert errors == pytest.approx([np.sqrt(2 / 7), np.nan, np.nan], nan_ok=True)
    scaled = _delta(matrices, np.array([[1e200], [0.0], [0.0]]), method)
    assert scaled == pytest.approx([1e200 * np.sqrt(2 / 7)])


def test_intervals_are_wilsons_or_normal_on_the_scale_of_each_parameter(rng):
    z = rng.integers(2, size=400)
    scale = np.array([1.0, 9.0])[z]
    columns = {
        "gaussian": rng.normal(8 * z),
        "lognormal": np.exp(rng.normal(z)),
        "student": 8 * z + rng.standard_t(3, 400),
        "exponential": rng.exponential(scale),
        "gamma": rng.gamma(2, scale),
        "poisson": rng.poisson(scale),
        "negative_binomial": rng.negative_binomial(2, 1 / (1 + scale)),
        "bernoulli": rng.random(400) < 0.2 + 0.5 * z,
        "categorical": rng.integers(0, 2 + z),
    }
    plain = {("gaussian", "mean"), ("lognormal", "mean"), ("student", "location")}
    table = pd.DataFrame(columns, dtype=float)
    families = {name: name for name in columns}
    options = dict(covariance_type="diag", random_state=0)
    model = MixtureModel(2, families=families, **options).fit(table)
    errors = model.standard_errors(table)
    made = pickle.loads(pickle.dumps(errors)).confidence_interval(0.9)
    reach = stats.norm.ppf(0.95) * np.array([[[-1.0]], [[1.0]]])

    def same(interval, estimate, error, to, slope):
        estimate, error = np.atleast_2d(estimate), np.atleast_2d(error)
        ends = to(np.array([np.atleast_2d(end) for end in interval]))
        expected = to(estimate) + reach * error * slope(estimate)
        known = np.isfinite(np.broadcast_to(expected, ends.shape))
        assert known.any()
        np.testing.assert_allclose(ends[known], expected[known], rtol=1e-9)

    def wilsons(interval, estimate, error):
        ends, n = np.array(interval), estimate * (1 - estimate) / error**2
        known = np.broadcast_to(error > 0, ends.shape)
        assert known.any()
        z = np.abs(ends - estimate) / np.sqrt(ends * (1 - ends) / n)
        np.testing.assert_allclose(z[known], reach.max(), rtol=1e-6)

    wilsons(made.weights, model.weights_, errors.weights)
    for name, parameters in model.parameters_.items():
        assert list(made.parameters[name]) == list(parameters)
        for key, values in parameters.items():
            scale = (np.log, lambda t: 1 / t)
            own = errors.parameters[name][key]
            if key in ("probability", "proportions"):
                wilsons(made.parameters[name][key], values, own)
                continue
            if (name, key) in plain:
                scale = (np.asarray, np.ones_like)
            same(made.parameters[name][key], values, own, *scale)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        errors.confidence_interval(95)


@pytest.mark.filterwarnings("ignore:The parameters of the mixture are not identified")
@pytest.mark.filterwarnings("ignore:Some standard errors of .* are NaN")
def test_intervals_of_what_is_on_a_bound_are_the_whole_range_and_others_nan():
    X = np.repeat([[0.0], [1.0]], 30, axis=0)
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(X)
    intervals = model.standard_errors(X).confidence_interval()
    for each in (intervals.weights, intervals.parameters["x0"]["probability"]):
        assert np.isnan(each).all()
    x = np.random.default_rng(2).normal(size=(400, 1))
    options = dict(pseudo_observations=0, tol=1e-10)
    student = MixtureModel(families="student", **options).fit(x)
    df = student.standard_errors(x).confidence_interval().parameters["x0"]["df"]
    assert (df.lower, df.upper) == (0, np.inf)
    # The weight of one component is one.
    one = MixtureModel(families="bernoulli").fit(X).standard_errors(X)
    np.testing.assert_array_equal(one.confidence_interval().weights, [[1], [1]])


def test_intervals_of_one_component_cover():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(60):
        X = np.column_stack([rng.poisson(0.5, 40), rng.random(40) < 0.1])
        own = MixtureModel(families={0: "poisson", 1: "bernoulli"}).fit(X)
        found = own.standard_errors(X, method="hessian").confidence_interval()
        rate, p = found.parameters["x0"]["rate"], found.parameters["x1"]["probability"]
        covered += [rate.lower <= 0.5 <= rate.upper, p.lower <= 0.1 <= p.upper]
    # Of 120 the standard error is 2 %.
    assert 0.9 < np.mean(covered)
