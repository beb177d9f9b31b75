"""Missing values through the public estimator."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import get_tags

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureModel,
    MixtureOutlierDetector,
    StudentMixture,
    bootstrap_lrt,
)
from skem._bootstrap.arrays import Likeness
from skem._inputs.blocks import array_blocks, to_be_fitted
from skem._inputs.validation import Data
from skem.core.blocks import arrays as core_blocks
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.incomplete.expectation import Incomplete
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize
from skem.exceptions import DegenerateComponentsWarning
from skem.metrics import class_error

pytestmark = pytest.mark.usefixtures("short_search")

TYPES = ["full", "tied", "diag", "spherical"]
INIT_PARAMS = ["kmeans", "k-means++", "random_from_data"]
# Every structure has quick tests in `tests/core`: here two of them are slow.
covariance_types = pytest.mark.parametrize(
    "covariance_type",
    [
        "full",
        "diag",
        pytest.param("tied", marks=pytest.mark.slow),
        pytest.param("spherical", marks=pytest.mark.slow),
    ],
)

# Case, structure, and log-likelihoods at the start, after 1 and 5 EM steps, and at the
# maximum, by a program of loops over rows that shares no code with ours; checked with
# scipy and tgmm 0.4.3.
REFERENCE = [
    (1, "full", -657.403869622, -514.590469149, -402.880997806, -370.70493166),
    (1, "tied", -657.403869622, -519.276065434, -451.362523920, -396.85065315),
    (1, "diag", -657.403869622, -519.592861051, -421.298024526, -396.77612393),
    (1, "spherical", -639.871251338, -481.720797424, -412.556004671, -412.54644575),
    (2, "full", -754.519201698, -677.754562022, -526.892344422, -466.62520943),
    (2, "tied", -754.519201698, -688.483095670, -562.391664717, -524.90975197),
    (2, "diag", -754.519201698, -688.647814197, -528.928144200, -501.60197787),
    (2, "spherical", -770.067369207, -700.655361751, -577.117392433, -543.05541680),
    (5, "full", -190.242211698, -176.900917383, -169.888408971, -133.57265679),
    (5, "tied", -190.242211698, -176.967512718, -170.289579535, -142.71704344),
    (5, "diag", -190.242211698, -178.177402141, -172.567004447, -140.98005116),
    (5, "spherical", -214.247250807, -194.272484841, -184.584919238, -141.32890330),
]  # fmt: skip
SHAPES = {1: (150, 3, 2, 0.2), 2: (150, 3, 3, 0.3), 5: (100, 2, 2, 0.5)}


def reference_data(seed):
    """The data of a case; the calls of the generator are in this order."""
    n, d, K, share = SHAPES[seed]
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(K, d)) * 3
    roots = rng.normal(size=(K, d, d)) / np.sqrt(d)
    labels = rng.integers(K, size=n)
    X = means[labels] + np.einsum("ide,ie->id", roots[labels], rng.normal(size=(n, d)))
    X += 0.3 * rng.normal(size=(n, d))
    X[rng.random((n, d)) < share] = np.nan
    return X


def reference_start(X, K, covariance_type):
    """Rows spread evenly, gaps at the column's mean, variances of columns."""
    mean, variances = np.nanmean(X, axis=0), np.nanvar(X, axis=0)
    rows = np.flatnonzero(~np.isnan(X).all(axis=1))
    chosen = X[rows[np.linspace(0, len(rows) - 1, K).astype(int)]]
    precisions = {
        "full": np.stack([np.diag(1 / variances)] * K),
        "tied": np.diag(1 / variances),
        "diag": np.stack([1 / variances] * K),
        "spherical": np.full(K, 1 / variances.mean()),
    }
    return {
        "weights_init": np.full(K, 1 / K),
        "means_init": np.where(np.isnan(chosen), mean, chosen),
        "precisions_init": precisions[covariance_type],
    }


def quietly(call, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DegenerateComponentsWarning)
        return call(*args, **kwargs)


def fit(X, covariance_type="full", K=2, sample_weight=None, **params):
    params = {"random_state": 0, **params}
    model = GaussianMixture(K, covariance_type=covariance_type, **params)
    return quietly(model.fit, X, sample_weight=sample_weight)


