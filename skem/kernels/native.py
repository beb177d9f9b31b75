"""The libraries of the compiled pass: which one runs, and how it is called.

`fold.cpp` is compiled once for each instruction set. Where none was, or with
``SKEM_KERNEL=numpy`` in the environment, its NumPy twin runs instead.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LEVELS = {
    4: "x86-64-v4 (AVX-512)",
    3: "x86-64-v3 (AVX2)",
    2: "x86-64-v2",
    1: "baseline",
}
"""Instruction sets, by the number that ends a library's name."""
SOURCES = {
    np.dtype(name).str: number
    for name, number in {
        **{"f8": 0, "f4": 1, "i8": 2, "i4": 3, "i2": 4, "i1": 5},
        **{"u8": 6, "u4": 7, "u2": 8, "u1": 9, "?": 9},
    }.items()
}
"""Numbers of the types that are read in place."""
VERSION = 24
"""Of what the libraries can do; fold.cpp has the same number."""
MOST_FEATURES = 16
"""Features of matrices that are factorised here; with more LAPACK is faster."""
MODEL = struct.Struct("8q8P2dPP")
JOB = struct.Struct("qP3qPqP2qPq4P2q4P")
CHART = struct.Struct("3q7P")
SAMPLES = struct.Struct("q3P")
MOVES = struct.Struct("q5Pd")
FOLLOW = struct.Struct("q2dq5q7dq4P")
STEP = struct.Struct("6q6d14P" + JOB.format + "P" + "q8d6P" + "q6d3P")

FUNCTIONS: dict[str, list[Any]] = {
    "skem_sizes": [],
    "skem_version": [],
    "skem_level": [],
    "skem_scratch": [ctypes.c_char_p],
    "skem_pass": [ctypes.c_char_p, ctypes.c_char_p],
    "skem_step_scratch": [ctypes.c_char_p],
    "skem_step": [ctypes.c_char_p, ctypes.c_int64],
    "skem_contest": [
        ctypes.c_char_p,
        ctypes.c_int64,
        *[ctypes.c_double] * 3,
        *[ctypes.c_void_p] * 2,
    ],
    "skem_begin": [ctypes.c_char_p] * 2,
    "skem_finish": [ctypes.c_char_p],
    "skem_follow_room": [ctypes.c_char_p] * 2,
    "skem_follow": [ctypes.c_char_p] * 2,
    "skem_responsibilities": [ctypes.c_char_p, ctypes.c_void_p],
    "skem_sketch": [
        *[ctypes.c_char_p] * 2,
        ctypes.c_void_p,
        ctypes.c_double,
        *[ctypes.c_void_p] * 2,
    ],
    "skem_label": [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p],
    "skem_move": [ctypes.c_char_p] * 3,
    "skem_lookups": [
        *[ctypes.c_int64] * 6,
        ctypes.c_double,
        *[ctypes.c_void_p] * 10,
    ],
    "skem_chart_scratch": [ctypes.c_int64],
    "skem_pack": [ctypes.c_char_p, *[ctypes.c_void_p] * 4],
    "skem_unpack": [ctypes.c_char_p, *[ctypes.c_void_p] * 4],
    "skem_cluster": [
        *[ctypes.c_char_p] * 2,
        ctypes.c_void_p,
        *[ctypes.c_int64] * 2,
        *[ctypes.c_double] * 3,
        ctypes.c_int64,
    ],
    "skem_climb": [
        ctypes.c_char_p,
        ctypes.c_int64,
        ctypes.c_double,
        ctypes.c_void_p,
    ],
}
"""The functions of a library, with the types of their arguments."""


