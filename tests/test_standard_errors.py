"""Standard errors against the definition, and against what is known of them."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    MixtureModel,
    StandardErrors,
    StudentMixture,
)
from skem.core.blocks import arrays as blocks_module
from skem.core.gaussian.covariance import STRUCTURES
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

K, d = 3, 2
METHODS = ["sandwich", "hessian", "opg"]
# Positions of the free entries of a covariance in arrays of its shape.
FREE = {
    "full": [(k, i, j) for k in range(K) for i in range(d) for j in range(i, d)],
    "tied": [(i, j) for i in range(d) for j in range(i, d)],
    "diag": list(itertools.product(range(K), range(d))),
    "spherical": [(k,) for k in range(K)],
}


@pytest.fixture
def mixture(structure, make_mixture):
    return fitted(make_mixture(structure, K, d), structure)


@pytest.fixture
def X(mixture):
    return mixture.sample(300, random_state=0)[0]


def fitted(mixture, structure):
    weights, means = mixture.parameters.weights, mixture.parameters.means
    return GaussianMixture.from_parameters(
        weights, means, mixture.covariances, structure.name
    )


def moved(mixture, weights, means, covariances):
    return GaussianMixture.from_parameters(
        weights, means, covariances, mixture.covariance_type
    )


def assert_same(found, expected, rtol):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol)


def log_density(X, weights, means, covariances):
    joint = [
        np.log(weight) + stats.multivariate_normal(mean, covariance).logpdf(X)
        for weight, mean, covariance in zip(weights, means, covariances, strict=True)
    ]
    return logsumexp(joint, axis=0)


def by_definition(mixture, X, dense, method="opg"):
    """Invert numerical derivatives in the public parameters."""
    structure = STRUCTURES[mixture.covariance_type]
    free = FREE[structure.name]

    def unpack(vector):
        weights = np.append(vector[: K - 1], 1 - vector[: K - 1].sum())
        means = vector[K - 1 : K - 1 + K * d].reshape(K, d)
        covariances = np.empty_like(mixture.covariances_)
        for index, value in zip(free, vector[K - 1 + K * d :], strict=True):
            covariances[index] = value
            if structure.matrices:
                covariances[(*index[:-2], index[-1], index[-2])] = value
        return weights, means, covariances

    vector = np.concatenate(
        [
            mixture.weights_[:-1],
            mixture.means_.ravel(),
            [mixture.covariances_[index] for index in free],
        ]
    )

    def log_likelihoods(vector):
        weights, means, covariances = unpack(vector)
        return log_density(X, weights, means, dense(structure, covariances, K, d))

    def scores_at(vector, h):
        scores = [
            log_likelihoods(vector + step) - log_likelihoods(vector - step)
            for step in h * np.eye(len(vector))
        ]
        return np.array(scores) / (2 * h)

    scores = scores_at(vector, 1e-5)
    outer = scores @ scores.T
    if method == "opg":
        inverse = np.linalg.inv(outer)
    else:
        h = 1e-4
        observed = [
            (scores_at(vector - step, h) - scores_at(vector + step, h)).sum(axis=1)
            for step in h * np.eye(len(vector))
        ]
        hessian = np.linalg.inv(np.array(observed) / (2 * h))
        inverse = hessian @ outer @ hessian
    errors = np.sqrt(np.diagonal(inverse))
    weights, means, covariances = unpack(errors)
    weights[-1] = np.sqrt(inverse[: K - 1, : K - 1].sum())
    return weights, means, covariances


def test_errors_are_those_of_the_definition(mixture, X, dense):
    # Central differences with steps of 1e-5 are good to about 1e-8.
    expected = by_definition(mixture, X, dense)
    assert_same(mixture.standard_errors(X, method="opg"), expected, rtol=1e-6)


def at_maximum(mixture, X, **params):
    """Return the mixture of highest likelihood near another."""
    start = moved(mixture, mixture.weights_, mixture.means_, mixture.covariances_)
    params = {"warm_start": True, "reg_covar": 0.0, "tol": 1e-10, **params}
    return start.set_params(**params).fit(X)


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_definition(mixture, X, dense):
    # Away from the maximum they would depend on the coordinates.
    mixture = at_maximum(mixture, X)
    expected = by_definition(mixture, X, dense, "sandwich")
    # Second differences with steps of 1e-4 are rounded to 1e-16 of 1e3 over 1e-8.
    assert_same(mixture.standard_errors(X, method="sandwich"), expected, rtol=1e-4)


def test_default_is_the_sandwich(mixture, X):
    expected = mixture.standard_errors(X, method="sandwich")
    assert_same(mixture.standard_errors(X), expected, rtol=0)


FAITHFUL = {
    # Weight of long eruptions; their mean, short ones' mean; the same of covariances.
    "opg": "0.0290834555 0.0334949290 0.471313491 0.0349457599 0.628464588"
    " 0.0211238561 0.186791069 4.09089787 0.0107409674 0.179836802 5.77754448",
    "hessian": "0.0290891095 0.0314031146 0.456185725 0.0271083519 0.591873776"
    " 0.0188718760 0.210417773 3.92514317 0.0105749633 0.166001694 4.85472281",
    "sandwich": "0.0291025502 0.0319424054 0.460848292 0.0284284113 0.596649299"
    " 0.0188468654 0.252994368 4.11082719 0.0138997486 0.168180412 4.31474660",
    "jackknife": "0.0291909146 0.0320613607 0.462492956 0.0288881275 0.601716826"
    " 0.0190603694 0.255596434 4.14941694 0.0143377189 0.170212921 4.39491485",
    "bootstrap": "0.0289431953 0.0333922917 0.475947930 0.0283107201 0.589806794"
    " 0.0205278475 0.273692300 4.45640472 0.0151342261 0.180745929 4.14486391",
}
"""Found with programs that share no code with this one, for the maximum likelihood
estimate of Old Faithful: the jackknife with scikit-learn's fits, run on to 1e-13, and
the bootstrap, of 1000 weightings, in R."""


@pytest.fixture(scope="module")
def faithful():
    X = load_faithful().data
    mixture = GaussianMixture(2, reg_covar=0.0, tol=1e-10, random_state=0).fit(X)
    return mixture, X


def errors_of_faithful(faithful, method, **params):
    mixture, X = faithful
    errors = mixture.standard_errors(X, method=method, **params)
    order = np.argsort(-mixture.means_[:, 0])
    triangle = errors.covariances[order][:, [0, 0, 1], [0, 1, 1]]
    return np.concatenate(
        [errors.weights[:1], errors.means[order].ravel(), triangle.ravel()]
    )


@pytest.mark.parametrize("method", ["sandwich", "hessian", "opg"])
def test_old_faithful_has_the_errors_that_others_find(method, faithful):
    found = errors_of_faithful(faithful, method)
    # The others' derivatives are numerical, and good to better than 1e-6.
    np.testing.assert_allclose(found, np.fromstring(FAITHFUL[method], sep=" "), 1e-5)


def test_sandwich_is_near_the_jackknife(faithful):
    found = errors_of_faithful(faithful, "sandwich")
    # They agree to first order in 1/n; what is left is 3.1 % on 272 rows.
    np.testing.assert_allclose(
        found, np.fromstring(FAITHFUL["jackknife"], sep=" "), 0.035
    )


@pytest.mark.slow
def test_bootstrap_agrees_with_that_of_others(faithful):
    found = errors_of_faithful(faithful, "bootstrap", n_boot=200, random_state=0)
    # Five standard errors of 5 %, were the replicates normal.
    np.testing.assert_allclose(
        found, np.fromstring(FAITHFUL["bootstrap"], sep=" "), 0.25
    )


@pytest.mark.slow
def test_bootstrap_does_not_depend_on_processes_and_depends_on_the_seed(mixture, X):
    def errors(**params):
        return mixture.standard_errors(X, method="bootstrap", n_boot=4, **params)

    first = errors(random_state=1)
    assert_same(errors(random_state=1, n_jobs=2), first, rtol=1e-9)
    assert (errors(random_state=2).means != first.means).all()


def test_bootstrap_leaves_the_mixture_alone(mixture, X):
    before = {name: np.copy(value) for name, value in vars(mixture).items()}
    mixture.standard_errors(X, method="bootstrap", n_boot=2, random_state=0)
    assert vars(mixture).keys() == before.keys()
    for name, value in vars(mixture).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.slow
def test_bootstrap_counts_weights_as_rows(rng):
    X = rng.standard_normal((60, 2))
    mixture = GaussianMixture(1).fit(X)
    found = mixture.standard_errors(
        X, np.full(60, 4), method="bootstrap", n_boot=100, random_state=0
    )
    # Of 240 rows in fours; five standard errors of 7 %.
    expected = mixture.standard_errors(X, np.full(60, 4))
    np.testing.assert_allclose(found.means, expected.means, rtol=0.35)


def test_bootstrap_of_one_component_is_that_of_weighted_means(rng):
    """Rows have weights of gamma variables, and their standard deviation one degree."""
    X, weight = rng.normal(size=(30, 1)), rng.integers(1, 5, size=30)
    mixture = GaussianMixture(1).fit(X, sample_weight=weight)
    errors = mixture.standard_errors(
        X, weight, method="bootstrap", n_boot=3, random_state=0
    )
    means = []
    for seed in np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=3):
        drawn = np.random.RandomState(seed).standard_gamma(weight)
        means.append(np.average(X[:, 0], weights=drawn))
    assert errors.means[0, 0] == pytest.approx(np.std(means, ddof=1), rel=1e-6)


def test_refits_of_the_bootstrap_start_from_the_mixture_and_say_nothing(rng, capsys):
    """Whatever the order of components, and also if they do not converge."""
    X = rng.normal(size=(60, 1)) + 9 * (np.arange(60) < 30)[:, None]
    for means in ([[0], [9]], [[9], [0]]):
        mixture = GaussianMixture(2, means_init=means, max_iter=1, tol=0, verbose=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixture.fit(X).set_params(means_init=None, random_state=0)
        capsys.readouterr()
        errors = mixture.standard_errors(
            X, method="bootstrap", n_boot=20, random_state=0
        )
        assert capsys.readouterr().out == ""
        expected = np.sqrt(1 / (60 * mixture.weights_))
        np.testing.assert_allclose(errors.means[:, 0], expected, rtol=0.6)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_bootstrap_tells_nothing_of_a_component_without_data(covariance_type, rng):
    covariances = (
        np.eye(2) if covariance_type == "tied" else np.tile(np.eye(2), (2, 1, 1))
    )
    mixture = GaussianMixture.from_parameters(
        [1, 0], [[0, 0], [99, 99]], covariances, covariance_type
    )
    errors = mixture.standard_errors(
        rng.normal(size=(50, 2)), method="bootstrap", n_boot=3, random_state=0
    )
    assert np.isinf(errors.means).tolist() == [[False] * 2, [True] * 2]
    known = np.isfinite(errors.covariances)
    assert known.all() if covariance_type == "tied" else known[0].all()
    assert covariance_type == "tied" or not known[1].any()


def test_shapes(mixture, X):
    errors = mixture.standard_errors(X)
    assert errors.weights.shape == mixture.weights_.shape
    assert errors.means.shape == mixture.means_.shape
    assert errors.covariances.shape == mixture.covariances_.shape


def test_one_component_has_the_errors_of_a_gaussian_sample(structure, rng):
    n, sd = 40_000, 3.0
    X = rng.normal(5, sd, (n, 2))
    mixture = GaussianMixture(1, covariance_type=structure.name).fit(X)
    weights, means, covariances = mixture.standard_errors(X)
    assert weights.tolist() == [0.0]
    # The fourth power of a normal variable has a mean with a standard error of 2 % at
    # this size, of which the root has half.
    np.testing.assert_allclose(means, sd / np.sqrt(n), rtol=0.03)
    # A variance that two features share has twice the data.
    samples = n if structure.scales_features else 2 * n
    variance = sd**2 * np.sqrt(2 / samples)
    if structure.matrices:
        covariance = sd**2 / np.sqrt(n)
        expected = [[variance, covariance], [covariance, variance]]
    else:
        expected = variance
    np.testing.assert_allclose(
        covariances, np.broadcast_to(expected, covariances.shape), rtol=0.03
    )


def test_one_component_has_the_errors_of_its_moments(rng):
    X = rng.gamma(2.0, size=(50, 1))
    mixture = GaussianMixture(1, reg_covar=0.0).fit(X)
    n, centred = len(X), X - X.mean()
    variance, fourth = np.mean(centred**2), np.mean(centred**4)
    expected = {
        "hessian": (np.sqrt(variance / n), variance * np.sqrt(2 / n)),
        "sandwich": (np.sqrt(variance / n), np.sqrt((fourth - variance**2) / n)),
    }
    for method, (of_mean, of_variance) in expected.items():
        errors = mixture.standard_errors(X, method=method)
        np.testing.assert_allclose(errors.means, [[of_mean]], rtol=1e-9)
        np.testing.assert_allclose(errors.covariances, [[[of_variance]]], rtol=1e-9)


def test_weights_of_separate_components_are_binomial(rng):
    labels = np.repeat([0, 1], [300, 700])
    X = 100 * labels[:, None] + rng.standard_normal((1000, 1))
    mixture = GaussianMixture(2, random_state=0).fit(X)
    # The penalty, in units of ε/n, moves covariances and thus what is known of weights.
    np.testing.assert_allclose(
        mixture.standard_errors(X).weights, np.sqrt(0.3 * 0.7 / 1000), rtol=5e-3
    )


def test_order_of_components_does_not_matter(mixture, X):
    order = [2, 0, 1]
    covariances = mixture.covariances_
    shared = STRUCTURES[mixture.covariance_type].shared
    other = moved(
        mixture,
        mixture.weights_[order],
        mixture.means_[order],
        covariances if shared else covariances[order],
    )
    errors = mixture.standard_errors(X)
    expected = [
        errors.weights[order],
        errors.means[order],
        errors.covariances if shared else errors.covariances[order],
    ]
    assert_same(other.standard_errors(X), expected, rtol=1e-9)


@pytest.mark.each_value
@pytest.mark.parametrize(
    ("scale", "shift"), [(1e-8, 0.0), (1e8, 0.0), (1e100, 0.0), (2.0, 1e6)]
)
def test_errors_scale_with_the_data(scale, shift, mixture, X):
    other = moved(
        mixture,
        mixture.weights_,
        scale * mixture.means_ + shift,
        scale**2 * mixture.covariances_,
    )
    errors = mixture.standard_errors(X)
    expected = [errors.weights, scale * errors.means, scale**2 * errors.covariances]
    # A shift of 1e6 rounds the data to 1e-10.
    rtol = 1e-8 if shift else 1e-10
    assert_same(other.standard_errors(scale * X + shift), expected, rtol=rtol)


@pytest.mark.parametrize("method", METHODS)
def test_integer_weights_are_repeated_rows(method, mixture, X, rng):
    counts = rng.integers(0, 4, len(X))
    weighted = mixture.standard_errors(X, sample_weight=counts, method=method)
    repeated = mixture.standard_errors(np.repeat(X, counts, 0), method=method)
    assert_same(weighted, repeated, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_weights_of_any_magnitude(factor, mixture, X):
    errors = mixture.standard_errors(X)
    found = mixture.standard_errors(X, sample_weight=np.full(len(X), factor))
    assert_same(found, [e / np.sqrt(factor) for e in errors], rtol=1e-10)


@pytest.mark.each_value
@pytest.mark.parametrize("method", METHODS)
def test_blocks_do_not_matter(method, mixture, X, monkeypatch):
    whole = mixture.standard_errors(X, method=method)
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 7)
    assert_same(mixture.standard_errors(X, method=method), whole, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:Some standard errors are not finite")
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.bool_])
def test_other_types_give_what_float64_gives(dtype, mixture, X):
    X = (4 * X).astype(dtype)
    expected = mixture.standard_errors(X.astype(float))
    assert_same(mixture.standard_errors(X), expected, rtol=1e-12)


def test_nothing_is_known_of_a_component_without_data(mixture, X):
    shared = STRUCTURES[mixture.covariance_type].shared
    covariances = mixture.covariances_
    other = moved(
        mixture,
        np.append(mixture.weights_, 0.0),
        np.vstack([mixture.means_, [[50.0, 50.0]]]),
        covariances if shared else np.concatenate([covariances, covariances[:1]]),
    )
    weights, means, covariances = other.standard_errors(X)
    assert weights[-1] == 0
    assert np.isinf(means[-1]).all()
    expected = mixture.standard_errors(X)
    np.testing.assert_allclose(weights[:K], expected.weights, rtol=1e-9)
    np.testing.assert_allclose(means[:K], expected.means, rtol=1e-9)
    if shared:
        np.testing.assert_allclose(covariances, expected.covariances, rtol=1e-9)
    else:
        np.testing.assert_allclose(covariances[:K], expected.covariances, rtol=1e-9)
        assert np.isinf(covariances[-1]).all()


def test_fewer_rows_than_parameters_leave_errors_infinite(mixture, X):
    with pytest.warns(UserWarning, match=r"components \[0, 1(, 2)?\] have fewer rows"):
        errors = mixture.standard_errors(X[:3])
    for values in errors:
        assert not np.isnan(values).any()
    assert np.isinf(errors.means).any()


@pytest.mark.each_pair
@pytest.mark.parametrize("far", [1e20, 1e160, 1.7e308])
@pytest.mark.parametrize("method", METHODS)
def test_far_rows_do_not_break_anything(method, far, mixture, X):
    rows = np.vstack([X, [[far, -far]]])
    for values in mixture.standard_errors(rows, method=method):
        assert not np.isnan(values).any()


@pytest.mark.parametrize("far", [1e3, 1e6, 1e20])
def test_far_rows_have_certain_labels(far, mixture, X):
    # With one label for certain, a row tells as much as one of complete data, so that
    # it adds to the information: rounding of its large squares must not take away.
    before = mixture.standard_errors(X, method="hessian")
    after = mixture.standard_errors(np.vstack([X, [[far, far]]]), method="hessian")
    for old, new in zip(before, after, strict=True):
        assert (new <= old * (1 + 1e-9)).all()


def asked(mixture, X, method):
    """Return the errors, and what is said of few rows."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        errors = mixture.standard_errors(X, method=method)
    few = [each for each in caught if "not finite" in str(each.message)]
    assert all(each.filename == __file__ for each in few)
    return errors, [str(each.message) for each in few]