def sample(n=240, seed=0):
    """Two correlated clusters in three dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    Z = rng.normal(size=(n, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.4], [0, 0, 0.7]])
    return Z + np.array([[0.0, 0, 0], [4, -3, 2]])[y]


def with_gaps(X, share=0.2, seed=1):
    gaps = np.random.default_rng(seed).random(X.shape) < share
    # Rows without a value have tests of their own.
    gaps[gaps.all(axis=1), 0] = False
    return np.where(gaps, np.nan, X)


def dense(model):
    """(K, d, d) covariances."""
    K, d = model.means_.shape
    values = model.covariances_
    return {
        "full": lambda: values,
        "tied": lambda: np.broadcast_to(values, (K, d, d)),
        "diag": lambda: values[:, None] * np.eye(d),
        "spherical": lambda: values[:, None, None] * np.eye(d),
    }[model.covariance_type]()


def joint(model, X):
    """Log w_k N(x_O | μ_kO, Σ_kOO) by scipy.stats, shape (n, K)."""
    out = np.tile(np.log(model.weights_), (len(X), 1))
    for row, x in zip(out, X, strict=True):
        own = ~np.isnan(x)
        if own.any():
            for k, covariance in enumerate(dense(model)):
                block = covariance[np.ix_(own, own)]
                row[k] += stats.multivariate_normal.logpdf(
                    x[own], model.means_[k, own], block
                )
    return out


def assert_same(found, expected, **tolerance):
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), **tolerance
        )


def in_order(model):
    """Return the same mixture with its components in the order of their means."""
    order = np.argsort(model.means_[:, 0])
    shared = model.covariance_type == "tied"
    covariances = model.covariances_ if shared else model.covariances_[order]
    same = GaussianMixture.from_parameters(
        model.weights_[order], model.means_[order], covariances, model.covariance_type
    )
    same.lower_bound_ = model.lower_bound_
    return same


# The likelihood -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "covariance_type", "start", "after_1", "after_5", "maximum"),
    REFERENCE,
    ids=[f"{case[0]}-{case[1]}" for case in REFERENCE],
)
def test_steps_are_those_of_the_reference(
    seed, covariance_type, start, after_1, after_5, maximum
):
    X, K = reference_data(seed), SHAPES[seed][2]
    assert np.isnan(X).all(axis=1).any()
    params = {**reference_start(X, K, covariance_type), "reg_covar": 0.0}
    for steps, expected in [(0, start), (1, after_1), (5, after_5)]:
        model = fit(
            X, covariance_type, K, max_iter=steps, tol=0, algorithm="em", **params
        )
        np.testing.assert_allclose(model.score_samples(X).sum(), expected, rtol=1e-11)
    # Plain steps to the end take long, and are those of above.
    for algorithm in ["lbfgs", "squarem"][: 2 if seed == 1 else 1]:
        model = fit(X, covariance_type, K, tol=1e-6, algorithm=algorithm, **params)
        assert model.converged_
        # `tol` is what may be left to be gained.
        np.testing.assert_allclose(model.score_samples(X).sum(), maximum, atol=1e-5)


@covariance_types
def test_scores_are_those_of_marginals(covariance_type):
    X = with_gaps(sample(80))
    model = fit(X, covariance_type)
    X[3] = np.nan
    expected = joint(model, X)
    log_density = logsumexp(expected, axis=1)
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(model.score_samples(X), log_density, **close)
    np.testing.assert_allclose(
        model.component_log_density(X), expected - np.log(model.weights_), **close
    )
    resp = np.exp(expected - log_density[:, None])
    np.testing.assert_allclose(model.predict_proba(X), resp, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), resp.argmax(axis=1))
    np.testing.assert_allclose(model.predict_proba(X)[3], model.weights_)
    total, n_free = log_density.sum(), model.n_parameters_
    np.testing.assert_allclose(model.score(X), total / 80)
    np.testing.assert_allclose(model.bic(X), -2 * total + n_free * np.log(80))
    np.testing.assert_allclose(model.aic(X), -2 * total + 2 * n_free)
    certainty = np.log(resp.max(axis=1)).sum()
    np.testing.assert_allclose(model.icl(X), model.bic(X) - 2 * certainty)
    summary = model.summary(X)
    np.testing.assert_allclose(summary.log_likelihood, total)
    np.testing.assert_allclose(summary.effective_sizes, resp.sum(axis=0))


@covariance_types
def test_the_gradient_is_zero_at_the_end(covariance_type):
    X = with_gaps(sample(), 0.3)
    model = fit(X, covariance_type, tol=1e-9, reg_covar=0.0, max_iter=10_000)
    step = 1e-4
    for name in ("means_", "covariances_"):
        values = getattr(model, name)
        for place in np.ndindex(values.shape):
            ends = []
            for sign in (-1, 1):
                moved = values.copy()
                moved[place] += sign * step
                if name == "covariances_" and covariance_type in ("full", "tied"):
                    *head, i, j = place
                    moved[(*head, j, i)] = moved[place]
                parts = {"means_": model.means_, "covariances_": model.covariances_}
                parts[name] = moved
                ends.append(
                    GaussianMixture.from_parameters(
                        model.weights_, *parts.values(), covariance_type
                    )
                    .score_samples(X)
                    .sum()
                )
            slope = (ends[1] - ends[0]) / (2 * step)
            # Of an information of up to about 1e4, and errors of the difference.
            assert abs(slope) < 2e-2


@covariance_types
def test_no_step_lowers_the_objective(covariance_type):
    X = with_gaps(sample(), 0.4)
    X[:9] = np.nan
    structure = STRUCTURES[covariance_type]
    with array_blocks(Data(X, True), None) as blocks:
        em = EMMap.prepare(
            to_be_fitted(GaussianMixture(), blocks), structure, 3, "auto"
        )
        rng = np.random.RandomState(0)
        parameters = initialize(em, INITIALIZERS["random_from_data"], 3, rng)
        values = []
        for _ in range(60):
            here = em.evaluate(parameters)
            values.append(here.objective)
            parameters = here.successor
    # Of sums of about a thousand nats.
    assert np.diff(values).min() > -1e-10
    assert values[-1] > values[0] + 10


def test_monotone_gaps_have_a_closed_form():
    """The factored likelihood of Anderson (1957): x, and y given x where it is."""
    rng = np.random.default_rng(5)
    x = rng.normal(2, 3, 300)
    y = 1 + 0.5 * x + rng.normal(size=300)
    X = np.column_stack([x, y])
    X[120:, 1] = np.nan
    model = fit(X, "full", 1, tol=1e-10, reg_covar=0.0)
    slope, intercept = np.polyfit(x[:120], y[:120], 1)
    residual = np.mean((y[:120] - intercept - slope * x[:120]) ** 2)
    np.testing.assert_allclose(
        model.means_[0], [x.mean(), intercept + slope * x.mean()], rtol=1e-6
    )
    cross = slope * x.var()
    expected = [[x.var(), cross], [cross, residual + slope * cross]]
    np.testing.assert_allclose(model.covariances_[0], expected, rtol=1e-5)


def test_values_that_vanish_at_random_leave_no_bias():
    """A gap that depends on what is there: the mean of what is left is far off."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=5000)
    y = x + 0.5 * rng.normal(size=5000)
    X = np.column_stack([x, np.where(x > 0.3, np.nan, y)])
    model = fit(X, "full", 1)
    assert np.nanmean(X[:, 1]) < -0.5
    # Three standard errors, of the mean of y where all of it is known.
    assert abs(model.means_[0, 1]) < 3 * np.sqrt(1.25 / 5000) * 1.5


