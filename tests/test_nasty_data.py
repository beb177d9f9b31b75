"""Many random nasty data sets: every fit is sound, and climbs its objective."""

import warnings
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize
from skem.core.solve.loop import solve
from skem.core.solve.registry import ACCELERATORS

pytestmark = pytest.mark.slow

DATA_SETS = 8
"""Of each kind."""
SHORT = {"max_iter": 15, "n_init": 1}
"""Most fits stop early: what is asked of them holds after any step."""
LONG = 2
"""Data sets of each kind that are fitted at the default settings."""


class Case(NamedTuple):
    """A data set, how many components to fit, and perhaps weights."""

    X: np.ndarray
    n_components: int
    weight: np.ndarray | None


def powers(rng, limit, size):
    """Numbers of any size up to 10^±limit, of either sign."""
    return rng.choice([-1.0, 1.0], size) * 10.0 ** rng.uniform(-limit, limit, size)


def centres_apart(rng, n, d, distance):
    return distance * rng.integers(-3, 4, (3, d))[rng.integers(0, 3, n)]


def with_spikes(rng, X):
    """Make half of the rows copies of one or two others."""
    spiked = rng.random(len(X)) < 0.5
    X[spiked] = X[rng.integers(0, 2, spiked.sum())]
    return X


def with_column(rng, X, column):
    """Put a column beside the others, at a random place."""
    return np.insert(X, rng.integers(0, X.shape[1] + 1), column, axis=1)


def with_row(rng, X, value):
    """Move some cells of one row far away."""
    row, cells = rng.integers(len(X)), rng.random(X.shape[1]) < 0.7
    X[row, cells] = value
    return X


