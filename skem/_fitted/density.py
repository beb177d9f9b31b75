"""The kernels of a fitted mixture, and what they are asked for."""

from __future__ import annotations

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.expectation import Expectation
from skem.core.mixture.kernel import Kernel
from skem.core.passes.forms import choose_form


def write_log_density(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities, those out of its range at its limits."""
    info = np.finfo(out.dtype)
    out[:] = np.clip(expectation.log_density(block, ws), info.min, info.max)


def write_responsibilities(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the posterior probabilities of the components."""
    expectation.write_responsibilities(block, ws, out)


def write_labels(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the most probable components, −1 for noise."""
    out[:] = expectation.labels(block, ws)
    if expectation.background is not None:
        # Noise is the last one.
        out[out == len(expectation.parameters.means)] = -1


def write_component_log_density(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities of components, those out of range at its limits."""
    info = np.finfo(out.dtype)
    log_density = expectation.component_log_density(block, ws)
    out[:] = np.clip(log_density, info.min, info.max).T


def expectation_at(
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None = None,
) -> Kernel:
    """Prepare the kernels that evaluate blocks. `log_widths` are those of noise."""
    structure = SHAPES[covariance_type]
    coordinates = scoring_coordinates(structure, parameters, dtype)
    inward = coordinates.inward(structure, parameters)
    if log_widths is not None:
        log_widths = log_widths + coordinates.log_slopes
    return Expectation(choose_form(structure, inward, dtype, log_widths), coordinates)