@dataclass(frozen=True)
class Library:
    """A loaded library, for an instruction set."""

    level: int
    functions: ctypes.CDLL

    @property
    def name(self) -> str:
        """What runs."""
        return f"compiled for {LEVELS[self.level]}"

    def scratch_bytes(self, model: bytes) -> int:
        """Return the size of the memory that a pass works in."""
        return int(self.functions.skem_scratch(model))

    def run(self, model: bytes, job: bytes) -> int:
        """Do a pass; return how many samples are left to the caller."""
        return int(self.functions.skem_pass(model, job))

    def step_scratch_bytes(self, step: bytes) -> int:
        """Return the size of the memory that a step works in."""
        return int(self.functions.skem_step_scratch(step))

    def step(self, step: bytes, steps: int) -> int:
        """Do so many steps; return whether they must be done in another way."""
        return int(self.functions.skem_step(step, steps))

    def begin(self, step: bytes) -> Prepared | None:
        """Begin a step; return the model of its pass, None if there is another way."""
        model = ctypes.create_string_buffer(MODEL.size)
        failed = self.functions.skem_begin(step, model)
        return None if failed else Prepared(model.raw)

    def finish(self, step: bytes) -> bool:
        """End a step, with what its pass has found; return whether that was done."""
        return not self.functions.skem_finish(step)

    def chart_scratch_bytes(self, n_features: int) -> int:
        """Return the size of the memory that coordinates are computed in."""
        return int(self.functions.skem_chart_scratch(n_features))

    def pack(self, chart: bytes, *addresses: int) -> None:
        """Take a mixture to its coordinates."""
        self.functions.skem_pack(chart, *addresses)

    def unpack(self, chart: bytes, *addresses: int) -> None:
        """Take coordinates to their mixture."""
        self.functions.skem_unpack(chart, *addresses)

    def cluster(self, step: bytes, samples: bytes, *rest: float) -> bool:
        """Find the scale of clusters; return whether that was done.

        `skem_cluster` says what the rest is.
        """
        return self.functions.skem_cluster(step, samples, *rest) > 0

    def climb(self, step: bytes, count: int, least: float, values: int) -> int:
        """Do several steps; return how many, or -1 if they must be done otherwise."""
        return int(self.functions.skem_climb(step, count, least, values))

    def contest(self, step: bytes, steps: int, *rest: float) -> int:
        """Do steps of a stack, and give up the worse; return how many are left.

        -1 if they must be done otherwise. `skem_contest` says what the rest is.
        """
        return int(self.functions.skem_contest(step, steps, *rest))

    def follow_room(self, step: bytes, follow: bytes) -> int:
        """Return how many numbers of memory `follow` works in."""
        return int(self.functions.skem_follow_room(step, follow))

    def follow(self, step: bytes, follow: bytes) -> int:
        """Follow the map; return the number of steps, -1 if it cannot."""
        return int(self.functions.skem_follow(step, follow))

    def responsibilities(self, step: bytes, resp: int) -> bool:
        """Find posterior probabilities; return whether that was done."""
        return not self.functions.skem_responsibilities(step, resp)

    def sketch(self, step: bytes, samples: bytes, *rest: float) -> bool:
        """Find moments of labelled samples; return whether that was done.

        `skem_sketch` says what the rest is.
        """
        return not self.functions.skem_sketch(step, samples, *rest)

    def label(self, step: bytes, samples: bytes, resp: int) -> bool:
        """Do an M-step of responsibilities; return whether that was done."""
        return not self.functions.skem_label(step, samples, resp)

    def move(self, step: bytes, samples: bytes, moves: bytes) -> bool:
        """Leave a mixture in several ways; return whether that was done."""
        return not self.functions.skem_move(step, samples, moves)

    def lookups(self, *arguments: int | float) -> bool:
        """Fold samples that are looked up in tables; return whether that was precise.

        `skem_lookups` in fold.cpp says what the arguments are.
        """
        return not self.functions.skem_lookups(*arguments)


def path(level: int) -> Path:
    """Return where the library for an instruction set is, if it was compiled."""
    return Path(__file__).with_name(f"_fold_{level}{SUFFIX}")


def load(level: int) -> Library | None:
    """Return the library for an instruction set; None if there is none of this source.

    An editable installation may have one that was compiled before the last change.
    """
    try:
        functions = ctypes.CDLL(str(path(level)))
        for name, arguments in FUNCTIONS.items():
            function = getattr(functions, name)
            function.restype, function.argtypes = ctypes.c_int64, arguments
    except (OSError, AttributeError):
        return None
    if functions.skem_sizes() != (MODEL.size << 20 | JOB.size) << 20 | STEP.size:
        return None
    if functions.skem_version() != VERSION:
        return None
    return Library(level, functions)


@cache
def runnable() -> tuple[Library, ...]:
    """Return the libraries that this machine can run, the best one first."""
    lowest = load(2) or load(1)
    if lowest is None:
        return ()
    able = int(lowest.functions.skem_level())
    return tuple(filter(None, map(load, range(able, lowest.level - 1, -1))))


@cache
def library() -> Library | None:
    """Return the best library for this machine, or None where the NumPy twin runs."""
    if os.environ.get("SKEM_KERNEL") == "numpy":
        return None
    return next(iter(runnable()), None)


def description() -> str:
    """Say what runs."""
    running = library()
    if running is not None:
        return running.name
    return (
        "NumPy, as SKEM_KERNEL asks" if runnable() else "NumPy, as no library is there"
    )


def address(array: np.ndarray | None) -> int:
    """Return where an array begins; 0 for None."""
    return 0 if array is None else array.__array_interface__["data"][0]


@dataclass(frozen=True)
class Model:
    """What is the same for all blocks: `Model` in fold.cpp says what the fields are.

    Arrays are contiguous, of float64.
    """

    itemsize: int
    centred: bool
    kind: int
    shared: bool
    bounded: bool
    n_features: int
    n_components: int
    n_mixtures: int
    shift: np.ndarray
    scale: np.ndarray
    theta: np.ndarray | None
    means: np.ndarray | None
    cholesky: np.ndarray | None
    constants: np.ndarray | None
    diagonals: np.ndarray | None
    common: np.ndarray | None
    far: float
    negligible: float
    tails: np.ndarray | None = None
    cells: np.ndarray | None = None

    def packed(self) -> bytes:
        """Return the struct; it points to the arrays of this object."""
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        values[8:16] = [address(array) for array in values[8:16]]
        values[18:] = map(address, values[18:])
        return MODEL.pack(*values)


@dataclass(frozen=True)
class Prepared:
    """A model that the library has made; it points to the memory of a step."""

    struct: bytes

    @cached_property
    def _fields(self) -> tuple[Any, ...]:
        return MODEL.unpack(self.struct)

    @property
    def itemsize(self) -> int:
        """Bytes of the numbers that are computed with."""
        return int(self._fields[0])

    @property
    def n_mixtures(self) -> int:
        """Number of mixtures."""
        return int(self._fields[7])

    def packed(self) -> bytes:
        """Return the struct."""
        return self.struct
