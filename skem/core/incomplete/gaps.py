"""The compiled step of incomplete rows under components with matrices.

Missing values are zero in T(x) = [1, x, x xᵀ], in coordinates, as if that had been
observed. With M what a row lacks, g = (Σ⁻¹(x − μ))_M and C = (Σ⁻¹)_MM⁻¹:

- log p(x_O) = log p(x) + ½ gᵀCg − ½ log|(Σ⁻¹)_MM| + ½|M| log 2π
- ŷ_M = −Cg, the conditional mean less zero, and C is the conditional covariance

so that a pass is that of complete rows, with corrections for what is missing alone,
and costs the same whether many rows lack the same or each of them something else.
What cancels is no larger than in the expanded form of complete rows: `condition` bounds
both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.far import LOG_2PI
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.statistics import Statistics
from skem.core.passes.forms import (
    FAR,
    NEGLIGIBLE,
    Expanded,
    uncancelled,
    with_row_of_noise,
)
from skem.core.passes.fused import QUADRATICS, Pass
from skem.core.passes.linear import without
from skem.kernels import native
from skem.kernels.native import Model

MAX_FEATURES = 128
"""Features above which the tables of a pass would fit no cache."""


@dataclass(frozen=True)
class GapsStep:
    """A form in coordinates; missing values have density one in units of the data."""

    form: Expanded
    coordinates: Coordinates
    compiled: Pass

    @classmethod
    def of(
        cls,
        structure: Structure,
        parameters: Parameters,
        coordinates: Coordinates,
        background: np.ndarray | None,
    ) -> GapsStep | None:
        """Return None if there is no compiled pass for this."""
        library = native.library()
        *mixtures, _, d = parameters.shape
        if library is None or coordinates.unit is not None:
            return None
        if d > MAX_FEATURES:
            return None
        # What components share does not cancel where rows lack different features.
        own, parameters = uncancelled(structure, parameters)
        form = Expanded(own, parameters, np.dtype(float), background)
        shared = structure.shared and background is None
        theta = np.ascontiguousarray(form.theta)
        model = Model(
            8, False, QUADRATICS[type(form.quadratic)], shared, False, d,
            form.shape[-1], math.prod(mixtures),
            np.ascontiguousarray(coordinates.shift, dtype=float),
            np.ascontiguousarray(coordinates.scale, dtype=float), theta,
            None, None, None, None, None, FAR[form.dtype], NEGLIGIBLE,
            cells=_cells(form, coordinates),
        )  # fmt: skip
        return cls(form, coordinates, Pass(library, model))

    def statistics(
        self, block: Block, workspace: Workspace
    ) -> tuple[Statistics, np.ndarray]:
        """Fold one block into sufficient statistics, about the means.

        Without the rows at which the density of any of the mixtures is not a number,
        or too small, which are returned beside them.
        """
        form, b = self.form, block.data.shape[1]
        sums, loglik = np.empty(form.theta.shape), np.empty(form.shape[:-1])
        lost = self.compiled.run(
            block, self.coordinates.ties, workspace, sums=sums, loglik=loglik
        )
        if len(lost):
            return without(self, block, np.unique(lost % b), workspace)
        loglik += block.total_weight * form.peak
        found = form.statistics(loglik[()], sums)
        return _about(found, form.parameters.means), lost


def _cells(form: Expanded, coordinates: Coordinates) -> np.ndarray:
    """Return what each missing value adds to logits, (M, K, d)."""
    cells = np.full(form.parameters.means.shape, 0.5 * LOG_2PI)
    if form.background is not None:
        cells = with_row_of_noise(form, cells)
        cells[..., -1, :] = form.background
    return np.ascontiguousarray(cells - coordinates.log_slopes)


def _about(statistics: Statistics, means: np.ndarray) -> Statistics:
    """Turn sums about zero into sums about the means, (…, K, d)."""
    quadratic, d = statistics.quadratic, means.shape[-1]
    sums = statistics.sums
    counts, first = sums[..., :1], sums[..., 1 : 1 + d]
    about = first - counts * means
    # Σ r y yᵀ = Σ r x xᵀ − s μᵀ − μ (s − nμ)ᵀ
    cross = first[..., :, None] * means[..., None, :]
    cross += means[..., :, None] * about[..., None, :]
    second = sums[..., 1 + d :] - quadratic.of_matrices(cross)
    sums = np.concatenate([counts, about, second], axis=-1)
    return replace(statistics, sums=sums, reference=means)