# Name -> data of shape (n, d), or one column more; normal(...) is what is spoiled.
KINDS = {
    "normal": lambda rng, n, d: rng.normal(size=(n, d)),
    "two rows": lambda rng, n, d: rng.normal(size=(2, d)),
    "n < d": lambda rng, n, d: rng.normal(size=(rng.integers(2, 8), 8 + d)),
    "few distinct rows": lambda rng, n, d: rng.normal(size=(3, d))[
        rng.integers(0, 3, n)
    ],
    "spikes beside a continuum": lambda rng, n, d: with_spikes(
        rng, rng.normal(size=(n, d))
    ),
    "small integers": lambda rng, n, d: rng.integers(0, 3, (n, d)),
    "int64 up to its limits": lambda rng, n, d: rng.integers(-(2**62), 2**62, (n, d)),
    "int64 at 2^53": lambda rng, n, d: 2**53 + rng.integers(0, 9, (n, d)),
    "uint8": lambda rng, n, d: rng.choice([0, 1, 254, 255], (n, d)).astype(np.uint8),
    "bool": lambda rng, n, d: rng.random((n, d)) < rng.random(),
    "one-hot": lambda rng, n, d: np.eye(d + 1)[rng.integers(0, d + 1, n)],
    "constant column": lambda rng, n, d: with_column(
        rng, rng.normal(size=(n, d)), powers(rng, 200, ())
    ),
    "repeated column": lambda rng, n, d: with_column(
        rng, X := rng.normal(size=(n, d)), X[:, 0]
    ),
    "collinear columns": lambda rng, n, d: (
        rng.normal(size=(n, (d + 1) // 2)) @ powers(rng, 3, ((d + 1) // 2, d))
    ),
    "nearly collinear columns": lambda rng, n, d: with_column(
        rng,
        X := rng.normal(size=(n, d)),
        X.sum(axis=1) + powers(rng, 15, ()) * rng.normal(size=n),
    ),
    "all rows equal": lambda rng, n, d: np.tile(powers(rng, 300, (1, d)), (n, 1)),
    "one cell differs": lambda rng, n, d: with_row(
        rng, np.tile(powers(rng, 3, (1, d)), (n, 1)), powers(rng, 10, ())
    ),
    "a scale for each column": lambda rng, n, d: (
        rng.normal(size=(n, d)) * powers(rng, 150, d)
    ),
    "a scale for each row": lambda rng, n, d: (
        rng.normal(size=(n, d)) * powers(rng, 150, (n, 1))
    ),
    "a scale for each cell": lambda rng, n, d: powers(rng, 150, (n, d)),
    "a shift for each column": lambda rng, n, d: (
        rng.normal(size=(n, d)) + powers(rng, 17, d)
    ),
    "Cauchy": lambda rng, n, d: rng.standard_cauchy((n, d)),
    "lognormal": lambda rng, n, d: rng.lognormal(sigma=20, size=(n, d)),
    "clusters 1e6 apart": lambda rng, n, d: (
        rng.normal(size=(n, d)) + centres_apart(rng, n, d, 1e6)
    ),
    "clusters at the resolution": lambda rng, n, d: (
        rng.normal(size=(n, d)) + centres_apart(rng, n, d, 1e16)
    ),
    "outlier": lambda rng, n, d: with_row(
        rng, rng.normal(size=(n, d)), powers(rng, 160, ())
    ),
    "denormal": lambda rng, n, d: rng.integers(-9, 9, (n, d)) * 5e-324,
    "ends of float64": lambda rng, n, d: (
        rng.uniform(0.5, 1.7, (n, d)) * rng.choice([1e308, -1e308, 1e-307], (n, d))
    ),
    "float32": lambda rng, n, d: (rng.normal(size=(n, d)) + powers(rng, 5, d)).astype(
        np.float32
    ),
    "ends of float32": lambda rng, n, d: (
        powers(rng, 37, d) * rng.normal(size=(n, d))
    ).astype(np.float32),
}
BEYOND_THE_RANGE = ("denormal", "ends of float64", "ends of float32")
"""Attributes may be at the limits of the range in place of their true values."""
kinds = pytest.mark.parametrize("kind", KINDS)
covariance_types = pytest.mark.parametrize("covariance_type", STRUCTURES)


def nasty_weight(rng, n):
    """Counts with zeros, or weights of any size; most often none."""
    kind = rng.integers(6)
    if kind == 0:
        return np.append(rng.integers(0, 3, n - 1), 1.0)
    if kind == 1:
        return 10.0 ** rng.uniform(-9, 9, n)
    return None


def nasty_case(kind, seed):
    rng = np.random.default_rng([seed, *kind.encode()])
    n, d = int(2 + 39 * rng.random() ** 3), int(rng.integers(1, 5))
    X = KINDS[kind](rng, n, d)
    weight = nasty_weight(rng, len(X))
    most = len(X) if weight is None else np.count_nonzero(weight)
    n_components = rng.choice([1, 2, 3, rng.integers(1, most + 1), most])
    return Case(X, min(most, int(n_components)), weight)


@contextmanager
def named(kind, seed):
    """Name the data set in whatever is raised."""
    try:
        yield
    except Exception as error:
        error.add_note(f"nasty_case({kind!r}, {seed})")
        raise


def fit(case, covariance_type, **params):
    """Fit; of all warnings only skem's own and that of convergence are tolerated."""
    model = GaussianMixture(
        case.n_components, covariance_type=covariance_type, random_state=0, **params
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(case.X, sample_weight=case.weight)
    for warning in caught:
        category = warning.category
        own = category.__module__.startswith("skem") and issubclass(
            category, UserWarning
        )
        assert own or category is ConvergenceWarning, str(warning)
    return model


def check_parameters(model):
    """Finite, weights sum to one, covariances positive definite."""
    # A sum of K rounded numbers.
    atol = len(model.weights_) * np.finfo(model.weights_.dtype).eps
    assert abs(model.weights_.astype(float).sum() - 1) <= atol
    assert (model.weights_ >= 0).all()
    covariances, cholesky = model.covariances_, model.precisions_cholesky_
    for values in (model.means_, covariances, cholesky, model.precisions_):
        assert np.isfinite(values).all()
    if STRUCTURES[model.covariance_type].matrices:
        np.testing.assert_array_equal(covariances, np.swapaxes(covariances, -1, -2))
        covariances = np.einsum("...ii->...i", covariances)
        cholesky = np.einsum("...ii->...i", cholesky)
    assert (covariances > 0).all()
    assert (cholesky > 0).all()


def check_outputs(model, X):
    """Finite scores, probabilities that sum to one, labels of components."""
    assert np.isfinite(model.score_samples(X)).all()
    resp = model.predict_proba(X)
    assert (resp >= 0).all()
    # A sum of K rounded numbers, K of them rounded twice.
    atol = 4 * model.n_components * np.finfo(resp.dtype).eps
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=0, atol=atol)
    np.testing.assert_array_equal(model.predict(X), resp.argmax(axis=1))


def rounding(model, X):
    """Standard deviations by which the rounding of attributes may move a row."""
    eps = float(np.finfo(model.means_.dtype).eps)
    U = np.abs(model.precisions_cholesky_.astype(float))
    largest = np.abs(X.astype(float)).max(axis=0)
    if STRUCTURES[model.covariance_type].matrices:
        return eps * (largest @ U).max()
    return eps * (largest * U.reshape(-1, U.shape[-1] if U.ndim == 2 else 1)).max()


def check_score(model, case):
    """`lower_bound_` is the score, but for the rounding of the attributes.

    Moving rows by δ standard deviations changes the mean log-density by O(δ + δ²).
    """
    moved = rounding(model, case.X)
    score = model.score(case.X, sample_weight=case.weight)
    # A mean far out, of data at 1e200 in a constant column, may move without bound.
    moved = min(moved, 1e9)
    # Besides, single precision, or double by condition numbers of up to 1e8.
    rtol = 1e-5 if case.X.dtype == np.float32 else 1e-8
    tolerance = rtol * (1 + abs(score)) + 10 * (moved + moved**2)
    assert abs(model.lower_bound_ - score) <= tolerance


def check_fit(kind, seed, covariance_type, **params):
    case = nasty_case(kind, seed)
    model = fit(case, covariance_type, **params)
    check_parameters(model)
    check_outputs(model, case.X)
    if kind not in BEYOND_THE_RANGE:
        check_score(model, case)


@kinds
@covariance_types
def test_a_few_steps_give_a_sound_mixture(kind, covariance_type):
    for seed in range(DATA_SETS):
        with named(kind, seed):
            check_fit(kind, seed, covariance_type, **SHORT)


@kinds
@covariance_types
def test_default_settings_give_a_sound_mixture(kind, covariance_type):
    for seed in range(DATA_SETS, DATA_SETS + LONG):
        with named(kind, seed):
            check_fit(kind, seed, covariance_type)


def objectives(case, structure, max_iter):
    """The penalised log-likelihood after each step, and the number of steps."""
    X, K, weight = case
    dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
    values = []
    with Workers() as workers:
        blocks = ArrayBlocks(X, weight, workers, dtype)
        em = EMMap.prepare(blocks, structure, K, "auto")
        start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
        solve(
            em.evaluate,
            start,
            ACCELERATORS["auto"](em.chart),
            tol=1e-2,
            max_iter=max_iter,
            callback=lambda step, evaluation, guest: values.append(
                evaluation.objective
            ),
        )
    return np.array(values)


@kinds
def test_no_step_lowers_the_penalised_likelihood(kind):
    structures = list(STRUCTURES.values())
    for seed in range(DATA_SETS):
        with named(kind, seed):
            case = nasty_case(kind, seed)
            structure = structures[seed % len(structures)]
            values = objectives(case, structure, SHORT["max_iter"])
            assert np.isfinite(values).all()
            # The penalty keeps eigenvalues above about 1e-8 of the largest, by which
            # rounding is amplified; from 1e-5 on, float32 data are computed in float64.
            rtol = 1e-7 if kind in BEYOND_THE_RANGE else 1e-8
            rtol = 1e-3 if case.X.dtype == np.float32 else rtol
            assert (np.diff(values) >= -rtol * (1 + np.abs(values[1:]))).all()


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("n_init", ["auto", 10])
def test_a_column_of_bits_does_not_hide_clear_clusters(covariance_type, n_init):
    """Components of one bit each would be likelier, their variance the penalty's."""
    rng = np.random.default_rng(0)
    means = np.array([[0, 0, 0], [6, 0, 3], [0, 6, -3]])
    labels = np.repeat(np.arange(3), 100)
    X = means[labels] + rng.normal(size=(300, 3))
    X = np.column_stack([X, rng.integers(0, 2, 300)])
    mixture = GaussianMixture(
        3, covariance_type=covariance_type, n_init=n_init, random_state=0
    )
    assert adjusted_rand_score(labels, mixture.fit_predict(X)) > 0.95
    assert len(mixture.degenerate_components_) == 0