@pytest.mark.slow
@covariance_types
def test_standard_errors_are_those_of_the_curvature(covariance_type):
    """The inverse of minus the Hessian of the observed likelihood, by differences."""
    X = with_gaps(sample(150), 0.3)
    X[:3] = np.nan
    model = fit(X, covariance_type, reg_covar=0.0, tol=1e-10, max_iter=5000)
    (K, d), shape = model.means_.shape, model.covariances_.shape
    matrices = covariance_type in ("full", "tied")
    upper = np.triu_indices(d)

    def packed(covariances):
        return covariances[..., *upper].ravel() if matrices else covariances.ravel()

    def log_likelihood(point):
        weights, means, values = np.split(point, [K - 1, K - 1 + K * d])
        if matrices:
            covariances = np.zeros((*shape[:-2], d, d))
            covariances[..., *upper] = values.reshape(*shape[:-2], -1)
            covariances[..., *upper[::-1]] = values.reshape(*shape[:-2], -1)
        else:
            covariances = values.reshape(shape)
        parts = [*weights, 1 - weights.sum()], means.reshape(K, d), covariances
        moved = GaussianMixture.from_parameters(*parts, covariance_type)
        return moved.score_samples(X).sum()

    covariances = packed(model.covariances_)
    point = np.concatenate([model.weights_[:-1], model.means_.ravel(), covariances])
    step = 3e-4
    steps = step * np.eye(len(point))
    hessian = np.zeros_like(steps)
    for i, j in zip(*np.triu_indices(len(point)), strict=True):
        hessian[i, j] = hessian[j, i] = sum(
            sign * other * log_likelihood(point + sign * steps[i] + other * steps[j])
            for sign, other in itertools.product([-1, 1], repeat=2)
        ) / (4 * step**2)
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    errors = model.standard_errors(X, method="hessian")
    found = [errors.weights[:-1], errors.means.ravel(), packed(errors.covariances)]
    # The differences have errors of the step's square.
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "covariance_type"),
    [*zip(["sandwich", "opg"] * 2, TYPES, strict=True), ("bootstrap", "full")],
)
def test_standard_errors_agree_where_the_model_is_right(method, covariance_type):
    X = with_gaps(sample(1500), 0.2)
    if covariance_type in ("diag", "spherical"):
        X = X @ np.diag([1.0, 0.9, 1.4])
    model = fit(X, covariance_type)
    expected = model.standard_errors(X, method="hessian").means
    errors = model.standard_errors(X, method=method, n_boot=40, random_state=0)
    # The bootstrap's own error is 1/√80; models of variances are not quite right.
    np.testing.assert_allclose(errors.means, expected, rtol=0.45)


