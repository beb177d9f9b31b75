"""What a t mixture can do beside clustering: labels, fixed parts, noise, laws."""

import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.special import betainc, gammaln, logsumexp

import skem
from skem import GaussianMixture, StudentMixture, bootstrap_lrt
from skem._inputs.blocks import unthreaded_blocks
from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
TYPES = ["full", "tied", "diag", "spherical", "VEE"]


def sample(n=240, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    return CENTRES[labels] + rng.standard_t(4, size=(n, 2)), labels


def made(covariance_type="full", df=(3.0, 8.0, np.inf)):
    X, labels = sample()
    mixture = StudentMixture(3, covariance_type=covariance_type, df=df, random_state=0)
    return mixture.fit(X, labels=labels)


def test_all_labels_given_are_fits_of_each_component():
    X, labels = sample()
    known = StudentMixture(3, df=4.0, reg_covar=0.0, tol=1e-10).fit(X, labels=labels)
    np.testing.assert_allclose(known.weights_, np.bincount(labels) / len(X))
    for k in range(3):
        own = StudentMixture(1, df=4.0, reg_covar=0.0, tol=1e-10).fit(X[labels == k])
        np.testing.assert_allclose(known.means_[k], own.means_[0], rtol=1e-4)
        np.testing.assert_allclose(
            known.covariances_[k], own.covariances_[0], rtol=1e-4
        )
    each = known.component_log_density(X) + np.log(known.weights_)
    expected = each[np.arange(len(X)), labels].mean()
    assert known.lower_bound_ == pytest.approx(expected)
    assert known.bic(X, labels=labels) == pytest.approx(
        -2 * len(X) * expected + known.n_parameters_ * np.log(len(X))
    )


def test_no_label_is_the_fit_without():
    X, _ = sample()
    plain = StudentMixture(3, random_state=0).fit(X)
    unknown = StudentMixture(3, random_state=0).fit(X, labels=np.full(len(X), -1))
    np.testing.assert_array_equal(
        unknown.means_[unknown.weights_.argsort()[::-1]], plain.means_
    )


def test_some_labels_name_components_also_in_incomplete_rows():
    X, labels = sample()
    X = X.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    known = np.where(np.arange(len(X)) < 30, labels, -1)
    mixture = StudentMixture(3, random_state=0).fit(X, labels=known)
    assert np.abs(mixture.means_ - CENTRES).max() < 0.6
    log_likelihood = mixture._totals(X, None, labels=known).loglik
    assert mixture.lower_bound_ * len(X) == pytest.approx(log_likelihood)
    with pytest.raises(ValueError, match="range"):
        mixture.fit(X, labels=known + 1)


def test_given_degrees_of_freedom_stay_with_the_labels():
    X, labels = sample()
    for order in ([0, 1, 2], [2, 0, 1]):
        df = np.array([2.0, 5.0, 40.0])[order]
        mixture = StudentMixture(3, df=df, random_state=0)
        mixture.fit(X, labels=np.where(np.arange(len(X)) < 60, labels, -1))
        assert mixture.df_.tolist() == df.tolist()
        assert np.abs(mixture.means_ - CENTRES).max() < 0.6


@pytest.mark.parametrize("covariance_type", TYPES)
def test_what_is_fixed_stays_and_the_rest_is_at_its_best(covariance_type):
    X, _ = sample()
    mixture = StudentMixture(
        3,
        covariance_type=covariance_type,
        means_init=CENTRES,
        weights_init=[0.5, 0.3, 0.2],
        fixed={"means": [True, False, True], "weights": True},
        reg_covar=0.0,
        tol=1e-8,
        random_state=0,
    ).fit(X)
    np.testing.assert_array_equal(mixture.means_[[0, 2]], CENTRES[[0, 2]])
    np.testing.assert_array_equal(mixture.weights_, [0.5, 0.3, 0.2])
    free = StudentMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    assert mixture.n_parameters_ == free.n_parameters_ - 4 - 2
    best = mixture.score(X)
    for step in (1e-3, -1e-3):
        means, df = mixture.means_.copy(), mixture.df_.copy()
        mixture.means_ = means + np.array([[0, 0], [step, -step], [0, 0]])
        assert mixture.score(X) < best
        mixture.means_, mixture.df_ = means, df * (1 + 20 * step)
        assert mixture.score(X) < best
        mixture.df_ = df


def test_noise_is_a_level_density_over_the_region():
    X, _ = sample(300)
    rng = np.random.default_rng(1)
    X = np.vstack([X, rng.uniform(-20, 25, size=(100, 2))])
    mixture = StudentMixture(3, df=10.0, noise=True, random_state=0).fit(X)
    assert 0.1 < mixture.noise_weight_ < 0.3
    assert mixture.weights_.sum() + mixture.noise_weight_ == pytest.approx(1)
    each = mixture.component_log_density(X) + np.log(mixture.weights_)
    level = np.log(mixture.noise_weight_ / mixture.noise_volume_)
    joint = np.column_stack([each, np.full(len(X), level)])
    log_density = logsumexp(joint, axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), log_density, rtol=1e-9)
    proba = mixture.predict_proba(X)
    np.testing.assert_allclose(proba, np.exp(joint - log_density[:, None]), atol=1e-9)
    labels = mixture.predict(X)
    np.testing.assert_array_equal(labels == -1, proba.argmax(axis=1) == 3)
    assert (labels[300:] == -1).mean() > 0.5
    assert mixture.lower_bound_ == pytest.approx(log_density.mean())
    plain = StudentMixture(3, df=10.0, random_state=0).fit(X)
    assert mixture.n_parameters_ == plain.n_parameters_ + 2
    _, drawn = mixture.sample(2000, random_state=0)
    share = (drawn == -1).mean()
    assert share == pytest.approx(mixture.noise_weight_, abs=0.04)
    gap = np.array([[np.nan, 0.0]])
    one = mixture.component_log_density(gap)[0] + np.log(mixture.weights_)
    widths = mixture._background.log_widths
    expected = logsumexp([*one, np.log(mixture.noise_weight_) - widths[1]])
    assert mixture.score_samples(gap)[0] == pytest.approx(expected)
    law = mixture.conditional({0: 1.0})
    joint = mixture.score_samples([[1.0, 0.5]]) - mixture.score_samples([[1.0, np.nan]])
    assert law.score_samples([[0.5]]) == pytest.approx(joint)


