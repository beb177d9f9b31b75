"""Rows with missing values: marginal densities, and completions by each component.

With O the features that a row has and M those that it lacks, its density under a
component is the marginal N(x_O | μ_O, Σ_OO), and what the M-step needs of x_M is its
conditional law. Both come from the precision Cholesky factor U. With y = x − μ, zero
where nothing was observed, and the rows of M factored as U_Mᵀ = Q R:

- w = (I − QQᵀ) Uᵀy, so that |w|² = y_Oᵀ Σ_OO⁻¹ y_O
- ŷ_M = −R⁻¹ Qᵀ Uᵀy, the conditional mean, and Uᵀŷ = w
- C = R⁻¹ R⁻ᵀ, the conditional covariance
- log |Σ_OO|^(−½) = log |U| − log |R|

which is a least-squares problem, and no worse conditioned than U is. It is solved once
for each pattern of missing features in a block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.quadratic import Quadratic
from skem.core.incomplete.patterns import Piece

PIVOT = 1e-7
"""Least share of a precision that may be left of it, given the others."""
RARE = 8
"""Rows of a pattern below which it goes together with others."""


class Completed(ABC):
    """A piece under all components of all mixtures, G = number of them.

    - `log_density` (G, b): of what was observed, in coordinates
    - `peaks` (G, b): the same where all that was observed is at the means
    - `residuals` (G, d, b): ŷ, completed by conditional means
    """

    log_density: np.ndarray
    peaks: np.ndarray
    residuals: np.ndarray

    @abstractmethod
    def within(
        self, resp: np.ndarray, quadratic: Quadratic, unknown: np.ndarray | None = None
    ) -> np.ndarray:
        """Σ r q of what is not known of rows, for weights (G, b): (G, size).

        What is missing may have weights of its own, `unknown`.
        """

    def sums(
        self, resp: np.ndarray, quadratic: Quadratic, unknown: np.ndarray | None = None
    ) -> np.ndarray:
        """Σ r [1, y, q(y)], expected, for weights (G, b): (G, 1 + d + size)."""
        G, d, _ = self.residuals.shape
        sums = np.empty((G, 1 + d + quadratic.size(d)))
        for row, r, y in zip(sums, resp, self.residuals, strict=True):
            row[0] = r.sum()
            row[1 : 1 + d] = y @ r
            row[1 + d :] = quadratic.weighted_sum(y, r)
        sums[:, 1 + d :] += self.within(resp, quadratic, unknown)
        return sums

    @abstractmethod
    def whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Return conditional means (G, d, b) and covariances (G, P, d, d), whitened."""

    @abstractmethod
    def variances(self) -> np.ndarray:
        """Diagonals of C, of each component and row, (G, d, b)."""


class Whitened(NamedTuple):
    """Rows in the order of their patterns, whitened by each component, completed.

    - `order` (b,) of the rows in their block, and `of_row` (b,), the pattern of each
    - `means` (G, d, b) of Uᵀ(x − μ), given what was observed
    - `covariances` (G, P, d, d), which are projectors
    """

    order: np.ndarray
    of_row: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Gaps:
    """The patterns that lack so many features, with their factors U_Mᵀ = Q R.

    - `which` (n,): the patterns; `missing` (n, s): the features that they lack
    - `inverse` (F, n, s, s) = R⁻¹, and `log_det` (F, n) = log |R|
    - `given` (F, n, s, d) = Qᵀ where it is not to be found from the `factors`
    """

    which: np.ndarray
    missing: np.ndarray
    inverse: np.ndarray
    log_det: np.ndarray
    factors: np.ndarray
    given: np.ndarray | None

    @cached_property
    def basis(self) -> np.ndarray:
        """Qᵀ, (F, n, s, d)."""
        if self.given is not None:
            return self.given
        return np.swapaxes(self.inverse, -1, -2) @ self.factors[:, self.missing]

    @cached_property
    def covariances(self) -> np.ndarray:
        """C, the conditional covariances, (F, n, s, s)."""
        return self.inverse @ np.swapaxes(self.inverse, -1, -2)


