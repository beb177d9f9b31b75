"""A step of EM on many samples, with both of its ends in compiled code.

What comes before and after a pass over a hundred thousand samples takes as long as that
pass in the interpreter, where there are few features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import Regularization
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.expectation import weight_exponent
from skem.core.mixture.plan import Outcome, Plan, Samples
from skem.core.mixture.step import Stepper
from skem.core.passes.forms import Expanded
from skem.core.passes.fused import Pass, add_left

WORTH_SHARING = 2**12
"""Samples from which a step is shared."""


@dataclass(frozen=True)
class WideStep:
    """Steps on samples in blocks, which threads share.

    `ends` are steps without samples: what comes before and after their pass.
    """

    ends: Stepper
    blocks: ArrayBlocks
    coordinates: Coordinates

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        coordinates: Coordinates,
        structure: Structure,
        second: np.ndarray,
    ) -> WideStep | None:
        """Return None if that is not for these data."""
        if not isinstance(blocks, ArrayBlocks) or blocks.known is not None:
            return None
        if blocks.n_samples < WORTH_SHARING:
            return None
        none = replace(blocks, X=blocks.X[:0], weight=None)
        ends = Samples.of(none, coordinates, structure, second)
        if ends is None:
            return None
        ends = replace(ends, total_weight=blocks.total_weight)
        return cls(Stepper(ends, blocks.workers), blocks, coordinates)

    def __call__(
        self, parameters: Parameters, regularization: Regularization
    ) -> Outcome | Statistics | None:
        """Return what a step finds; None if it must be done in another way.

        Statistics alone, where the M-step must be.
        """
        ends, plain = self.ends, type(parameters) is Parameters
        library = ends.samples.library
        whole = ends.loaded(parameters, regularization)
        plan = ends.loaded(parameters, None) if plain and whole is None else whole
        model = None if plan is None else library.begin(plan.packed)
        if plan is None or model is None:
            return None
        (_, _, of_sums), (_, _, of_loglik), *_ = plan.slices
        peak = plan.loglik.copy()
        middle = Middle(self, parameters, plan, Pass(library, model))
        values = math.prod(of_sums[:-1]) + of_sums[-1]
        found = self.blocks.fold(middle.sums, values)
        sums, loglik = np.split(found, [len(found) - len(peak)])
        if whole is not None:
            plan.sums[:], plan.loglik[:] = sums, loglik
            if library.finish(plan.packed):
                return plan.outcome(parameters)
            if not plain:
                return None
        loglik += peak * ends.samples.total_weight
        return Statistics(
            loglik.reshape(of_loglik)[()],
            sums.reshape(of_sums),
            np.zeros(parameters.means.shape),
            ends.samples.structure.logit_quadratic,
        )


@dataclass(frozen=True)
class Middle:
    """The pass of a step."""

    step: WideStep
    parameters: Parameters
    plan: Plan
    compiled: Pass

    @cached_property
    def _form(self) -> Expanded:
        """What evaluates samples that the pass leaves."""
        dtype = np.dtype(float)
        return Expanded(self.step.ends.samples.structure, self.parameters, dtype)

    def sums(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Return the sums of a block, and the log-likelihoods after them."""
        weight = block.weight
        exponent = 0 if weight is None else weight_exponent(weight)
        if weight is not None and exponent:
            block = block._replace(weight=np.ldexp(weight, -exponent))
            return self.sums(block, workspace) * 2.0**exponent
        size = self.plan.sums.size
        out = np.empty(size + self.plan.loglik.size)
        sums, loglik = out[:size], out[size:]
        coordinates = self.step.coordinates
        lost = self.compiled.run(
            block, coordinates.ties, workspace, sums=sums, loglik=loglik
        )
        if len(lost):
            (_, _, of_sums), (_, _, of_loglik), *_ = self.plan.slices
            found = (loglik.reshape(of_loglik), sums.reshape(of_sums))
            add_left(self._form, coordinates, block, lost, *found)
        return out
