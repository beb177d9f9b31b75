"""Shifted and scaled coordinates in which blocks are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skem.core.blocks import ArrayBlocks, Block
from skem.core.covariance import Structure
from skem.core.parameters import Parameters
from skem.core.threads import Workspace


@dataclass(frozen=True)
class Coordinates:
    """z = (x·unit − shift)·scale, per feature.

    `unit` is None but for data whose squares would leave the floating-point range;
    then it is a power of two, so that x·unit is exact. `shift` is representable in
    the data's dtype, so that float32 data lose nothing in the subtraction.
    """

    shift: np.ndarray
    scale: np.ndarray
    unit: np.ndarray | None = None

    def load(self, data: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Copy a block (features, samples) into `out`, in these coordinates."""
        dtype = out.dtype
        if self.unit is not None:
            data = data * self.unit[:, None]
        np.subtract(data, self.shift[:, None].astype(dtype, copy=False), out=out)
        out *= self.scale[:, None].astype(dtype, copy=False)
        return out

    @property
    def slope(self) -> np.ndarray:
        """dz/dx, per feature."""
        if self.unit is None:
            return self.scale
        with np.errstate(over="ignore"):
            return np.minimum(self.scale * self.unit, np.finfo(float).max)

    def inward(self, structure: Structure, parameters: Parameters) -> Parameters:
        """Parameters of x -> parameters of z."""
        means = parameters.means
        if self.unit is not None:
            means = means * self.unit
        return Parameters(
            parameters.weights,
            (means - self.shift) * self.scale,
            structure.rescale_precisions_cholesky(
                parameters.precisions_cholesky, 1 / self.slope
            ),
        )

    @property
    def log_slope(self) -> float:
        """Log |dz/dx|: log-density of x less that of z."""
        unit = 0.0 if self.unit is None else np.log(self.unit).sum()
        return float(np.log(self.scale).sum() + unit)

    def outward(
        self, structure: Structure, parameters: Parameters, dtype: np.dtype
    ) -> Parameters:
        """Parameters of z -> parameters of x, in the range of `dtype`."""
        means = parameters.means / self.scale + self.shift
        if self.unit is not None:
            means = means / self.unit
        info = np.finfo(dtype)
        slope = np.clip(self.slope, float(info.tiny) * 1e3, float(info.max) * 1e-3)
        with np.errstate(over="ignore"):
            cholesky = structure.rescale_precisions_cholesky(
                parameters.precisions_cholesky, slope
            )
        return Parameters(
            parameters.weights.astype(dtype),
            np.clip(means, info.min, info.max).astype(dtype),
            np.clip(cholesky, info.min, info.max).astype(dtype),
        )

    def covariances(
        self, structure: Structure, parameters: Parameters, dtype: np.dtype
    ) -> np.ndarray:
        """Covariances of x; those out of the range of `dtype` at its limits."""
        info = np.finfo(dtype)
        low, high = np.sqrt(float(info.tiny)) * 1e3, np.sqrt(float(info.max)) * 1e-3
        cholesky = structure.rescale_precisions_cholesky(
            parameters.precisions_cholesky, np.clip(self.slope, low, high)
        )
        return structure.covariances(cholesky).astype(dtype)


@dataclass(frozen=True)
class _Range:
    """Smallest and largest value per feature; adding joins two ranges."""

    low: np.ndarray
    high: np.ndarray

    def __add__(self, other: _Range) -> _Range:
        return _Range(
            np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        )


def _range(block: Block, workspace: Workspace) -> _Range:
    data = block.data
    if data.dtype.kind == "b":
        data = data.view(np.uint8)
    if data.shape[1] == 0:
        infinite = np.full(data.shape[0], np.inf)
        return _Range(infinite, -infinite)
    # Contiguous rows reduce several times faster than strided ones.
    copy = workspace.array("range", data.shape, data.dtype)
    np.copyto(copy, data)
    return _Range(copy.min(axis=1).astype(float), copy.max(axis=1).astype(float))


