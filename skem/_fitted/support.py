"""The mass of a mixture where its density is below a level.

By the level set of one ellipsoid, of monotone pieces of a line, or of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import chi2, f

from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import ROOT_OF_LARGEST, log_constants
from skem.core.gaussian.parameters import Parameters
from skem.core.student.parameters import GAUSSIAN, StudentParameters, correction

ROUNDING = 4 * float(np.finfo(float).eps)
"""Share of a number that may be rounding."""
TIED = 1e-9
"""Nats by which log-densities of equal rows may differ by rounding."""
LEVELS_TOGETHER = 2**15
"""Levels that are looked up together."""
END = 38.5
"""Standard deviations beyond which a Gaussian has no mass that is a number."""
NODES = np.concatenate([[-END, -20, -12], np.linspace(-9, 9, 361), [12, 20, END]])
"""Nodes about each mean, in standard deviations."""
MOST_KEPT = 2**20
"""Draws of a mixture that are kept, at most: 8 MB."""
MOST_STEPS = 100


class Support(Protocol):
    """How mass is spread over levels of the log-density."""

    def below(self, levels: np.ndarray) -> np.ndarray:
        """Return the mass where the log-density is at most each level."""

    def level(self, below: float) -> float:
        """Return the level that so much mass is below."""


def exact_support(
    structure: Structure, parameters: Parameters, n_null: int = 0
) -> Support | None:
    """Return that of one component or of univariate Gaussians, else None.

    In `n_null` directions nothing varies.
    """
    active = parameters.weights > 0
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    inward = coordinates.inward(structure, parameters)
    peaks = log_constants(structure, inward)[active] + coordinates.log_slope
    K, d = inward.shape
    df = parameters.df if isinstance(parameters, StudentParameters) else None
    if df is not None:
        peaks = peaks + correction(df[active], d - n_null)
    if len(peaks) == 1:
        own = np.inf if df is None else float(df[active][0])
        return Ellipsoid(float(peaks[0]), d - n_null, own)
    if d > 1 or df is not None or n_null:
        return None
    weights = inward.weights[active] / inward.weights.sum()
    sd = structure.standard_deviations(inward.precisions_cholesky, (K, d))
    return Line(weights, inward.means[active, 0], sd[active, 0], peaks)


@dataclass(frozen=True)
class Ellipsoid:
    """One component in d dimensions: squared distances are chi-squared.

    Those of a t with ν degrees of freedom are d times an F of d and ν. Without any
    dimension, all mass is at the peak.
    """

    peak: float
    n_features: int
    df: float = np.inf

    def below(self, levels: np.ndarray) -> np.ndarray:
        """Mass outside the ellipsoid."""
        with np.errstate(over="ignore"):
            squared = np.maximum(2 * (self.peak - levels), 0.0)
            if self.n_features == 0:
                return np.where(squared <= 2 * TIED, 1.0, 0.0)
            if self.df < GAUSSIAN:
                squared = self.df * np.expm1(squared / (self.df + self.n_features))
                return f.sf(squared / self.n_features, self.n_features, self.df)
        return chi2.sf(squared, self.n_features)

    def level(self, below: float) -> float:
        """Log-density at a quantile of the distance."""
        if self.n_features == 0:
            return self.peak
        if self.df < GAUSSIAN:
            squared = self.n_features * float(f.isf(below, self.n_features, self.df))
            exponent = 0.5 * (self.df + self.n_features)
            return self.peak - exponent * float(np.log1p(squared / self.df))
        return self.peak - 0.5 * float(chi2.isf(below, self.n_features))


@dataclass(frozen=True)
class Sampled:
    """Sorted log-densities of draws from the mixture."""

    log_density: np.ndarray

    def below(self, levels: np.ndarray) -> np.ndarray:
        """Share of the draws, counting the point itself as one of them."""
        counts = np.searchsorted(self.log_density, levels + TIED, side="right")
        return (1 + counts) / (1 + len(self.log_density))

    def level(self, below: float) -> float:
        """Sample quantile."""
        return float(np.quantile(self.log_density, below))


@dataclass(frozen=True)
class MonotonePiece:
    """An interval [start, stop] within which the density rises or falls.

    `nodes` cut it into cells, in order of the log-density.
    """

    start: float
    stop: float
    nodes: np.ndarray
    log_density: np.ndarray

    @property
    def rises(self) -> bool:
        return bool(self.nodes[0] <= self.nodes[-1])


@dataclass(frozen=True)
class Line:
    """A univariate mixture of at least two components.

    Places are in any unit, and `peaks`, the log-densities of the components at their
    means times their weights, in that of the data.
    """

    weights: np.ndarray
    means: np.ndarray
    sd: np.ndarray
    peaks: np.ndarray

    def below(self, levels: np.ndarray) -> np.ndarray:
        """Mass of the intervals, between the roots of p(t) = level."""
        out = np.empty(len(levels))
        for start in range(0, len(levels), LEVELS_TOGETHER):
            block = levels[start : start + LEVELS_TOGETHER]
            out[start : start + LEVELS_TOGETHER] = sum(
                self._below(piece, block) for piece in self.pieces
            )
        return np.clip(out, 0.0, 1.0)

    def level(self, below: float) -> float:
        """Root of `below`, which is continuous and rises."""
        low = float(np.min(self.peaks)) - END**2
        high = max(float(piece.log_density[-1]) for piece in self.pieces)

        def excess(level: float) -> float:
            return float(self.below(np.array([level]))[0]) - below

        return float(brentq(excess, low, high, xtol=1e-13))

    def _distances(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            z = (t - self.means[:, None]) / self.sd[:, None]
        return np.clip(z, -ROOT_OF_LARGEST, ROOT_OF_LARGEST)

    def _with_slope(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log p(t) and its derivative."""
        z, log_density, resp = self._responsibilities(t)
        # Slopes to either side may be out of range; of the two neither is larger then.
        with np.errstate(over="ignore", invalid="ignore"):
            return log_density, -(resp * z / self.sd[:, None]).sum(axis=0)

    def _responsibilities(
        self, t: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z = self._distances(t)
        resp = self.peaks[:, None] - 0.5 * z**2
        top = resp.max(axis=0)
        np.exp(resp - top, out=resp)
        total = resp.sum(axis=0)
        resp /= total
        return z, top + np.log(total), resp

    def _rises(self, t: np.ndarray) -> np.ndarray:
        """Whether p' > 0, also where p itself is not a number above zero."""
        return self._with_slope(t)[1] > 0

    def _bends_up(self, t: np.ndarray) -> np.ndarray:
        """Whether p″ > 0."""
        z, _, resp = self._responsibilities(t)
        relative = self.sd.min() / self.sd[:, None]
        # The square of a ratio is in range where that of a width may not be.
        terms = resp * (z**2 - 1) * relative**2
        return terms.sum(axis=0) > 0

    @cached_property
    def pieces(self) -> list[MonotonePiece]:
        """Pieces between stationary points, the first and last of them unbounded.

        Between the points of inflection p' is monotone, so that each of its zeros
        shows as a change of sign; a pair of them could be missed only together with
        a pair of inflections within 0.05 standard deviations.
        """
        unit = float(self.sd.min())
        nodes = np.unique(self.means[:, None] + self.sd[:, None] * NODES)
        nodes = np.union1d(nodes, _changes(self._bends_up, nodes, unit))
        stationary = _changes(self._rises, nodes, unit)
        nodes = np.union1d(nodes, stationary)
        return list(self._cut(nodes, stationary))

    def _cut(
        self, nodes: np.ndarray, stationary: np.ndarray
    ) -> Iterator[MonotonePiece]:
        log_density, _ = self._with_slope(nodes)
        ends = np.searchsorted(nodes, stationary)
        first, last = [0, *ends], [*ends, len(nodes) - 1]
        starts, stops = [-np.inf, *stationary], [*stationary, np.inf]
        for i, j, start, stop in zip(first, last, starts, stops, strict=True):
            order = slice(i, j + 1)
            inside, logs = nodes[order], log_density[order]
            if logs[0] > logs[-1]:
                inside, logs = inside[::-1], logs[::-1]
            # Rounding must not take the order away that the search relies on.
            yield MonotonePiece(start, stop, inside, np.maximum.accumulate(logs))

    def _below(self, piece: MonotonePiece, levels: np.ndarray) -> np.ndarray:
        """Mass of the part of a piece that is below each level."""
        whole = self._mass(piece.start, piece.stop)
        mass = np.where(levels < piece.log_density[-1], 0.0, whole)
        cut = (levels >= piece.log_density[0]) & (levels < piece.log_density[-1])
        root = self._roots(piece, levels[cut])
        if piece.rises:
            mass[cut] = self._mass(piece.start, root)
        else:
            mass[cut] = self._mass(root, piece.stop)
        return mass

    def _roots(self, piece: MonotonePiece, levels: np.ndarray) -> np.ndarray:
        """Solve log p(t) = level within a piece, by Newton steps in a bracket."""
        cell = np.searchsorted(piece.log_density, levels, side="right")
        low, high = piece.nodes[cell - 1], piece.nodes[cell]
        below, above = piece.log_density[cell - 1], piece.log_density[cell]
        roots = low + (high - low) * ((levels - below) / (above - below))
        precision = ROUNDING * np.maximum(np.abs(levels), np.abs(self.peaks).max() + 1)
        left = np.arange(len(levels))
        for _ in range(MOST_STEPS):
            t = roots[left]
            log_density, slope = self._with_slope(t)
            excess = log_density - levels[left]
            under = excess < 0
            low, high = np.where(under, t, low), np.where(under, high, t)
            with np.errstate(all="ignore"):
                new = t - excess / slope
            middle = low / 2 + high / 2
            inside = (new - low) * (new - high) < 0
            new = np.where(inside, new, middle)
            going = (np.abs(excess) > precision[left]) & (new != t)
            if not going.any():
                break
            left, low, high = left[going], low[going], high[going]
            roots[left] = new[going]
        return roots

    def _mass(self, start: np.ndarray | float, stop: np.ndarray | float) -> np.ndarray:
        """Mass of intervals, to relative precision in either tail."""
        ends = np.broadcast_arrays(start, stop)
        a, b = (self._distances(np.atleast_1d(end)) for end in ends)
        right = a > 0
        mass = ndtr(np.where(right, -a, b)) - ndtr(np.where(right, -b, a))
        return self.weights @ mass


def _changes(
    test: Callable[[np.ndarray], np.ndarray], nodes: np.ndarray, unit: float
) -> np.ndarray:
    """Bisect to the points between nodes at which a test changes.

    As far as rounding goes, that of points about zero in terms of `unit`.
    """
    passed = test(nodes)
    found = np.flatnonzero(passed[1:] != passed[:-1])
    low, high, before = nodes[found], nodes[found + 1], passed[found]
    while True:
        size = np.maximum(np.maximum(np.abs(low), np.abs(high)), unit)
        wide = high / 2 - low / 2 > ROUNDING * size
        if not wide.any():
            return low
        middle = low / 2 + high / 2
        same = test(middle) == before
        low = np.where(wide & same, middle, low)
        high = np.where(wide & ~same, middle, high)
