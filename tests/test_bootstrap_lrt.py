"""The bootstrap test of one more component: valid, sequential, for any rows."""

import pickle

import numpy as np
import pytest
from scipy.stats import binom

from skem import (
    GaussianMixture,
    MixtureModel,
    SequentialBootstrapLRT,
    StudentMixture,
    bootstrap_lrt,
    sequential_bootstrap_lrt,
)
from skem.datasets import load_faithful, load_galaxies


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(0, 1, (60, 2)), rng.normal(6, [1, 2], (40, 2))])


def ratio_of_fits(X, k0, k1):
    small, large = (GaussianMixture(k, random_state=0).fit(X) for k in (k0, k1))
    return 2 * len(X) * (large.score(X) - small.score(X))


@pytest.mark.parametrize("k0", [1, 2])
def test_statistic_is_that_of_two_fits_where_these_find_the_same_optima(k0):
    X = load_galaxies().data
    test = bootstrap_lrt(GaussianMixture(), X, k0, k0 + 1, n_boot=1, random_state=0)
    # Each of four fits ends within 0.01 nats of an optimum.
    assert test.statistic == pytest.approx(ratio_of_fits(X, k0, k0 + 1), abs=0.05)


@pytest.mark.parametrize("estimator", [GaussianMixture(), MixtureModel(n_init=1)])
def test_shared_values_are_no_evidence_of_more_components(estimator):
    """As points they would always be too much."""
    rng = np.random.default_rng(1)
    z = rng.integers(2, size=300)
    X = np.array([4, 3]) * z[:, None] + rng.normal(size=(300, 2))
    X = np.column_stack([X, rng.random((300, 2)) < [0.5, 0.3]])
    test = bootstrap_lrt(estimator, X, 2, 3, n_boot=4, random_state=0)
    assert test.p_value > 0.5
    assert bootstrap_lrt(estimator, X, 1, 2, n_boot=4, random_state=0).p_value == 0.2


@pytest.mark.each_value
@pytest.mark.parametrize("step", [0.5, 1.0])
@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixture(),
        GaussianMixture(reg_covar=1e-3),
        StudentMixture(df=10.0),
        pytest.param(MixtureModel(n_init=1), marks=pytest.mark.slow),
    ],
    ids=["gaussian", "ridge", "student", "table"],
)
def test_p_values_of_rounded_data_are_those_of_a_test(estimator, step):
    """Simulations that were not rounded would have other statistics, and p = 1 or 0."""
    p_values = []
    for seed in range(10):
        x = np.random.default_rng(seed).normal(size=(50, 1))
        X = np.round(x / step) * step
        test = bootstrap_lrt(estimator, X, 1, 2, n_boot=3, random_state=seed)
        p_values.append(test.p_value)
    # Of an exact test half of the p-values are among the two lower ones of four.
    low, high = binom.interval(0.998, 10, 0.5)
    assert low <= np.count_nonzero(np.array(p_values) <= 0.5) <= high


def test_rounded_positive_values_stay_positive(rng):
    """A draw that would be rounded to zero has the lowest value of the data."""
    X = np.maximum(np.round(rng.lognormal(0.5, 0.7, size=(80, 1))), 1)
    model = MixtureModel(families="lognormal", n_init=1)
    test = bootstrap_lrt(model, X, 1, 2, n_boot=2, random_state=0)
    assert np.isfinite(test.bootstrap_statistics).all()


def test_several_more_components_are_reached():
    X = load_faithful().data
    test = bootstrap_lrt(GaussianMixture(), X, 1, 3, n_boot=1, random_state=0)
    two = bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=1, random_state=0)
    assert test.statistic > two.statistic + 10


def test_sequence_stops_at_the_first_that_is_not_significant(X):
    mixture = GaussianMixture(covariance_type="spherical", tol=0.1)
    result = sequential_bootstrap_lrt(mixture, X, n_boot=19, random_state=0)
    assert result.n_components == 2
    first, last = result.tests
    assert first.p_value <= 0.05 < last.p_value
    # One generator goes through all tests; the first is a test by itself.
    alone = bootstrap_lrt(mixture, X, 1, n_boot=19, random_state=0)
    np.testing.assert_array_equal(
        first.bootstrap_statistics, alone.bootstrap_statistics
    )
    lines = str(result).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1 against 2 components: likelihood ratio statistic")
    assert lines[-1] == "2 components at level 0.05"


