"""How covariances are kept: matrices or variances, of each component or of all.

A storage has the linear algebra, and does not know how covariances are estimated. What
it keeps for K components and d features has the public shape of scikit-learn's
attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from skem.core.gaussian.quadratic import Pairs, Quadratic

SQRT2 = float(np.sqrt(2))
TINY = float(np.finfo(float).tiny)
PAIRS = Pairs()
NO_COVARIANCE = "A covariance to draw from has a negative or undefined variance."


class Storage(ABC):
    """What can be done with covariances.

    A precision Cholesky factor U, Σ⁻¹ = U Uᵀ, has the shape of the covariance. What an
    EM step needs (`factor` to `trace_precision`) also takes arrays with leading axes,
    one entry of which is a mixture by itself.
    """

    quadratic: ClassVar[Quadratic]
    """The statistic that the M-step needs."""
    logit_quadratic: ClassVar[Quadratic]
    """The part of it that differs between components in the log-density."""
    shared: ClassVar[bool] = False
    """Whether there is one covariance for all components."""
    matrices: ClassVar[bool]
    """Whether covariances are matrices, or else variances."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of the covariances."""

    @abstractmethod
    def add_to_diagonal(
        self, covariances: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """Return covariances with `values`, (d,) or (…, d), added to the diagonals."""

    @abstractmethod
    def factor(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return U, and which covariances are not positive definite.

        U is undefined for those.
        """

    @abstractmethod
    def covariances(self, cholesky: np.ndarray) -> np.ndarray:
        """Return Σ from U."""

    @abstractmethod
    def precisions(self, cholesky: np.ndarray) -> np.ndarray:
        """Return Σ⁻¹ = U Uᵀ."""

    @abstractmethod
    def factor_precisions(self, precisions: np.ndarray) -> np.ndarray:
        """Return U from Σ⁻¹."""

    @abstractmethod
    def upper_factor(self, roots: np.ndarray) -> np.ndarray:
        """Return U from any roots A of the precisions, Σ⁻¹ = A Aᵀ.

        Roots that are upper triangular, with a positive diagonal, are returned as
        they are.
        """

    @abstractmethod
    def draw(self, covariances: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        """Give noise, (d, b), the covariance of component k, singular or not.

        Raises `ValueError` if that is not a covariance.
        """

    @abstractmethod
    def log_det(self, cholesky: np.ndarray, n_features: int) -> np.ndarray:
        """Return log |U| = −½ log |Σ|, shape (K,), or (1,) if shared."""

    @abstractmethod
    def natural(self, cholesky: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the coefficients of [x, q(x)] in −½(x−μ)ᵀΣ⁻¹(x−μ), (K, d + size)."""

    @abstractmethod
    def whiten(self, cholesky: np.ndarray, k: int, z: np.ndarray) -> np.ndarray:
        """Uᵀz for component k; z is (d, b)."""

    def matrix(self, cholesky: np.ndarray, k: int, d: int) -> np.ndarray:
        """U of component k, shape (d, d)."""
        return self.whiten(cholesky, k, np.eye(d)).T

    @abstractmethod
    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        """Undo `whiten`: U⁻ᵀ noise, shape (d, b)."""

    @abstractmethod
    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Uᵀ x of one row for each component, shape (K, d)."""

    @abstractmethod
    def color_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Undo `whiten_rows`: U⁻ᵀ x."""

    def ordered(self, cholesky: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Return U of the components in another order."""
        return cholesky if self.shared else cholesky[order]

    @abstractmethod
    def rescale_precisions_cholesky(
        self, cholesky: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        """Return U for features divided by `factor`, shape (d,)."""

    @abstractmethod
    def standard_deviations(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return the marginal standard deviations, shape (K, d)."""

    @abstractmethod
    def precision_diagonals(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return the diagonals of Σ⁻¹, shape (K, d)."""

    @abstractmethod
    def trace_precision(self, cholesky: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Σ_k tr(Λ Σ_k⁻¹), once if shared; Λ without component axis."""

    @abstractmethod
    def to_chart(self, base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
        """Log-Cholesky coordinates of Σ about a base point, (K or 1, parameters).

        With Σ = L Lᵀ and C = L₀⁻¹ L: the entries of C below the diagonal, and
        √2 log C_ii. For data from the base point their information is the count.
        """

    @abstractmethod
    def from_chart(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return U from its coordinates; undo `to_chart`."""


def transposed(matrices: np.ndarray) -> np.ndarray:
    """Swap the last two axes."""
    return np.swapaxes(matrices, -1, -2)


def diagonals(matrices: np.ndarray) -> np.ndarray:
    """Return the diagonals of matrices, a view that can be written to."""
    return np.einsum("...ii->...i", matrices)


def variances_of(values: np.ndarray) -> np.ndarray:
    """Return the variances in one covariance (d, d); what has no others is returned."""
    return diagonals(values) if values.ndim == 2 else values


def deviations(variances: np.ndarray) -> np.ndarray:
    """Return standard deviations to draw by."""
    if not (variances >= 0).all():
        raise ValueError(NO_COVARIANCE)
    return np.sqrt(variances)
