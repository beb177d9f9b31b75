"""Shifted and scaled coordinates in which blocks are computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters, shares
from skem.core.gaussian.storage import TINY
from skem.core.gaussian.ties import Atoms, Ties

Mixture = TypeVar("Mixture", bound=Parameters)

LARGEST_START = 1e100
"""Size of a mean or a standard deviation of a start, or its inverse, at most."""
WIDEST_SPREAD = 1e75
"""Standard deviation that is added to all of them, at most."""
WIDEST = 1e50
"""Unit of widths from others, at most: squares of its square are in range."""
OFF_CENTRE = 4096.0
"""Widths of the narrowest component that the mean of a mixture may be away."""


@dataclass(frozen=True)
class Coordinates:
    """z = (x·unit − shift)·scale, per feature.

    `unit` is None but for data whose squares would leave the floating-point range;
    then it is a power of two, so that x·unit is exact. `shift` is representable in
    the data's dtype, so that float32 data lose nothing in the subtraction. `ties` are
    the values that rows of a fit share; None where there are none, and where a mixture
    is evaluated as it is.
    """

    shift: np.ndarray
    scale: np.ndarray
    unit: np.ndarray | None = None
    ties: Ties | None = None

    def load(self, data: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Copy a block (features, samples) into `out`, in these coordinates."""
        dtype = out.dtype
        if self.unit is not None:
            data = data * self.unit[:, None]
        np.subtract(data, self.shift[:, None].astype(dtype, copy=False), out=out)
        out *= self.scale[:, None].astype(dtype, copy=False)
        return out

    def raw(self, z: np.ndarray) -> np.ndarray:
        """Undo `load`: coordinates (d, n) -> values of the data, in float64."""
        x = z / self.scale[:, None] + self.shift[:, None]
        return x if self.unit is None else x / self.unit[:, None]

    def with_widths_of(self, other: Coordinates) -> Coordinates:
        """Return the same, with the widths that shared values have in others."""
        ties = other.ties
        if ties is not None:
            with np.errstate(over="ignore"):
                ratio = self.slope / other.slope
            ties = ties.scaled(np.square(np.minimum(ratio, WIDEST)))
        return replace(self, ties=ties)

    def only(self, features: np.ndarray) -> Coordinates:
        """Return those of some features, by index."""
        unit = None if self.unit is None else self.unit[features]
        ties = None if self.ties is None else self.ties.only(features)
        return Coordinates(self.shift[features], self.scale[features], unit, ties)

    def squares(self, data: np.ndarray) -> np.ndarray | None:
        """Return w²/12 of the values of a block that are shared, or None."""
        return None if self.ties is None else self.ties.squares(data)

    def in_steps(self, data: np.ndarray) -> np.ndarray:
        """Return raw data (d, n) in the steps of data that have these `ties`.

        And between their ends.
        """
        if self.ties is None or self.ties.recording is None:
            return data
        z = self.ties.recording.recorded(self.load(data, np.empty(data.shape)))
        out = np.where(self.ties.recording.step[:, None] > 0, self.raw(z), data)
        return out.astype(data.dtype, copy=False)

    def near_shared(self, data: np.ndarray) -> Iterator[tuple[Atoms, np.ndarray]]:
        """Yield shared values of features, and which of them raw data (d, n) are near.

        That is the nearest one of which the width reaches so far; −1 if none does.
        """
        if self.ties is None:
            return
        z = self.load(data, np.empty(data.shape))
        for atoms in self.ties.atoms:
            raw = np.broadcast_to(atoms.values, (len(z), len(atoms.values)))
            at = self.load(raw, np.empty(raw.shape))[atoms.feature]
            away = np.abs(z[atoms.feature, :, None] - at)
            # Half of a width w, of w²/12; gaps are near none.
            away[~(away <= np.sqrt(3 * atoms.squares))] = np.inf
            near = np.isfinite(away.min(axis=1))
            yield atoms, np.where(near, away.argmin(axis=1), -1)

    def same(self, other: Coordinates) -> bool:
        """Whether another one takes data to the same place."""
        pairs = [(self.shift, other.shift), (self.scale, other.scale)]
        if (self.unit is None) != (other.unit is None):
            return False
        if self.unit is not None and other.unit is not None:
            pairs.append((self.unit, other.unit))
        return all(np.array_equal(mine, its) for mine, its in pairs)

    @property
    def slope(self) -> np.ndarray:
        """dz/dx, per feature."""
        if self.unit is None:
            return self.scale
        with np.errstate(over="ignore"):
            return np.minimum(self.scale * self.unit, np.finfo(float).max)

    def null_space(self, basis: np.ndarray | None) -> NullSpace | None:
        """Return where data have no variance, of directions in coordinates."""
        return None if basis is None else NullSpace(basis, self.slope)

    def of_variance(self, variance: np.ndarray | float) -> np.ndarray:
        """Variances of x -> variances of z, (d,)."""
        # One slope after the other: their product may be out of range.
        return np.asarray(variance * self.slope * self.slope)

    def beside_ridge(self, variance: float) -> Coordinates:
        """Return coordinates in which the square of a variance of x is in range."""
        slope = WIDEST_SPREAD / np.sqrt(variance) if variance > 0 else np.inf
        high = self.slope > slope
        if not high.any():
            return self
        unit = np.ones_like(self.scale) if self.unit is None else self.unit
        return replace(
            self,
            shift=np.where(high, self.shift / unit, self.shift),
            scale=np.where(high, slope, self.scale),
            unit=np.where(high, 1.0, unit),
        )

    def inward(self, structure: Structure, parameters: Mixture) -> Mixture:
        """Parameters of x -> parameters of z."""
        means, cholesky = parameters.means, parameters.precisions_cholesky
        if self.unit is not None:
            # One after the other: 1/slope may be out of range.
            means = means * self.unit
            cholesky = structure.rescale_precisions_cholesky(cholesky, 1 / self.unit)
        cholesky = structure.rescale_precisions_cholesky(cholesky, 1 / self.scale)
        return replace(
            parameters,
            means=(means - self.shift) * self.scale,
            precisions_cholesky=cholesky,
        )

    def start(self, structure: Structure, parameters: Mixture) -> Mixture:
        """Parameters of x -> parameters of z to start from, in range.

        Those of other data may be as far away, as wide or as narrow as numbers go.
        """
        found = self.inward(structure, parameters)
        cholesky = found.precisions_cholesky
        sd = structure.standard_deviations(cholesky, found.shape)
        axis = None if structure.shared else 1
        widest, narrowest = (
            np.atleast_1d(end(sd, axis=axis)) for end in (np.max, np.min)
        )
        wide = np.maximum(widest / LARGEST_START, 1.0)
        narrow = np.minimum(narrowest, 1 / LARGEST_START) * LARGEST_START
        factor = np.where(wide > 1, wide, narrow)
        factor = factor.reshape(-1, *[1] * (cholesky.ndim - 1))
        return replace(
            found,
            means=np.clip(found.means, -LARGEST_START, LARGEST_START),
            precisions_cholesky=cholesky * factor,
        )

    @property
    def log_slopes(self) -> np.ndarray:
        """Log |dz/dx|, per feature."""
        logs = np.log(self.scale)
        return logs if self.unit is None else logs + np.log(self.unit)

    @property
    def log_slope(self) -> float:
        """Log |dz/dx|: log-density of x less that of z."""
        unit = 0.0 if self.unit is None else np.log(self.unit).sum()
        return float(np.log(self.scale).sum() + unit)

    def outward(
        self, structure: Structure, parameters: Mixture, dtype: np.dtype
    ) -> Mixture:
        """Parameters of z -> parameters of x, in the range of `dtype`."""
        info = np.finfo(dtype)
        least, most = 1e3 * float(info.smallest_subnormal), float(info.max)
        # A factor's diagonal is at least 1/sd, and no entry exceeds the root of P_jj.
        diagonals = structure.precision_diagonals(
            parameters.precisions_cholesky, parameters.shape
        )
        sd = structure.standard_deviations(
            parameters.precisions_cholesky, parameters.shape
        )
        largest = np.sqrt(np.maximum(diagonals.max(axis=0), 1))
        slope = _clipped(self.slope, least * sd.max(axis=0), most / largest)
        with np.errstate(over="ignore"):
            means = parameters.means / self.scale + self.shift
            if self.unit is not None:
                means = means / self.unit
            cholesky = structure.rescale_precisions_cholesky(
                parameters.precisions_cholesky, slope
            )
        return replace(
            parameters,
            weights=parameters.weights.astype(dtype),
            means=np.clip(means, info.min, info.max).astype(dtype),
            precisions_cholesky=np.clip(cholesky, info.min, info.max).astype(dtype),
        )

    def covariances(
        self, structure: Structure, parameters: Parameters, dtype: np.dtype
    ) -> np.ndarray:
        """Covariances of x; those out of the range of `dtype` at its limits."""
        info = np.finfo(dtype)
        sd = structure.standard_deviations(
            parameters.precisions_cholesky, parameters.shape
        )
        # Short of the limits by what the product of two factors may be rounded.
        least, most = 1.001 * np.sqrt(float(info.tiny)), 0.999 * np.sqrt(info.max)
        slope = _clipped(self.slope, sd.max(axis=0) / most, sd.min(axis=0) / least)
        cholesky = structure.rescale_precisions_cholesky(
            parameters.precisions_cholesky, slope
        )
        covariances = structure.covariances(cholesky)
        if structure.matrices:
            # By as much as rounding to `dtype` may lower an eigenvalue.
            np.einsum("...ii->...i", covariances)[...] *= 1 + len(slope) * info.eps
        return covariances.astype(dtype)


