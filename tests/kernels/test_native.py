"""The libraries: their functions against exact values, and which of them runs."""

import ctypes
import math
import os
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from skem.kernels import native

LIBRARIES = native.runnable()
LIMIT = {"f8": 707.0, "f4": 87.0}
LANES = 16
"""Of all registers' lengths a multiple."""

compiled = pytest.mark.skipif(not LIBRARIES, reason="no library was compiled")
types = pytest.mark.parametrize("dtype", ["f8", "f4"])


@pytest.fixture(params=LIBRARIES, ids=lambda library: f"level-{library.level}")
def library(request):
    return request.param


def functions(library, values, dtype):
    """Return exp and log of each value, as the library computes them."""
    n = len(values)
    x = np.ones(-(-n // LANES) * LANES, dtype)
    x[:n] = values
    exps, logs = np.empty_like(x), np.empty_like(x)
    library.functions.skem_functions(
        ctypes.c_int64(x.itemsize),
        ctypes.c_int64(len(x)),
        *(ctypes.c_void_p(array.ctypes.data) for array in (x, exps, logs)),
    )
    return exps[:n], logs[:n]


@cache
def arguments_of_exp(dtype):
    """Values over all of the range, many of them near its ends and near zero."""
    rng = np.random.default_rng(1)
    limit = LIMIT[dtype]
    small = np.exp(rng.uniform(-40, math.log(limit), 2000))
    halves = (np.arange(-limit, limit, 0.5) + 0.5).round() * math.log(2) / 2
    halves = halves[np.abs(halves) < limit]
    spread = rng.uniform(-limit, limit, 2000)
    ends = [-limit, limit, 0.0, -0.0]
    return np.concatenate([spread, small, -small, halves, ends]).astype(dtype)


@cache
def arguments_of_log(dtype):
    """Positive normal numbers, many of them near one and near √½."""
    rng = np.random.default_rng(2)
    info = np.finfo(dtype)
    spread = np.exp2(rng.uniform(info.minexp, info.maxexp, 2000))
    near = 1 + rng.choice([-1, 1], 1000) * np.exp(rng.uniform(-30, -1, 1000))
    roots = math.sqrt(0.5) * (1 + 1e-6 * rng.normal(size=200))
    powers = np.exp2(np.arange(info.minexp, info.maxexp, 7.0))
    ends = [info.tiny, info.max, 1.0]
    return np.concatenate([spread, near, roots, powers, ends]).astype(dtype)


@cache
def exact(name, dtype):
    """The function's values by decimal arithmetic, of thirty digits."""
    function = getattr(Context(prec=30), {"exp": "exp", "log": "ln"}[name])
    values = {"exp": arguments_of_exp, "log": arguments_of_log}[name](dtype)
    return [function(Decimal(float(x))) for x in values]


def ulps(found, expected):
    """Largest error, in units of the last place of the exact value."""
    errors = [
        abs(Fraction(float(a)) - Fraction(b)) / Fraction(float(np.spacing(scale)))
        for a, b, scale in zip(
            found, expected, np.abs(np.array(expected, found.dtype)), strict=True
        )
    ]
    return float(max(errors))


@types
def test_exponential_is_exact_but_for_half_a_unit_of_its_argument(library, dtype):
    x = arguments_of_exp(dtype)
    found, _ = functions(library, x, dtype)
    values = exact("exp", dtype)
    near = np.abs(x) < 0.5
    few = [value for value, chosen in zip(values, near, strict=True) if chosen]
    assert ulps(found[near], few) <= 3
    eps = Fraction(float(np.finfo(dtype).eps))
    for one, value, argument in zip(found, values, x, strict=True):
        error = abs(Fraction(float(one)) / Fraction(value) - 1)
        assert error <= 2 * eps + Fraction(float(np.spacing(abs(argument)))) / 2


@types
def test_logarithm_is_exact_to_two_units_of_the_last_place(library, dtype):
    _, found = functions(library, arguments_of_log(dtype), dtype)
    assert ulps(found, exact("log", dtype)) <= 2


@types
def test_exponential_is_zero_below_the_limit(library, dtype):
    limit = np.array(LIMIT[dtype], dtype)
    below = [np.nextafter(-limit, -np.inf), -2 * limit, np.finfo(dtype).min, -np.inf]
    found, _ = functions(library, below, dtype)
    assert found.tolist() == [0.0] * 4
    assert not np.signbit(found).any()


@types
def test_exponential_is_held_at_the_limit(library, dtype):
    limit = np.array(LIMIT[dtype], dtype)
    beyond = [limit, np.nextafter(limit, np.inf), np.finfo(dtype).max, np.inf]
    found, _ = functions(library, beyond, dtype)
    assert np.isfinite(found).all()
    assert (found == found[0]).all()


@types
def test_exponential_of_nan_is_nan(library, dtype):
    values = np.array([np.nan, -np.nan, 0.0], dtype)
    found, _ = functions(library, values, dtype)
    np.testing.assert_array_equal(np.isnan(found), [True, True, False])


@compiled
def test_every_library_was_written_for_this_caller():
    for library in LIBRARIES:
        sizes = library.functions.skem_sizes()
        own = (sizes >> 40, sizes >> 20 & 0xFFFFF, sizes & 0xFFFFF)
        assert own == (native.MODEL.size, native.JOB.size, native.STEP.size)


@compiled
def test_best_library_comes_first():
    levels = [library.level for library in LIBRARIES]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] <= max(levels[-1], LIBRARIES[0].functions.skem_level())


V3 = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave".split()
V4 = "avx512f avx512bw avx512cd avx512dq avx512vl".split()


@compiled
def test_level_is_what_the_processor_can_do():
    """By what Linux tells of it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), None)
    if flags is None:
        pytest.skip("the system does not tell what the processor can do")
    expected = 4 if set(V3 + V4) <= set(flags) else 3 if set(V3) <= set(flags) else 2
    for library in LIBRARIES:
        assert library.functions.skem_level() == expected


@pytest.fixture
def choose(monkeypatch):
    """Choose anew, as a new process with this environment would."""

    def chosen(value=None):
        if value is None:
            monkeypatch.delenv("SKEM_KERNEL", raising=False)
        else:
            monkeypatch.setenv("SKEM_KERNEL", value)
        return native.library.__wrapped__()

    return chosen


@compiled
@pytest.mark.parametrize("value", [None, "", "compiled"])
def test_best_library_runs(choose, value):
    assert choose(value) is LIBRARIES[0]


def test_environment_asks_for_numpy(choose):
    assert choose("numpy") is None


def test_numpy_runs_where_no_library_was_compiled(choose, monkeypatch, tmp_path):
    monkeypatch.setattr(native, "path", lambda level: tmp_path / f"_fold_{level}.so")
    assert native.load(3) is None
    monkeypatch.setattr(native, "runnable", native.runnable.__wrapped__)
    assert choose() is None


@compiled
def test_library_of_another_version_is_not_run(monkeypatch):
    monkeypatch.setattr(native, "JOB", native.STEP)
    assert native.load(LIBRARIES[0].level) is None


def test_file_that_is_no_library_is_not_run(monkeypatch, tmp_path):
    broken = tmp_path / "_fold_2.so"
    broken.write_bytes(b"\x7fELF and nothing else")
    monkeypatch.setattr(native, "path", lambda level: broken)
    assert native.load(2) is None


def test_kernel_that_was_asked_for_runs():
    """`.ci/run` asks for each of them, and this is what tells that it got it."""
    asked = os.environ.get("SKEM_KERNEL")
    assert asked != "compiled" or LIBRARIES
    expected = None if asked == "numpy" or not LIBRARIES else LIBRARIES[0]
    assert native.library() is expected
