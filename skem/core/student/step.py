"""Whole steps of t mixtures in compiled code: `core.mixture.step` with their ν."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Quadratic
from skem.core.mixture.plan import NO_PRIOR, Plan, Samples
from skem.core.student.parameters import (
    GAUSSIAN,
    LABELLED,
    LEAST,
    MOST,
    Freedom,
    StudentParameters,
    StudentStatistics,
)
from skem.kernels.native import address

FIXED, EACH, COMMON = 1, 2, 3
"""How degrees of freedom are found, as fold.cpp numbers it."""


@dataclass(frozen=True)
class StudentSamples(Samples):
    """Samples of t mixtures, whose densities are level from a distance `reach` on.

    In `n_null` directions they have no variance.
    """

    freedom: Freedom
    reach: float
    n_null: int

    @classmethod
    def of_freedom(
        cls, freedom: Freedom, reach: float, n_null: int, *data: Any
    ) -> Self | None:
        """Return None if that is not for these data, which `Samples.of` describes."""
        found = Samples.of(*data)
        if found is None:
            return None
        found = replace(found, itemsize=8)
        own = {field.name: getattr(found, field.name) for field in fields(Samples)}
        return cls(**own, freedom=freedom, reach=reach, n_null=n_null)

    @property
    def quadratic(self) -> Quadratic:
        """What sums have beside counts and first moments: nothing cancels."""
        return self.structure.quadratic

    def plan(self, shape: tuple[int, ...], n_threads: int) -> Plan | None:
        """Return a plan for parameters of a shape; None if there is none."""
        return StudentPlan.of(self, shape, n_threads)


@dataclass
class StudentPlan(Plan):
    """A plan for mixtures with degrees of freedom."""

    samples: StudentSamples

    @staticmethod
    def _beside_sums(K: int) -> list[tuple[int, ...]]:
        return [(K, 3)]

    @staticmethod
    def _beside_factors(K: int) -> list[tuple[int, ...]]:
        return [(K,)]

    @cached_property
    def _start(self) -> np.ndarray:
        """Where ν of each component starts, or what it is."""
        return np.resize(self.samples.freedom.start, self.shape[-2]).astype(float)

    def _laws(self, prior: Any, given: list[int], successors: list[int]) -> Any:
        freedom, reach = self.samples.freedom, self.samples.reach
        how = FIXED if freedom.fixed else COMMON if freedom.common else EACH
        dimensions = float(self.shape[-1] - self.samples.n_null)
        farthest = min(reach**2, float(np.finfo(float).max))
        limits = (LEAST, MOST, GAUSSIAN, farthest, dimensions, LABELLED)
        return (*NO_PRIOR, how, *limits, address(self._start), *given, *successors)

    def _mixture(self, arrays: list[np.ndarray]) -> Parameters:
        return StudentParameters(*arrays)

    def _statistics(
        self,
        loglik: Any,
        sums: np.ndarray,
        reference: np.ndarray,
        owned: np.ndarray | None = None,
    ) -> StudentStatistics:
        assert owned is not None
        quadratic = self.samples.quadratic
        found = StudentStatistics(loglik, sums, reference, quadratic, owned=owned)
        return found.shared_out() if self.samples.structure.shared else found
