"""Directions in which a class does not vary, such as a column that is constant there.

A mixture of the rows of one class gives these directions next to no variance, in units
of its own. Densities of classes cannot be compared there: a constant column would speak
for one of them. So each component gets there what it has in one mixture of all rows
with known labels: ε rows of what components have in common, and the width of the steps
that columns are in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import COLLINEAR
from skem.core.mixture.scale import coordinates_with_widths


def varied(
    X: np.ndarray,
    weight: np.ndarray,
    sizes: Sequence[np.ndarray],
    factors: Sequence[np.ndarray],
    nulls: Sequence[NullSpace | None],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give classes variance in the directions in which their rows have none.

    `X` (n, d) are the rows of all classes. Of each class there are the effective rows
    (K,) of its components, their precision Cholesky factors (K, d, d), or (K, d) of
    variances, and the directions in which it does not vary. Return the new factors, and
    the covariances.
    """
    matrices = factors[0].ndim == 3
    structure = SHAPES["full" if matrices else "diag"]
    incomplete = bool(np.isnan(X).any())
    blocks = ArrayBlocks(X, weight, Workers(), np.dtype(float), incomplete)
    coordinates = coordinates_with_widths(blocks, structure)
    slope, ties, dtype = coordinates.slope, coordinates.ties, factors[0].dtype
    masks = [_mask(null, slope, matrices=matrices) for null in nulls]
    pairs = zip(factors, masks, strict=True)
    inner = [_others(structure, each, slope, mask) for each, mask in pairs]
    total = float(weight.sum())
    parts = zip(sizes, inner, strict=True)
    common = sum(np.tensordot(n, each, axes=1) for n, each in parts) / total
    least = COLLINEAR + (np.zeros(len(slope)) if ties is None else ties.steps)
    epsilon, found, covariances = 2 / np.sqrt(total), [], []
    for n, each, mask in zip(sizes, inner, masks, strict=True):
        share = (epsilon / (n + epsilon)).reshape(-1, *np.ones(mask.ndim, int))
        more = share * common + (np.diag(least) if matrices else least)
        roots, _ = structure.factor(each + _within(more, mask))
        z = Parameters(n / n.sum(), np.zeros((len(n), len(slope))), roots)
        x = coordinates.outward(structure, z, dtype)
        found.append(x.precisions_cholesky)
        covariances.append(coordinates.covariances(structure, z, dtype))
    return found, covariances


def _mask(null: NullSpace | None, slope: np.ndarray, *, matrices: bool) -> np.ndarray:
    """Return the projector (d, d) on null directions, of features times a slope.

    Or 1 for features that are null, and 0 for others, (d,).
    """
    d = len(slope)
    if null is None:
        return np.zeros((d, d) if matrices else d)
    normals = null.normals / (slope / slope.max())
    if not matrices:
        return normals.any(axis=0).astype(float)
    normals /= np.abs(normals).max(axis=1, keepdims=True)
    basis = np.linalg.qr(normals.T)[0]
    return basis @ basis.T


def _others(
    structure: Structure, factor: np.ndarray, slope: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Return covariances (K, …) in the other directions, of features times a slope.

    Null directions are left out of roots: their squares may be out of range.
    """
    own = structure.rescale_precisions_cholesky(factor, 1 / slope)
    if mask.ndim < 2:
        return np.square((1 - mask) / own)
    eye = np.eye(len(mask))
    roots = [(eye - mask) @ structure.color(own, k, eye) for k in range(len(own))]
    return np.stack([root @ root.T for root in roots])


def _within(covariances: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return what covariances (K, …) have in directions of a mask."""
    return covariances * mask if mask.ndim < 2 else mask @ covariances @ mask
