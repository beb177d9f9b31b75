"""The seam between mixtures and rows: what evaluates a block, of any components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.statistics import Statistics
from skem.core.incomplete.completed import Whitened


class Kernel(Protocol):
    """A mixture at fixed parameters, prepared to evaluate blocks (d, b)."""

    @property
    def coordinates(self) -> Coordinates:
        """What the parameters are in."""

    @property
    def parameters(self) -> Parameters:
        """The parameters, in coordinates."""

    @property
    def background(self) -> np.ndarray | None:
        """Logarithms of the widths of noise, the last of the responsibilities."""

    @property
    def values_per_sample(self) -> int:
        """Size of the work on one sample, in numbers."""

    @property
    def multiplications_per_sample(self) -> int:
        """At least as many as any product of the work on one sample has."""

    def alone(self, n_samples: int) -> bool:
        """Whether so few complete samples need no product that BLAS would share."""

    def statistics(self, block: Block, workspace: Workspace) -> Statistics:
        """Fold a block into what an M-step sees of it."""

    def log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log p(x) in the units of the data, (b,), float64."""

    def component_log_density(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Log p_k(x) in the units of the data, (K, b), float64, maybe −∞."""

    def responsibilities(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Posterior probabilities, (K, b), perhaps in the workspace."""

    def weights(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """Posterior probabilities, and what rows count for with each of K, (K, b)."""

    def write_responsibilities(
        self, block: Block, workspace: Workspace, out: np.ndarray
    ) -> None:
        """Write posterior probabilities, as (b, K)."""

    def classified(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log p(x) and log max_k r_k, (b,), float64, and `responsibilities`."""

    def labels(self, block: Block, workspace: Workspace) -> np.ndarray:
        """Return the most probable component of each sample, (b,)."""

    def whitened(self, block: Block, workspace: Workspace) -> Iterator[Whitened]:
        """Yield the rows of an incomplete block, as each component completes them."""