@pytest.mark.parametrize(
    "kind", [GaussianMixture, StudentMixture, MixtureModel, GaussianMixtureIC]
)
def test_errors_of_few_rows_are_told_with_what_to_take(kind):
    """All errors were infinite, and nothing was said."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((70, 4)) + 30 * (np.arange(70) < 60)[:, None]
    mixture = kind(n_components=2, random_state=0)
    if kind is GaussianMixtureIC:
        mixture.set_params(n_components=(2,), covariance_type="full")
    mixture = mixture.fit(X)
    scarce = int(np.argmin(mixture.weights_))
    # A mixture of a table has errors by the sandwich.
    for method in ("opg",) if kind is MixtureModel else ("sandwich", "opg"):
        _, (text,) = asked(mixture, X, method)
        assert f"components [{scarce}] have fewer rows than parameters" in text
        assert "Take method='hessian'" in text
    errors, none = asked(mixture, X, "hessian")
    assert not none and np.isfinite(errors.weights).all()


def test_errors_that_no_method_has_are_not_told():
    X = np.random.default_rng(0).standard_normal((70, 1))
    empty = GaussianMixture.from_parameters(
        [1.0, 0.0], [[0.0], [9.0]], [1.0, 1.0], "spherical"
    )
    errors, none = asked(empty, X, "sandwich")
    assert np.isinf(errors.means[1]).all() and not none


@pytest.mark.parametrize("kind", [GaussianMixture, MixtureModel])
def test_fewer_rows_than_parameters_in_all_are_told(kind):
    X = np.random.default_rng(0).standard_normal((40, 7))
    X[20:] += 50
    mixture = kind(2, covariance_type="tied", random_state=0).fit(X)
    _, (text,) = asked(mixture, X, "opg")
    assert "there are 40 rows for 43 parameters" in text


@pytest.mark.filterwarnings("ignore:Some standard errors are not finite")
@pytest.mark.each_value
@pytest.mark.parametrize(
    "degenerate",
    [
        np.ones((20, 2)),
        np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0),
        np.column_stack([np.arange(20.0), np.ones(20)]),
        np.column_stack([np.arange(20.0), 2 * np.arange(20.0)]),
        np.vstack([np.random.default_rng(0).standard_normal((20, 2)), [[1e160, 0]]]),
        1e160 * np.random.default_rng(0).standard_normal((20, 2)),
        1e-160 * np.random.default_rng(0).standard_normal((20, 2)),
    ],
    ids=["constant", "duplicates", "constant column", "line", "far", "huge", "tiny"],
)
def test_degenerate_data_have_errors_that_are_numbers(degenerate, structure):
    mixture = GaussianMixture(
        3, covariance_type=structure.name, random_state=0, tol=1.0
    ).fit(degenerate)
    for method in METHODS:
        errors = mixture.standard_errors(degenerate, method=method)
        for values in errors:
            assert not np.isnan(values).any()
            assert (values >= 0).all()
        for interval in errors.confidence_interval():
            assert (interval.lower <= interval.upper).all()


def test_bad_input_is_refused(mixture, X):
    with pytest.raises(ValueError, match="features"):
        mixture.standard_errors(X[:, :1])
    with pytest.raises(ValueError, match="Negative values"):
        mixture.standard_errors(X, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="'method' parameter of GaussianMixture"):
        mixture.standard_errors(X, method="jackknife")
    with pytest.raises(ValueError, match="'n_boot' parameter of GaussianMixture"):
        mixture.standard_errors(X, method="bootstrap", n_boot=1)


def test_without_a_maximum_errors_are_infinite():
    # Halfway between two clusters, equal components are at a saddle point.
    X = np.array([-3.0, -2.5, -2.0, 2.0, 2.5, 3.0])[:, None]
    saddle = GaussianMixture.from_parameters(
        [0.5, 0.5], [[-0.1], [0.1]], [X.var()] * 2, "spherical"
    )
    for method in ("sandwich", "hessian"):
        errors = saddle.standard_errors(X, method=method)
        assert np.isinf(errors.means).all()


def test_errors_are_a_tuple_of_three(mixture, X):
    errors = mixture.standard_errors(X)
    weights, means, covariances = errors
    assert len(tuple(errors)) == 3
    assert weights is errors.weights
    assert means is errors.means
    assert covariances is errors.covariances
    for copied in (pickle.loads(pickle.dumps(errors)), copy.deepcopy(errors)):
        assert_same(copied, errors, rtol=0)
        for one, other in zip(
            copied.confidence_interval(), errors.confidence_interval(), strict=True
        ):
            assert_same(one, other, rtol=0)


def test_intervals_are_wilsons_or_normal_on_scales_of_their_own(mixture, X):
    errors = mixture.standard_errors(X)
    intervals = errors.confidence_interval(0.9)
    z = stats.norm.ppf(0.95)
    w = mixture.weights_
    known = np.isfinite(errors.weights)
    for end, sign in zip(intervals.weights, (-1, 1), strict=True):
        np.testing.assert_array_equal(end[~known], sign > 0)
        # √(p(1 − p)/n) at the end, with n by the error of the estimate.
        own = errors.weights[known] * np.sqrt((end * (1 - end) / (w * (1 - w)))[known])
        np.testing.assert_allclose((end - w)[known], sign * z * own, rtol=1e-9)
    for end, sign in zip(intervals.means, (-1, 1), strict=True):
        np.testing.assert_allclose(end, mixture.means_ + sign * z * errors.means)
    matrices = STRUCTURES[mixture.covariance_type].matrices
    covariances = mixture.covariances_
    for end, sign in zip(intervals.covariances, (-1, 1), strict=True):
        plain = covariances + sign * z * errors.covariances
        relative = errors.covariances / covariances
        positive = covariances * np.exp(sign * z * relative)
        expected = np.where(np.eye(d), positive, plain) if matrices else positive
        np.testing.assert_allclose(end, expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Some standard errors are not finite")
def test_intervals_of_what_is_not_known_are_the_whole_range(mixture, X):
    intervals = mixture.standard_errors(X[:3]).confidence_interval()
    assert np.isin([-np.inf, np.inf], intervals.means).all()
    assert (intervals.weights.lower >= 0).all()
    assert (intervals.weights.upper <= 1).all()
    matrices = STRUCTURES[mixture.covariance_type].matrices
    lower = intervals.covariances.lower
    variances = lower[..., [0, 1], [0, 1]] if matrices else lower
    assert (variances >= 0).all()


def test_the_weight_of_one_component_has_an_interval_of_one_point(rng):
    X = rng.standard_normal((20, 1))
    interval = GaussianMixture(1).fit(X).standard_errors(X).confidence_interval()
    assert interval.weights.lower == interval.weights.upper == 1


@pytest.mark.each_value
@pytest.mark.parametrize("level", [0, 1, -0.1, 95])
def test_bad_levels_are_refused(level, mixture, X):
    with pytest.raises(ValueError, match="between 0 and 1"):
        mixture.standard_errors(X).confidence_interval(level)


def test_errors_made_by_hand_have_no_intervals():
    errors = StandardErrors(np.ones(1), np.ones((1, 1)), np.ones(1))
    with pytest.raises(ValueError, match="no estimates"):
        errors.confidence_interval()
