"""Marginals, conditionals, imputation and quantiles, against dense formulas."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureRegressor,
    MixtureModel,
    StudentMixture,
    load,
)
from skem._fitted.conditional import Conditioner
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

FAITHFUL = {
    "weights": [0.6441271428942922, 0.3558728571057078],
    "means": [
        [4.28966197309599, 79.96811517385608],
        [2.036388454619958, 54.47851637696829],
    ],
    "covariances": [
        [
            [0.16996843574709433, 0.9406093192702459],
            [0.9406093192702459, 36.04621131755325],
        ],
        [
            [0.06916767255930756, 0.43516762444348184],
            [0.43516762444348184, 33.69728207230215],
        ],
    ],
}
# Waiting time given an eruption of x minutes: weight of the first component, its mean
# and that of the second, mean and variance of the mixture, log-density of x. By gmr.
REGRESSION = [
    (1.5, 1.0552244159614557e-09, 64.53006023162973, 51.10383452142756,
     51.10383453559525, 30.959430107526376, -2.6963291319645277),
    (3.0, 0.8768917353179475, 72.83109549564044, 60.54106744415636,
     71.31809146932851, 47.161135250943815, -5.2341101911262315),
    (4.5, 1.0, 81.13213075965116, 69.97830036688516,
     81.13213075965116, 30.840857231606968, -0.6028743589942109),
]  # fmt: skip


def of(twin, **params):
    """Build the mixture that has a dense twin."""
    return GaussianMixture.from_parameters(
        twin.parameters.weights,
        twin.parameters.means,
        twin.covariances,
        covariance_type=twin.structure.name,
        **params,
    )


def dense_law(twin, row):
    """Weights, means and covariances of what is NaN in a row, by the formulas."""
    o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
    logs, means, covariances = [], [], []
    for w, mu, S in zip(
        twin.parameters.weights, twin.parameters.means, twin.dense, strict=True
    ):
        observed = S[np.ix_(o, o)]
        B = np.linalg.solve(observed, S[np.ix_(o, m)]).T if len(o) else S[np.ix_(m, o)]
        log_density = stats.multivariate_normal(mu[o], observed) if len(o) else None
        logs.append(np.log(w) + (log_density.logpdf(row[o]) if len(o) else 0.0))
        means.append(mu[m] + B @ (row[o] - mu[o]))
        covariances.append(S[np.ix_(m, m)] - B @ S[np.ix_(o, m)])
    logs = np.array(logs)
    return np.exp(logs - logsumexp(logs)), np.array(means), np.array(covariances), logs


def dense_covariances(mixture):
    K, d = mixture.means_.shape
    values = mixture.covariances_
    return {
        "full": lambda: values,
        "tied": lambda: np.broadcast_to(values, (K, d, d)),
        "diag": lambda: values[:, :, None] * np.eye(d),
        "spherical": lambda: values[:, None, None] * np.eye(d),
    }[mixture.covariance_type]()


MASKS = [[0], [2], [0, 3], [1, 2, 3], [0, 1, 2]]
"""Which of four features are missing."""


@pytest.mark.parametrize("missing", MASKS)
def test_conditional_is_that_of_the_dense_formulas(
    structure, make_mixture, rng, missing
):
    twin = make_mixture(structure, 3, 4)
    mixture = of(twin)
    row = twin.sample(1, rng)[0]
    row[missing] = np.nan
    weights, means, covariances, _ = dense_law(twin, row)
    values = {j: row[j] for j in range(4) if j not in missing}
    for given in (row, values, list(row)):
        conditional = mixture.conditional(given)
        assert conditional.covariance_type == structure.name
        assert conditional.n_features_in_ == len(missing)
        np.testing.assert_allclose(conditional.weights_, weights, atol=1e-12)
        np.testing.assert_allclose(conditional.means_, means, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            dense_covariances(conditional), covariances, rtol=1e-9, atol=1e-10
        )


@pytest.mark.parametrize("features", [[0], [3, 1], [2, 0, 3], [3, 2, 1, 0]])
def test_marginal_has_the_blocks_of_the_parameters(
    structure, make_mixture, rng, features
):
    twin = make_mixture(structure, 3, 4)
    marginal = of(twin).marginal(features)
    np.testing.assert_array_equal(marginal.means_, twin.parameters.means[:, features])
    expected = twin.dense[:, features][:, :, features]
    np.testing.assert_allclose(dense_covariances(marginal), expected, rtol=1e-10)
    X = twin.sample(20, rng)[:, features]
    logs = [
        np.log(w) + stats.multivariate_normal(mu[features], S).logpdf(X)
        for w, mu, S in zip(
            twin.parameters.weights, twin.parameters.means, expected, strict=True
        )
    ]
    np.testing.assert_allclose(
        marginal.score_samples(X), logsumexp(logs, axis=0), rtol=1e-10, atol=1e-10
    )


def test_joint_density_is_that_of_the_given_times_that_of_the_rest(
    structure, make_mixture, rng
):
    twin = make_mixture(structure, 3, 4)
    mixture = of(twin)
    for row in twin.sample(5, rng):
        given = {1: row[1], 3: row[3]}
        parts = mixture.marginal([1, 3]).score_samples(
            [row[[1, 3]]]
        ) + mixture.conditional(given).score_samples([row[[0, 2]]])
        np.testing.assert_allclose(parts, mixture.score_samples([row]), rtol=1e-9)


@pytest.mark.parametrize("case", REGRESSION, ids=lambda case: str(case[0]))
def test_faithful_given_the_eruption_is_that_of_gmr(case):
    x, first, mean_0, mean_1, mean, variance, log_marginal = case
    mixture = GaussianMixture.from_parameters(**FAITHFUL)
    conditional = mixture.conditional({0: x})
    np.testing.assert_allclose(conditional.weights_[0], first, rtol=1e-9)
    np.testing.assert_allclose(conditional.means_.ravel(), [mean_0, mean_1], rtol=1e-12)
    assert mixture.impute([[x, np.nan]])[0, 1] == pytest.approx(mean, rel=1e-12)
    w, m = conditional.weights_, conditional.means_.ravel()
    total = w @ (conditional.covariances_.ravel() + (m - w @ m) ** 2)
    assert total == pytest.approx(variance, rel=1e-11)
    assert mixture.marginal(0).score_samples([[x]])[0] == pytest.approx(log_marginal)


# Of missing.json: rows 0 to 4 of missing_data(1, 150, 3, 2, 0.2, "mcar").
IMPUTED_PARAMETERS = {
    "weights": [0.514997888571419, 0.4850021114285809],
    "means": [
        [-4.045406772716709, 2.788926355926462, 1.546595062961983],
        [1.056229346858146, 2.5034995356536505, 0.9914936218213055],
    ],
    "covariances": [
        [
            [0.22926385720549203, -0.15084216066048217, -0.2179342997825379],
            [-0.15084216066048217, 0.3262618893642303, 0.07307283675789886],
            [-0.2179342997825379, 0.07307283675789886, 0.8070771713624089],
        ],
        [
            [0.3140232745409466, -0.0016048274855508654, 0.12557063019081796],
            [-0.0016048274855508654, 0.171815965448607, -0.10306320361867821],
            [0.12557063019081796, -0.10306320361867821, 0.3563542138556304],
        ],
    ],
}
IMPUTED = np.array(
    [
        [-4.2462782987796714, 3.6725054393768506, 1.0972629126167721],
        [-3.8948953142913414, 2.7315339710986852, 1.048298499855422],
        [0.8914284258548304, 2.505937673497104, 0.9208233007784989],
        [-4.301264173145308, 3.1231915125570184, 2.8972111806575493],
        [1.038857993309, 2.285158199295969, 1.6374426218014777],
    ]
)
TRACES = [0.0, 0.2187750357878643, 0.13754204033828765, 0.0, 0.13754204033828765]
"""Traces of the conditional covariances."""


def test_imputations_are_those_of_the_reference():
    mixture = GaussianMixture.from_parameters(**IMPUTED_PARAMETERS)
    conditioner = Conditioner.of(mixture)
    found = 0
    for row, trace in zip(IMPUTED, TRACES, strict=True):
        # The reference says how much is uncertain, and so which feature was missing.
        for j in range(3):
            X = row[None].copy()
            X[0, j] = np.nan
            (laws,) = conditioner.laws(X)
            if abs(np.trace(laws.covariance[0]) - trace) < 1e-6:
                found += 1
                np.testing.assert_allclose(mixture.impute(X)[0], row, atol=1e-7)
    assert found == 3


def test_imputation_is_the_conditional_mean_of_each_row(structure, make_mixture, rng):
    twin = make_mixture(structure, 3, 4)
    mixture = of(twin)
    X = twin.sample(50, rng)
    X[rng.random(X.shape) < 0.4] = np.nan
    X[:2] = np.nan
    filled = mixture.impute(X)
    observed = ~np.isnan(X)
    np.testing.assert_array_equal(filled[observed], X[observed])
    for before, after in zip(X, filled, strict=True):
        if np.isnan(before).any():
            weights, means, _, _ = dense_law(twin, before)
            np.testing.assert_allclose(
                after[np.isnan(before)], weights @ means, rtol=1e-9, atol=1e-9
            )


def test_laws_have_the_moments_and_densities_of_the_formulas(
    structure, make_mixture, rng
):
    twin = make_mixture(structure, 3, 4)
    X = twin.sample(30, rng)
    X[rng.random(X.shape) < 0.4] = np.nan
    seen = []
    for laws in Conditioner.of(of(twin)).laws(X):
        seen.extend(laws.rows)
        for i, row in enumerate(laws.rows):
            weights, means, covariances, logs = dense_law(twin, X[row])
            mean = weights @ means
            total = np.einsum("k,kvw->vw", weights, covariances) + np.einsum(
                "k,kv,kw->vw", weights, means - mean, means - mean
            )
            close = {"rtol": 1e-8, "atol": 1e-9}
            np.testing.assert_allclose(laws.log_density[i], logsumexp(logs), **close)
            np.testing.assert_allclose(laws.mean[i], mean, **close)
            np.testing.assert_allclose(laws.covariance[i], total, **close)
            np.testing.assert_allclose(
                laws.standard_deviation[i], np.sqrt(np.diag(total)), **close
            )
    assert sorted(seen) == list(range(30))


def test_draws_have_the_law_that_is_conditioned_on(structure, make_mixture):
    twin = make_mixture(structure, 3, 3)
    mixture = of(twin)
    given = {1: float(twin.parameters.means[0, 1])}
    row = np.array([np.nan, given[1], np.nan])
    weights, means, covariances, _ = dense_law(twin, row)
    mean = weights @ means
    sd = np.sqrt(
        np.einsum("k,kww->w", weights, covariances) + weights @ (means - mean) ** 2
    )
    n = 20_000
    drawn, labels = mixture.sample(n, random_state=0, given=given)
    imputed = mixture.impute(np.tile(row, (n, 1)), sample=True, random_state=0)
    for X in (drawn, imputed):
        np.testing.assert_array_equal(X[:, 1], np.full(n, given[1]))
        # Five standard errors.
        assert (np.abs(X[:, [0, 2]].mean(axis=0) - mean) < 5 * sd / np.sqrt(n)).all()
        assert X[:, [0, 2]].std(axis=0) == pytest.approx(sd, rel=0.05)
    shares = np.bincount(labels, minlength=3) / n
    assert shares == pytest.approx(weights, abs=5 * 0.5 / np.sqrt(n))
    again = mixture.impute(np.tile(row, (n, 1)), sample=True, random_state=0)
    np.testing.assert_array_equal(again, imputed)


@pytest.mark.parametrize("scale", [1e-160, 1e-3, 1e5, 1e160])
def test_imputation_follows_units_and_origins(structure, make_mixture, rng, scale):
    twin = make_mixture(structure, 3, 3)
    X = twin.sample(50, rng)
    X[rng.random(X.shape) < 0.3] = np.nan
    filled = of(twin).impute(X)
    cholesky = twin.parameters.precisions_cholesky / scale
    moved = of(twin)
    moved.means_ = twin.parameters.means * scale
    moved.precisions_cholesky_ = cholesky
    np.testing.assert_allclose(moved.impute(X * scale) / scale, filled, rtol=1e-9)
    shifted = of(twin)
    shifted.means_ = twin.parameters.means + 1e6
    # Rounding of the values themselves, of 1e6, is 1e-10; of the logarithms too.
    np.testing.assert_allclose(shifted.impute(X + 1e6) - 1e6, filled, atol=1e-7)


def test_order_of_features_makes_no_difference(make_mixture, rng, structure):
    twin = make_mixture(structure, 3, 4)
    mixture = of(twin)
    X = twin.sample(40, rng)
    X[rng.random(X.shape) < 0.3] = np.nan
    order = [2, 0, 3, 1]
    permuted = mixture.marginal(order).impute(X[:, order])
    np.testing.assert_allclose(permuted, mixture.impute(X)[:, order], atol=1e-10)


@pytest.mark.parametrize("far", [1e8, 1e160, 1e300])
def test_far_values_have_weights_and_means_that_are_numbers(
    structure, make_mixture, far
):
    twin = make_mixture(structure, 3, 3)
    mixture = of(twin)
    conditional = mixture.conditional({0: far})
    assert conditional.weights_.sum() == pytest.approx(1)
    assert np.isfinite(conditional.means_).all()
    marginal = mixture.marginal(0)
    expected = marginal.predict_proba([[far]])[0]
    np.testing.assert_allclose(conditional.weights_, expected, atol=1e-6)
    filled = mixture.impute([[far, np.nan, np.nan], [-far, np.nan, 0.0]])
    assert np.isfinite(filled).all()
    sd = next(Conditioner.of(mixture).laws(np.array([[far, np.nan, 0.0]])))
    assert np.isfinite(sd.standard_deviation).all()


def test_the_largest_number_draws_of_the_last_component():
    """Weights of a tenth add up to less than one by rounding, which may be drawn."""
    mixture = GaussianMixture.from_parameters(
        np.full(10, 0.1), np.arange(10.0)[:, None], np.ones(10), "spherical"
    )
    (laws,) = Conditioner.of(mixture).laws(np.array([[np.nan]]))
    values, labels = laws.draw(np.array([1 - 2.0**-53]), np.zeros((1, 1)))
    assert labels.tolist() == values[:, 0].tolist() == [9]


def test_what_is_observed_far_away_has_its_density_in_any_units():
    mixture = GaussianMixture.from_parameters([1.0], [[0, 0]], [1e-200], "spherical")
    (laws,) = Conditioner.of(mixture).laws(np.array([[3e-95, np.nan]]))
    # Of 300,000 standard deviations.
    expected = stats.norm(0, 1e-100).logpdf(3e-95)
    np.testing.assert_allclose(laws.log_density, expected, rtol=1e-12)


def lines(rng):
    """Rows of two components, about the lines y = 2x and y = x/2."""
    steep = rng.integers(2, size=200)
    x = rng.normal(size=200) + 8 * steep
    return np.column_stack([x, rng.normal(size=200) + x * np.where(steep, 2, 0.5)])


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e100])
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
def test_a_line_goes_on_as_far_as_numbers_go(rng, kind, scale):
    mixture = kind(2, random_state=0).fit(lines(rng) * scale)
    near, *far = scale * np.array([1e120, 1e155, -1e200])
    slope = mixture.impute([[near, np.nan]])[0, 1] / near
    for x in far:
        filled = mixture.impute([[x, np.nan]])[0, 1]
        given = mixture.conditional({0: x})
        line = given.weights_ @ given.means_[:, 0]
        np.testing.assert_allclose([filled / x, line / x], slope, rtol=1e-6)
    assert mixture.impute([[1.7e308, np.nan]])[0, 1] == pytest.approx(
        min(1.7e308 * slope, np.finfo(float).max)
    )


def test_spread_stays_on_a_line_and_grows_with_a_tail(rng):
    rows = lines(rng)
    for kind, power in ((GaussianMixture, 0), (StudentMixture, 1)):
        conditioner = kind(2, random_state=0).fit(rows)._conditioner()
        near, far = (
            next(conditioner.laws(np.array([[x, np.nan]]))).standard_deviation[0, 0]
            for x in (1e120, 1e200)
        )
        assert far == pytest.approx(near * 1e80**power, rel=1e-6)


def test_nearly_collinear_features_are_conditioned_on():
    """Two thermometers that differ by a ten-millionth, and something they tell."""
    noise, slope = 1e-7, 2.0
    root = np.array([[1.0, 0.0, 0.0], [1.0, noise, 0.0], [slope, 0.0, 0.5]])
    mixture = GaussianMixture(1)
    mixture.weights_, mixture.means_ = np.ones(1), np.zeros((1, 3))
    mixture.precisions_cholesky_ = np.linalg.inv(root).T[None]
    filled = mixture.impute([[0.7, 0.7 + 2e-8, np.nan], [0.7, np.nan, 0.0]])
    # Half of the digits of a difference of 1e-7 are left.
    assert filled[0, 2] == pytest.approx(slope * 0.7, abs=1e-6)
    assert filled[1, 1] == pytest.approx(0.7, abs=1e-6)
    narrow = mixture.conditional({0: 0.7, 2: 1.0})
    assert np.sqrt(narrow.covariances_[0, 0, 0]) == pytest.approx(noise, rel=1e-6)


def test_constant_columns_are_given_and_imputed(rng):
    X = np.column_stack([rng.normal(size=(200, 2)), np.full(200, 3.0)])
    mixture = GaussianMixture(2, random_state=0).fit(X)
    filled = mixture.impute([[0.0, np.nan, 3.0], [0.0, 1.0, np.nan]])
    assert np.isfinite(filled).all()
    assert filled[1, 2] == pytest.approx(3.0, abs=1e-3)


def test_single_precision_is_kept(rng):
    X = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3))).astype(np.float32)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    holed = X[:20].copy()
    holed[:, 1] = np.nan
    filled = mixture.impute(holed)
    assert filled.dtype == np.float32
    assert mixture.marginal([0, 2]).means_.dtype == np.float32
    double = GaussianMixture(2, random_state=0)
    for name in ("weights_", "means_", "precisions_cholesky_"):
        setattr(double, name, getattr(mixture, name).astype(float))
    np.testing.assert_allclose(filled, double.impute(holed.astype(float)), rtol=1e-5)


def test_what_is_beyond_single_precision_is_its_largest_number():
    mixture = GaussianMixture.from_parameters(
        [1.0], [[0.0, 0.0]], [[[1.0, 100.0], [100.0, 10001.0]]]
    )
    filled = mixture.impute(np.array([[1e37, np.nan], [1.0, np.nan]], np.float32))
    np.testing.assert_allclose(filled[:, 1], [np.finfo(np.float32).max, 100], rtol=1e-6)


def test_variances_beyond_all_numbers_are_the_largest_of_parts_too(rng):
    X = 1e160 * rng.normal(size=(50, 2))
    mixture = GaussianMixture(1, covariance_type="diag").fit(X)
    largest = np.finfo(float).max
    assert (mixture.marginal(0).covariances_ == largest).all()
    assert (mixture.conditional({0: 0.0}).covariances_ == largest).all()


def test_names_of_features_are_taken_and_kept():
    frame = pd.DataFrame(load_faithful().data, columns=["eruptions", "waiting"])
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    marginal = mixture.marginal(["waiting", "eruptions"])
    assert list(marginal.feature_names_in_) == ["waiting", "eruptions"]
    assert list(mixture.marginal("waiting").feature_names_in_) == ["waiting"]
    by_name = mixture.conditional({"eruptions": 2.0})
    assert list(by_name.feature_names_in_) == ["waiting"]
    for given in ({0: 2.0}, pd.Series({"eruptions": 2.0}), [2.0, np.nan]):
        np.testing.assert_array_equal(mixture.conditional(given).means_, by_name.means_)


def test_a_data_frame_is_imputed_to_a_data_frame():
    frame = pd.DataFrame(load_faithful().data, columns=["eruptions", "waiting"])
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    frame = frame.set_index(frame.index + 7)
    frame.iloc[3, 1] = np.nan
    filled = mixture.impute(frame)
    assert list(filled.columns) == ["eruptions", "waiting"]
    assert filled.index.equals(frame.index)
    assert not filled.isna().any(axis=None)
    nullable = frame.astype("Float64")
    pd.testing.assert_frame_equal(mixture.impute(nullable), filled)


@pytest.fixture
def line(structure):
    values = {"full": [[[0.25]], [[1.0]], [[4.0]]], "tied": [[0.5]]}
    values |= {"diag": [[0.25], [1.0], [4.0]], "spherical": [0.25, 1.0, 4.0]}
    return GaussianMixture.from_parameters(
        [0.2, 0.5, 0.3],
        [[-2.0], [0.5], [30.0]],
        values[structure.name],
        covariance_type=structure.name,
    )


def test_distribution_function_and_quantiles_are_inverse(line):
    sd = np.sqrt(np.ravel(dense_covariances(line)))
    parts = list(zip(line.weights_, line.means_.ravel(), sd, strict=True))

    def lower(t):
        return sum(w * stats.norm.cdf(t, m, s) for w, m, s in parts)

    def upper(t):
        return sum(w * stats.norm.sf(t, m, s) for w, m, s in parts)

    x = np.array([-40.0, -3.0, 0.5, 10.0, 31.0])
    np.testing.assert_allclose(line.cdf(x), [lower(t) for t in x], rtol=1e-12)
    q = np.array([1e-300, 1e-20, 1e-3, 0.2, 0.5, 0.65, 0.999, 1 - 1e-12])
    found = line.quantile(q)
    for each, t in zip(q, found, strict=True):
        tail = upper if each > 0.5 else lower
        level = 1 - each if each > 0.5 else each
        # The level is passed within 1e-10 of what is found.
        low, high = sorted([tail(t - 1e-10), tail(t + 1e-10)])
        assert low < level < high
    np.testing.assert_allclose(line.cdf(found[:-1]), q[:-1], rtol=1e-10)
    assert isinstance(line.quantile(0.5), float) and isinstance(line.cdf(0), float)
    assert line.quantile([[0.5]]).shape == line.cdf([[0]]).shape == (1, 1)
    np.testing.assert_array_equal(line.quantile([0, 1]), [-np.inf, np.inf])
    np.testing.assert_array_equal(line.cdf([-np.inf, np.inf]), [0, 1])


@pytest.mark.parametrize("gap", [1e3, 1e12, 1e150])
def test_quantiles_in_a_gap_between_components(gap):
    line = GaussianMixture.from_parameters(
        [0.25, 0.75], [[0.0], [gap]], [1.0, 1.0], covariance_type="spherical"
    )
    below, above = line.quantile([0.2, 0.3])
    assert below == pytest.approx(stats.norm.ppf(0.8), abs=1e-10)
    assert above == pytest.approx(gap + stats.norm.ppf(0.05 / 0.75), rel=1e-12)


def test_a_chosen_mixture_does_the_same():
    X = load_faithful().data
    selection = GaussianMixtureIC(2, covariance_type="full", n_init=1, random_state=0)
    selection.fit(X)
    best = selection.best_estimator_
    given = {0: 3.0}
    np.testing.assert_array_equal(
        selection.conditional(given).means_, best.conditional(given).means_
    )
    rows, _ = selection.sample(5, random_state=0, given=given)
    np.testing.assert_array_equal(rows, best.sample(5, random_state=0, given=given)[0])
    np.testing.assert_array_equal(
        selection.impute([[3.0, np.nan]], True, 0),
        best.impute([[3.0, np.nan]], True, 0),
    )
    line = GaussianMixtureIC(2, covariance_type="full", n_init=1, random_state=0)
    line.fit(X[:, 1:])
    assert line.cdf(line.quantile(0.3)) == pytest.approx(0.3)
    assert selection.marginal([1]).means_.shape == (2, 1)


FRAME = pd.DataFrame(load_faithful().data, columns=["eruptions", "waiting"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.marginal([]), "features should have at least one feature"),
        (lambda m: m.marginal("wait"), "Feature 'wait' not in feature_names"),
        (lambda m: m.marginal([0, 2]), r"names, or integers in \[0, 1\], got 2"),
        (lambda m: m.marginal([1, "waiting"]), "features should be distinct"),
        (lambda m: m.marginal([True]), "mask of features must have one value for each"),
        (lambda m: m.marginal([True, 1]), r"integers in \[0, 1\], got True"),
        (lambda m: m.marginal([False, False]), "should have at least one feature"),
        (lambda m: m.marginal(True), r"integers in \[0, 1\], got True"),
        (lambda m: m.conditional({True: 1.0}), r"integers in \[0, 1\], got True"),
        (lambda m: m.conditional({"wait": 1.0}), "Feature 'wait' not in feature_names"),
        (lambda m: m.conditional({0: 1.0, 1: 1.0}), "at least one feature without a v"),
        (lambda m: m.conditional([2.0, 50.0]), "at least one feature without a value"),
        (lambda m: m.conditional({0: np.inf}), "values contains infinity"),
        (lambda m: m.conditional({0: "two"}), "value of feature 0 should be a number"),
        (lambda m: m.conditional({0: 1.0, "eruptions": 2.0}), "distinct features"),
        (lambda m: m.conditional([1.0]), "values has 1 features, but the mixture has"),
        (lambda m: m.impute(FRAME.replace(2.0, np.inf)), "X contains infinity"),
        (lambda m: m.impute(FRAME[["waiting"]]), "feature names"),
        (lambda m: m.sample(3, given={0: 1.0, 1: 1.0}), "without a value"),
        (lambda m: m.cdf([1.0]), "cdf is of a mixture of one feature, and this one ha"),
        (lambda m: m.quantile(0.5), "quantile is of a mixture of one feature"),
        (lambda m: m.marginal(0).quantile(1.5), r"q should be in the range \[0, 1\]"),
        (lambda m: m.marginal(0).cdf(np.nan), "Input x contains NaN"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_sentence(call, message):
    mixture = GaussianMixture(2, random_state=0).fit(FRAME)
    before = dict(vars(mixture))
    with pytest.raises(ValueError, match=message):
        call(mixture)
    assert vars(mixture) == before


@pytest.mark.parametrize(
    "mask",
    [
        FRAME.columns == "waiting",
        [False, True],
        pd.Series(FRAME.columns == "waiting", index=FRAME.columns),
    ],
)
def test_a_boolean_mask_chooses_features_as_in_numpy(mask):
    mixture = GaussianMixture(2, random_state=0).fit(FRAME)
    table = MixtureModel(2, random_state=0).fit(FRAME)
    assert mixture.marginal(mask).feature_names_in_.tolist() == ["waiting"]
    assert list(table.marginal(mask).parameters_) == ["waiting"]
    regressor = GaussianMixtureRegressor.from_mixture(mixture, mask)
    listed = GaussianMixtureRegressor.from_mixture(mixture, [1])
    rows = FRAME[["eruptions"]]
    np.testing.assert_array_equal(regressor.predict(rows), listed.predict(rows))
    with pytest.raises(ValueError, match=r"got True"):
        table.conditional({True: 1.0})


def test_a_mixture_that_is_not_fitted_says_so():
    for call in (
        lambda m: m.marginal(0),
        lambda m: m.conditional({0: 1.0}),
        lambda m: m.impute([[1.0]]),
        lambda m: m.quantile(0.5),
    ):
        with pytest.raises(ValueError, match="not fitted yet"):
            call(GaussianMixture())


@pytest.mark.parametrize(
    ("name", "of_parts"),
    [
        *((name, name) for name in ("tied", "VII", "VEE", "VVV")),
        ("EVI", "diag"),
        *((name, "full") for name in ("EVE", "VVE", "EEV", "VEV", "EVV")),
    ],
)
def test_parts_have_the_structure_that_users_read(name, of_parts, rng):
    X = rng.normal(size=(60, 3))
    options = {"covariance_type": name, "n_init": 1, "random_state": 0}
    mixture = GaussianMixture(2, **options).fit(X)
    parts = [mixture.marginal([0, 1]), mixture.conditional({0: 0.0})]
    regressor = GaussianMixtureRegressor(2, covariance_type=name, random_state=0)
    parts.append(regressor.fit(X[:, :1], X[:, 1:]).conditional([0.0]))
    assert [each.covariance_type for each in parts] == [of_parts] * 3
    student = StudentMixture(2, **options).fit(X)
    assert student.marginal([0, 1]).covariance_type == of_parts
    free = {"tied": "full", "VII": "spherical", "EVI": "diag"}.get(name, "full")
    assert student.conditional({0: 0.0}).covariance_type == free


@pytest.fixture(scope="module")
def in_steps():
    """Two clusters, in each of which the last feature depends on those in steps."""
    rng = np.random.default_rng(0)
    kind, coin = rng.integers(2, size=(2, 800))
    score = np.clip(np.round(rng.normal(3, 1, 800)), 1, 5)
    y = np.where(kind == 0, 2 * coin - score, 5 + coin + score)
    noise = rng.normal(scale=0.5, size=(2, 800))
    return np.column_stack([coin, score, y + noise[0], 8 * kind + noise[1]]), kind


@pytest.mark.parametrize(
    "twin",
    [
        GaussianMixture(2, random_state=0),
        StudentMixture(2, df=1e6, random_state=0),
        GaussianMixture(2, covariance_type="VVE", random_state=0),
        BayesianGaussianMixture(2, random_state=0),
    ],
)
def test_slopes_on_features_in_steps_are_those_of_least_squares(in_steps, twin):
    X, kind = in_steps
    mixture = twin.fit(X)
    row = np.array([[1.0, 2.0, np.nan, 8.0], [0.0, 4.0, np.nan, 0.0]])
    found = mixture.impute(row)[:, 2]
    if twin.covariance_type == "VVE":  # Axes are common: slopes are no least squares.
        assert np.isfinite(found).all()
    else:
        for value, k, own in zip(found, [1, 0], row, strict=True):
            A = np.column_stack([np.ones(800), X[:, [0, 1, 3]]])[kind == k]
            line = np.linalg.lstsq(A, X[kind == k, 2])[0]
            assert value == pytest.approx(line @ [1, *own[[0, 1, 3]]], abs=0.06)
    part = mixture.marginal([2, 1, 0]).conditional({1: 2.0})
    whole = mixture.conditional({1: 2.0}).marginal([1, 0])
    np.testing.assert_allclose(part.means_, whole.means_, rtol=1e-6)
    twice = mixture.conditional({1: 2.0}).conditional({0: 1.0})
    once = mixture.conditional({0: 1.0, 1: 2.0})
    np.testing.assert_allclose(twice.means_[:, 0], once.means_[:, 0], rtol=0.02)


def test_slopes_on_features_in_steps_are_saved(in_steps, tmp_path):
    mixture = GaussianMixture(2, random_state=0).fit(in_steps[0])
    mixture.save(tmp_path / "mixture.json")
    row = [[1.0, 2.0, np.nan, np.nan]]
    for other in (load(tmp_path / "mixture.json"), pickle.loads(pickle.dumps(mixture))):
        assert (other.impute(row) == mixture.impute(row)).all()