def test_noise_of_gaussians_is_the_limit():
    X, _ = sample(300)
    X = np.vstack([X, np.random.default_rng(1).uniform(-20, 25, size=(100, 2))])
    options = {"noise": 1e-3, "means_init": CENTRES, "reg_covar": 0.0, "tol": 1e-8}
    options["random_state"] = 0
    student = StudentMixture(3, df=np.inf, **options).fit(X)
    gaussian = GaussianMixture(3, **options).fit(X)
    assert student.lower_bound_ == pytest.approx(gaussian.lower_bound_, rel=1e-8)
    assert student.noise_weight_ == pytest.approx(gaussian.noise_weight_, rel=1e-3)


def test_streams_keep_noise_and_what_is_fixed():
    rng = np.random.default_rng(0)
    stream = StudentMixture(
        3, df=4.0, noise=1e-3, fixed="means", means_init=CENTRES, random_state=0
    )
    for _ in range(6):
        X, _ = sample(200, seed=int(rng.integers(1000)))
        stream.partial_fit(np.vstack([X, rng.uniform(-20, 25, size=(40, 2))]))
    np.testing.assert_array_equal(stream.means_, CENTRES)
    assert 0.05 < stream.noise_weight_ < 0.3


@pytest.mark.parametrize("covariance_type", TYPES)
def test_densities_are_products_of_marginal_and_conditional(covariance_type):
    mixture = made(covariance_type)
    given = {1: 2.5}
    y = np.array([[-3.0], [0.0], [1.5], [40.0]])
    rows = np.column_stack([y, np.full(len(y), given[1])])
    law = mixture.conditional(given)
    assert isinstance(law, StudentMixture)
    np.testing.assert_array_equal(law.df_, mixture.df_ + 1)
    marginal = mixture.marginal(1).score_samples([[given[1]]])
    np.testing.assert_allclose(
        law.score_samples(y) + marginal, mixture.score_samples(rows), rtol=1e-9
    )


