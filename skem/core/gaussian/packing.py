"""Coordinates of mixtures about a base, in one compiled call each way.

`Chart` says what they are, and does the same in NumPy. On few samples the interpreter
would take longer for them than for a pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from skem.core.gaussian.matrices import OneMatrix, OwnMatrices
from skem.core.gaussian.storage import Storage
from skem.core.gaussian.variances import Diagonals, Spheres
from skem.kernels import native
from skem.kernels.native import CHART, MOST_FEATURES, Library, address

STORAGES: dict[type[Storage], int] = {
    OwnMatrices: 0,
    OneMatrix: 1,
    Diagonals: 2,
    Spheres: 3,
}
"""Numbers in fold.cpp."""


@dataclass(frozen=True)
class Packer:
    """Coordinates about a base of shares, means and factors, with their scales.

    What goes in and comes out is in `parts` of the memory that `chart` is about:
    shares, means and factors of a mixture, and a vector.
    """

    library: Library
    parts: tuple[np.ndarray, ...]
    chart: bytes
    addresses: tuple[int, ...]

    @classmethod
    def of(
        cls,
        storage: Storage,
        base: tuple[np.ndarray, ...],
        scales: tuple[np.ndarray, ...],
    ) -> Packer | None:
        """Return None if that is not for such mixtures."""
        library = native.library()
        K, d = base[1].shape
        if library is None or d > MOST_FEATURES:
            return None
        kind = next(n for each, n in STORAGES.items() if isinstance(storage, each))
        own = d * (d + 1) // 2 if storage.matrices else d if kind == 2 else 1
        size = K + K * d + (1 if storage.shared else K) * own
        shapes = [array.shape for array in (*base, *scales, *base)]
        scratch = library.chart_scratch_bytes(d) // 8
        sizes = [*map(math.prod, shapes), size, scratch]
        ends = list(accumulate(sizes))
        memory = np.empty(ends[-1])
        starts = [end - size for end, size in zip(ends, sizes, strict=True)]
        for array, begin, end in zip((*base, *scales), starts, ends, strict=False):
            memory[begin:end] = array.ravel()
        at = address(memory)
        *inputs, vector, of_scratch = (at + 8 * start for start in starts)
        parts = tuple(
            memory[begin:end].reshape(shape)
            for begin, end, shape in zip(
                starts[6:10], ends[6:10], (*shapes[6:], (size,)), strict=True
            )
        )
        chart = CHART.pack(kind, d, K, *inputs[:6], of_scratch)
        return cls(library, parts, chart, (*inputs[6:], vector))

    @property
    def size(self) -> int:
        """Length of a vector."""
        return self.parts[3].size

    def pack(self, *mixture: np.ndarray) -> np.ndarray:
        """Shares, means and factors -> vector."""
        for part, array in zip(self.parts, mixture, strict=False):
            part[...] = array
        self.library.pack(self.chart, *self.addresses)
        return self.parts[3].copy()

    def unpack(self, vector: np.ndarray) -> list[np.ndarray]:
        """Vector -> shares, means and factors."""
        self.parts[3][...] = vector
        *addresses, of_vector = self.addresses
        self.library.unpack(self.chart, of_vector, *addresses)
        return [part.copy() for part in self.parts[:3]]
