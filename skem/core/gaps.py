"""The compiled pass over rows with missing values.

They are zero in T(x) = [1, x, q(x)], in coordinates, as if that had been observed.
With M what a row lacks, g = (Σ⁻¹(x − μ))_M and C = (Σ⁻¹)_MM⁻¹:

- log p(x_O) = log p(x) + ½ gᵀCg − ½ log|(Σ⁻¹)_MM| + ½|M| log 2π
- ŷ_M = −Cg, the conditional mean less zero, and C is the conditional covariance

so that a pass is that of complete rows, with corrections for what is missing alone:
no row costs more for how many others lack the same. What cancels is at most as large
as in the expanded form of complete rows, and `condition` tells of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skem.core.blocks import Block
from skem.core.coordinates import Coordinates
from skem.core.covariance import Structure
from skem.core.far import LOG_2PI
from skem.core.forms import FAR, NEGLIGIBLE, Expanded, uncancelled
from skem.core.fused import KINDS, Pass
from skem.core.parameters import Parameters
from skem.core.quadratic import Pairs
from skem.core.statistics import Statistics
from skem.core.threads import Workspace
from skem.kernels import native
from skem.kernels.native import Model

MAX_FEATURES = {True: 128, False: 10_000}
"""Features of matrices, or of variances, above which rows are completed in NumPy."""


@dataclass(frozen=True)
class GapsPass:
    """A form in coordinates whose missing values have density one in the data."""

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
    ) -> GapsPass | None:
        """Return None if there is no compiled pass for this."""
        library = native.library()
        *mixtures, K, d = parameters.shape
        if library is None or coordinates.unit is not None:
            return None
        if d > MAX_FEATURES[structure.matrices]:
            return None
        # What components share does not cancel where rows lack different features.
        own, parameters = uncancelled(structure, parameters)
        form = Expanded(own, parameters, np.dtype(float), background)
        shared = structure.shared and structure.matrices and background is None
        theta = np.ascontiguousarray(form.theta)
        model = Model(
            8, False, KINDS[type(form.quadratic)], shared, False, d, form.shape[-1],
            math.prod(mixtures), np.ascontiguousarray(coordinates.shift, dtype=float),
            np.ascontiguousarray(coordinates.scale, dtype=float), theta,
            None, None, None, None, None, FAR[form.dtype], NEGLIGIBLE,
            _cells(form, coordinates),
        )  # fmt: skip
        return cls(form, coordinates, Pass(library, model))

    def statistics(
        self, block: Block, workspace: Workspace
    ) -> tuple[Statistics, np.ndarray]:
        """Fold one block into sufficient statistics, about the means.

        Without the rows, of any of the mixtures, that are returned beside them.
        """
        form, b = self.form, block.data.shape[1]
        sums, loglik = np.empty(form.theta.shape), np.empty(form.shape[:-1])
        squares = self.coordinates.squares(block.data)
        lost = self.compiled.run(block, squares, workspace, sums=sums, loglik=loglik)
        if len(lost):
            rows = np.unique(lost % b)
            kept = np.ones(b, np.bool_)
            kept[rows] = False
            statistics, more = self.statistics(block.only(kept), workspace)
            return statistics, np.union1d(rows, np.flatnonzero(kept)[more])
        total = b if block.weight is None else block.weight.sum()
        found = form.statistics((loglik + total * form.peak)[()], sums)
        return _about(found, form.parameters.means), lost


def _cells(form: Expanded, coordinates: Coordinates) -> np.ndarray:
    """What a missing value adds to logits, (M, K, d)."""
    parameters, structure = form.parameters, form.structure
    cells = np.full(parameters.means.shape, 0.5 * LOG_2PI)
    if not structure.matrices:
        sd = structure.standard_deviations(
            parameters.precisions_cholesky, parameters.shape
        )
        cells += np.log(sd) + 0.5 * np.square(parameters.means / sd)
    if form.background is not None:
        own = np.broadcast_to(form.background, (*cells.shape[:-2], 1, cells.shape[-1]))
        cells = np.concatenate([cells, own], axis=-2)
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
