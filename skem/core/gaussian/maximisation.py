"""The M-step: statistics → parameters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from skem.core.gaussian.covariance import Scatter, Structure
from skem.core.gaussian.fixed import Fixed
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError, Regularization
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import diagonals

JITTERS = 10.0 ** np.arange(-14, 3, 2)
"""Variances added to a covariance that rounding broke: up to `LARGEST_JITTER` in units
of its own variances, then of standardised features, or of the largest if that is
beyond one."""
LARGEST_JITTER = 1e-6


def _jitters(
    structure: Structure, covariances: np.ndarray, d: int
) -> Iterator[np.ndarray]:
    """Yield what is added to the diagonals, more and more."""
    if structure.matrices:
        own = np.maximum(diagonals(covariances), 0.0)
        yield from (jitter * own for jitter in JITTERS if jitter <= LARGEST_JITTER)
    largest = max(1.0, float(np.abs(covariances).max()))
    yield from (np.full(d, jitter * largest) for jitter in JITTERS)


def factor(
    structure: Structure,
    regularization: Regularization,
    covariances: np.ndarray,
    d: int,
) -> np.ndarray:
    """Return the precision Cholesky factors, repairing what rounding broke.

    Raises `IllDefinedCovarianceError` where the regularization has no repair.
    """
    cholesky, failed = regularization.factored(structure, covariances)
    if not failed.any():
        return cholesky
    if not regularization.repairs:
        raise IllDefinedCovarianceError
    for jitter in _jitters(structure, covariances, d):
        raised = structure.add_to_diagonal(covariances, jitter)
        candidate, still_failed = structure.factor(raised)
        mask = failed.reshape(failed.shape + (1,) * (cholesky.ndim - failed.ndim))
        cholesky = np.where(mask, candidate, cholesky)
        failed = failed & still_failed
        if not failed.any():
            return cholesky
    raise IllDefinedCovarianceError


def maximise(
    structure: Structure,
    regularization: Regularization,
    statistics: Statistics,
    scatter: Scatter,
    previous: Parameters | None = None,
    fixed: Fixed | None = None,
) -> Parameters:
    """Return the parameters that statistics and their scatter lead to.

    An empty component keeps its previous mean, and what is fixed stays as it is.
    """
    d = statistics.n_features
    if fixed is not None:
        scatter = fixed.about_given(structure, statistics, scatter)
    before = None if previous is None else previous.precisions_cholesky
    covariances = regularization.covariances(
        structure, scatter, d, statistics.means, before
    )
    if fixed is not None:
        covariances = fixed.with_covariances(structure, covariances)
    cholesky = factor(structure, regularization, covariances, d)
    counts = statistics.counts
    means = statistics.means
    if previous is not None:
        means = np.where(counts[..., None] > 0, means, previous.means)
    # Noise has what they leave of one; it may have all rows of a part.
    sizes = statistics.sizes
    total = np.asarray(sizes.sum(axis=-1) + statistics.noise)[..., None]
    weights = np.divide(sizes, total, out=np.zeros_like(sizes), where=total > 0)
    found = Parameters(weights, means, cholesky)
    return found if fixed is None else fixed.restored(found)
