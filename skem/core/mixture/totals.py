"""Sums over data: weights, log-likelihoods, and how certain labels are."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.mixture.kernel import Kernel


@dataclass(frozen=True)
class Totals:
    """Sums over samples with weights v; adding joins those of two parts of the data."""

    weight: float
    """Σ v"""
    loglik: float
    """Σ v log p(x)"""
    certainty: float
    """Σ v log max_k r_k"""

    @classmethod
    def of(
        cls,
        block: Block,
        log_density: np.ndarray,
        log_largest: np.ndarray | None = None,
    ) -> Totals:
        """Totals of one block; without `log_largest`, the certainty is left at 0."""
        v = block.weight_of_each
        with np.errstate(over="ignore"):
            certainty = 0.0 if log_largest is None else float(log_largest @ v)
            return cls(float(v.sum()), float(log_density @ v), certainty)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.weight + other.weight,
            self.loglik + other.loglik,
            self.certainty + other.certainty,
        )

    def bic(self, n_parameters: int) -> float:
        """−2ℓ + p log N."""
        return -2 * self.loglik + n_parameters * math.log(self.weight)

    def aic(self, n_parameters: int) -> float:
        """−2ℓ + 2p."""
        return -2 * self.loglik + 2 * n_parameters

    def icl(self, n_parameters: int) -> float:
        """BIC with a price on overlap."""
        return self.bic(n_parameters) - 2 * self.certainty

    def finite(self) -> Totals:
        """Return the totals with what has overflowed at the limit."""
        limit = sys.float_info.max
        values = self.weight, self.loglik, self.certainty
        return Totals(*(max(-limit, min(value, limit)) for value in values))


def scored(expectation: Kernel, blocks: Blocks) -> Totals:
    """Fold the data into totals, of which the certainty is left at 0."""

    def kernel(block: Block, workspace: Workspace) -> Totals:
        return Totals.of(block, expectation.log_density(block, workspace))

    return blocks.fold(kernel, expectation.values_per_sample).finite()


def classified(expectation: Kernel, blocks: Blocks) -> Totals:
    """Fold the data into totals, the certainty among them."""

    def kernel(block: Block, workspace: Workspace) -> Totals:
        log_density, log_largest, _ = expectation.classified(block, workspace)
        return Totals.of(block, log_density, log_largest)

    return blocks.fold(kernel, expectation.values_per_sample).finite()
