"""Noise in what follows from the density: laws of parts, regions, standard errors."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from skem import GaussianMixture, GaussianMixtureRegressor, StudentMixture, load
from skem._fitted.univariate import quantile

pytestmark = pytest.mark.usefixtures("short_search")

KINDS = [GaussianMixture, StudentMixture]


def noisy_data(n=300, m=150, seed=0):
    """Two clusters on a diagonal, and evenly spread noise about them."""
    rng = np.random.default_rng(seed)
    clusters = rng.normal(size=(n, 3)) + 6 * rng.integers(2, size=(n, 1))
    noise = rng.uniform(-10, 15, size=(m, 3)) * [1, 1, 0.5]
    return np.vstack([clusters, noise])


def fitted(kind=GaussianMixture, **params):
    return kind(2, noise=True, random_state=0, **params).fit(noisy_data())


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def mixture(request):
    return fitted(request.param)


def joint_density(mixture, x, z, y):
    return np.exp(mixture.score_samples([[x, y, z]])[0])


def test_a_marginal_integrates_the_others_out(mixture):
    X = noisy_data()
    fresh = mixture.marginal([2, 0])
    n_parameters = fresh.n_parameters_
    assert fresh.fit(X[:, [2, 0]]).n_parameters_ == n_parameters
    numpy = mixture.set_params(noise=np.True_).marginal(1)
    assert numpy.noise
    assert not isinstance(numpy.noise, float)
    marginal = mixture.marginal([2, 0])
    low, high = X.min(axis=0), X.max(axis=0)
    sizes = (high - low)[[2, 0]]
    assert marginal.noise_volume_ == pytest.approx(sizes.prod())
    assert marginal.noise_weight_ == pytest.approx(mixture.noise_weight_)
    for x, z in ((1.0, 2.0), (-8.0, 6.5)):
        # Clusters have mass beyond the box; noise has none.
        density = partial(joint_density, mixture, x, z)
        inside, _ = quad(density, low[1], high[1])
        clusters = mixture.marginal([2, 0])
        clusters._noise = None
        own = np.exp(clusters.score_samples([[z, x]])[0])
        expected = own + mixture.noise_weight_ / sizes.prod()
        assert np.exp(marginal.score_samples([[z, x]])[0]) == pytest.approx(expected)
        assert inside == pytest.approx(expected, rel=1e-2)
    some = [[1.0, np.nan, 2.0], [-8.0, np.nan, 6.5]]
    np.testing.assert_allclose(
        marginal.score_samples([[2.0, 1.0], [6.5, -8.0]]), mixture.score_samples(some)
    )


def test_cdf_and_quantile_of_a_feature(mixture):
    X, one = noisy_data(), mixture.marginal(1)
    q = np.array([1e-12, 1e-4, 0.05, 0.3, 0.5, 0.7, 0.99, 1 - 1e-6])
    x = one.quantile(q)
    np.testing.assert_allclose(one.cdf(x), q, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(one.quantile([0.0, 1.0]), [-np.inf, np.inf])
    np.testing.assert_array_equal(one.cdf([-np.inf, np.inf]), [0.0, 1.0])
    low, high = X[:, 1].min(), X[:, 1].max()
    # Within the box the density is the slope of the distribution function.
    a, b = low + 1.0, high - 2.0
    mass, _ = quad(lambda t: np.exp(one.score_samples([[t]])[0]), a, b, limit=200)
    assert one.cdf(b) - one.cdf(a) == pytest.approx(mass, rel=1e-7)
    drawn = mixture.sample(20_000, random_state=1)[0][:, 1]
    assert kstest(drawn, one.cdf).pvalue > 0.01


@pytest.mark.parametrize("side", [1, -1])
def test_quantiles_within_noise_beside_a_component_are_those_of_noise(side):
    """Below are 0.3 of the mass, and above them 0.7 evenly over ten."""
    below = np.linspace(0.301, 0.999, 50)
    weights, means, sd = (
        np.tile(row, (50, 1)) for row in ([0.3, 0.7], [-99, 5], [1, 10])
    )
    q = below if side == 1 else 1 - below
    found = side * quantile(q, weights, side * means, sd, even=True)
    np.testing.assert_allclose(found, (below - 0.3) / 0.7 * 10)


def test_a_conditional_is_the_ratio_of_densities(mixture):
    given = {0: 1.0, 1: 2.0}
    law = mixture.conditional(given)
    resp = mixture.predict_proba([[1.0, 2.0, np.nan]])[0]
    np.testing.assert_allclose([*law.weights_, law.noise_weight_], resp, rtol=1e-9)
    z = np.array([-3.0, 0.3, 6.0])
    rows = np.column_stack([np.full(3, 1.0), np.full(3, 2.0), z])
    ratio = mixture.score_samples(rows) - mixture.score_samples([[1.0, 2.0, np.nan]])
    np.testing.assert_allclose(law.score_samples(z[:, None]), ratio, rtol=1e-9)
    drawn, labels = mixture.sample(20_000, random_state=0, given=given)
    np.testing.assert_array_equal(drawn[:, :2], np.tile([1.0, 2.0], (20_000, 1)))
    assert np.mean(labels == -1) == pytest.approx(law.noise_weight_, abs=0.01)
    assert kstest(drawn[:, 2], law.cdf).pvalue > 0.01


def test_imputation_has_the_moments_and_quantiles_of_the_conditional(mixture):
    row = np.array([[1.0, 2.0, np.nan]])
    law = mixture.conditional(row[0])
    q = (np.arange(20_000) + 0.5) / 20_000
    x = law.quantile(q)
    assert mixture.impute(row)[0, 2] == pytest.approx(x.mean(), abs=1e-3)
    drawn = mixture.impute(np.tile(row, (20_000, 1)), sample=True, random_state=0)
    assert kstest(drawn[:, 2], law.cdf).pvalue > 0.01
    # Far away only noise is left, evenly over its interval.
    X = noisy_data()
    far = mixture.impute([[-500.0, 900.0, np.nan]])[0, 2]
    if isinstance(mixture, GaussianMixture):
        assert far == pytest.approx((X[:, 2].min() + X[:, 2].max()) / 2)
    empty = mixture.impute(np.full((1, 3), np.nan))
    resp = np.r_[mixture.weights_, mixture.noise_weight_]
    middle = (X.min(axis=0) + X.max(axis=0)) / 2
    np.testing.assert_allclose(empty[0], resp @ np.vstack([mixture.means_, middle]))


def test_a_regression_has_noise_too():
    mixture = fitted()
    regressor = GaussianMixtureRegressor.from_mixture(mixture, targets=2)
    row = [[1.0, 2.0]]
    law = mixture.conditional({0: 1.0, 1: 2.0})
    x = law.quantile((np.arange(20_000) + 0.5) / 20_000)
    mean, sd = regressor.predict(row, return_std=True)
    assert mean[0] == pytest.approx(x.mean(), abs=1e-3)
    assert sd[0] == pytest.approx(x.std(), rel=1e-3)
    q = [0.01, 0.5, 0.99]
    np.testing.assert_allclose(
        regressor.predict_quantiles(row, q)[0], law.quantile(q), rtol=1e-9
    )
    found = regressor.log_density(row * 2, [3.0, np.nan])
    np.testing.assert_allclose(found, [law.score_samples([[3.0]])[0], 0], atol=1e-9)
    drawn = regressor.sample_y(row, 20_000, random_state=0)[0]
    assert kstest(drawn, law.cdf).pvalue > 0.01


@pytest.mark.parametrize("covariance_type", ["tied", "diag", "spherical", "VEV", "EVI"])
def test_laws_of_every_kind_of_structure(covariance_type):
    mixture = fitted(covariance_type=covariance_type)
    law = mixture.conditional({1: 1.0})
    rows = np.array([[0.5, 2.0], [-6.0, 4.0]])
    whole = np.insert(rows, 1, 1.0, axis=1)
    ratio = mixture.score_samples(whole) - mixture.score_samples([[np.nan, 1, np.nan]])
    np.testing.assert_allclose(law.score_samples(rows), ratio, rtol=1e-9)


def test_single_precision_and_files(tmp_path):
    single = GaussianMixture(2, noise=True, random_state=0)
    single.fit(noisy_data().astype(np.float32))
    law = single.conditional({0: 1.0})
    assert law.means_.dtype == np.float32
    law.save(tmp_path / "law")
    same = load(tmp_path / "law")
    np.testing.assert_array_equal(same.sample(9, 0)[0], law.sample(9, 0)[0])
    double = fitted().conditional({0: 1.0})
    np.testing.assert_allclose(law.weights_, double.weights_, atol=1e-3)
    again = law.fit(noisy_data()[:, 1:])
    assert again.noise_weight_ > 0.1


def test_a_given_density_is_a_box_of_that_volume():
    X = noisy_data()
    mixture = GaussianMixture(2, noise=1 / 20**3, random_state=0).fit(X)
    drawn, labels = mixture.sample(4_000, random_state=0)
    sizes = np.ptp(drawn[labels == -1], axis=0)
    assert sizes.prod() == pytest.approx(20**3, rel=0.02)
    np.testing.assert_allclose(
        sizes / np.ptp(X, axis=0), 20 / np.cbrt(np.ptp(X, axis=0).prod()), rtol=0.02
    )
    assert mixture.marginal(0).noise == pytest.approx(1 / sizes[0], rel=0.02)
    one = mixture.marginal(0)
    assert kstest(drawn[:, 0], one.cdf).pvalue > 0.01


def test_a_box_along_principal_axes_has_no_even_marginals():
    rng = np.random.default_rng(0)
    turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    X = rng.uniform(size=(300, 2)) * [20.0, 1.0] @ turn
    mixture = GaussianMixture(1, noise=True).fit(X)
    for ask in (
        lambda: mixture.marginal(0),
        lambda: mixture.conditional({0: 1.0}),
        lambda: mixture.impute([[np.nan, 1.0]]),
        lambda: mixture.sample(2, given={0: 1.0}),
    ):
        with pytest.raises(NotImplementedError, match="principal axes"):
            ask()
    # As the error says.
    density = 1 / np.prod(X.max(axis=0) - X.min(axis=0))
    along = GaussianMixture(1, noise=density).fit(X)
    assert along.marginal(0).noise_weight_ == along.noise_weight_
    probability = mixture.support_probability(mixture.sample(5_000, 1)[0])
    assert np.mean(probability <= 0.5) == pytest.approx(0.5, abs=0.03)


def test_support_probability_is_the_mass_of_what_is_less_dense(mixture):
    drawn, _ = mixture.sample(4_000, random_state=5)
    found = mixture.support_probability(drawn, random_state=1)
    level = mixture.score_samples(drawn)
    # Half of the draws are the sample that the others are compared with.
    # Densities of noise alone are one, but by rounding.
    own = np.mean(level[:2_000] <= level[2_000:, None] + 1e-9, axis=1)
    assert np.abs(found[2_000:] - own).max() < 0.04
    # Noise is all of one density, and has no row below it but by rounding.
    far = mixture.support_probability([[-9.0, 14.0, -4.0]])[0]
    assert 0 < far <= mixture.noise_weight_
    border = mixture.hdr_level(0.4, random_state=1)
    assert np.mean(level >= border) == pytest.approx(0.4, abs=0.03)
    gaps = np.where([True, False, True], drawn, np.nan)
    found = mixture.support_probability(gaps[2_000:], random_state=1)
    level = mixture.score_samples(gaps)
    own = np.mean(level[:2_000] <= level[2_000:, None] + 1e-9, axis=1)
    assert np.abs(found - own).max() < 0.04
    assert mixture.support_probability(np.full((1, 3), np.nan))[0] == 1


def log_likelihoods(theta, X, volume):
    """Of two spherical components and noise, as SciPy would have them."""
    weights, means, variances = theta[:2], theta[2:6].reshape(2, 2), theta[6:]
    squares = np.square(X[:, None] - means).sum(axis=2)
    densities = np.exp(-0.5 * squares / variances) / (2 * np.pi * variances)
    return np.log(densities @ weights + (1 - weights.sum()) / volume)


@pytest.mark.parametrize("method", ["hessian", "opg", "sandwich"])
def test_standard_errors_are_those_of_numerical_derivatives(method):
    X = noisy_data()[:, :2]
    mixture = GaussianMixture(
        2,
        covariance_type="spherical",
        noise=True,
        reg_covar=0.0,
        tol=1e-10,
        random_state=0,
    ).fit(X)
    theta = np.r_[mixture.weights_, mixture.means_.ravel(), mixture.covariances_]
    volume, h = mixture.noise_volume_, 1e-4 * np.eye(8)

    def scores(theta):
        up, down = (
            np.array([log_likelihoods(theta + s * e, X, volume) for e in h])
            for s in (1, -1)
        )
        return (up - down) / 2e-4

    outer = scores(theta) @ scores(theta).T
    slopes = [(scores(theta + e) - scores(theta - e)).sum(axis=1) / 2e-4 for e in h]
    inverse = np.linalg.inv(-np.array(slopes))
    expected = {
        "hessian": inverse,
        "opg": np.linalg.inv(outer),
        "sandwich": inverse @ outer @ inverse,
    }[method]
    errors = mixture.standard_errors(X, method=method)
    found = np.r_[errors.weights, errors.means.ravel(), errors.covariances]
    np.testing.assert_allclose(found, np.sqrt(np.diag(expected)), rtol=1e-3)