def test_one_component_is_a_multivariate_t():
    scale = np.array([[2.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 0.5]])
    mean = np.array([1.0, -1.0, 0.0])
    mixture = StudentMixture.from_parameters([1.0], [mean], [scale], df=3.5)
    X = np.random.default_rng(0).normal(size=(20, 3)) * 4
    theirs = stats.multivariate_t(mean, scale, df=3.5)
    np.testing.assert_allclose(mixture.score_samples(X), theirs.logpdf(X), rtol=1e-10)
    law = mixture.conditional([np.nan, 2.0, np.nan])
    distance = (2.0 + 1.0) ** 2
    np.testing.assert_allclose(
        law.means_[0], mean[[0, 2]] + scale[[0, 2], 1] * 3.0, rtol=1e-10
    )
    rest = scale[np.ix_([0, 2], [0, 2])] - np.outer(scale[[0, 2], 1], scale[1, [0, 2]])
    np.testing.assert_allclose(
        law.covariances_[0], rest * (3.5 + distance) / 4.5, rtol=1e-10
    )
    # Of squared distances, d F(d, ν).
    x = np.array([[3.0, 1.0, 1.0]])
    square = (x - mean) @ np.linalg.solve(scale, (x - mean).T)
    expected = stats.f.sf(square.item() / 3, 3, 3.5)
    assert mixture.support_probability(x)[0] == pytest.approx(expected)
    level = mixture.hdr_level(0.9)
    drawn, _ = mixture.sample(4000, random_state=0)
    share = (mixture.score_samples(drawn) >= level).mean()
    assert share == pytest.approx(0.9, abs=0.02)


def test_draws_given_values_follow_the_conditional():
    mixture = made()
    X, labels = mixture.sample(4000, random_state=0, given={0: 3.0})
    assert (X[:, 0] == 3.0).all() and set(labels) <= {0, 1, 2}
    law = mixture.conditional({0: 3.0})
    assert stats.kstest(X[:, 1], law.cdf).pvalue > 1e-3
    gaps = np.column_stack([np.full(4000, 3.0), np.full(4000, np.nan)])
    filled = mixture.impute(gaps, sample=True, random_state=1)
    assert stats.kstest(filled[:, 1], law.cdf).pvalue > 1e-3
    # A Gaussian of the same scale is rejected.
    means = mixture.impute(gaps[:1])
    assert means[0, 1] == pytest.approx(float(law.weights_ @ law.means_[:, 0]))


def test_moments_of_laws_are_those_of_t_components():
    mixture = StudentMixture.from_parameters(
        [1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.5, 4.0]]], df=3.0
    )
    (laws,) = mixture._conditioner().laws(np.array([[2.0, np.nan]]))
    law = mixture.conditional({0: 2.0})
    variance = law.covariances_[0, 0, 0] * law.df_[0] / (law.df_[0] - 2)
    assert laws.covariance[0, 0, 0] == pytest.approx(variance)
    assert laws.standard_deviation[0, 0] == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize("df", [1.5, 2.0])
def test_spreads_that_are_infinite_are_the_largest_number(df):
    mixture = StudentMixture.from_parameters(
        [1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.5, 4.0]]], df=df
    )
    (laws,) = mixture._conditioner().laws(np.full((1, 2), np.nan))
    assert (laws.standard_deviation == np.finfo(float).max).all()
    assert (np.diag(laws.covariance[0]) == np.finfo(float).max).all()