def _clipped(slope: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Slope of each feature in a range; at its low end if that is empty."""
    return np.maximum(np.minimum(slope, high), low)


@dataclass(frozen=True)
class Extent:
    """Smallest and largest value per feature; adding joins two ranges."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of_nothing(cls, n_features: int) -> Extent:
        """Return that of no rows."""
        infinite = np.full(n_features, np.inf)
        return cls(infinite, -infinite)

    @property
    def largest(self) -> np.ndarray:
        """Largest absolute values."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def __add__(self, other: Extent) -> Extent:
        return Extent(
            np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        )


def _extent(block: Block, workspace: Workspace) -> Extent:
    data = block.data
    if data.dtype.kind == "b":
        data = data.view(np.uint8)
    if data.shape[1] == 0:
        return Extent.of_nothing(data.shape[0])
    # Contiguous rows reduce several times faster than strided ones.
    native = data.dtype.newbyteorder("=")
    copy = workspace.array("range", data.shape, native)
    np.copyto(copy, data)
    if block.incomplete:
        missing = np.isnan(copy)
        low = copy.min(axis=1, where=~missing, initial=np.inf)
        high = copy.max(axis=1, where=~missing, initial=-np.inf)
        return Extent(low.astype(float), high.astype(float))
    return Extent(copy.min(axis=1).astype(float), copy.max(axis=1).astype(float))


def extent_of(blocks: Blocks) -> Extent:
    """Return the smallest and the largest value of each feature."""
    return blocks.fold(_extent, blocks.n_features)


def _power_means(coordinates: Coordinates, blocks: Blocks) -> np.ndarray:
    """Means of z and of z² per feature, shape (2, features)."""

    def kernel(block: Block, workspace: Workspace) -> np.ndarray:
        z = coordinates.load(
            block.data, workspace.array("z", block.data.shape, np.float64)
        )
        v = block.weight_of_each
        observed = []
        if block.incomplete:
            missing = np.isnan(z)
            z[missing] = 0
            observed.append(~missing @ v)
        first = z @ v
        np.square(z, out=z)
        return np.stack([first, z @ v, *observed])

    sums = blocks.fold(kernel, 2 * blocks.n_features)
    return sums[:2] / (sums[2] if blocks.incomplete else blocks.total_weight)


def standardising_coordinates(blocks: Blocks, structure: Structure) -> Coordinates:
    """Weighted mean to zero, standard deviation to one.

    A structure that is not closed under per-feature scaling (spherical) gets the
    root mean square of the standard deviations as one scale for all features. A
    constant feature gets the geometric mean of the other features' standard
    deviations; if every feature is constant, the largest absolute value, or 1.
    """
    extent = extent_of(blocks)
    unit = _units(extent, blocks.dtype)
    low, high = (x if unit is None else x * unit for x in (extent.low, extent.high))
    middle, width = low / 2 + high / 2, high / 2 - low / 2
    safe = np.where(width == 0, 1.0, width)
    rough = Coordinates(_representable(middle, blocks.dtype), 1 / safe, unit)
    first, second = _power_means(rough, blocks)
    sd = np.sqrt(np.maximum(second - first**2, 0.0)) * safe
    constant = (width == 0) | (sd == 0)
    shift = np.where(constant, middle, rough.shift + first * safe)
    if unit is not None and (constant.all() or not structure.scales_features):
        unit, old = _common_unit(extent, blocks.dtype), unit
        exponent = (np.log2(unit) - np.log2(old)).astype(int)
        shift, sd = np.ldexp(shift, exponent), np.ldexp(sd, exponent)
    # Constant features get a scale in units of the data, not of `unit`.
    log_unit = np.zeros_like(sd) if unit is None else np.log(unit)
    if constant.all():
        log_typical = np.log(extent.largest.max() or 1.0)
    else:
        log_sd = np.log(np.where(constant, 1.0, sd)) - log_unit
        log_typical = log_sd[~constant].mean()
    typical = np.exp(np.clip(log_typical + log_unit, -690, 690))
    spread = np.where(constant, typical, sd)
    if not structure.scales_features:
        top = spread.max()
        spread = np.full_like(spread, top * np.sqrt(np.mean((spread / top) ** 2)))
    return Coordinates(_representable(shift, blocks.dtype), 1 / spread, unit)


def _units(extent: Extent, dtype: np.dtype) -> np.ndarray | None:
    """Powers of two that bring widths into safe range; None if they are in it."""
    info = np.finfo(dtype)
    largest, width = extent.largest, extent.high / 2 - extent.low / 2
    size = np.where(width == 0, largest, width)
    exponent = np.log2(np.where(size == 0, 1.0, size))
    extreme = (np.abs(exponent) > 0.4 * info.maxexp) | (largest > float(info.max) / 1e8)
    if not extreme.any():
        return None
    return _power_of_two(np.where(extreme, -np.round(exponent), 0.0))


def _common_unit(extent: Extent, dtype: np.dtype) -> np.ndarray:
    """Power of two, the same for all features, with room for the largest value.

    It is as large as may be, so that the narrowest features lose nothing.
    """
    largest = extent.largest.max()
    room = np.finfo(dtype).maxexp - 40 - np.ceil(np.log2(largest or 1.0))
    return _power_of_two(np.full(extent.low.shape, room))


def _power_of_two(exponent: np.ndarray) -> np.ndarray:
    return np.exp2(np.clip(exponent, -1020, 1020))


def scoring_coordinates(
    structure: Structure, parameters: Parameters, dtype: np.dtype
) -> Coordinates:
    """Coordinates about the mixture's mean, in its standard deviations.

    About the mean nearest to zero where components are far apart: there, subtracting it
    rounds no row more than it has been.
    """
    weights = shares(parameters.weights)
    means = parameters.means
    sd = structure.standard_deviations(parameters.precisions_cholesky, parameters.shape)
    unit = None
    # A difference of such numbers may overflow.
    large = np.maximum(np.abs(means), sd).max(axis=0) > float(np.finfo(dtype).max) / 1e8
    if large.any():
        unit = np.where(large | (not structure.scales_features), 2.0**-64, 1.0)
        means, sd = means * unit, sd * unit
    shift = _representable(weights @ means, dtype)
    # Rows keep their digits where they are less than the values beside them.
    nearest = means[np.abs(means).argmin(axis=0), np.arange(means.shape[1])]
    apart = np.abs(shift - nearest) > OFF_CENTRE * sd.min(axis=0)
    shift = np.where(apart, _representable(nearest, dtype), shift)
    spread = weights @ (np.abs(means - shift) + sd)
    if not structure.scales_features:
        spread = np.full_like(spread, spread.max())
    return Coordinates(shift, 1 / np.maximum(spread, TINY), unit)


def _representable(shift: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return shift.astype(dtype).astype(float)
