"""The house rule: in the core, imports run downwards only; kernels import nothing."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import skem

PACKAGE = Path(skem.__file__).parent
CORE = PACKAGE / "core"
FAMILIES = sorted((PACKAGE / "families").glob("*.py"))
KERNELS = sorted((PACKAGE / "kernels").glob("*.py"))
MODULES = sorted(path for path in CORE.glob("*.py") if path.stem != "__init__")

# A module may import those of the floors below its own.
FLOORS = [
    {"threads", "parameters", "products", "quadratic", "dask_graph", "ties"},
    {"storage"},
    {"constraint"},
    {"local"},
    {"blocks", "covariance", "seeds", "posterior", "patterns"},
    {"coordinates", "statistics", "chart", "degeneracy", "dask_blocks", "marginals"},
    {"student"},
    {"regularization", "fixed"},
    {"far", "maximisation"},
    {"forms", "prior"},
    {"fused", "linear", "completed"},
    {"masks", "gaps", "frequent", "heavy"},
    {"incomplete"},
    {"expectation", "predictive", "tails"},
    {"totals", "step", "members", "noise"},
    {"scale"},
    {"em", "robust"},
    {"initialize", "stream", "bayes"},
    {"student_map", "alive"},
    {"move", "climb", "sketch", "clusterings"},
    {"search", "path", "divide"},
    {"revise"},
]
# The solver knows nothing of what it solves: these import each other at most.
SOLVERS = {"solve", "accelerate"}
# What runs is for one module to know, and for `show_versions` to tell.
CALL_KERNELS = {
    "_versions.py",
    *(f"core/{name}.py" for name in ("fused", "gaps", "masks", "step")),
}
FORBIDDEN = (
    "sklearn.base",
    "skem.gaussian_mixture",
    "skem._fitted",
    "skem._validation",
    "skem._blocks",
    "skem._dask",
)


@cache
def imported_names(source, package):
    """Return the absolute dotted names of everything that is imported."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None]
            parts = [*(above if node.level else []), *filter(None, [node.module])]
            base = ".".join(parts)
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def is_within(name, module):
    return name == module or name.startswith(f"{module}.")


def allowed_modules(module):
    """Return the modules of the core that a module may import."""
    if module in SOLVERS:
        return SOLVERS
    for height, floor in enumerate(FLOORS):
        if module in floor:
            top = height >= len(FLOORS) - 2
            return set().union(*FLOORS[:height], SOLVERS if top else ())
    pytest.fail(f"skem/core/{module}.py has no floor: declare it in {__name__}.FLOORS")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_run_downwards(path):
    names = imported_names(path.read_text(encoding="utf-8"), "skem.core")
    allowed = allowed_modules(path.stem)
    used = {
        other.stem
        for other in MODULES
        if any(is_within(name, f"skem.core.{other.stem}") for name in names)
    }
    assert used <= allowed, (
        f"skem/core/{path.name} imports {sorted(used - allowed)}, which is not on a "
        f"floor below it; it may import {sorted(allowed)}"
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_core_does_not_know_the_estimator(path):
    names = imported_names(path.read_text(encoding="utf-8"), "skem.core")
    forbidden = FORBIDDEN + (("skem.core.em",) if path.stem in SOLVERS else ())
    found = {
        name
        for name in names
        if name == "skem" or any(is_within(name, module) for module in forbidden)
    }
    assert not found, f"skem/core/{path.name} imports {sorted(found)}"


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: path.stem)
def test_families_know_the_core_alone(path):
    names = imported_names(path.read_text(encoding="utf-8"), "skem.families")
    found = {
        name
        for name in names
        if is_within(name, "skem")
        and not is_within(name, "skem.core")
        and not is_within(name, "skem.families")
    }
    assert not found, f"skem/families/{path.name} imports {sorted(found)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_core_knows_no_families(path):
    names = imported_names(path.read_text(encoding="utf-8"), "skem.core")
    assert not {name for name in names if is_within(name, "skem.families")}


def test_kernels_know_nothing_of_the_rest():
    assert {path.stem for path in KERNELS} == {"__init__", "native"}
    for path in KERNELS:
        names = imported_names(path.read_text(encoding="utf-8"), "skem.kernels")
        found = {name for name in names if is_within(name, "skem")}
        assert not found, f"skem/kernels/{path.name} imports {sorted(found)}"


def test_kernels_are_called_from_one_place():
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path not in KERNELS
        and any(
            is_within(name, "skem.kernels")
            for name in imported_names(
                path.read_text(encoding="utf-8"),
                ".".join(["skem", *path.relative_to(PACKAGE).parts[:-1]]),
            )
        )
    }
    assert callers == CALL_KERNELS


def test_importing_skem_imports_no_extra():
    code = """
import sys, skem
assert not {"dask", "distributed", "matplotlib"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sklearn.base", "sklearn.base"),
        ("import sklearn.base as base", "sklearn.base"),
        ("from sklearn import base", "sklearn.base"),
        ("def f():\n    from skem.core.em import EMMap", "skem.core.em"),
        ("from skem.core import em", "skem.core.em"),
        ("from .em import EMMap", "skem.core.em"),
        ("from . import em", "skem.core.em"),
        ("from .._validation import check_data", "skem._validation"),
    ],
)
def test_every_way_to_import_is_seen(source, expected):
    assert expected in imported_names(source, "skem.core")