def factored(factors: np.ndarray, observed: np.ndarray) -> Iterator[Gaps]:
    """Yield patterns (P, d) by the number of features that they lack."""
    n_missing = (~observed).sum(axis=1)
    precisions = factors @ np.swapaxes(factors, -1, -2)
    for s in np.unique(n_missing[n_missing > 0]):
        which = np.flatnonzero(n_missing == s)
        missing = np.nonzero(~observed[which])[1].reshape(-1, s)
        basis = None
        lower = _product_factors(precisions, missing)
        if lower is not None:
            inverse = np.swapaxes(np.linalg.inv(lower), -1, -2)
            diagonal = np.einsum("...ii->...i", lower)
        else:
            Q, R = np.linalg.qr(np.swapaxes(factors[:, missing], -1, -2))
            basis, inverse = np.swapaxes(Q, -1, -2), np.linalg.inv(R)
            diagonal = np.abs(np.einsum("...ii->...i", R))
        log_det = np.log(diagonal).sum(axis=-1)
        yield Gaps(which, missing, inverse, log_det, factors, basis)


def _product_factors(precisions: np.ndarray, missing: np.ndarray) -> np.ndarray | None:
    """Return Rᵀ from RᵀR = Σ⁻¹_MM, (F, n, s, s); None if that loses too many digits.

    It takes a fraction of the time of Q R.
    """
    own = precisions[:, missing[:, :, None], missing[:, None, :]]
    try:
        lower = np.linalg.cholesky(own)
    except np.linalg.LinAlgError:
        return None
    pivots = np.square(np.einsum("...ii->...i", lower))
    enough = pivots > PIVOT * np.einsum("...ii->...i", own)
    return lower if enough.all() else None