def test_sequence_may_begin_later_and_end_sooner(X):
    options = {"n_boot": 9, "alpha": 0.2, "random_state": 0}
    later = sequential_bootstrap_lrt(
        GaussianMixture(), X, 3, min_components=2, **options
    )
    assert (later.n_components, len(later.tests), later.min_components) == (2, 1, 2)
    sooner = sequential_bootstrap_lrt(GaussianMixture(), X, 2, **options)
    assert (sooner.n_components, len(sooner.tests)) == (2, 1)
    assert str(sooner).splitlines()[-1] == (
        "At least 2 components at level 0.2: the last test is significant, too"
    )
    assert isinstance(pickle.loads(pickle.dumps(later)), SequentialBootstrapLRT)


@pytest.mark.each_value
@pytest.mark.parametrize(
    "change",
    [
        lambda X: {"X": X.astype(np.float32)},
        lambda X: {"X": np.where(np.arange(200).reshape(X.shape) % 7, X, np.nan)},
        lambda X: {"X": X, "sample_weight": np.arange(len(X)) % 3},
    ],
    ids=["float32", "missing values", "weights"],
)
def test_all_kinds_of_data_and_structures_are_tested(X, structure, change):
    mixture = GaussianMixture(covariance_type=structure.name, tol=0.1)
    test = bootstrap_lrt(mixture, k0=1, k1=2, n_boot=3, random_state=0, **change(X))
    # Clusters six standard deviations apart.
    assert test.p_value == 0.25
    assert test.statistic > 50 > test.bootstrap_statistics.max()


def test_given_starts_are_those_of_another_number_of_components(X):
    mixture = GaussianMixture(2, means_init=X[:2], warm_start=True)
    test = bootstrap_lrt(mixture, X, 1, 2, n_boot=1, random_state=0)
    other = bootstrap_lrt(GaussianMixture(), X, 1, 2, n_boot=1, random_state=0)
    assert test.statistic == other.statistic
    assert mixture.means_init is not None and not hasattr(mixture, "means_")


def test_degrees_of_freedom_to_start_from_are_part_of_a_start(X):
    mixture = StudentMixture(3, df_init=[2.0, 3.0, 4.0], tol=0.1)
    test = bootstrap_lrt(mixture, X, 1, 2, n_boot=1, random_state=0)
    other = bootstrap_lrt(StudentMixture(tol=0.1), X, 1, 2, n_boot=1, random_state=0)
    assert test.statistic == other.statistic
    assert mixture.df_init == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_components": 2, "min_components": 2}, "max_components must be larger"),
        (
            {"n_boot": 9},
            "no p-value is below 0.1, so that none is as low as alpha = 0.05",
        ),
        ({"alpha": 0.0}, "The 'alpha' parameter"),
        ({"max_components": 101}, "Expected n_samples >= n_components"),
    ],
)
def test_sequences_that_cannot_be_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        sequential_bootstrap_lrt(GaussianMixture(), X, **options)


@pytest.mark.slow
@pytest.mark.parametrize("k0", [1, 2])
def test_p_values_are_uniform_if_there_are_no_more_components(k0):
    means = np.array([[0.0, 0.0], [4.0, 1.0]])[:k0]
    truth = GaussianMixture.from_parameters(
        np.full(k0, 1 / k0), means, np.ones((k0, 2)), "diag"
    )
    n, mixture = 40, GaussianMixture(covariance_type="diag")
    p_values = []
    for seed in range(n):
        X, _ = truth.sample(50, random_state=seed)
        test = bootstrap_lrt(mixture, X, k0, k0 + 1, n_boot=4, random_state=seed)
        p_values.append(test.p_value)
    # Of an exact test each of 5 p-values has probability 1/5. A count is out of these
    # limits once in 500 times; a test whose simulations fall short of their optima
    # would have many low p-values.
    for level in (0.2, 0.4, 0.6, 0.8):
        low, high = binom.interval(0.998, n, level)
        count = np.count_nonzero(np.array(p_values) <= level + 1e-9)
        assert low <= count <= high, (level, count)


def test_the_statistic_is_that_of_the_optima_whatever_the_seed():
    X = load_galaxies().data
    scores = [GaussianMixture(K, random_state=0).fit(X).score(X) for K in (3, 4)]
    expected = 2 * len(X) * (scores[1] - scores[0])
    for seed in range(3):
        test = bootstrap_lrt(GaussianMixture(), X, 3, 4, n_boot=1, random_state=seed)
        np.testing.assert_allclose(test.statistic, expected, atol=0.05)