@pytest.mark.parametrize("K", [1, 2])
@covariance_types
def test_support_is_that_of_the_features_that_a_row_has(covariance_type, K):
    X = with_gaps(sample(), 0.3)
    X[0] = np.nan
    model = fit(X, covariance_type, K)
    found = model.support_probability(X, random_state=0)
    assert found[0] == 1
    draws, _ = model.sample(4000, random_state=1)
    for i in range(1, 40, 6):
        gaps = np.where(np.isnan(X[i]), np.nan, draws)
        below = np.mean(model.score_samples(gaps) <= model.score_samples(X[i : i + 1]))
        # Four standard errors of a share.
        assert abs(found[i] - below) < 4 * np.sqrt(0.25 / 4000)
    da = pytest.importorskip("dask.array")
    lazy = model.support_probability(da.from_array(X, chunks=(100, 3)), random_state=0)
    np.testing.assert_allclose(lazy.compute(), found, atol=1e-12)


def test_a_row_without_values_is_nothing_unusual():
    """Also where densities are above one, which is that of such a row."""
    mixture = GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], [1e-4], "spherical")
    found = mixture.support_probability([[np.nan, np.nan], [0.01, np.nan]])
    np.testing.assert_allclose(found, [1, stats.chi2.sf(1, 1)])


