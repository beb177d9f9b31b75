"""Scores of t mixtures, whose complete data have a scale τ for each row too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Self

import numpy as np
from scipy.special import digamma, logsumexp

from skem._errors.bounds import INDISTINCT, costs
from skem._errors.scores import SQRT2, Errors, ScoredRows, Scores, Widths
from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gamma import same_variance, shape_information, trigamma
from skem.core.gaussian.storage import TINY
from skem.core.mixture.kernel import Kernel
from skem.core.student.expectation import StudentExpectation
from skem.core.student.parameters import (
    GAUSSIAN,
    LEAST,
    MOST,
    StudentParameters,
    correction,
)

ABOUT = 0.1
"""Standard errors that ν moves by, at least, in a direction that is about it."""


@dataclass(frozen=True)
class StudentScores(Scores):
    """Those of Gaussian mixtures with r u in place of r, and those on log ν.

    Of these there is one for each component; `n_degrees` of them are free: all, one
    that is common to all components, or none. Those on a bound are held there.
    """

    n_degrees: int = 0
    on_bounds: np.ndarray | bool = False
    """Mask (K,) of those that the data cannot tell from a bound."""

    @property
    def _df(self) -> np.ndarray:
        assert isinstance(self.parameters, StudentParameters)
        return np.minimum(self.parameters.df, GAUSSIAN)

    @property
    def degrees(self) -> slice:
        """Return the rows of the degrees of freedom."""
        start = super().n_before
        return slice(start, start + len(self._df))

    @property
    def n_before(self) -> int:
        """Number of coordinates before those of the covariances."""
        return self.degrees.stop

    def _own_of_place(self, k: int) -> list[slice]:
        row = self.degrees.start + k
        return [*super()._own_of_place(k), slice(row, row + 1)]

    @cached_property
    def _free_before(self) -> np.ndarray:
        free = super()._free_before
        K = len(self._df)
        rest, own = free[:, :-K], free[:, -K:]
        if self.n_degrees < K:
            own = own.sum(axis=1, keepdims=True)[:, : self.n_degrees]
        held = np.broadcast_to(self.on_bounds, K)[: own.shape[1]]
        return np.hstack([rest, own[:, ~held]])

    def held(
        self,
        expectation: Kernel,
        blocks: Blocks,
        features: np.ndarray | None,
        unit: float = 1.0,
    ) -> Self:
        """Return those that hold degrees of freedom on a bound.

        Weights are in that unit.
        """
        if not self.n_degrees:
            return self

        def kernel(block: Block, workspace: Workspace) -> np.ndarray:
            if features is not None:
                block = block._replace(data=block.data[features])
            resp, rows = self.evaluated(expectation, block, workspace)
            weight = 1.0 if block.weight is None else block.weight
            return np.stack(
                [self._costs(rows, resp, bound, weight) for bound in (LEAST, MOST)]
            )

        cost = blocks.fold(kernel, self.n_rows + expectation.values_per_sample)
        mask = (np.abs(cost) / unit < INDISTINCT).any(axis=0)
        return replace(self, on_bounds=np.broadcast_to(mask, len(self._df)))

    @property
    def may_hold(self) -> bool:
        """Whether any are free, and not held."""
        return bool(self.n_degrees) and not np.all(self.on_bounds)

    def beside(self, unknown: np.ndarray, units: np.ndarray) -> Self:
        """Hold the degrees of freedom that no information is about the most, if any.

        Where ν is large the likelihood is nearly flat in it. A fit may stop where minus
        the Hessian is negative there, and locations and scales would be lost with ν.
        """
        K, rows = len(self._df), self.degrees
        held = np.broadcast_to(self.on_bounds, K)
        about = np.linalg.norm(unknown[rows], axis=1)
        about /= np.maximum(np.linalg.norm(units[rows], axis=1), TINY)
        most = int(np.where(held, -1.0, about).argmax())
        if about[most] < ABOUT:
            return self
        mask = held | (np.arange(K) == most) | (self.n_degrees < K)
        return replace(self, on_bounds=mask)

    def _costs(
        self,
        data: ScoredRows,
        resp: np.ndarray,
        bound: float,
        weight: np.ndarray | float,
    ) -> np.ndarray:
        """Return what it costs to move each ν that is free to a bound.

        Scales then keep variances, but one that components share.
        """
        assert data.scale is not None and data.n_observed is not None
        df, d = self._df[:, None], data.n_observed
        with np.errstate(over="ignore"):
            squares = (df + d) / np.maximum(data.scale, TINY) - df
        squares = np.clip(squares, 0.0, 1e300)
        factor = np.ones(df.shape)
        if self.n_degrees == 1 or not self.structure.shared:
            factor = same_variance(df, bound)
        changes = _log_density(squares / factor, np.full(df.shape, bound), d)
        changes -= _log_density(squares, df, d) + d / 2 * np.log(factor)
        if self.n_degrees < len(df):
            # All of them move together.
            own = resp[: len(df)]
            whole = np.maximum(own.sum(axis=0, keepdims=True), TINY)
            changes = logsumexp(changes, axis=0, b=own / whole, keepdims=True)
            resp = np.vstack([whole, resp[len(df) :]])
        return costs(resp, changes, weight)

    def evaluated(
        self, expectation: Kernel, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, ScoredRows]:
        """Return responsibilities, and the rows with their scales."""
        assert isinstance(expectation, StudentExpectation)
        resp, scale = expectation.weights(block, workspace)
        observed = np.full(block.data.shape[1], expectation.n_dimensions)
        if block.incomplete:
            observed = expectation.observed_dimensions(~np.isnan(block.data).T)
        widths = Widths.of(expectation.coordinates, block.data)
        return resp, ScoredRows(block.data, widths, scale, observed)

    def complete(
        self, data: ScoredRows, resp: np.ndarray, workspace: Workspace
    ) -> np.ndarray:
        """Return Σ_k r_k h_k for a block."""
        scores = super().complete(data, resp, workspace)
        assert data.scale is not None and data.n_observed is not None
        df, whole = self._df[:, None], self._df[:, None] + data.n_observed
        log_ratio = np.log(whole / df) - np.log(np.maximum(data.scale, TINY))
        slope = digamma(whole / 2) - digamma(df / 2) - log_ratio + 1 - data.scale
        scores[self.degrees] = resp[: len(df)] * slope * (df / 2)
        return scores

    def _miss_scales(
        self,
        missing: np.ndarray,
        data: ScoredRows,
        weight: np.ndarray,
        workspace: Workspace,
    ) -> None:
        """Add Σ v r Var(h | x) of h = τ a + log τ b, with τ ~ Gamma(α), E τ = u.

        Var τ = u²/α, Cov(τ, log τ) = u/α and Var log τ = ψ′(α).
        """
        assert data.scale is not None and data.n_observed is not None
        units = np.ones(len(self.expected))
        units[self.logarithmic] = 1 / SQRT2
        for k, v in enumerate(weight):
            df = self._df[k]
            if df >= GAUSSIAN:
                continue
            alpha, own = (df + data.n_observed) / 2, self.degrees.start + k
            y, q = self._moments(data, k, workspace)
            slope = np.vstack(
                [y, np.full((1, y.shape[1]), -df / 2), q * units[:, None]]
            )
            root = np.sqrt(v / alpha)
            slope *= data.scale[k]
            slope *= root
            covariance = self.covariance(min(k, self.n_covariances - 1))
            rows = np.r_[self.means(k), own, covariance]
            missing[np.ix_(rows, rows)] += slope @ slope.T
            cross = df / 2 * (slope @ root)
            missing[rows, own] += cross
            missing[own, rows] += cross
            missing[own, own] += df**2 / 4 * (v @ trigamma(alpha))

    def _of_degrees(self, counts: np.ndarray) -> np.ndarray:
        return counts * shape_information(self._df / 2)

    def errors_of_degrees(self, errors: Errors) -> tuple[np.ndarray, ...]:
        """Return the errors of ν."""
        start = self.degrees.start
        found = [
            errors(slice(start + k, start + k + 1), partial(np.multiply, df))
            for k, df in enumerate(self._df)
        ]
        return (self.unless_on_bounds(np.concatenate(found)),)

    def unless_on_bounds(self, errors: np.ndarray) -> np.ndarray:
        """Return errors of ν, infinite on bounds."""
        return np.where(self.on_bounds, np.inf, errors)


def _log_density(squares: np.ndarray, df: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Log-density of a t by squared distances, but for a constant."""
    return correction(df, d) - 0.5 * (df + d) * np.log1p(squares / df)
