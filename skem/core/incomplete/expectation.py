"""The E-step of rows with missing values, by the likelihood of observed values.

NaN is a missing value, missing at random. The statistics are those of completed rows,
Σ r [1, ŷ, ŷŷᵀ + C], about the means, with ŷ and C the conditional means and covariances
of each component (`completed`): true EM, and additive as those of complete data are
(Ghahramani & Jordan 1994; Schafer 1997).

Where the data are incomplete, all of their blocks come here, those without a gap too.
A pass over them is `masks` of independent features, and else `gaps` in compiled code
and `frequent` in NumPy. What these lose too many digits of, and all else that is asked
of rows, is computed here, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import evaluate_far
from skem.core.gaussian.marginals import marginal_parameters
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Pairs
from skem.core.gaussian.statistics import Statistics
from skem.core.incomplete.completed import (
    Completed,
    CompletedMatrices,
    CompletedVariances,
    Whitened,
)
from skem.core.incomplete.frequent import PatternStep
from skem.core.incomplete.gaps import GapsStep
from skem.core.incomplete.masks import MaskedStep
from skem.core.incomplete.patterns import Patterns, Piece
from skem.core.passes.forms import (
    CONDITION,
    MAX_EXPANDED_FEATURES,
    condition,
    joined_by_noise,
)
from skem.core.passes.softmax import responsibilities

PIECE = 2**17
"""Values, of the residuals of all components, that are worked on at once."""
COMPARABLE = 1e8
"""Nats beyond which differences between components are lost to rounding."""


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
    def _factors(self) -> np.ndarray:
        """Precision Cholesky factors, (F, d, d); or reciprocal deviations, (G, d)."""
        cholesky, d = self.parameters.precisions_cholesky, self.parameters.shape[-1]
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
    def _step(self) -> MaskedStep | GapsStep | PatternStep | None:
        """What is quicker than to complete each row, where that is precise."""
        if not self._stable:
            return None
        structure, given = self.structure, (self.parameters, self.coordinates)
        if not structure.matrices:
            return MaskedStep(structure, *given, self.background)
        compiled = GapsStep.of(structure, *given, self.background)
        if compiled is not None or self.parameters.shape[-1] > MAX_EXPANDED_FEATURES:
            return compiled
        return PatternStep(*given, self.background)

    def completed(self, piece: Piece) -> Completed:
        """Complete rows under all components."""
        kind = CompletedMatrices if self.structure.matrices else CompletedVariances
        with np.errstate(all="ignore"):
            return kind(self._factors, self.parameters.all_means, piece)

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
        most = max(64, PIECE // self.parameters.all_means.size)
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
        log_norm, resp = responsibilities(logits)
        lost = ~(np.abs(log_norm) < COMPARABLE)
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
        if self._step is None:
            return self._by_row(block, workspace)
        found, left = self._step.statistics(block, workspace)
        return found + self._by_row(block.only(left), workspace) if len(left) else found

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
        out = np.empty((len(self.parameters.all_means), block.data.shape[1]))
        for piece in self.pieces(block, workspace):
            log_density = self.completed(piece).log_density
            out[:, piece.patterns.order] = log_density + self.unit(piece.patterns)
        return np.nan_to_num(out, nan=-np.inf, neginf=-np.inf)

    def moments(
        self,
        block: Block,
        weights: np.ndarray,
        workspace: Workspace,
        unknown: np.ndarray | None = None,
    ) -> np.ndarray:
        """Σ r [1, y, y yᵀ], packed, about the means, for weights (K, b).

        What is unknown has weights of its own.
        """
        pairs, (G, d) = Pairs(), self.parameters.all_means.shape
        sums = np.zeros((G, 1 + d + pairs.size(d)))
        for piece in self.pieces(block, workspace):
            order = piece.patterns.order
            of_gaps = None if unknown is None else unknown[:, order]
            own = weights[:, order]
            sums += self.completed(piece).sums(own, pairs, of_gaps)
        return sums

    def completions(
        self, block: Block
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield rows, and the means and variances that each component has of them.

        Given what the rows have, in coordinates, (K, d, b) both.
        """
        for piece in self.pieces(block, Workspace()):
            completed = self.completed(piece)
            means = completed.residuals + self.parameters.all_means[:, :, None]
            yield piece.patterns.order, means, completed.variances()

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
            z[:, order] = completed.residuals[0] + self.parameters.all_means[0][:, None]
            own = completed.variances()[0]
            variances[:, order] = own if piece.squares is None else own + piece.squares
        return z, variances