def _power_sums(coordinates: Coordinates, blocks: ArrayBlocks) -> np.ndarray:
    """Σ v z and Σ v z² per feature, shape (2, features)."""

    def kernel(block: Block, workspace: Workspace) -> np.ndarray:
        z = coordinates.load(
            block.data, workspace.array("z", block.data.shape, np.float64)
        )
        v = np.ones(z.shape[1]) if block.weight is None else block.weight
        first = z @ v
        np.square(z, out=z)
        return np.stack([first, z @ v])

    return blocks.fold(kernel, 2 * blocks.n_features)


def standardising_coordinates(blocks: ArrayBlocks, structure: Structure) -> Coordinates:
    """Weighted mean to zero, standard deviation to one.

    A structure that is not closed under per-feature scaling (spherical) gets the
    root mean square of the standard deviations as one scale for all features. A
    constant feature gets the geometric mean of the other features' standard
    deviations; if every feature is constant, the largest absolute value, or 1.
    """
    extent = blocks.fold(_range, blocks.n_features)
    unit = _units(extent, blocks.dtype)
    low, high = (x if unit is None else x * unit for x in (extent.low, extent.high))
    middle, width = low / 2 + high / 2, high / 2 - low / 2
    safe = np.where(width == 0, 1.0, width)
    rough = Coordinates(_representable(middle, blocks.dtype), 1 / safe, unit)
    first, second = _power_sums(rough, blocks) / blocks.total_weight
    sd = np.sqrt(np.maximum(second - first**2, 0.0)) * safe
    constant = (width == 0) | (sd == 0)
    shift = np.where(constant, middle, rough.shift + first * safe)
    log_unit = np.zeros_like(sd) if unit is None else np.log(unit)
    if constant.all():
        spread = np.maximum(np.abs(low), np.abs(high)).max() or 1.0
        scale = np.full_like(sd, 1 / spread)
        return Coordinates(_representable(shift, blocks.dtype), scale, unit)
    # Constant features get a scale in units of the data, not of `unit`.
    log_sd = np.log(np.where(constant, 1.0, sd)) - log_unit
    typical = np.exp(np.clip(log_sd[~constant].mean() + log_unit, -690, 690))
    spread = np.where(constant, typical, sd)
    if not structure.scales_features:
        if unit is not None:
            common = unit.min()
            shift, spread = (x / unit * common for x in (shift, spread))
            unit = np.full_like(unit, common)
        top = spread.max()
        spread = np.full_like(spread, top * np.sqrt(np.mean((spread / top) ** 2)))
    return Coordinates(_representable(shift, blocks.dtype), 1 / spread, unit)


def _units(extent: _Range, dtype: np.dtype) -> np.ndarray | None:
    """Powers of two that bring widths into safe range; None if they are in it."""
    info = np.finfo(dtype)
    largest = np.maximum(np.abs(extent.low), np.abs(extent.high))
    width = extent.high / 2 - extent.low / 2
    size = np.where(width == 0, largest, width)
    exponent = np.log2(np.where(size == 0, 1.0, size))
    extreme = (np.abs(exponent) > 0.4 * info.maxexp) | (largest > float(info.max) / 1e8)
    if not extreme.any():
        return None
    return np.exp2(np.clip(np.where(extreme, -np.round(exponent), 0.0), -1020, 1020))


def scoring_coordinates(
    structure: Structure, parameters: Parameters, dtype: np.dtype
) -> Coordinates:
    """Coordinates about the mixture's mean, in its standard deviations."""
    weights = parameters.weights / parameters.weights.sum()
    means = parameters.means
    shift = _representable(weights @ means, dtype)
    spread = weights @ (
        np.abs(means - shift)
        + structure.standard_deviations(
            parameters.precisions_cholesky, parameters.shape
        )
    )
    if not structure.scales_features:
        spread = np.full_like(spread, spread.max())
    return Coordinates(shift, 1 / spread)


def _representable(shift: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return shift.astype(dtype).astype(float)
