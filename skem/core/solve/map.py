"""The seam between solvers and mixtures: the map θ → (θ⁺, f(θ)) of some data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from skem.core.solve.accelerator import Chart, Evaluation


class Stackable(Protocol):
    """Points of which several may be evaluated at once."""

    @property
    def weights(self) -> Any:
        """Weights of the components."""

    @classmethod
    def stacked(cls, points: Sequence[Any], /) -> Any:
        """Put points together in a stack."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return one or several of the points of a stack."""


P = TypeVar("P", bound=Stackable)


class Map(Protocol[P]):
    """The EM map of some data, for mixtures of arrays and of tables."""

    def admitted(self, start: P, /) -> P:
        """Return a start as what is known of the components allows it."""

    def adopted(self, point: P, /) -> P:
        """Return what a part of the rows has led to, as a start for all of them."""

    def evaluate(self, point: P, /) -> Evaluation:
        """Fold one pass over the data at a point, or at a stack of them."""

    def light(self, stack: P, /) -> bool:
        """Whether steps from a stack take little time."""

    def contest(
        self, stack: P, steps: int, hope: float, alike: float, least: float, /
    ) -> tuple[P, Any] | None:
        """Take steps from a stack, and give up the worse, in one call, if it can."""

    def advanced(self, point: P, steps: int, /) -> P:
        """Return where so many plain steps lead."""

    def chart(self, base: P, /) -> Chart:
        """Return unconstrained coordinates about a point."""