@pytest.mark.parametrize("df", [1.0, 4.5, 1e5, np.inf])
def test_quantiles_are_inverse_to_the_distribution_function(df):
    mixture = StudentMixture.from_parameters(
        [0.3, 0.7], [[-2.0], [5.0]], [1.0, 9.0], [df, 3.0], "spherical"
    )
    q = np.array([0.0, 1e-12, 0.01, 0.4, 0.5, 0.99, 1 - 1e-9, 1.0])
    x = mixture.quantile(q)
    np.testing.assert_allclose(mixture.cdf(x), q, rtol=1e-9)
    expected = 0.3 * stats.t.cdf(x + 2, df) + 0.7 * stats.t.cdf((x - 5) / 3, 3)
    np.testing.assert_allclose(mixture.cdf(x), expected, rtol=1e-8)
    one = StudentMixture.from_parameters([1.0], [[1.0]], [4.0], df, "spherical")
    q = np.array([1e-8, 0.2, 0.999])
    np.testing.assert_allclose(one.quantile(q), 1 + 2 * stats.t.ppf(q, df), rtol=1e-9)


@pytest.mark.parametrize("q", [1e-200, 1e-250, 1e-300])
@pytest.mark.parametrize("df", [1.0, 2.5, 3341.0])
def test_quantiles_of_extreme_tails_are_right_where_those_of_scipy_are_infinite(df, q):
    # The lighter tail of the second component has no part in that.
    mixture = StudentMixture.from_parameters(
        [0.5, 0.5], [[0.0], [5.0]], np.ones((2, 1, 1)), [df, 1e4]
    )
    x = -mixture.quantile([q])[0]
    if df == 1.0:
        assert x == pytest.approx(0.5 / (np.pi * q), rel=1e-9)
    else:
        # P(T ≤ −x) of t distributions, by the incomplete beta function.
        below = betainc(df / 2, 0.5, df / (df + x * x)) / 2
        assert below == pytest.approx(2 * q, rel=1e-9)
    assert mixture.cdf([[-x]])[0] == pytest.approx(q, rel=1e-9)
    upper = StudentMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], [df])
    high, low = upper.quantile([1 - 1e-13, 1e-13])
    assert high == pytest.approx(-low, rel=0.01)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1.0, 1e10])
def test_quantiles_beyond_all_numbers_are_infinite(scale):
    heavy = StudentMixture.from_parameters([1.0], [[0.0]], [[[scale**2]]], [0.25])
    # P(T ≤ −x) falls with x to the power of a quarter: 1e-90 is at about 1e360.
    low, near, high = heavy.quantile([1e-90, 1e-60, 1 - 1e-9])
    assert low == -np.inf
    assert heavy.cdf([[near]])[0] == pytest.approx(1e-60, rel=1e-9)
    assert 0 < high < np.inf


