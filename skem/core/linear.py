"""The E-step of log-densities that are linear in T(x) = [1, x, q(x)], for given rows.

As `fused`, by the compiled pass where there is one, but for any coefficients: those of
marginals, padded with zeros, and of masks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from skem.core.blocks import Block
from skem.core.coordinates import Coordinates
from skem.core.forms import NEGLIGIBLE
from skem.core.fused import KINDS, MASKED, Pass
from skem.core.products import sum_over_columns, times_block
from skem.core.quadratic import Quadratic
from skem.core.threads import Workspace
from skem.kernels import native
from skem.kernels.native import Model


class Linear(NamedTuple):
    """What rows of weights v have added up to, but for those that are left out.

    `loglik` is Σ v log p, (M,), and `sums` Σ v r T(x), (M, K, 1 + d + size). `lost`
    are the rows, of any of the mixtures, at which the density is not a number.
    """

    loglik: np.ndarray
    sums: np.ndarray
    lost: np.ndarray


def linear_step(
    theta: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray | None,
    quadratic: Quadratic,
    squares: np.ndarray | None,
    workspace: Workspace,
) -> Linear:
    """Take the step with coefficients (M, K, 1 + d + size) and rows (d, b).

    `squares` are added to those of the features. Where rows are lost, nothing else is
    of use.
    """
    (M, K, _), (d, b) = theta.shape, rows.shape
    library = native.library()
    if library is None:
        features = workspace.array("features", (theta.shape[-1], b), np.float64)
        features[0], features[1 : 1 + d] = 1, rows
        with np.errstate(all="ignore"):
            quadratic.expand(rows, features[1 + d :])
            if squares is not None:
                quadratic.add_squares(features[1 + d :], squares)
        return _in_numpy(theta, features, weight, workspace)
    theta = np.ascontiguousarray(theta)
    zeros, ones = np.zeros(d), np.ones(d)
    model = Model(
        8, False, KINDS[type(quadratic)], False, False, d, K, M,
        zeros, ones, theta, None, None, None, None, None, math.inf, NEGLIGIBLE,
    )  # fmt: skip
    block = Block(0, b, rows, weight)
    return _compiled(Pass(library, model), theta, block, squares, workspace)


def masked_step(
    theta: np.ndarray,
    block: Block,
    coordinates: Coordinates,
    workspace: Workspace,
    *,
    bounded: bool,
) -> Linear:
    """Take the step for T(x) = [1, z, z², m], with z = 0 and m = 0 for missing values.

    Coefficients are (M, K, 1 + 3d), and z are the block's values in coordinates.
    `bounded` says that logits are at most 0.
    """
    (M, K, _), (d, b) = theta.shape, block.data.shape
    squares = coordinates.squares(block.data)
    library = native.library()
    if library is None or coordinates.unit is not None:
        features = workspace.array("features", (1 + 3 * d, b), np.float64)
        z, second, mask = (features[1 + i * d : 1 + (i + 1) * d] for i in range(3))
        features[0] = 1
        coordinates.load(block.data, z)
        np.equal(z, z, out=mask)
        np.copyto(z, 0, where=mask == 0)
        with np.errstate(over="ignore"):
            np.square(z, out=second)
        if squares is not None:
            second += squares * mask
        return _in_numpy(theta, features, block.weight, workspace)
    model = Model(
        8, False, MASKED, False, bounded, d, K, M,
        np.ascontiguousarray(coordinates.shift, dtype=float),
        np.ascontiguousarray(coordinates.scale, dtype=float),
        np.ascontiguousarray(theta), None, None, None, None, None, math.inf, NEGLIGIBLE,
    )  # fmt: skip
    return _compiled(Pass(library, model), theta, block, squares, workspace)


def _compiled(
    compiled: Pass,
    theta: np.ndarray,
    block: Block,
    squares: np.ndarray | None,
    workspace: Workspace,
) -> Linear:
    sums, loglik = np.empty(theta.shape), np.empty(len(theta))
    lost = compiled.run(block, squares, workspace, sums=sums, loglik=loglik)
    rows = np.unique(lost % block.data.shape[1]) if len(lost) else lost
    return Linear(loglik, sums, rows)


def _in_numpy(
    theta: np.ndarray,
    features: np.ndarray,
    weight: np.ndarray | None,
    workspace: Workspace,
) -> Linear:
    M, K, size = theta.shape
    b = features.shape[1]
    with np.errstate(all="ignore"):
        resp = workspace.array("logits", (M, K, b), np.float64)
        times_block(theta.reshape(-1, size), features, resp.reshape(-1, b))
        top = resp.max(axis=1, keepdims=True)
        resp -= top
        np.exp(resp, out=resp)
        total = resp.sum(axis=1, keepdims=True)
        log_norm = (np.log(total) + top)[:, 0]
        resp /= total
    v = np.ones(b) if weight is None else weight
    resp *= v
    sums = sum_over_columns(resp.reshape(-1, b), features).reshape(theta.shape)
    return Linear(
        log_norm @ v, sums, np.flatnonzero(~np.isfinite(log_norm).all(axis=0))
    )
