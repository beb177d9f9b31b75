"""The compiled pass of t mixtures: `fused` with the scales of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import digamma

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.passes.forms import Expanded, Form
from skem.core.passes.fused import Fused, left_samples
from skem.core.student.parameters import (
    GAUSSIAN,
    StudentParameters,
    StudentStatistics,
    correction,
)

HEAVY, BELL, FLAT = range(3)
"""Shapes of components in fold.cpp: t, Gaussian, noise."""


@dataclass(frozen=True)
class Heavy:
    """A pass, of mixtures with degrees of freedom `df` (…, K), in some dimensions."""

    fused: Fused
    df: np.ndarray
    n_dimensions: int

    @classmethod
    def of(
        cls,
        structure: Structure,
        parameters: StudentParameters,
        coordinates: Coordinates,
        reach: float,
        n_dimensions: int,
        form: Form,
    ) -> Heavy | None:
        """Return None if there is no compiled pass for this."""
        d, normal = n_dimensions, np.minimum(parameters.df, GAUSSIAN)
        K = normal.shape[-1]
        peaks = form.constants[..., :K]
        columns = (
            peaks,
            normal,
            (normal + d) / 2,
            peaks + correction(parameters.df, d),
            np.full(normal.shape, min(reach**2, float(np.finfo(float).max))),
            np.where(parameters.df < GAUSSIAN, HEAVY, BELL),
        )
        tails = np.full((*form.shape, len(columns)), float(FLAT))
        tails[..., :K, :] = np.stack(columns, axis=-1)
        # Noise has no scale matrix, not even theirs.
        free = form.background is None
        shared = structure.shared and free and isinstance(form, Expanded)
        fused = Fused.of(form, coordinates, tails, shared)
        return None if fused is None else cls(fused, normal, n_dimensions)

    def statistics(
        self, block: Block, workspace: Workspace
    ) -> tuple[StudentStatistics, list[tuple[tuple[int, ...], np.ndarray]]]:
        """Fold a block, but for rows that are left: those of each mixture of a stack.

        What is said of these is of no effect. Of structures with one matrix, sums of
        q(x) may be of all components, and stand with the first.
        """
        form, b, d = self.fused.form, block.data.shape[1], len(block.data)
        K = self.df.shape[-1]
        sums = np.empty((*form.shape, 1 + d + form.quadratic.size(d)))
        owned, loglik = np.empty((*form.shape, 3)), np.empty(form.shape[:-1])
        lost = self.fused.compiled.run(
            block,
            self.fused.coordinates.ties,
            workspace,
            sums=sums,
            loglik=loglik,
            owned=owned,
        )
        left = [
            (mixture, rows)
            for mixture, _, rows in left_samples(self.fused.form, lost, b)
        ]
        weight = block.weight_of_each
        loglik += weight.sum() * form.peak
        for mixture, rows in left:
            loglik[mixture] -= weight[rows].sum() * form.peak[mixture]
        noise: Any = 0.0 if form.background is None else owned[..., -1, 0]
        owned = owned[..., :K, :]
        # log u − u + ψ((ν + d)/2) − log((ν + d)/2)
        constant = digamma((self.df + self.n_dimensions) / 2) - np.log(self.df / 2)
        owned[..., 1] = constant * owned[..., 0] - owned[..., 1]
        found = StudentStatistics(
            loglik[()],
            sums[..., :K, :],
            form.reference,
            form.quadratic,
            noise,
            owned=owned,
        )
        return found, left

    def evaluated(
        self, block: Block, workspace: Workspace
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log p(x) in the units of the data, responsibilities, and the rows left.

        Of a single mixture.
        """
        form, b = self.fused.form, block.data.shape[1]
        log_density, resp = np.empty(b), np.empty((*form.shape, b))
        coordinates = self.fused.coordinates
        lost = self.fused.compiled.run(
            block,
            coordinates.ties,
            workspace,
            log_norm=log_density,
            resp=resp,
        )
        log_density += form.peak + coordinates.log_slope
        return log_density, resp, lost
