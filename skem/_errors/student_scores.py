"""Scores of t mixtures, whose complete data have a scale τ for each row too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import digamma

from skem._errors.scores import SQRT2, Errors, ScoredRows, Scores
from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.storage import TINY
from skem.core.mixture.kernel import Kernel
from skem.core.solve.gamma import shape_information, trigamma
from skem.core.student.expectation import StudentExpectation
from skem.core.student.parameters import GAUSSIAN, StudentParameters


@dataclass(frozen=True)
class StudentScores(Scores):
    """Those of Gaussian mixtures with r u in place of r, and those on log ν.

    Of these there is one for each component; `n_degrees` of them are free: all, one
    that is common to all components, or none.
    """

    n_degrees: int = 0

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
        if self.n_degrees == K:
            return free
        return np.hstack([rest, own.sum(axis=1, keepdims=True)[:, : self.n_degrees]])

    def evaluated(
        self, expectation: Kernel, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, ScoredRows]:
        """Return responsibilities, and the rows with their scales."""
        assert isinstance(expectation, StudentExpectation)
        resp, scale = expectation.weights(block, workspace)
        observed = np.full(block.data.shape[1], expectation.n_dimensions)
        if block.incomplete:
            observed = expectation.observed_dimensions(~np.isnan(block.data).T)
        return resp, ScoredRows(block.data, scale, observed)

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
        quadratic, units = self.structure.quadratic, np.ones(len(self.expected))
        units[self.logarithmic] = 1 / SQRT2
        for k, v in enumerate(weight):
            df = self._df[k]
            if df >= GAUSSIAN:
                continue
            alpha, own = (df + data.n_observed) / 2, self.degrees.start + k
            y = self._whitened(data.of, k)
            q = workspace.array("q", (len(units), y.shape[1]), float)
            quadratic.expand(y, q)
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
        return (np.concatenate(found),)
