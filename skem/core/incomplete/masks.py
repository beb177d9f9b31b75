"""The step of incomplete rows under components with variances.

Features are independent of each other, so that no pattern matters: with m saying what
was observed, log-densities are linear in T(x) = [1, m x, m q(x), m], and a missing
value has the component's mean and variance. Computed by the compiled pass, or in NumPy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.statistics import Statistics
from skem.core.passes.forms import NEGLIGIBLE
from skem.core.passes.fused import MASKED, Pass
from skem.core.passes.linear import (
    Linear,
    about_means,
    linear_step,
    split_noise,
    with_noise,
    without,
)
from skem.kernels import native
from skem.kernels.native import Model

HIGHEST = 300
"""Nats of a density at its highest, below which exponentials need no shift."""


@dataclass(frozen=True)
class MaskedStep:
    """Components in coordinates, with what their step needs of them.

    A missing value has density one in the units of the data: in those of the
    coordinates that is 1 / slope.
    """

    structure: Structure
    parameters: Parameters
    coordinates: Coordinates
    background: np.ndarray | None

    @cached_property
    def _roots(self) -> np.ndarray:
        """Reciprocals of standard deviations, (G, d)."""
        cholesky = self.parameters.precisions_cholesky
        sd = self.structure.standard_deviations(cholesky, self.parameters.shape)
        return 1 / sd.reshape(self.parameters.all_means.shape)

    @cached_property
    def _highest(self) -> np.ndarray:
        """At least the log-density of a mixture anywhere, whatever is missing, (M,)."""
        *_, K, d = self.parameters.shape
        peaks = np.log(self._roots) - 0.5 * LOG_2PI
        highest = np.maximum(peaks.reshape(-1, K, d).max(axis=1), 0).sum(axis=1)
        if self.background is None:
            return highest
        return np.maximum(highest, np.maximum(-self.background, 0).sum())

    @cached_property
    def _bounded(self) -> bool:
        return bool(self._highest.max() < HIGHEST)

    @cached_property
    def _shift(self) -> np.ndarray:
        """What logits are less than log-densities, (M,)."""
        return self._highest if self._bounded else np.zeros_like(self._highest)

    @cached_property
    def _theta(self) -> np.ndarray:
        """Coefficients, (M, K, 1 + d + size + d)."""
        *_, K, d = self.parameters.shape
        quadratic, precisions = self.structure.quadratic, self._roots**2
        means = self.parameters.all_means
        linear = precisions * means
        constants = np.log(self._roots) - 0.5 * LOG_2PI - 0.5 * means * linear
        log_weights = self.parameters.log_weights.reshape(-1, K) - self._shift[:, None]
        # Of |x|² all features have the same.
        second = -0.5 * precisions[:, : quadratic.size(d)]
        theta = np.hstack([log_weights.reshape(-1, 1), linear, second, constants])
        theta = theta.reshape(len(self._shift), K, -1)
        of_noise = None
        if self.background is not None:
            of_noise = np.zeros((len(theta), theta.shape[-1]))
            of_noise[:, 0], of_noise[:, -d:] = -self._shift, -self.background
        return with_noise(theta, self.parameters, of_noise)

    def statistics(
        self, block: Block, workspace: Workspace
    ) -> tuple[Statistics, np.ndarray]:
        """Fold one block into sufficient statistics, about the means.

        Without the rows at which the density of any of the mixtures is not a number,
        which are returned beside them.
        """
        quadratic, means = self.structure.quadratic, self.parameters.all_means
        d = len(block.data)
        found = masked_step(
            self._theta,
            quadratic,
            block,
            self.coordinates,
            workspace,
            bounded=self._bounded,
        )
        if len(found.lost):
            return without(self, block, found.lost, workspace)
        total = block.total_weight
        own, noise = split_noise(found.sums, noise=self.background is not None)
        size = 1 + d + quadratic.size(d)
        own = own.reshape(len(means), size + d)
        counts, first, second, observed = np.split(own, [1, 1 + d, size], axis=1)
        # Rows have one component each, so that any mixture counts what was observed.
        seen = found.sums[0, :, size:].sum(axis=0)
        unit = self.coordinates.log_slopes @ (seen - total)
        loglik = found.loglik + total * self._shift + unit
        # About the means, and with the variances of what is missing.
        change = means**2 * observed - 2 * means * first
        change += (counts - observed) / self._roots**2
        quadratic.add_squares(second.T, change.T)
        sums = counts, first - means * observed, second
        return about_means(quadratic, self.parameters, loglik, sums, noise), found.lost


def masked_step(
    theta: np.ndarray,
    quadratic: Quadratic,
    block: Block,
    coordinates: Coordinates,
    workspace: Workspace,
    *,
    bounded: bool,
) -> Linear:
    """Take the step for T(x) = [1, z, q(z), m]: z = 0 and m = 0 for missing values.

    Coefficients are (M, K, 1 + d + size + d), and z are the block's values in
    coordinates. `bounded` says that logits are at most 0.
    """
    (M, K, p), (d, b) = theta.shape, block.data.shape
    library = native.library()
    if library is None or coordinates.unit is not None:
        features = workspace.array("features", (p, b), np.float64)
        z, second, mask = np.split(features[1:], [d, p - 1 - d])
        features[0] = 1
        coordinates.load(block.data, z)
        np.equal(z, z, out=mask)
        np.copyto(z, 0, where=mask == 0)
        with np.errstate(over="ignore"):
            quadratic.expand(z, second)
        squares = coordinates.squares(block.data)
        if squares is not None:
            quadratic.add_squares(second, squares * mask)
        return linear_step(theta, features, block.weight, workspace)
    model = Model(
        8, False, MASKED[type(quadratic)], False, bounded, d, K, M,
        np.ascontiguousarray(coordinates.shift, dtype=float),
        np.ascontiguousarray(coordinates.scale, dtype=float),
        np.ascontiguousarray(theta), None, None, None, None, None, math.inf, NEGLIGIBLE,
    )  # fmt: skip
    sums, loglik = np.empty(theta.shape), np.empty(M)
    compiled = Pass(library, model)
    lost = compiled.run(block, coordinates.ties, workspace, sums=sums, loglik=loglik)
    return Linear(loglik, sums, np.unique(lost % b) if len(lost) else lost)