def test_support_of_rows_with_gaps_is_by_draws_of_the_seed():
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.5], [[0, 0, 0], [1, 3, 1]], [1, 1], "spherical"
    )
    row = [[1.0, 2.0, np.nan]]
    first, again, other = (
        mixture.support_probability(row, n_samples=100, random_state=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_bootstrap_data_have_the_gaps_of_the_data():
    X = with_gaps(sample(60), 0.2)
    X[4] = np.nan
    mixture = GaussianMixture(n_init=1)
    test = bootstrap_lrt(mixture, X, 1, 2, n_boot=4, random_state=0)
    assert test.p_value == 0.2
    weight = np.arange(60) % 3
    test = bootstrap_lrt(
        mixture, X, 1, 2, n_boot=1, random_state=0, sample_weight=weight
    )
    assert np.isfinite(test.bootstrap_statistics).all()
    rows, left = Likeness.of(weight, 60, 2)
    np.testing.assert_array_equal(rows, np.repeat(np.arange(60), weight))
    assert left is None


# What must make no difference -----------------------------------------------------


@covariance_types
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_complete_data_take_the_same_way_as_ever(covariance_type, dtype, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError

    for name in ("statistics", "evaluate", "responsibilities", "moments", "filled"):
        monkeypatch.setattr(Incomplete, name, fail)
    X = sample(120).astype(dtype)
    model = fit(X, covariance_type)
    for method in ("predict", "score_samples", "component_log_density"):
        getattr(model, method)(X)


@covariance_types
def test_empty_rows_change_nothing(covariance_type):
    X = with_gaps(sample())
    rng = np.random.default_rng(3)
    padded = np.full((300, 3), np.nan)
    filled = np.sort(rng.permutation(300)[:240])
    padded[filled] = X
    # To the end: rows without a value take part in each step, and slow it.
    model = fit(X, covariance_type, tol=1e-9)
    with_empty = fit(padded, covariance_type, tol=1e-9)
    # The order of components is of no meaning.
    found, expected = (np.sort(m.means_, axis=0) for m in (with_empty, model))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        np.sort(with_empty.weights_), np.sort(model.weights_), atol=1e-6
    )
    np.testing.assert_allclose(
        with_empty.lower_bound_ * 300, model.lower_bound_ * 240, rtol=1e-10
    )
    np.testing.assert_allclose(with_empty.lower_bound_, with_empty.score(padded))
    # But for the rounding of a sum of weights.
    empty = with_empty.score_samples(np.full((1, 3), np.nan))
    np.testing.assert_allclose(empty, 0, atol=1e-15)


@covariance_types
def test_weights_are_repeated_rows(covariance_type):
    X = with_gaps(sample(90), 0.3)
    weight = np.random.default_rng(2).integers(0, 4, 90)
    start = reference_start(X, 2, covariance_type)
    weighted = fit(X, covariance_type, sample_weight=weight, tol=1e-8, **start)
    repeated = fit(np.repeat(X, weight, axis=0), covariance_type, tol=1e-8, **start)
    assert_same(weighted, repeated, rtol=1e-5, atol=1e-6)


@covariance_types
def test_the_order_of_rows_and_columns_is_of_no_effect(covariance_type):
    X = with_gaps(sample(), 0.3)
    start = reference_start(X, 2, covariance_type)
    model = fit(X, covariance_type, tol=1e-8, **start)
    rows = np.random.default_rng(4).permutation(len(X))
    assert_same(fit(X[rows], covariance_type, tol=1e-8, **start), model, rtol=1e-6)
    columns = [2, 0, 1]
    start = reference_start(X[:, columns], 2, covariance_type)
    permuted = fit(X[:, columns], covariance_type, tol=1e-8, **start)
    np.testing.assert_allclose(permuted.means_, model.means_[:, columns], rtol=1e-5)
    np.testing.assert_allclose(permuted.lower_bound_, model.lower_bound_, rtol=1e-9)


@covariance_types
def test_units_of_the_data_are_of_no_effect(covariance_type):
    X = with_gaps(sample())
    scale, shift = np.array([1e-6, 3.0, 1e5]), np.array([10.0, -4.0, 1e7])
    if covariance_type == "spherical":
        scale = np.full(3, 1e4)
    model = fit(X, covariance_type)
    moved = fit(X * scale + shift, covariance_type)
    np.testing.assert_array_equal(moved.predict(X * scale + shift), model.predict(X))
    np.testing.assert_allclose((moved.means_ - shift) / scale, model.means_, atol=1e-4)
    np.testing.assert_allclose(
        moved.lower_bound_ + np.mean(~np.isnan(X) @ np.log(scale)),
        model.lower_bound_,
        atol=1e-6,
    )


@covariance_types
def test_float32_is_float64_rounded(covariance_type):
    X = with_gaps(sample()).astype(np.float32)
    single, double = fit(X, covariance_type), fit(X.astype(float), covariance_type)
    assert single.means_.dtype == np.float32
    assert single.score_samples(X).dtype == np.float32
    assert single.predict_proba(X).dtype == np.float32
    assert_same(single, double, rtol=1e-4, atol=1e-5)


def test_tables_with_gaps_of_any_kind():
    X = with_gaps(sample())
    model = fit(X)
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    nullable = table.convert_dtypes()
    assert nullable["a"].dtype == "Float64"
    assert nullable.isna().sum().sum() > 0
    objects = table.astype(object)
    none, na = (objects.where(table.notna(), gap) for gap in (None, pd.NA))
    for frame in (table, nullable, none, na):
        other = fit(frame)
        assert_same(other, model, rtol=0)
        np.testing.assert_array_equal(
            other.predict_proba(frame), model.predict_proba(X)
        )


def test_pandas_na_is_a_gap_of_given_values_and_of_targets():
    X = sample(120)
    model = fit(X)
    expected = model.conditional({0: 1.0})
    for given in ({0: 1.0, 1: pd.NA, 2: None}, [1.0, pd.NA, pd.NA]):
        np.testing.assert_array_equal(model.conditional(given).means_, expected.means_)
    y = np.where(np.arange(120) % 5, X[:, 2], np.nan)
    targets = pd.Series(y, dtype=object).where(~np.isnan(y), pd.NA)
    found, plain = (
        GaussianMixtureRegressor(1).fit(X[:, :2], each) for each in (targets, y)
    )
    np.testing.assert_array_equal(found.predict(X[:, :2]), plain.predict(X[:, :2]))


def objects_with(gap):
    return lambda X: np.where(np.isnan(X), gap, X.astype(object))


def masked(X):
    """What lies under the mask would be clusters of its own."""
    return np.ma.array(np.nan_to_num(X, nan=1e3), mask=np.isnan(X))


GAPS = {
    "None": objects_with(None),
    "NA": objects_with(pd.NA),
    "NA in lists": lambda X: objects_with(pd.NA)(X).tolist(),
    "mask": masked,
}
ESTIMATORS = [
    GaussianMixture(2, random_state=0),
    StudentMixture(2, random_state=0),
    BayesianGaussianMixture(2, random_state=0),
    GaussianMixtureIC((1, 2), covariance_type="diag", random_state=0),
    MixtureModel(2, random_state=0),
    MixtureOutlierDetector(1, covariance_type="diag", random_state=0),
    MixtureDiscriminantAnalysis(1),
    GaussianMixtureRegressor(1),
]


@pytest.mark.each_value
@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_gaps_of_arrays_are_told_in_any_way(estimator, gaps):
    X = with_gaps(sample(120), 0.3)
    y = np.arange(120) % 2
    rows = GAPS[gaps](X)
    plain, found = clone(estimator).fit(X, y), clone(estimator).fit(rows, y)
    np.testing.assert_array_equal(found.predict(rows), plain.predict(X))


@pytest.mark.parametrize("gaps", GAPS)
def test_imputed_gaps_are_told_in_any_way(gaps):
    X = with_gaps(sample(120), 0.3)
    rows = GAPS[gaps](X)
    found, plain = (GaussianMixtureImputer(1).fit_transform(each) for each in (rows, X))
    np.testing.assert_array_equal(found, plain)
    mixture = fit(X)
    np.testing.assert_array_equal(mixture.impute(rows), mixture.impute(X))
    given = mixture.conditional(GAPS[gaps](np.array([1.0, np.nan, 0.5])))
    assert given.means_.shape == (2, 1)


def test_masks_of_other_types():
    X = np.round(4 * sample(120)).astype(int)
    hole = np.random.default_rng(1).random(X.shape) < 0.2
    plain = fit(np.where(hole, np.nan, X))
    assert_same(fit(np.ma.array(X, mask=hole)), plain, rtol=0)
    single = np.ma.array(X, mask=hole, dtype=np.float32)
    assert plain.predict_proba(single).dtype == np.float32
    whole = np.ma.array(X, mask=False)
    assert_same(fit(whole), fit(X), rtol=0)
    stream = GaussianMixture(2, random_state=0).partial_fit(np.ma.array(X, mask=hole))
    again = GaussianMixture(2, random_state=0).partial_fit(np.where(hole, np.nan, X))
    assert_same(stream, again, rtol=0)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        GaussianMixtureImputer(missing_values=-1).fit(np.ma.array(X, mask=hole))
    with pytest.raises(ValueError, match="contains NaN"):
        start = np.ma.array(X[:2], mask=[[1, 0, 0], [0, 0, 0]])
        GaussianMixture(2, means_init=start).fit(X)


def test_what_every_row_needs_is_not_masked():
    X, y = sample(120), np.ma.array(np.arange(120) % 2, mask=False)
    weight = np.ma.array(np.ones(120), mask=np.arange(120) == 7)
    plain = fit(X, sample_weight=np.ones(120))
    assert_same(fit(X, sample_weight=np.ma.array(weight.data)), plain, rtol=0)
    for estimator in ESTIMATORS:
        with pytest.raises(ValueError, match="Values of sample_weight are masked"):
            clone(estimator).fit(X, y, sample_weight=weight)
    y[3] = np.ma.masked
    for estimator in (MixtureDiscriminantAnalysis(1), GaussianMixtureRegressor(1)):
        with pytest.raises(ValueError, match="Values of y are masked, and every row"):
            estimator.fit(X, y)
    for estimator in (GaussianMixture(2), MixtureModel(2)):
        with pytest.raises(ValueError, match="Values of labels are masked"):
            estimator.fit(X, labels=y)
    with pytest.raises(ValueError, match="Values of labels are masked"):
        class_error(y, y)


@covariance_types
def test_files_are_read_as_arrays(covariance_type, tmp_path):
    X = with_gaps(sample())
    file = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    file[:] = X
    assert_same(fit(file, covariance_type), fit(X, covariance_type), rtol=0)


@covariance_types
def test_dask_is_memory(covariance_type):
    da = pytest.importorskip("dask.array")
    X = with_gaps(sample(200), 0.3)
    X[[5, 150]] = np.nan
    weight = np.random.default_rng(6).uniform(size=200)
    memory = fit(X, covariance_type, sample_weight=weight)
    lazy = da.from_array(X, chunks=(45, 3))
    model = fit(lazy, covariance_type, sample_weight=da.from_array(weight, chunks=45))
    assert_same(in_order(model), in_order(memory), rtol=1e-8, atol=1e-8)
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_allclose(
            getattr(memory, method)(lazy).compute(),
            getattr(memory, method)(X),
            rtol=1e-8,
            atol=1e-8,
        )
    np.testing.assert_allclose(model.bic(lazy), memory.bic(X), rtol=1e-10)
    if covariance_type == "full":
        unweighted, memory = fit(lazy), fit(X)
        assert_same(in_order(unweighted), in_order(memory), rtol=1e-8, atol=1e-8)


def test_blocks_are_of_no_effect(monkeypatch):
    X = with_gaps(sample(3000), 0.3)
    model = fit(X)
    monkeypatch.setattr(core_blocks, "BLOCK_BYTES", 1)
    assert_same(fit(X), model, rtol=1e-7, atol=1e-8)


# Every way to fit -------------------------------------------------------------------


# Each two of the three meet.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("covariance_type", "algorithm", "init_params"),
    [
        (covariance_type, algorithm, INIT_PARAMS[(i + j) % len(INIT_PARAMS)])
        for i, covariance_type in enumerate(TYPES)
        for j, algorithm in enumerate(["em", "squarem", "lbfgs"])
    ],
)
def test_every_start_and_solver_finds_the_clusters(
    covariance_type, algorithm, init_params
):
    X = with_gaps(sample())
    model = fit(
        X,
        covariance_type,
        algorithm=algorithm,
        init_params=init_params,
        n_init=3,
        tol=1e-4,
    )
    order = np.argsort(model.means_[:, 0])
    # Five standard errors of a mean of a hundred values.
    np.testing.assert_allclose(model.means_[order], [[0, 0, 0], [4, -3, 2]], atol=0.6)


@covariance_types
def test_a_warm_start_goes_on(covariance_type):
    X = with_gaps(sample())
    model = fit(X, covariance_type, warm_start=True, tol=1e-6)
    before = model.lower_bound_
    assert quietly(model.fit, X).n_iter_ <= 3
    np.testing.assert_allclose(model.lower_bound_, before, atol=1e-7)


@pytest.mark.slow
@covariance_types
def test_a_stream_finds_what_a_fit_does(covariance_type):
    X = with_gaps(sample(4000), 0.3)
    X[::50] = np.nan
    model = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    for batch in np.array_split(X, 20):
        model.partial_fit(batch)
    expected = fit(X, covariance_type)
    order = np.argsort(model.means_[:, 0])
    other = np.argsort(expected.means_[:, 0])
    # A few standard errors, 1/√1400 each, of what the last batches weigh.
    np.testing.assert_allclose(model.means_[order], expected.means_[other], atol=0.15)


def test_a_stream_waits_for_a_value_of_every_feature():
    X = sample(1000)
    X[:100, 2] = np.nan
    model = GaussianMixture(2, random_state=0)
    model.partial_fit(X[:100])
    assert not hasattr(model, "means_")
    assert hasattr(model.partial_fit(X[100:200]), "means_")
    before = model.means_
    assert model.partial_fit(np.full((5, 3), np.nan)).means_ is before
    hopeless = GaussianMixture(2, random_state=0)
    gap = np.column_stack([X[:, :2], np.full(1000, np.nan)])
    with pytest.raises(ValueError, match="Feature 2 of X has no value at all"):
        hopeless.partial_fit(gap)


@pytest.mark.parametrize("K", [1, 2])
def test_what_is_never_there_together_is_still_fitted(K):
    X = sample()
    X[::2, 0] = X[1::2, 1] = np.nan
    model = fit(X, "full", K)
    assert np.isfinite(model.covariances_).all()
    assert np.isfinite(model.score_samples(X)).all()


def test_fewer_values_than_components_of_a_feature():
    X = sample()
    X[1:, 2] = np.nan
    model = GaussianMixture(2, random_state=0).fit(X)
    assert np.isfinite(model.covariances_).all()


@covariance_types
def test_shared_values_are_shared_by_what_is_there(covariance_type):
    """Whole numbers with gaps: no component is on a spike."""
    X = with_gaps(np.round(2 * sample()))
    model = fit(X, covariance_type)
    assert model.lower_bound_ == pytest.approx(model.score(X))
    diagonals = np.diagonal(dense(model), axis1=1, axis2=2)
    # Sheppard's variance of a step of one.
    assert (diagonals > 0.9 / 12).all()


@pytest.mark.slow
def test_selection_finds_the_clusters():
    X = with_gaps(sample())
    X[7] = np.nan
    found = GaussianMixtureIC(range(1, 4), random_state=0).fit(X)
    assert found.best_estimator_.n_components == 2
    best = found.best_index_
    np.testing.assert_allclose(
        found.results_["bic"][best], found.best_estimator_.bic(X)
    )
    assert get_tags(found).input_tags.allow_nan


def nasty_data():
    """Name -> (X, number of components), with a fifth of the cells missing."""
    rng = np.random.default_rng(2)
    X = sample(120)
    cases = {
        "shift 1e8": (X + 1e8, 2),
        "shift -1e12": (X - 1e12, 2),
        "scale 1e-8": (X * 1e-8, 2),
        "scale 1e150": (X * 1e150, 2),
        "scale 1e-300": (X * 1e-300, 2),
        "an extreme scale per column": (X * [1e-150, 1, 1e150], 2),
        "all rows equal": (0 * X + 0.1, 2),
        "constant column": (np.column_stack([X, 0 * X[:, 0] + 1e8]), 2),
        "outlier": (np.vstack([X, [1e20, -1e20, 1e20]]), 2),
        "outlying cell": (np.vstack([X, [1e160, 0, 0]]), 2),
        "duplicates": (np.repeat(X[:10], 15, axis=0), 3),
        "collinear columns": (np.column_stack([X, X.sum(axis=1)]), 3),
        "nearly collinear": (np.column_stack([X, X[:, 0] + 1e-9 * X[:, 1]]), 3),
        "repeated column in other units": (np.column_stack([X, 1e6 * X[:, 0]]), 3),
        "n < d": (rng.normal(size=(20, 40)), 3),
        "n = K": (rng.normal(size=(8, 3)), 8),
        "K > distinct rows": (np.repeat(X[:3], 5, axis=0), 7),
        "whole numbers": (np.round(X), 3),
        "bits": ((X > 0).astype(float), 4),
        "Cauchy cubed": (rng.standard_cauchy((200, 2)) ** 3, 4),
        "float32 shift 1e4": ((X + 1e4).astype(np.float32), 2),
        "float32 scale 1e20": ((X * 1e20).astype(np.float32), 2),
        "clusters 1e10 apart": (np.vstack([X, X + 1e10]), 2),
        "two rows": (np.array([[0.0, 1.0, 3.0], [2.0, 3.0, 1.0]]), 2),
    }
    for name, (data, K) in cases.items():
        gapped = with_gaps(data, 0.2, 3)
        empty = np.isnan(gapped).all(axis=0)
        gapped[0, empty] = data[0, empty]
        yield name, gapped, K


NASTY = list(nasty_data())


# Structures take turns.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("X", "K", "covariance_type"),
    [
        pytest.param(X, K, each, id=f"{name}-{each}")
        for name, X, K in NASTY
        for each in TYPES
    ],
)
def test_nasty_data_with_gaps(X, K, covariance_type):
    model = fit(X, covariance_type, K, n_init=1)
    for values in (
        model.weights_,
        model.means_,
        model.covariances_,
        model.precisions_cholesky_,
        model.score_samples(X),
        model.component_log_density(X),
    ):
        assert np.isfinite(values).all()
    resp = model.predict_proba(X)
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X), resp.argmax(axis=1))
    assert np.isfinite(model.lower_bound_)


