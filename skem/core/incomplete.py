"""The E-step of rows with missing values, by the likelihood of what is there.

NaN is a missing value, missing at random. With O the features that a row has and M
those that it lacks, its density under a component is the marginal N(x_O | μ_O, Σ_OO),
and what the M-step needs of x_M is its conditional law. Both come from the precision
Cholesky factor U. With y = x − μ, zero where nothing was observed, and the rows of M
factored as U_Mᵀ = Q R:

- w = (I − QQᵀ) Uᵀy, so that |w|² = y_Oᵀ Σ_OO⁻¹ y_O
- ŷ_M = −R⁻¹ Qᵀ Uᵀy, the conditional mean, and Uᵀŷ = w
- C = R⁻¹ R⁻ᵀ, the conditional covariance
- log |Σ_OO|^(−½) = log |U| − log |R|

which is a least-squares problem, and no worse conditioned than U is. It is solved once
for each pattern of missing features in a block. The statistics are those of completed
rows, Σ r [1, ŷ, ŷŷᵀ + C], about the means: true EM, and additive as those of complete
data are (Ghahramani & Jordan 1994; Schafer 1997).

Where the data are incomplete, all of their blocks come here, those without a gap too.
A pattern that many rows have is expanded: its marginals are linear in [1, x, x xᵀ],
with zeros for what is missing in x and in their coefficients, and only the sums of its
rows are completed. Independent features need no patterns: their log-density is linear
in [m, m x, m x²], m saying what was observed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from skem.core.blocks import Block
from skem.core.coordinates import Coordinates
from skem.core.covariance import STRUCTURES, Structure
from skem.core.far import LOG_2PI, evaluate_far
from skem.core.forms import (
    CONDITION,
    MAX_EXPANDED_FEATURES,
    condition,
    joined_by_noise,
)
from skem.core.gaps import GapsPass
from skem.core.linear import linear_step, masked_step
from skem.core.parameters import Parameters
from skem.core.quadratic import (
    Pairs,
    Quadratic,
    diagonal_positions,
)
from skem.core.statistics import Statistics
from skem.core.threads import Workspace

PIVOT = 1e-7
"""Least share of a precision that may be left of it, given the others."""
RARE = 8
"""Rows of a pattern below which it goes together with others."""
PIECE = 2**17
"""Values, of the residuals of all components, that are worked on at once."""
FREQUENT = 32
"""Rows of a pattern from which it is expanded."""
HIGHEST = 300
"""Nats of a density at its highest, below which exponentials need no shift."""
FARTHEST = 1e8
"""Nats beyond which differences between components are lost to rounding."""


def distinct_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows, sorted, and which of them each row is.

    As `np.unique` does, for which no NaN is like another one.
    """
    missing = np.isnan(X)
    keys = np.hstack([np.where(missing, 0, X), missing])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return X[first], inverse.ravel()