class CompletedMatrices(Completed):
    """Under components with covariance matrices.

    A factor that components share has one entry in `factors` (F, d, d), so that there
    are `each` = G / F components to an entry.
    """

    def __init__(self, factors: np.ndarray, means: np.ndarray, piece: Piece) -> None:
        (F, d, _), (G, _), b = factors.shape, means.shape, piece.z.shape[1]
        patterns = piece.patterns
        self.factors, self.patterns, self.squares = factors, patterns, piece.squares
        self.each = G // F
        observed = patterns.observed
        self.residuals = piece.z - means[:, :, None]
        if not observed.all():
            self.residuals *= observed[patterns.of_row].T
        shape = (F, self.each, d, b)
        y = self.residuals.reshape(shape)
        white = np.swapaxes(factors, -1, -2)[:, None] @ y
        log_det = np.repeat(
            np.log(np.einsum("fii->fi", factors)).sum(axis=1)[:, None],
            len(observed),
            axis=1,
        )
        self.gaps = list(factored(factors, observed))
        for gaps in self.gaps:
            log_det[:, gaps.which] -= gaps.log_det
        quick = [gaps for gaps in self.gaps if gaps.given is None]
        if quick:
            # Σ⁻¹ y: its entries in M are Σ⁻¹_MM times those of ŷ, but for the sign.
            across = factors[:, None] @ white
            for gaps in quick:
                self._complete_by_precisions(gaps, y, across)
            np.matmul(np.swapaxes(factors, -1, -2)[:, None], y, out=white)
        for gaps in self.gaps:
            if gaps.given is not None:
                self._complete(gaps, y, white)
        log_density = np.einsum("fcdb,fcdb->fcb", white, white)
        log_density *= -0.5
        log_det -= 0.5 * LOG_2PI * observed.sum(axis=1)
        if piece.squares is not None:
            log_density -= 0.5 * self._widths(piece.squares)[:, None]
        peaks = np.broadcast_to(log_det[:, None, patterns.of_row], log_density.shape)
        log_density += peaks
        self.log_density, self.peaks = log_density.reshape(G, b), peaks.reshape(G, b)

    def _complete(self, gaps: Gaps, y: np.ndarray, white: np.ndarray) -> None:
        """Fill in conditional means, and take what is known of them from `white`."""
        counts = self.patterns.counts[gaps.which]
        for i in np.flatnonzero(counts >= RARE):
            own = self.patterns.place(gaps.which[i])
            basis, inverse = gaps.basis[:, None, i], gaps.inverse[:, None, i]
            known = basis @ white[..., own]
            white[..., own] -= np.swapaxes(basis, -1, -2) @ known
            y[:, :, gaps.missing[i], own] = -(inverse @ known)
        rows, pattern = self._rows_of_rare(gaps, counts)
        if not len(rows):
            return
        basis, inverse = gaps.basis[:, None, pattern], gaps.inverse[:, None, pattern]
        some = np.moveaxis(white[..., rows], -1, 2)[..., None]
        known = basis @ some
        some = some - np.swapaxes(basis, -1, -2) @ known
        white[..., rows] = np.moveaxis(some[..., 0], 2, -1)
        filled = -(inverse @ known)[..., 0]
        y[:, :, gaps.missing[pattern].T, rows] = np.moveaxis(filled, 2, -1)

    def _complete_by_precisions(
        self, gaps: Gaps, y: np.ndarray, across: np.ndarray
    ) -> None:
        """Fill in conditional means, −Σ⁻¹_MM⁻¹ (Σ⁻¹ y)_M, where that is precise."""
        counts = self.patterns.counts[gaps.which]
        for i in np.flatnonzero(counts >= RARE):
            rows = self.patterns.place(gaps.which[i])
            own = across[:, :, gaps.missing[i], rows]
            y[:, :, gaps.missing[i], rows] = -(gaps.covariances[:, None, i] @ own)
        found, pattern = self._rows_of_rare(gaps, counts)
        if len(found):
            places = gaps.missing[pattern].T, found
            # (F, each, s, rows) -> (F, each, rows, s, 1)
            own = np.moveaxis(across[:, :, *places], -1, 2)[..., None]
            filled = gaps.covariances[:, None, pattern] @ own
            y[:, :, *places] = -np.moveaxis(filled[..., 0], 2, -1)

    def _rows_of_rare(
        self, gaps: Gaps, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of rare patterns, and which of the patterns each has."""
        rare = np.flatnonzero(counts < RARE)
        place = np.full(len(self.patterns.observed), -1)
        place[gaps.which[rare]] = rare
        pattern = place[self.patterns.of_row]
        rows = np.flatnonzero(pattern >= 0)
        return rows, pattern[rows]

    def _widths(self, squares: np.ndarray) -> np.ndarray:
        """Σ_j (Σ_OO⁻¹)_jj w_j²/12 of each row, (F, b)."""
        patterns = self.patterns
        F, d, _ = self.factors.shape
        diagonals = np.empty((F, len(patterns.observed), d))
        diagonals[...] = np.square(self.factors).sum(axis=-1)[:, None]
        for gaps in self.gaps:
            # Uᵀ less its part in the span of Q.
            part = gaps.basis @ np.swapaxes(self.factors, -1, -2)[:, None]
            diagonals[:, gaps.which] -= np.square(part).sum(axis=-2)
        return np.einsum(
            "fbd,db->fb", np.maximum(diagonals, 0)[:, patterns.of_row], squares
        )

    def _by_pattern(self, values: np.ndarray) -> np.ndarray:
        """Return sums over the rows of each pattern, (…, b) -> (…, P)."""
        return np.add.reduceat(values, self.patterns.starts[:-1], axis=-1)

    def within(
        self, resp: np.ndarray, quadratic: Quadratic, unknown: np.ndarray | None = None
    ) -> np.ndarray:
        """Σ r q of conditional covariances, and of widths."""
        d = self.residuals.shape[1]
        matrices = np.zeros((len(resp), d * d))
        shape = (-1, self.each, len(self.patterns.observed))
        counts = self._by_pattern(resp if unknown is None else unknown).reshape(shape)
        for gaps in self.gaps:
            place = gaps.missing[:, :, None] * d + gaps.missing[:, None, :]
            weights = counts[:, :, gaps.which, None, None] * gaps.covariances[:, None]
            _scatter(matrices, place, weights)
        if self.squares is not None:
            self._add_widths(matrices, resp)
        return quadratic.of_matrices(matrices.reshape(-1, d, d))

    def _add_widths(self, matrices: np.ndarray, resp: np.ndarray) -> None:
        """Add G diag(w²/12) Gᵀ, where ŷ = G y: widths of what completes rows."""
        d = self.residuals.shape[1]
        assert self.squares is not None
        # Σ r w²/12 of each pattern, (F, each, P, d).
        widths = self._by_pattern(resp[:, None] * self.squares)
        widths = np.swapaxes(widths, 1, 2).reshape(
            -1, self.each, len(self.patterns.observed), d
        )
        total = widths.sum(axis=2).reshape(-1, d)
        np.einsum("gii->gi", matrices.reshape(-1, d, d))[...] += total
        columns = np.arange(d)
        for gaps in self.gaps:
            own = widths[:, :, gaps.which]
            # −R⁻¹ Qᵀ Uᵀ, in the columns of what was observed.
            part = gaps.basis @ np.swapaxes(self.factors, -1, -2)[:, None]
            fill = -(gaps.inverse @ part)[:, None]
            cross = fill * own[..., None, :]
            place = gaps.missing[:, :, None] * d + columns
            _scatter(matrices, place, cross)
            place = gaps.missing[:, :, None] + columns * d
            _scatter(matrices, place, cross)
            place = gaps.missing[:, :, None] * d + gaps.missing[:, None, :]
            _scatter(matrices, place, cross @ np.swapaxes(fill, -1, -2))

    def whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Return conditional moments: with U_Mᵀ = Q R, UᵀCU is QQᵀ."""
        G, d, b = self.residuals.shape
        F, P = len(self.factors), len(self.patterns.observed)
        y = self.residuals.reshape(F, self.each, d, b)
        means = np.swapaxes(self.factors, -1, -2)[:, None] @ y
        spans = np.zeros((F, P, d, d))
        for gaps in self.gaps:
            spans[:, gaps.which] = np.swapaxes(gaps.basis, -1, -2) @ gaps.basis
        return means.reshape(G, d, b), np.repeat(spans, self.each, axis=0)

    def variances(self) -> np.ndarray:
        """Diagonals of C, of each component and row, (G, d, b)."""
        G, d, b = self.residuals.shape
        F = len(self.factors)
        by_pattern = np.zeros((F, len(self.patterns.observed), d))
        for gaps in self.gaps:
            own = np.einsum("...ii->...i", gaps.covariances)
            by_pattern[:, gaps.which[:, None], gaps.missing] = own
        rows = np.swapaxes(by_pattern[:, self.patterns.of_row], 1, 2)
        return np.repeat(rows, self.each, axis=0).reshape(G, d, b)


def _scatter(matrices: np.ndarray, place: np.ndarray, values: np.ndarray) -> None:
    """Add values (F, each, …) to entries of flat matrices (G, d²)."""
    place = place.ravel()
    for matrix, own in zip(
        matrices, values.reshape(len(matrices), place.size), strict=True
    ):
        matrix += np.bincount(place, own, len(matrix))


class CompletedVariances(Completed):
    """Under components with variances: features are independent of each other.

    `roots` are the reciprocals of standard deviations, (G, d).
    """

    def __init__(self, roots: np.ndarray, means: np.ndarray, piece: Piece) -> None:
        patterns = piece.patterns
        self.roots, self.squares = roots, piece.squares
        self.observed = patterns.observed
        self.mask = patterns.observed[patterns.of_row].T
        self.residuals = piece.z - means[:, :, None]
        self.residuals *= self.mask
        self.peaks = (np.log(roots) - 0.5 * LOG_2PI) @ self.mask
        self.log_density = self.peaks.copy()
        for row, y, root in zip(self.log_density, self.residuals, roots, strict=True):
            white = y * root[:, None]
            row -= 0.5 * np.einsum("db,db->b", white, white)
        if piece.squares is not None:
            self.log_density -= 0.5 * roots**2 @ piece.squares

    def within(
        self, resp: np.ndarray, quadratic: Quadratic, unknown: np.ndarray | None = None
    ) -> np.ndarray:
        """Σ r q of variances of what is missing, and of widths."""
        missing = (resp if unknown is None else unknown) @ (~self.mask).T
        variances = missing / self.roots**2
        if self.squares is not None:
            variances += resp @ self.squares.T
        size = quadratic.size(variances.shape[1])
        out = np.zeros((size, len(resp)))
        quadratic.add_squares(out, variances.T)
        return out.T

    def whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Return conditional moments: what is missing has the variance one."""
        missing = ~self.observed
        spans = missing[:, :, None] * np.eye(missing.shape[1])
        means = self.residuals * self.roots[:, :, None]
        return means, np.broadcast_to(spans, (len(means), *spans.shape))

    def variances(self) -> np.ndarray:
        """Variances of what is missing, of each component and row, (G, d, b)."""
        return ~self.mask / self.roots[:, :, None] ** 2