# Errors -----------------------------------------------------------------------------


def test_a_feature_without_a_value_is_named():
    X = sample()
    X[:, 1] = np.nan
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    weight = np.ones(len(X))
    late = sample()
    late[1:, 1] = np.nan
    weight[0] = 0
    before = GaussianMixture(2)
    for data, own, name in [
        (X, None, "1"),
        (table, None, r"1 \('b'\)"),
        (late, weight, "1"),
    ]:
        with pytest.raises(ValueError, match=f"Feature {name} of X has no value at"):
            before.fit(data, sample_weight=own)
    assert not hasattr(before, "n_features_in_")
    with pytest.raises(ValueError, match=r"Feature 1 \('b'\) of X has no value"):
        GaussianMixtureIC(range(1, 3)).fit(table)
    with pytest.raises(ValueError, match="Feature 1 of X has no value"):
        bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=1)
    with pytest.raises(ValueError, match="Every row of X is without a value"):
        GaussianMixture().fit(np.full((5, 2), np.nan))


def test_rows_without_a_value_are_no_samples():
    X = sample(10)
    X[2:] = np.nan
    with pytest.raises(ValueError, match="n_components = 3, n_samples = 2"):
        GaussianMixture(3).fit(X)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_not_missing(value):
    X = with_gaps(sample())
    X[5, 1] = value
    message = r"Input X contains infinity .*, in column 1"
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2).fit(X)
    with pytest.raises(ValueError, match=message):
        fit(sample()).predict(X)


def test_gaps_are_said_to_be_allowed():
    assert get_tags(GaussianMixture()).input_tags.allow_nan


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("estimator", [GaussianMixture, BayesianGaussianMixture])
def test_a_warm_start_far_from_the_data_starts_anew(estimator, covariance_type, rng):
    """What fills gaps was of a variance that overflows in units of the other rows."""
    X = rng.normal(size=(100, 3))
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    X[0] = [1e300, np.nan, 0]
    mixture = estimator(1, covariance_type=covariance_type, random_state=0)
    warm = clone(mixture).set_params(warm_start=True).fit(X).fit(X[1:])
    np.testing.assert_allclose(warm.means_, mixture.fit(X[1:]).means_, rtol=1e-3)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        strict = {"warm_start": True, "reg_covar": 0.0}
        GaussianMixture(1, **strict).fit(X[1:]).fit(np.ones((5, 3)))