@dataclass(frozen=True)
class Patterns:
    """Which features rows have: rows in the `order` of their patterns.

    Those of pattern p are `order[starts[p]:starts[p + 1]]`, and have the features
    `observed[p]`.
    """

    order: np.ndarray
    starts: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, missing: np.ndarray) -> Patterns:
        """Group the columns of a mask, (d, b); the pattern without a gap is first."""
        d, b = missing.shape
        words = -(-d // 64)
        codes = np.zeros((b, 8 * words), np.uint8)
        codes[:, : -(-d // 8)] = np.packbits(missing, axis=0).T
        keys = codes.view(np.uint64)
        if words == 1:
            order = np.argsort(keys[:, 0], kind="stable")
        else:
            order = np.lexsort(keys.T)
        ordered = keys[order]
        new = np.ones(b, np.bool_)
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        starts = np.append(np.flatnonzero(new), b)
        return cls(order, starts, ~missing[:, order[starts[:-1]]].T)

    def pieces(self, most: int) -> Iterator[Patterns]:
        """Cut into consecutive parts of at most so many rows."""
        b = len(self.order)
        for begin in range(0, b, most):
            end = min(begin + most, b)
            first = int(np.searchsorted(self.starts, begin, side="right")) - 1
            last = int(np.searchsorted(self.starts, end, side="left"))
            starts = np.clip(self.starts[first : last + 1], begin, end) - begin
            yield Patterns(self.order[begin:end], starts, self.observed[first:last])

    @property
    def counts(self) -> np.ndarray:
        """Number of rows of each pattern."""
        return np.diff(self.starts)

    @cached_property
    def of_row(self) -> np.ndarray:
        """Pattern of each row, in order."""
        return np.repeat(np.arange(len(self.observed)), self.counts)


class Piece(NamedTuple):
    """Rows in the order of their patterns, as components need them.

    `z` (d, b) is zero where nothing was observed, and so are `squares`, w²/12.
    """

    patterns: Patterns
    z: np.ndarray
    squares: np.ndarray | None
    weight: np.ndarray | None


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
            start, stop = self.patterns.starts[gaps.which[i] : gaps.which[i] + 2]
            basis, inverse = gaps.basis[:, None, i], gaps.inverse[:, None, i]
            known = basis @ white[..., start:stop]
            white[..., start:stop] -= np.swapaxes(basis, -1, -2) @ known
            y[:, :, gaps.missing[i], start:stop] = -(inverse @ known)
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
            rows = slice(*self.patterns.starts[gaps.which[i] : gaps.which[i] + 2])
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


@dataclass(frozen=True)
class Incomplete:
    """The E-step of incomplete blocks at parameters, in coordinates."""

    structure: Structure
    parameters: Parameters
    coordinates: Coordinates
    background: np.ndarray | None = None
    """Logarithms of the widths of noise, the last of the responsibilities."""

    @property
    def _shape(self) -> tuple[int, ...]:
        """(…, K), with noise among the components."""
        *stack, K = self.parameters.weights.shape
        return (*stack, K + (self.background is not None))

    def _noise(self, patterns: Patterns) -> np.ndarray:
        """Log w_0 p_0 of what was observed of each row, (…, b)."""
        assert self.background is not None
        own = (patterns.observed @ self.background)[patterns.of_row]
        return self.parameters.log_noise_weight[..., None] - own

    @cached_property
    def _means(self) -> np.ndarray:
        """All means, (G, d)."""
        return self.parameters.means.reshape(-1, self.parameters.shape[-1])

    @cached_property
    def _factors(self) -> np.ndarray:
        """Precision Cholesky factors, (F, d, d); or reciprocal deviations, (G, d)."""
        cholesky, d = self.parameters.precisions_cholesky, self._means.shape[1]
        if self.structure.matrices:
            return cholesky.reshape(-1, d, d)
        # Not the root of a precision, which may be out of range.
        sd = self.structure.standard_deviations(cholesky, self.parameters.shape)
        return 1 / sd.reshape(-1, d)

    @cached_property
    def _stable(self) -> bool:
        """Whether expansions lose little."""
        limit = CONDITION[np.dtype(float)]
        return condition(self.structure, self.parameters) <= limit

    @cached_property
    def _compiled(self) -> GapsPass | None:
        return GapsPass.of(
            self.structure, self.parameters, self.coordinates, self.background
        )

    def completed(self, piece: Piece) -> Completed:
        """Complete rows under all components."""
        with np.errstate(all="ignore"):
            if self.structure.matrices:
                return CompletedMatrices(self._factors, self._means, piece)
            return CompletedVariances(self._factors, self._means, piece)

    def pieces(self, block: Block, workspace: Workspace) -> Iterator[Piece]:
        """Cut a block into parts, in the order of their patterns."""
        shape = block.data.shape
        z = workspace.array("z", shape, np.float64)
        with np.errstate(all="ignore"):
            self.coordinates.load(block.data, z)
        missing = np.isnan(block.data)
        patterns = Patterns.of(missing)
        squares = self.coordinates.squares(block.data)
        z = z[:, patterns.order]
        z[missing[:, patterns.order]] = 0
        if squares is not None:
            squares = np.where(missing, 0.0, squares)[:, patterns.order]
        weight = None if block.weight is None else block.weight[patterns.order]
        most = max(64, PIECE // self._means.size)
        begin = 0
        for part in patterns.pieces(most):
            rows = slice(begin, begin + len(part.order))
            begin = rows.stop
            yield Piece(
                part,
                z[:, rows],
                None if squares is None else squares[:, rows],
                None if weight is None else weight[rows],
            )

    def _softmax(
        self, piece: Piece, completed: Completed
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities (…, b) in coordinates, and responsibilities (…, K, b)."""
        shape = self.parameters.weights.shape
        b = piece.z.shape[1]
        with np.errstate(all="ignore"):
            logits = completed.log_density.reshape(*shape, b)
            logits = logits + self.parameters.log_weights[..., None]
            if self.background is not None:
                noise = self._noise(piece.patterns)[..., None, :]
                logits = np.concatenate([logits, noise], axis=-2)
            top = logits.max(axis=-2, keepdims=True)
            resp = np.exp(logits - top)
            total = resp.sum(axis=-2, keepdims=True)
            resp /= total
            log_norm = (np.log(total) + top)[..., 0, :]
        lost = ~(np.abs(log_norm) < FARTHEST)
        if lost.any():
            self._carefully(piece, lost, log_norm, resp)
        return log_norm, resp

    def _carefully(
        self, piece: Piece, lost: np.ndarray, log_norm: np.ndarray, resp: np.ndarray
    ) -> None:
        """Evaluate samples at any distance, by the marginals of what they have."""
        for mixture in np.ndindex(lost.shape[:-1]):
            found = np.flatnonzero(lost[mixture])
            pattern = piece.patterns.of_row[found]
            for p in np.unique(pattern):
                rows = found[pattern == p]
                kept = piece.patterns.observed[p]
                structure, marginal = marginal_parameters(
                    self.structure, self.parameters[mixture], kept
                )
                squares = piece.squares
                if squares is not None:
                    squares = squares[kept][:, rows]
                far = evaluate_far(structure, marginal, piece.z[kept][:, rows], squares)
                if self.background is not None:
                    far = joined_by_noise(*far, self._noise(piece.patterns)[..., rows])
                log_norm[mixture][rows], resp[mixture][:, rows] = far

    def unit(self, patterns: Patterns) -> np.ndarray:
        """Log |dz/dx| of the features that each row has, (b,)."""
        return (patterns.observed @ self.coordinates.log_slopes)[patterns.of_row]

    def statistics(self, block: Block, workspace: Workspace) -> Statistics:
        """Fold one block into sufficient statistics, about the means.

        A missing value has density one in the units of the data: in those of the
        coordinates that is 1 / slope, and the change of units is the same for all rows.
        """
        d = self._means.shape[1]
        if not self._stable:
            return self._by_row(block, workspace)
        if self._compiled is not None:
            found, lost = self._compiled.statistics(block, workspace)
            if not len(lost):
                return found
            return found + self._by_row(block.only(lost), workspace)
        if not self.structure.matrices:
            return self._of_masks(block, workspace)
        if d <= MAX_EXPANDED_FEATURES:
            return self._by_pattern(block, workspace)
        return self._by_row(block, workspace)

    def _statistics(
        self,
        loglik: np.ndarray,
        counts: np.ndarray,
        first: np.ndarray,
        q: np.ndarray,
        noise: np.ndarray,
    ) -> Statistics:
        """Return statistics about the means, of arrays of all G components."""
        quadratic, shape = self.structure.quadratic, self.parameters.shape
        sums = np.concatenate([counts[:, None], first, q], axis=1)
        means = self.parameters.means
        return Statistics(
            loglik.reshape(shape[:-2])[()],
            sums.reshape(*shape[:-1], -1),
            means,
            quadratic,
            noise.reshape(shape[:-2])[()],
        )

    def _with_noise(self, theta: np.ndarray, of_noise: np.ndarray) -> np.ndarray:
        """Append coefficients of noise (…, size), without its weight."""
        if self.background is None:
            return theta
        own = np.broadcast_to(of_noise, (*theta.shape[:-2], theta.shape[-1])).copy()
        own[..., 0] += self.parameters.log_noise_weight.reshape(-1)
        return np.concatenate([theta, own[..., None, :]], axis=-2)

    def _split(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split sums (M, K, size) into those of components, and counts of noise."""
        if self.background is None:
            return sums, np.zeros(sums.shape[:-2])
        return sums[..., :-1, :], sums[..., -1, 0]

    def _of_masks(self, block: Block, workspace: Workspace) -> Statistics:
        """Independent features: log-densities are linear in [1, m x, m x², m]."""
        means, roots = self._means, self._factors
        d, b = block.data.shape
        K = self.parameters.shape[-2]
        precisions = roots**2
        linear = precisions * means
        peaks = np.log(roots) - 0.5 * LOG_2PI
        constants = peaks - 0.5 * means * linear
        # No log-density of a mixture is above its highest, whatever is missing.
        highest = np.maximum(peaks.reshape(-1, K, d).max(axis=1), 0).sum(axis=1)
        if self.background is not None:
            highest = np.maximum(highest, np.maximum(-self.background, 0).sum())
        bounded = bool(highest.max() < HIGHEST)
        shift = highest if bounded else np.zeros_like(highest)
        log_weights = self.parameters.log_weights.reshape(-1, K) - shift[:, None]
        theta = np.hstack(
            [log_weights.reshape(-1, 1), linear, -0.5 * precisions, constants]
        ).reshape(-1, K, 1 + 3 * d)
        if self.background is not None:
            of_noise = np.zeros((len(theta), 1 + 3 * d))
            of_noise[:, 0], of_noise[:, 1 + 2 * d :] = -shift, -self.background
            theta = self._with_noise(theta, of_noise)
        found = masked_step(theta, block, self.coordinates, workspace, bounded=bounded)
        if len(found.lost):
            return self._by_row(block, workspace)
        total = b if block.weight is None else block.weight.sum()
        own, noise = self._split(found.sums)
        counts, first, second, observed = np.split(
            own.reshape(-1, 1 + 3 * d), [1, 1 + d, 1 + 2 * d], axis=1
        )
        # Rows have one component each, so that any mixture counts what was observed.
        seen = found.sums[0, :, 1 + 2 * d :].sum(axis=0)
        unit = self.coordinates.log_slopes @ (seen - total)
        loglik = found.loglik + total * shift + unit
        # About the means, and with the variances of what is missing.
        variances = second - 2 * means * first + means**2 * observed
        variances += (counts - observed) / precisions
        quadratic = self.structure.quadratic
        q = np.zeros((quadratic.size(d), len(means)))
        quadratic.add_squares(q, variances.T)
        return self._statistics(
            loglik, counts[:, 0], first - means * observed, q.T, noise
        )

    def _by_pattern(self, block: Block, workspace: Workspace) -> Statistics:
        """Expand the patterns that many rows have; take the others row by row."""
        missing = np.isnan(block.data)
        patterns = Patterns.of(missing)
        frequent = np.flatnonzero(patterns.counts >= FREQUENT)
        if not len(frequent):
            return self._by_row(block, workspace)
        shape = (len(block.data), len(patterns.order))
        data, order = block.data[:, patterns.order], patterns.order
        z = self.coordinates.load(data, workspace.array("z", shape, np.float64))
        np.nan_to_num(z, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
        squares = self.coordinates.squares(data)
        weight = None if block.weight is None else block.weight[order]
        expanded = Expanded(self, patterns.observed[frequent])
        left = [
            order[patterns.starts[p] : patterns.starts[p + 1]]
            for p in np.flatnonzero(patterns.counts < FREQUENT)
        ]
        loglik, all_sums = 0.0, []
        for i, p in enumerate(frequent):
            rows = slice(*patterns.starts[p : p + 2])
            own = None if weight is None else weight[rows]
            widths = squares
            if widths is not None and widths.shape[1] > 1:
                widths = widths[:, rows]
            found = linear_step(
                expanded.theta[i], z[:, rows], own, Pairs(), widths, workspace
            )
            if len(found.lost):
                left.append(order[rows])
                all_sums.append(np.zeros_like(found.sums))
                continue
            n = rows.stop - rows.start if own is None else own.sum()
            loglik = loglik + found.loglik + n * expanded.unit[i]
            all_sums.append(found.sums)
        own, noise = self._split(np.stack(all_sums))
        counts, first, second = expanded.completed(own)
        statistics = self._statistics(
            loglik * np.ones(expanded.theta.shape[1]),
            counts,
            first,
            second,
            noise.sum(axis=0),
        )
        if not left:
            return statistics
        others = np.concatenate(left)
        own = None if block.weight is None else block.weight[others]
        rest = block._replace(data=block.data[:, others], weight=own)
        return statistics + self._by_row(rest, workspace)

    def _by_row(self, block: Block, workspace: Workspace) -> Statistics:
        """Complete all rows under all components."""
        shape, quadratic = self.parameters.shape, self.structure.quadratic
        *mixtures, K, d = shape
        sums = np.zeros((*mixtures, K, 1 + d + quadratic.size(d)))
        loglik, noise = np.zeros((2, *mixtures))
        for piece in self.pieces(block, workspace):
            completed = self.completed(piece)
            log_norm, resp = self._softmax(piece, completed)
            unit = self.unit(piece.patterns) - self.coordinates.log_slope
            if piece.weight is None:
                loglik += (log_norm + unit).sum(axis=-1)
            else:
                loglik += (log_norm + unit) @ piece.weight
                resp *= piece.weight
            if self.background is not None:
                noise += resp[..., -1, :].sum(axis=-1)
                resp = resp[..., :-1, :]
            resp = resp.reshape(-1, resp.shape[-1])
            # Squares of what is farther than any row of a fit may overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                sums += completed.sums(resp, quadratic).reshape(sums.shape)
        means = self.parameters.means
        return Statistics(loglik[()], sums, means, quadratic, noise[()])

    def evaluate(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log p of what was observed, in units of the data, (b,), and (K, b) of r."""
        b = block.data.shape[1]
        log_density = np.empty(b)
        resp = np.empty((*self._shape, b))
        for piece in self.pieces(block, workspace):
            order = piece.patterns.order
            log_norm, own = self._softmax(piece, self.completed(piece))
            log_density[order] = log_norm + self.unit(piece.patterns)
            resp[:, order] = own
        return log_density, resp

    def responsibilities(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Posterior probabilities, (…, K, b)."""
        resp = np.empty((*self._shape, block.data.shape[1]))
        for piece in self.pieces(block, workspace):
            _, own = self._softmax(piece, self.completed(piece))
            resp[..., piece.patterns.order] = own
        return resp

    def component_log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log-densities of the components in units of the data, (K, b), maybe −∞."""
        out = np.empty((len(self._means), block.data.shape[1]))
        for piece in self.pieces(block, workspace):
            log_density = self.completed(piece).log_density
            out[:, piece.patterns.order] = log_density + self.unit(piece.patterns)
        return np.nan_to_num(out, nan=-np.inf, neginf=-np.inf)

    def moments(
        self, block: Block, resp: np.ndarray, workspace: Workspace
    ) -> np.ndarray:
        """Σ r [1, y, y yᵀ], packed, about the means, for weights (K, b)."""
        pairs, d = Pairs(), self._means.shape[1]
        sums = np.zeros((len(self._means), 1 + d + pairs.size(d)))
        for piece in self.pieces(block, workspace):
            own = resp[:, piece.patterns.order]
            sums += self.completed(piece).sums(own, pairs)
        return sums

    def conditional_means(self, block: Block, resp: np.ndarray) -> np.ndarray:
        """Σ_k r_k E_k[z | what the row has], in coordinates, (d, b), for r (K, b)."""
        z = np.empty(block.data.shape)
        for piece in self.pieces(block, Workspace()):
            order = piece.patterns.order
            residuals = self.completed(piece).residuals
            rows = residuals + self._means[:, :, None]
            z[:, order] = np.einsum("kb,kdb->db", resp[:, order], rows)
        return z

    def whitened(self, block: Block, workspace: Workspace) -> Iterator[Whitened]:
        """Yield the rows of a block, completed and whitened, in parts."""
        for piece in self.pieces(block, workspace):
            patterns = piece.patterns
            means, covariances = self.completed(piece).whitened()
            yield Whitened(patterns.order, patterns.of_row, means, covariances)

    def filled(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows completed by the conditional means of one component.

        In coordinates, (d, b), with the variances of what they are completed by; and
        shared values have those of their widths.
        """
        z, variances = np.empty((2, *block.data.shape))
        for piece in self.pieces(block, workspace):
            completed, order = self.completed(piece), piece.patterns.order
            z[:, order] = completed.residuals[0] + self._means[0][:, None]
            own = completed.variances()[0]
            variances[:, order] = own if piece.squares is None else own + piece.squares
        return z, variances


def marginal_parameters(
    structure: Structure, parameters: Parameters, observed: np.ndarray
) -> tuple[Structure, Parameters]:
    """Return the mixture of some features, of one variance too as one of several."""
    means, cholesky = parameters.means[:, observed], parameters.precisions_cholesky
    if structure.matrices:
        factor = marginal_factor(cholesky, observed)
        return structure, replace(parameters, means=means, precisions_cholesky=factor)
    sd = structure.standard_deviations(cholesky, parameters.shape)[:, observed]
    marginal = replace(parameters, means=means, precisions_cholesky=1 / sd)
    return STRUCTURES["diag"], marginal


def marginal_factor(cholesky: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the precision Cholesky factors of some features, from those of all."""
    rows = cholesky[..., ~observed, :]
    Q, _ = np.linalg.qr(np.swapaxes(rows, -1, -2))
    part = cholesky[..., observed, :]
    root = part - (part @ Q) @ np.swapaxes(Q, -1, -2)
    # With J the reversal of the order and (J A)ᵀ = Q R: J A Aᵀ J = Rᵀ R.
    R = np.linalg.qr(np.swapaxes(root[..., ::-1, :], -1, -2), mode="r")
    factor = np.swapaxes(R, -1, -2)[..., ::-1, ::-1]
    signs = np.sign(np.einsum("...ii->...i", factor))
    return factor * np.where(signs < 0, -1.0, 1.0)[..., None, :]


class Expanded:
    """Marginals of patterns (P, d), linear in [1, x, x xᵀ] of rows padded with zeros.

    - `theta` (P, M, K, 1 + d + size): coefficients of mixtures' components
    - `unit` (P,): log |dz/dx| of what was observed, less that of all features
    """

    def __init__(self, step: Incomplete, observed: np.ndarray) -> None:
        factors, means = step._factors, step._means
        F, d, _ = factors.shape
        P, self._each = len(observed), len(means) // F
        transposed = np.swapaxes(factors, -1, -2)
        # Uᵀ less what is in the span of Q; y -> ŷ; C; all (F, P, d, d).
        rest = np.repeat(transposed[:, None], P, axis=1)
        self._fill = np.broadcast_to(np.eye(d), rest.shape).copy()
        self._within = np.zeros(rest.shape)
        log_det = np.repeat(
            np.log(np.einsum("fii->fi", factors)).sum(axis=1)[:, None], P, axis=1
        )
        for gaps in factored(factors, observed):
            log_det[:, gaps.which] -= gaps.log_det
            part = gaps.basis @ transposed[:, None]
            rest[:, gaps.which] -= np.swapaxes(gaps.basis, -1, -2) @ part
            which, rows = gaps.which[:, None], gaps.missing
            self._fill[:, which, rows] = -gaps.inverse @ part
            places = gaps.which[:, None, None], rows[:, :, None], rows[:, None, :]
            self._within[(slice(None), *places)] = gaps.covariances
        log_det -= 0.5 * LOG_2PI * observed.sum(axis=1)
        self._fill *= observed[:, None, :]
        precisions = np.swapaxes(rest, -1, -2) @ rest
        precisions *= observed[:, :, None] & observed[:, None, :]
        self._means = means.reshape(F, self._each, 1, d) * observed
        # (F, each, P, …), as all that follows.
        linear = np.einsum("fpij,fcpj->fcpi", precisions, self._means)
        constant = log_det[:, None] - 0.5 * np.einsum(
            "fcpi,fcpi->fcp", linear, self._means
        )
        constant += step.parameters.log_weights.reshape(F, self._each, 1)
        quadratic = -Pairs().pack(precisions)
        quadratic[..., diagonal_positions(d)] *= 0.5
        shape = (F, self._each, P, quadratic.shape[-1])
        theta = np.concatenate(
            [
                constant[..., None],
                linear,
                np.broadcast_to(quadratic[:, None], shape),
            ],
            axis=-1,
        )
        K = step.parameters.shape[-2]
        theta = np.moveaxis(theta.reshape(-1, P, theta.shape[-1]), 1, 0)
        theta = theta.reshape(P, -1, K, theta.shape[-1])
        if step.background is not None:
            of_noise = np.zeros((P, 1, theta.shape[-1]))
            of_noise[..., 0] = -(observed @ step.background)[:, None]
            theta = step._with_noise(theta, of_noise)
        self.theta = np.ascontiguousarray(theta)
        log_slopes = step.coordinates.log_slopes
        self.unit = observed @ log_slopes - log_slopes.sum()
        self._observed = observed

    def completed(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn Σ r [1, x, x xᵀ] of each pattern into statistics about the means.

        Counts (G,), first moments (G, d), and second ones, packed.
        """
        F, each, P, d = self._means.shape
        shape = (F, each, P)
        sums = np.moveaxis(sums.reshape(P, -1, sums.shape[-1]), 0, 1)
        sums = sums.reshape(*shape, sums.shape[-1])
        counts, means = sums[..., 0], self._means
        first = sums[..., 1 : 1 + d] * self._observed
        second = Pairs().unpack(sums[..., 1 + d :], d)
        cross = first[..., :, None] * means[..., None, :]
        second = second - cross - np.swapaxes(cross, -1, -2)
        second += counts[..., None, None] * means[..., :, None] * means[..., None, :]
        first = first - counts[..., None] * means
        fill, within = self._fill[:, None], self._within[:, None]
        first = (fill @ first[..., None])[..., 0].sum(axis=2)
        second = fill @ second @ np.swapaxes(fill, -1, -2)
        second += counts[..., None, None] * within
        second = Pairs().pack(second.sum(axis=2))
        G = F * each
        return counts.sum(axis=2).reshape(G), first.reshape(G, d), second.reshape(G, -1)