def test_files_hold_noise_and_what_is_fixed(tmp_path):
    X, _ = sample()
    fitted = StudentMixture(
        3, noise=1e-4, fixed="weights", df="common", random_state=0
    ).fit(X)
    fitted.save(tmp_path / "mixture.json")
    read = skem.load(tmp_path / "mixture.json")
    np.testing.assert_array_equal(read.score_samples(X), fitted.score_samples(X))
    assert read.n_parameters_ == fitted.n_parameters_
    for ours, theirs in zip(
        read.standard_errors(X), fitted.standard_errors(X), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_one_row_has_the_density_that_many_have():
    X, _ = sample()
    mixture = made("tied", df="common")
    alone = [mixture.score_samples(row[None])[0] for row in X[:5]]
    np.testing.assert_allclose(alone, mixture.score_samples(X)[:5], rtol=1e-12)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("far", [1e100, 1e160, 1e300])
def test_rows_at_any_distance_have_the_density_of_a_t(covariance_type, far):
    """Squares had overflowed where components are far apart, in units of their own."""
    shape = {"full": (2, 2, 2), "tied": (2, 2), "diag": (2, 2), "spherical": (2,)}
    matrix = covariance_type in ("full", "tied")
    covariances = np.broadcast_to(np.eye(2) if matrix else 1.0, shape[covariance_type])
    mixture = StudentMixture.from_parameters(
        [0.5, 0.5],
        [[0, 0], [1e100, 1]],
        covariances,
        df=[0.1, 1e3],
        covariance_type=covariance_type,
    )
    found = mixture.score_samples([[far, 1.0], [1.0, 0.0]])
    # Of the component with the heavy tail: log(1 + δ/ν) is log(δ/ν).
    norm = gammaln(1.05) - gammaln(0.05) - np.log(0.1 * np.pi) - np.log(2)
    expected = [norm - 1.05 * (2 * np.log(far) - np.log(0.1)), norm - 1.05 * np.log(11)]
    if far == 1e100:
        # At the location of the other one.
        expected[0] = -np.log(2) - np.log(2 * np.pi)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_laws_given_values_far_away_leave_single_precision():
    """Their scale matrices had been infinite."""
    X, _ = sample()
    mixture = StudentMixture(1, df=4.0, random_state=0).fit(X.astype(np.float32))
    assert mixture.conditional([1.0, np.nan]).means_.dtype == np.float32
    law = mixture.conditional([1e100, np.nan])
    ((a, b), (_, c)) = mixture.covariances_[0].astype(float)
    # Scales grow with the distance: (ν + δ)/(ν + 1) times what is left of c.
    expected = (c - b**2 / a) * 1e200 / a / 5
    np.testing.assert_allclose(law.covariances_.ravel(), expected, rtol=1e-5)
    np.testing.assert_allclose(law.means_.ravel(), b / a * 1e100, rtol=1e-3)


@pytest.mark.slow
def test_a_test_of_the_number_of_components():
    X = np.random.default_rng(0).standard_t(4, size=(80, 1))
    one = bootstrap_lrt(StudentMixture(df=4.0), X, 1, 2, n_boot=9, random_state=0)
    assert one.p_value > 0.1
    two = np.concatenate([X, X + 9])
    found = bootstrap_lrt(StudentMixture(df=4.0), two, 1, 2, n_boot=9, random_state=0)
    assert found.p_value == 0.1


@pytest.mark.parametrize("method", ["sandwich", "hessian", "opg", "bootstrap"])
def test_degrees_of_freedom_of_gaussian_rows_are_not_known(method):
    """They had an error, as if the data told 60 000 from 160 000."""
    X = np.random.default_rng(2).normal(size=(400, 1))
    mixture = StudentMixture(1, random_state=0).fit(X)
    assert 1000 < mixture.df_[0] < 1e6
    options = dict(method=method, n_boot=3, random_state=0)
    errors = mixture.standard_errors(X, **options)
    assert np.isinf(errors.df).all()
    whole = errors.confidence_interval().df
    assert (whole.lower, whole.upper) == (0, np.inf)
    if method == "bootstrap":
        return
    gaussian = GaussianMixture(1).fit(X).standard_errors(X, method=method)
    np.testing.assert_allclose(errors.means, gaussian.means, rtol=1e-2)
    np.testing.assert_allclose(errors.covariances, gaussian.covariances, rtol=1e-2)


@pytest.mark.parametrize("df", ["estimate", "common", 4.0, np.inf])
def test_degrees_of_freedom_have_intervals_on_the_scale_of_logarithms(df):
    """They were left out of the intervals."""
    X = np.random.default_rng(0).standard_t(4, size=(300, 1))
    mixture = StudentMixture(1, df=df, random_state=0).fit(X)
    errors = mixture.standard_errors(X)
    intervals = errors.confidence_interval(0.9)
    if isinstance(df, float):
        expected = [mixture.df_] * 2
    else:
        reach = stats.norm.ppf(0.95) * errors.df / mixture.df_
        expected = np.exp(np.log(mixture.df_) + np.outer([-1, 1], reach))
    for found in (intervals, pickle.loads(pickle.dumps(intervals))):
        np.testing.assert_allclose(found.df, expected, rtol=1e-9)
        assert len(found) == 3
    assert GaussianMixture().fit(X).standard_errors(X).confidence_interval().df is None


@pytest.mark.parametrize("df", ["estimate", "common"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_degrees_of_freedom_on_a_bound_are_held_for_the_others(covariance_type, df):
    rng = np.random.default_rng(3)
    X = np.vstack([rng.uniform(-2, 2, (200, 2)), rng.uniform(5, 9, (200, 2))])
    X[::9, 1] = np.nan
    weight = rng.integers(1, 3, size=400)
    mixture = StudentMixture(
        2, covariance_type=covariance_type, df=df, random_state=0
    ).fit(X, sample_weight=weight)
    errors = mixture.standard_errors(X, weight)
    assert np.isinf(errors.df).all()
    known = StudentMixture.from_parameters(
        mixture.weights_,
        mixture.means_,
        mixture.covariances_,
        mixture.df_,
        covariance_type,
    )
    known = known.set_params(df=mixture.df_).standard_errors(X, weight)
    for ours, theirs in zip(errors, known, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_array_equal(known.df, 0)


@pytest.mark.parametrize(
    ("covariance_type", "df", "noise"),
    [
        ("full", "estimate", False),
        ("tied", "estimate", False),
        ("tied", "common", 1e-3),
        ("VEI", "estimate", 1e-3),
        ("diag", "common", False),
    ],
)
def test_what_a_move_to_a_bound_costs_is_what_the_score_loses(
    covariance_type, df, noise
):
    X, _ = sample(150)
    X[::7, 0] = np.nan
    weight = np.random.default_rng(0).integers(0, 3, size=150)
    mixture = StudentMixture(
        3, covariance_type=covariance_type, df=df, noise=noise, random_state=0
    ).fit(X)
    own = mixture.df_.copy()
    scores, expectation, _ = mixture._scored(
        unthreaded_blocks(mixture, X, weight, None, 3)
    )
    block = Block(0, 150, X.T, weight.astype(float), incomplete=True)
    resp, rows = scores.evaluated(expectation, block, Workspace())
    before = mixture.score_samples(X) @ weight
    roots = mixture.precisions_cholesky_.copy()
    for bound in (0.1, 1e6):
        found = scores._costs(rows, resp, bound, weight)
        assert len(found) == (1 if df == "common" else 3)
        for k, cost in enumerate(found):
            moved = np.full(3, True) if df == "common" else np.arange(3) == k
            mixture.df_ = np.where(moved, bound, own)
            # Scales keep the variance, if there is one, and they are free.
            factor = np.ones(3)
            if bound > 2 and (covariance_type != "tied" or df == "common"):
                kept = own / (own - 2) * (bound - 2) / bound
                factor = np.where(moved & (own > 2), kept, 1.0)
            if covariance_type == "tied":
                mixture.precisions_cholesky_ = roots / np.sqrt(factor[0])
            else:
                shape = (3,) + (1,) * (roots.ndim - 1)
                mixture.precisions_cholesky_ = roots / np.sqrt(factor).reshape(shape)
            after = mixture.score_samples(X) @ weight
            assert cost == pytest.approx(before - after, rel=1e-6, abs=1e-6)


def test_a_value_out_of_all_bounds_leaves_degrees_of_freedom_an_error():
    """The fit's density is level there, and the score would rather have ν at 0.1."""
    X = np.random.default_rng(0).normal(size=(200, 2))
    X[0] = 1e100
    mixture = StudentMixture(1, random_state=0).fit(X)
    assert np.isfinite(mixture.standard_errors(X).df).all()


def test_errors_of_locations_do_not_go_with_those_of_a_large_df():
    """A fit that stops where the Hessian is not negative in ν: all were infinite."""
    rng = np.random.default_rng(10)
    X = np.vstack([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 8])
    X[rng.random(200) < 0.15, 0] = np.nan
    mixture = StudentMixture(2, random_state=0).fit(X)
    assert mixture.df_.min() > 30
    gaussian = GaussianMixture(2, random_state=0).fit(X)
    for method in ("sandwich", "hessian"):
        errors = mixture.standard_errors(X, method=method)
        expected = gaussian.standard_errors(X, method=method)
        order = np.argsort(mixture.means_[:, 0])
        other = np.argsort(gaussian.means_[:, 0])
        np.testing.assert_allclose(errors.means[order], expected.means[other], rtol=0.1)
        assert np.isfinite(errors.covariances).all()
        assert errors.df.max() == np.inf
