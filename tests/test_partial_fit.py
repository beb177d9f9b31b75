"""A stream of batches through the public estimator."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

from skem import BayesianGaussianMixture, GaussianMixture, MixtureModel, StudentMixture
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.widths import find_ties
from skem.core.mixture.em import EMMap
from skem.core.mixture.late import with_late_widths
from skem.core.mixture.scale import one_component
from skem.core.mixture.stream import START_ROWS_PER_COMPONENT, Forgetting
from skem.exceptions import DegenerateComponentsWarning

pytestmark = pytest.mark.usefixtures("short_search")

TYPES = ["full", "tied", "diag", "spherical"]
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
CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 8.0]])
K = len(CENTRES)


def sample(n, rng, shift=0.0):
    """Rows of unit clusters, of weights ½, ¼ and ¼."""
    labels = rng.choice(K, size=n, p=[0.5, 0.25, 0.25])
    return CENTRES[labels] + rng.normal(size=(n, 2)) + shift


def feed(mixture, X, size, weight=None):
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        mixture.partial_fit(
            X[part], sample_weight=None if weight is None else weight[part]
        )
    return mixture


def mixture(covariance_type="full", n_components=K, **params):
    return GaussianMixture(
        n_components, covariance_type=covariance_type, random_state=0, **params
    )


def attributes(fitted):
    names = "weights_ means_ covariances_ precisions_ precisions_cholesky_ lower_bound_"
    return {name: np.array(getattr(fitted, name)) for name in names.split()}


def assert_same(a, b):
    for name, value in attributes(a).items():
        np.testing.assert_array_equal(value, attributes(b)[name], err_msg=name)


def in_order(fitted):
    """Weights and means, components in the order of `CENTRES`."""
    order = np.argsort(fitted.means_ @ [1, 2])
    return np.column_stack([fitted.weights_, fitted.means_])[order]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@covariance_types
def test_first_batch_is_fitted_as_fit_would(covariance_type, rng):
    X = sample(300, rng)
    ours = mixture(covariance_type).partial_fit(X)
    assert_same(ours, mixture(covariance_type).fit(X))


@pytest.mark.slow
@covariance_types
def test_one_pass_comes_close_to_the_batch_fit(covariance_type, rng):
    X, held_out = sample(20_000, rng), sample(5_000, rng)
    streamed = feed(mixture(covariance_type), X, 500)
    whole = mixture(covariance_type).fit(X)
    # A hundredth of a nat: statistics of a few thousand rows, where the whole has
    # 20 000, cost p/2n ≈ 0.002 nats in the mean.
    assert streamed.score(held_out) == pytest.approx(whole.score(held_out), abs=0.01)
    assert streamed.score(held_out) > mixture(covariance_type).fit(X[:30]).score(
        held_out
    )


@pytest.mark.slow
@covariance_types
def test_result_hardly_depends_on_the_size_of_the_batches(covariance_type, rng):
    X = sample(2_000, rng)
    reference = in_order(feed(mixture(covariance_type), X, 100))
    for size in (30, 500, 1000):
        found = in_order(feed(mixture(covariance_type), X, size))
        # The means' standard error is 0.05 to 0.1; starts have 450 to 1000 rows.
        np.testing.assert_allclose(found, reference, atol=0.06)


@covariance_types
def test_batches_of_one_row(covariance_type, rng):
    X = sample(500, rng)
    streamed = feed(mixture(covariance_type), X, 1)
    expected = np.column_stack([[0.5, 0.25, 0.25], CENTRES])
    # Four standard errors of the means of at least 50 rows.
    np.testing.assert_allclose(in_order(streamed), expected, atol=0.6)
    assert streamed.n_iter_ >= 500 - START_ROWS_PER_COMPONENT * K > 0


def test_without_forgetting_one_component_has_the_moments_of_all_rows(rng):
    X, weight = sample(700, rng), rng.integers(0, 3, size=700).astype(float)
    streamed = mixture(n_components=1, learning_decay=1.0, reg_covar=0.0)
    feed(streamed, X, 100, weight)
    # Rounding of a few hundred sums.
    np.testing.assert_allclose(
        streamed.means_[0], np.average(X, axis=0, weights=weight), rtol=1e-12
    )
    expected = np.cov(X.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(streamed.covariances_[0], expected, rtol=1e-12)


@pytest.mark.parametrize("learning_decay", [0.6, 1.0])
def test_stream_goes_on_from_a_fit_that_counts_by_its_rows(learning_decay, rng):
    X, more = sample(900, rng), sample(100, rng, shift=1.0)
    streamed = mixture(n_components=1, learning_decay=learning_decay)
    streamed.fit(X).partial_fit(more)
    # One batch of a ninth of the size: a tenth of all rows, or a little more.
    step = Forgetting(learning_decay, np.inf).step(1.0, 1 / 9)
    assert 0.1 - 1e-12 <= step < 0.11
    expected = (1 - step) * X.mean(axis=0) + step * more.mean(axis=0)
    np.testing.assert_allclose(streamed.means_[0], expected, rtol=1e-10)


@covariance_types
def test_integer_weights_are_repeated_rows(covariance_type, rng):
    X, weight = sample(2_100, rng), rng.integers(0, 3, size=2_100)
    start = {"means_init": CENTRES, "tol": 1e-9}
    weighted, repeated = (mixture(covariance_type, **start) for _ in range(2))
    for part in np.split(np.arange(2_100), 3):
        weighted.partial_fit(X[part], sample_weight=weight[part])
        repeated.partial_fit(np.repeat(X[part], weight[part], axis=0))
    # The start's responsibilities are seeded with random rows; from there a nano-nat
    # is 1e-4 standard errors.
    np.testing.assert_allclose(in_order(weighted), in_order(repeated), atol=1e-4)


@covariance_types
def test_rows_of_weight_zero_are_absent(covariance_type, rng):
    X, more = sample(500, rng), sample(50, rng)
    weight = (rng.random(50) < 0.5).astype(float)
    first = mixture(covariance_type).partial_fit(X)
    second = clone(first).partial_fit(X)
    first.partial_fit(more, sample_weight=weight)
    second.partial_fit(more[weight > 0])
    for name, value in attributes(first).items():
        # Sums of the same numbers in another order.
        np.testing.assert_allclose(value, attributes(second)[name], rtol=1e-9)


@pytest.mark.slow
@covariance_types
def test_drift_is_followed_by_a_window(covariance_type, rng):
    following = mixture(covariance_type, learning_window=500)
    converging = mixture(covariance_type)
    for t in range(80):
        batch = sample(200, rng, shift=0.05 * t)
        following.partial_fit(batch)
        converging.partial_fit(batch)
    truth = CENTRES + 0.05 * 79
    # A window of 500 rows lags by 2½ batches, 0.12, and has standard errors of 0.07.
    np.testing.assert_allclose(in_order(following)[:, 1:], truth, atol=0.4)
    assert np.abs(in_order(converging)[:, 1:] - truth).min() > 0.4


def test_lower_bound_is_the_running_score_of_batches_to_come(rng):
    streamed = mixture().partial_fit(sample(500, rng))
    forgetting = Forgetting(streamed.learning_decay, np.inf)
    expected, seen = streamed.lower_bound_, 1.0
    for n in (100, 1, 300):
        batch = sample(n, rng)
        step = forgetting.step(seen, n / 500)
        expected = (1 - step) * expected + step * streamed.score(batch)
        seen += n / 500
        streamed.partial_fit(batch)
        assert streamed.lower_bound_ == pytest.approx(expected, rel=1e-10)
    assert streamed.converged_ is False
    assert not hasattr(streamed, "lower_bounds_")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("covariance_type", "size"), list(zip(TYPES, [7, 200, 7, 200], strict=True))
)
def test_pickling_at_any_time_resumes_exactly(covariance_type, size, rng):
    X = sample(500 if size == 7 else 1000, rng)
    straight = feed(mixture(covariance_type), X, size)
    resumed = mixture(covariance_type)
    for start in range(0, len(X), size):
        resumed = pickle.loads(pickle.dumps(resumed))
        resumed.partial_fit(X[start : start + size])
    assert_same(straight, resumed)


def test_clone_drops_the_stream(rng):
    X = sample(500, rng)
    streamed = feed(mixture(), X, 100)
    fresh = clone(streamed)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    assert_same(fresh.partial_fit(X[:200]), mixture().partial_fit(X[:200]))


@pytest.mark.parametrize("n_rows", [2, 20, 500])
def test_bad_batches_are_refused_and_change_nothing(n_rows, rng):
    X, good = sample(n_rows, rng), sample(5, rng)
    streamed, unharmed = mixture().partial_fit(X), mixture().partial_fit(X)
    for bad, weight, message in [
        (good[:, :1], None, "X has 1 features, but GaussianMixture is expecting 2"),
        (good * np.inf, None, "contains infinity"),
        (good[0], None, "Expected 2D array"),
        (good[:0], None, "Found array with 0 sample"),
        (good, -np.ones(5), "Negative values"),
        (good, np.zeros(5), "at least one non-zero"),
        (good, np.ones(4), "sample_weight.shape"),
    ]:
        before = dict(vars(streamed))
        with pytest.raises(ValueError, match=message):
            streamed.partial_fit(bad, sample_weight=weight)
        after = vars(streamed)
        assert list(after) == list(before)
        assert all(after[name] is before[name] for name in before)
    assert_same(streamed.partial_fit(good), unharmed.partial_fit(good))


def test_a_bad_first_batch_leaves_the_estimator_unfitted():
    fresh = mixture()
    before = dict(vars(fresh))
    with pytest.raises(ValueError, match="infinity"):
        fresh.partial_fit([[np.inf, 1.0]])
    assert vars(fresh) == before


def test_names_of_features_are_checked(rng):
    frame = pd.DataFrame(sample(500, rng), columns=["a", "b"])
    streamed = mixture().partial_fit(frame)
    assert streamed.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names should match"):
        streamed.partial_fit(frame.rename(columns={"b": "c"}))
    streamed.partial_fit(frame)


def test_not_fitted_until_there_are_as_many_rows_as_components(rng):
    X = sample(3, rng)
    streamed = mixture()
    for row, seen in zip(X[:2], ["1 row", "2 rows"], strict=True):
        streamed.partial_fit(row[None])
        with pytest.raises(NotFittedError, match=f"has seen {seen}, and 3 are needed"):
            streamed.predict(X)
    assert sorted(streamed.partial_fit(X[2:]).predict(X)) == [0, 1, 2]


def test_not_fitted_while_rows_do_not_determine_covariances():
    streamed = mixture(reg_covar=0.0).partial_fit(np.ones((5, 2)))
    with pytest.raises(NotFittedError, match="seen 5 rows, which do not determine"):
        streamed.predict(np.ones((5, 2)))


@pytest.mark.parametrize(
    "change", [{"n_components": 2}, {"covariance_type": "diag"}], ids=str
)
def test_a_stream_keeps_its_kind_of_mixture(change, rng):
    X = sample(500, rng)
    for first in (X, X[:2], X[:100]):
        streamed = mixture().partial_fit(first).set_params(**change)
        before = dict(vars(streamed))
        with pytest.raises(ValueError, match="changed from"):
            streamed.partial_fit(X)
        assert vars(streamed) == before
    streamed.fit(X).partial_fit(X)


@pytest.mark.parametrize(
    "change", [{"n_components": 2}, {"covariance_type": "diag"}], ids=str
)
def test_parameters_of_another_kind_of_mixture_are_no_start(change, rng):
    X = sample(100, rng)
    given = GaussianMixture.from_parameters(
        np.full(3, 1 / 3), CENTRES, np.broadcast_to(np.eye(2), (3, 2, 2))
    ).set_params(warm_start=True, **change)
    for method in (given.partial_fit, given.fit):
        with pytest.raises(ValueError, match="The present parameters are those of"):
            method(X)


def test_parameters_are_checked(rng):
    X = sample(500, rng)
    for bad in (
        {"learning_decay": 0.4},
        {"learning_decay": 1.1},
        {"learning_window": 0.0},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            mixture(**bad).partial_fit(X)
        streamed = mixture().partial_fit(X).set_params(**bad)
        with pytest.raises(ValueError, match=next(iter(bad))):
            streamed.partial_fit(X)


def test_parameters_are_checked_once_they_change(rng):
    mixture = GaussianMixture(2, random_state=0).partial_fit(rng.normal(size=(400, 2)))
    row = np.zeros((1, 2))
    mixture.partial_fit(row).partial_fit(row)
    mixture.learning_decay = 2.0
    with pytest.raises(ValueError, match="'learning_decay' parameter"):
        mixture.partial_fit(row)
    mixture.learning_decay = 0.7
    mixture.partial_fit(row)


def test_fit_forgets_the_stream_but_for_a_warm_start(rng):
    X, other = sample(500, rng), sample(500, rng)
    streamed = feed(mixture(), other, 250)
    assert_same(clone(streamed).fit(X), streamed.fit(X))
    assert streamed.n_iter_ == len(streamed.lower_bounds_)

    streamed = feed(mixture(warm_start=True, max_iter=0), other, 250)
    means = streamed.means_
    # From the parameters, in other coordinates.
    np.testing.assert_allclose(streamed.fit(X).means_, means, rtol=1e-12)


def test_given_parameters_are_the_start(rng):
    X = sample(500, rng)
    given = GaussianMixture.from_parameters(
        np.full(3, 1 / 3), CENTRES, np.broadcast_to(np.eye(2), (3, 2, 2))
    ).partial_fit(X)
    # The order of the components is that of the given ones, within the noise.
    np.testing.assert_allclose(given.means_, CENTRES, atol=0.5)
    means = given.partial_fit(X).means_
    np.testing.assert_allclose(means, CENTRES, atol=0.5)


@covariance_types
def test_float32_and_integers_give_what_float64_gives(covariance_type, rng):
    X = (10 * sample(1500, rng)).round()
    expected = feed(mixture(covariance_type), X, 500)
    integers = feed(mixture(covariance_type), X.astype(np.int16), 500)
    assert_same(integers, expected)
    single = feed(mixture(covariance_type), X.astype(np.float32), 500)
    assert single.means_.dtype == np.float32
    # The fit of the start ends within 0.01 nats of the same optimum: 0.14 standard
    # errors, of 0.5.
    np.testing.assert_allclose(in_order(single), in_order(expected), atol=0.1)


def test_types_may_change_within_a_stream(rng):
    X = (10 * sample(1500, rng)).round()
    streamed = mixture().partial_fit(X[:500].astype(np.float32))
    streamed.partial_fit(X[500:1000].astype(np.int64)).partial_fit(X[1000:])
    assert streamed.means_.dtype == np.float32
    expected = feed(mixture(), X, 500)
    np.testing.assert_allclose(in_order(streamed), in_order(expected), atol=0.1)


def test_gathered_rows_have_the_type_of_the_widest(rng):
    X = (10 * sample(500, rng)).round()
    for types, expected in [
        (("f4", ">f4"), "f4"),
        (("i1", "f4"), "f8"),
        (("f4", "f8"), "f8"),
        (("?", "f4"), "f8"),
    ]:
        streamed = mixture(n_init=1)
        for start, dtype in enumerate(types):
            streamed.partial_fit(X[start * 5 : start * 5 + 5].astype(dtype))
        feed(streamed, X[10:].astype(types[-1]), 490)
        assert streamed.means_.dtype == expected


@covariance_types
def test_equal_rows_one_at_a_time_had_been_too_few_for_a_start(covariance_type, rng):
    streamed = mixture(covariance_type, n_init=1)
    feed(streamed, np.ones((449, 2)), 449)
    feed(streamed, np.ones((447, 2)), 447)
    feed(streamed, np.ones((3, 2)), 1)  # fitted anew at 2 · 449
    assert streamed.means_.tolist() == [[1, 1]] * 3
    feed(streamed, sample(500, rng), 100)
    assert np.isfinite(streamed.score(sample(10, rng)))


@pytest.mark.parametrize("window", [None, 500.0])
def test_a_batch_of_far_more_weight_than_the_start_is_a_step(window, rng):
    X = sample(1_200, rng)
    streamed = mixture(learning_window=window)
    streamed.partial_fit(X[:600], sample_weight=np.full(600, 1e-300))
    for start in (600, 800, 1000):
        part = X[start : start + 200]
        streamed.partial_fit(part, sample_weight=np.full(200, 1e10))
    np.testing.assert_allclose(in_order(streamed)[:, 1:], CENTRES, atol=0.6)


def test_collapse_under_a_numeric_reg_covar_is_an_error_that_changes_nothing(rng):
    X, more = sample(200, rng), sample(5, rng)
    params = {"n_components": 1, "reg_covar": 0.0, "learning_window": 1e-3}
    streamed = mixture(**params).partial_fit(X)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        streamed.partial_fit(np.ones((5, 2)))
    unharmed = mixture(**params).partial_fit(X)
    assert_same(streamed.partial_fit(more), unharmed.partial_fit(more))


def test_a_numeric_reg_covar_may_be_too_little_for_the_first_rows(rng):
    X = sample(500, rng)
    streamed = mixture(reg_covar=0.0)
    for row in X[:4]:
        streamed.partial_fit(row[None])
    with pytest.raises(NotFittedError):
        streamed.predict(X)
    feed(streamed, X[4:], 100)
    np.testing.assert_allclose(in_order(streamed)[:, 1:], CENTRES, atol=0.5)


def test_verbose_prints_lines(rng, capsys):
    streamed = mixture(verbose=1, verbose_interval=1).partial_fit(sample(500, rng))
    capsys.readouterr()
    streamed.partial_fit(sample(500, rng))
    assert f"Iteration {streamed.n_iter_}" in capsys.readouterr().out


def test_a_start_that_has_not_converged_is_no_warning(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        mixture(max_iter=1).partial_fit(sample(300, rng))


def changed(X, value, where):
    X = X.copy()
    X[where] = value
    return X


def nasty_streams():
    """Name -> batches."""
    rng = np.random.default_rng(1)
    first, second, third = (sample(500, rng) for _ in range(3))
    one, few = sample(1, rng), sample(5, rng)
    cases = {
        f"{name} {value:g}": batches
        for value in (1e8, 1e160, -1e300)
        for name, batches in {
            "outlier": [first, changed(second, value, 3), third, one],
            "first outlier": [changed(first, value, 3), second, one, few],
            "outlying cell": [first, changed(second, value, (3, 1)), third, few],
            "moves by": [first, second + value, third + value],
        }.items()
    }
    cases |= {
        f"{name} {value:g}": [f * first, g * second, g * third, one]
        for value in (1e8, 1e300)
        for name, f, g in [
            ("grows", 1, value),
            ("shrinks", 1, 1 / value),
            ("large start", value, 1),
            ("small start", 1 / value, 1),
        ]
    }
    constant = first * [1, 0] + 5
    single = [x.astype(np.float32) for x in (first, second, third)]
    return cases | {
        "constant column": [constant] * 4,
        "constant column that moves later": [constant, constant, second, third],
        "equal rows": [0 * first + 1] * 3,
        "equal rows, then others": [0 * first + 1] * 3 + [second, third],
        "two distinct rows": [np.eye(2)[[0, 1] * 250]] * 3,
        "ends of float64": [first, np.array([[1.79e308, -1.79e308]])] * 2,
        "booleans": [x > 1 for x in (first, second, third)],
        "Cauchy cubed": [rng.standard_cauchy((150, 2)) ** 3 for _ in range(8)],
        "float32 outlier 1e30": [single[0], changed(single[1], 1e30, 3), single[2]],
        "float32 shift 1e10": [single[0], single[1] + 1e10, single[2] + 1e10],
        "float32 grows to the end": [single[0], single[1] * 1e37, single[2] * 1e37],
        "float32 tiny start": [single[0] * 1e-37, single[1], single[2]],
    }


NASTY = nasty_streams()


# Structures take turns.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "covariance_type"),
    [
        pytest.param(
            *(name, each),
            marks=[] if each == TYPES[i % len(TYPES)] else [pytest.mark.slow],
        )
        for i, name in enumerate(NASTY)
        for each in TYPES
    ],
)
def test_never_nan_and_never_an_error_on_finite_data(name, covariance_type):
    streamed = mixture(covariance_type, learning_window=300.0)
    for batch in NASTY[name]:
        streamed.partial_fit(batch)
        for attribute, value in attributes(streamed).items():
            assert np.isfinite(value).all(), attribute
        assert np.isfinite(streamed.score_samples(batch)).all()
        # float32 responsibilities are rounded by 1e-7 each.
        np.testing.assert_allclose(
            streamed.predict_proba(batch).sum(axis=1), 1, rtol=1e-6
        )


@covariance_types
def test_one_outlier_leaves_the_other_components_as_they_were(covariance_type, rng):
    X, held_out = sample(2_000, rng), sample(2_000, rng)
    streamed = mixture(covariance_type, n_components=K + 1, n_init=5)
    streamed.partial_fit(np.vstack([X[:500], [[500.0, 500.0]]]))
    feed(streamed, X[500:], 500)
    plain = feed(mixture(covariance_type), X, 500)
    # The outlier has a component of weight 1/500 for itself.
    assert streamed.score(held_out) > plain.score(held_out) - 0.02


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(
    "estimator", [GaussianMixture, BayesianGaussianMixture, StudentMixture]
)
@pytest.mark.parametrize(("value", "other"), [(0.0, 1.0), (5.1, 5.4)])
def test_a_value_that_comes_late_does_not_hide_clusters(
    estimator, covariance_type, value, other, rng
):
    """A feature of one value got a second one, and a component stood on the first."""
    n = 4000
    y = rng.integers(3, size=n)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    X = np.c_[centres[y] + rng.normal(size=(n, 2)), np.full(n, value)]
    X[[2100, 3000], 2] = other
    mixture = estimator(3, covariance_type=covariance_type, random_state=0)
    assert adjusted_rand_score(y, feed(mixture, X, 500).predict(X)) > 0.98


def test_late_values_have_the_widths_of_a_fit(make_blocks, rng):
    X = np.c_[rng.normal(size=(600, 1)), np.full((600, 2), 3.0)]
    em = EMMap.prepare(make_blocks(X[:500]), STRUCTURES["full"], 1, "auto")
    start = one_component(STRUCTURES["full"], np.zeros((1, 3)), np.eye(3))
    averages = em.evaluate(start).complete * (1 / 500)
    X[[510, 520], 1] = 4.0
    how = averages.pooled(), 500.0, X[500:], None
    found = with_late_widths(em.coordinates, averages, *how)
    assert found is not None
    coordinates, wider = found
    z = em.coordinates.load(X.T, np.empty((3, 600)))
    expected = find_ties(X.T, z, np.ones(600)).squares(X.T)
    np.testing.assert_allclose(coordinates.ties.squares(X.T), expected, rtol=1e-9)
    more = wider.scatter().values[0] - averages.scatter().values[0]
    of_three = np.broadcast_to(expected, X.T.shape)[1, 0]
    assert of_three > 0
    np.testing.assert_allclose(more, np.diag([0, of_three, 0]), rtol=1e-9, atol=1e-12)
    how = wider.pooled(), 500.0, X[500:], None
    assert with_late_widths(coordinates, wider, *how) is None
    how = averages.pooled(), 9.0, X[:9], None
    assert with_late_widths(em.coordinates, averages, *how) is None


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, MixtureModel])
def test_components_that_are_lost_are_named_once(kind, rng):
    stream = kind(K, random_state=0, learning_window=1000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        feed(stream, sample(5000, rng), 500)
        assert not caught
        # All rows jump to where one component takes them, for good.
        feed(stream, sample(20_000, rng, shift=60), 500)
    lost = stream.degenerate_components_.tolist()
    assert len(lost) == 2
    assert {each.category for each in caught} == {DegenerateComponentsWarning}
    assert {each.filename for each in caught} == {__file__}
    texts = [str(each.message) for each in caught]
    assert all("call fit with recent rows" in text for text in texts)
    named = [k for k in range(K) for text in texts if f"{k}" in text.split("]")[0]]
    assert named == lost
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream.fit(sample(1000, rng))
