"""Laws of some features of rows, given the others: means, spreads and draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaincinv, ndtr

from skem.core.gaussian.parameters import TINY

LIMIT = float(np.finfo(float).max)
SQRT12 = float(np.sqrt(12))
"""Width of an even distribution, in its standard deviations."""
MOST_DF = 1e12
"""Degrees of freedom of a t that is as good as a Gaussian."""


def within_range(values: np.ndarray) -> np.ndarray:
    """Return numbers in the range of floats."""
    return np.clip(np.nan_to_num(values, nan=0.0), -LIMIT, LIMIT)


@dataclass(frozen=True)
class Laws:
    """Laws of the wanted features of rows of one pattern, in units of the data.

    Shapes: rows n, components K, wanted features w.
    """

    rows: np.ndarray
    """Indices (n,) of the rows."""
    wanted: np.ndarray
    """Indices (w,) of the wanted features."""
    log_density: np.ndarray
    """Log-density (n,) of what is observed."""
    log_weights: np.ndarray
    """Logarithms (n, K) of the components' weights, given what is observed."""
    means: np.ndarray
    """Conditional means (n, K, w) of the components."""
    roots: np.ndarray
    """Lower roots (K, w, w) of their conditional covariances."""
    stretch: np.ndarray | None = None
    """What these are to be multiplied by, (n, K), to be roots of scale matrices of t
    distributions with `df` (K,) degrees of freedom."""
    df: np.ndarray | None = None
    even: bool = False
    """Whether the last component is noise, evenly spread over a box."""

    @cached_property
    def weights(self) -> np.ndarray:
        """Weights (n, K) of the components, given what is observed."""
        weights = np.exp(self.log_weights)
        return weights / weights.sum(axis=1, keepdims=True)

    @property
    def mean(self) -> np.ndarray:
        """Conditional means (n, w)."""
        return np.einsum("nk,nkw->nw", self.weights, self.means)

    @property
    def standard_deviation(self) -> np.ndarray:
        """Conditional standard deviations (n, w), in range where variances are not."""
        with np.errstate(over="ignore"):
            own = np.minimum(self.deviations * self._inflation[..., None], LIMIT)
        root = np.sqrt(self.weights)[..., None]
        offset, own = root * np.abs(self._offsets), root * own
        unit = np.maximum(offset, own).max(axis=1)
        safe = np.where(unit > 0, unit, 1.0)[:, None]
        squares = (offset / safe) ** 2 + (own / safe) ** 2
        with np.errstate(over="ignore"):
            return np.minimum(unit * np.sqrt(squares.sum(axis=1)), LIMIT)

    @property
    def covariance(self) -> np.ndarray:
        """Conditional covariances (n, w, w)."""
        with np.errstate(over="ignore", invalid="ignore"):
            own = self.roots @ np.swapaxes(self.roots, 1, 2)
            offset = self._offsets
            weights = self.weights * self._inflation**2
            within = np.einsum("nk,kvw->nvw", weights, own)
            between = np.einsum("nk,nkv,nkw->nvw", self.weights, offset, offset)
            return within_range(within + between)

    @property
    def _inflation(self) -> np.ndarray:
        """What deviations of components are times, (n, K); 1 of Gaussians."""
        if self.stretch is None or self.df is None:
            return np.ones(())
        with np.errstate(divide="ignore", invalid="ignore"):
            tails = np.where(np.isinf(self.df), 1.0, self.df / (self.df - 2))
            return self.stretch * np.sqrt(np.where(self.df > 2, tails, np.inf))

    @cached_property
    def _offsets(self) -> np.ndarray:
        with np.errstate(over="ignore"):
            return within_range(self.means - self.mean[:, None])

    @cached_property
    def _units(self) -> np.ndarray:
        """Largest entry of each row of the roots, (K, w)."""
        return np.maximum(np.abs(self.roots).max(axis=2, initial=0.0), TINY)

    @property
    def _scaled_roots(self) -> np.ndarray:
        return self.roots / self._units[:, :, None]

    @property
    def deviations(self) -> np.ndarray:
        """Conditional standard deviations (K, w) of the components, or of noise too."""
        return np.sqrt(np.square(self._scaled_roots).sum(axis=2)) * self._units

    def draw(
        self, uniform: np.ndarray, noise: np.ndarray, tails: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn numbers (n,) and noise (n, w) into rows (n, w) and components (n,).

        `tails` are numbers (n,) that decide how far out rows of t components are.
        """
        cumulated = np.cumsum(self.weights, axis=1)
        below = uniform[:, None] * cumulated[:, -1:] >= cumulated
        labels = below.sum(axis=1)
        values = np.take_along_axis(self.means, labels[:, None, None], axis=1)[:, 0]
        for k in np.unique(labels):
            drawn = labels == k
            own = noise[drawn]
            if self.even and k == len(self.roots) - 1:
                own = SQRT12 * (ndtr(own) - 0.5)
            own = own @ self.roots[k].T
            if tails is not None and self.stretch is not None and self.df is not None:
                half = min(float(self.df[k]), MOST_DF) / 2
                tau = np.maximum(gammaincinv(half, tails[drawn]) / half, TINY)
                with np.errstate(over="ignore"):
                    wide = np.minimum(self.stretch[drawn, k] / np.sqrt(tau), LIMIT)
                    own = within_range(own * wide[:, None])
            with np.errstate(over="ignore"):
                values[drawn] = within_range(values[drawn] + own)
        return values, labels
