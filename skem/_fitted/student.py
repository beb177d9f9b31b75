"""The parts of a fitted t mixture that differ: densities, draws, conditional laws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from skem._fitted.conditional import Conditioner, Split
from skem._fitted.sampling import colored, draw
from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.storage import TINY
from skem.core.student.expectation import StudentExpectation
from skem.core.student.parameters import GAUSSIAN, StudentParameters, correction

OVERLAP_DRAWS = 10_000
"""Draws of each component that overlaps are found from."""

WIDEST = 1e300
"""What scale matrices are multiplied by, at most, and squared."""


def density_of(
    structure: Structure,
    parameters: StudentParameters,
    log_widths: np.ndarray | None = None,
    null: NullSpace | None = None,
) -> StudentExpectation:
    """Return the kernels that evaluate blocks at parameters in units of the data.

    `log_widths` are those of noise, if there is any, and `null` is where the data of
    the fit have no variance.
    """
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    inward = coordinates.inward(structure, parameters)
    if log_widths is not None:
        log_widths = log_widths + coordinates.log_slopes
    return StudentExpectation(
        structure, inward, coordinates, background=log_widths, null=null
    )


def stretched(
    X: np.ndarray,
    labels: np.ndarray,
    means: np.ndarray,
    df: np.ndarray,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Turn Gaussian rows into those of a t: μ + (x − μ)/√τ, τ ~ χ²(ν)/ν."""
    own = np.minimum(df, GAUSSIAN)[labels]
    tau = np.maximum(rng.chisquare(own) / own, TINY)
    return means[labels] + (X - means[labels]) / np.sqrt(tau)[:, None]


def sampled_overlap(
    structure: Structure,
    parameters: StudentParameters,
    null: NullSpace | None,
) -> np.ndarray:
    """∫ √(p_j p_k) of all pairs of components, (K, K), from draws of both.

    The mean of √(p_j p_k) / m under m = (p_j + p_k)/2, which is at most one.
    """
    K, _ = parameters.shape
    rng = np.random.RandomState(0)
    expectation = density_of(structure, parameters, null=null)
    color = colored(structure, parameters.precisions_cholesky, null)
    means = parameters.means
    logs = np.empty((K, K, OVERLAP_DRAWS))
    for k in range(K):
        alone = (np.arange(K) == k).astype(float)
        X, labels = draw(alone, means, color, OVERLAP_DRAWS, rng)
        X = stretched(X, labels, means, parameters.df, rng)
        block = Block(0, len(X), X.T, None)
        logs[k] = expectation.component_log_density(block, Workspace())
    overlap = np.eye(K)
    for j in range(K):
        for k in range(j):
            a, b = (np.concatenate([logs[j, i], logs[k, i]]) for i in (j, k))
            fall = np.exp(-np.abs(a - b))
            # 1/cosh((a − b)/2), which does not overflow.
            overlap[j, k] = overlap[k, j] = np.mean(2 * np.sqrt(fall) / (1 + fall))
    return overlap


@dataclass(frozen=True)
class StudentConditioner(Conditioner):
    """A t mixture, ready to be cut in two.

    Given p features at the squared distance δ, the others of a component have a t
    distribution with ν + p degrees of freedom, the location of the Gaussian's and its
    scale matrix times (ν + δ)/(ν + p) (Ding 2016, The American Statistician 70). What
    has no variance is no feature.
    """

    @property
    def structure_given(self) -> Structure:
        """Each component has a volume of its own."""
        return self.structure.free

    @property
    def _df(self) -> np.ndarray:
        assert isinstance(self.parameters, StudentParameters)
        return self.parameters.df

    def marginal(self, features: np.ndarray) -> Parameters:
        """Return the parameters of some features, in the order given."""
        return StudentParameters.of(super().marginal(features), self._df)

    def given(self, row: np.ndarray) -> Parameters:
        """Return the parameters of the features that are NaN, given the others."""
        (laws,) = self.laws(row[None])
        found = super().given(row)
        assert laws.stretch is not None and laws.df is not None
        cholesky = found.precisions_cholesky
        if self.structure.shared:
            cholesky = np.broadcast_to(cholesky, (len(found.weights), *cholesky.shape))
        K = len(found.weights)
        stretch = laws.stretch[0, :K].reshape(-1, *(1,) * (cholesky.ndim - 1))
        found = replace(found, precisions_cholesky=cholesky / stretch)
        return StudentParameters.of(found, laws.df[:K])

    def tails(self, rng: np.random.RandomState, n: int) -> np.ndarray | None:
        """Draw what decides how far out rows are."""
        return rng.random_sample(n)

    def _weights(
        self, split: Split, x: np.ndarray, z: np.ndarray, powers: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        df, p = np.minimum(self._df, GAUSSIAN), x.shape[1]
        distances = np.einsum("kno,kno->nk", z, z)
        peaks = self.log_weights - split.log_det - 0.5 * p * LOG_2PI
        if self.null is not None:
            observed = np.isin(np.arange(self.parameters.shape[1]), split.observed)
            p -= int(self.null.within(observed))
        # Squares of numbers that are multiplied by two to the powers.
        power = np.zeros((1, len(df)), int) if powers is None else powers[..., 0].T
        logs = np.log1p(distances / df) + 2 * np.log(2) * power
        tails = -0.5 * (df + p) * logs
        gaussian = self._df >= GAUSSIAN
        tails = np.where(gaussian, -0.5 * distances, tails)
        joint = peaks + correction(self._df, p) + tails
        log_density = logsumexp(joint, axis=1)
        stretch = np.ldexp(np.sqrt((df + distances) / (df + p)), power)
        stretch = np.where(gaussian, 1.0, np.minimum(stretch, WIDEST))
        return log_density, joint - log_density[:, None], stretch, self._df + p
