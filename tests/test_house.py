"""The house rule: a room imports what is on its list, and inside there is no circle."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import skem

PACKAGE = Path(skem.__file__).parent
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem != "__init__"
}

GAUSSIAN = {"core.blocks", "core.gaussian"}
EM = GAUSSIAN | {"core.mixture"}
FIT = EM | {"core.solve", "core.search"}
# What the modules of each room may import, beside those of their own.
MAY_IMPORT = {
    "core.gamma": set(),
    "core.solve": set(),
    "core.blocks": set(),
    "kernels": set(),
    "exceptions": set(),
    "datasets": set(),
    "core.gaussian": {"core.blocks", "kernels"},
    "core.passes": GAUSSIAN | {"kernels"},
    "core.incomplete": GAUSSIAN | {"core.passes", "kernels"},
    "core.mixture": GAUSSIAN | {"core.passes", "core.incomplete", "kernels"},
    "core.student": EM | {"core.gamma", "core.passes", "core.incomplete", "kernels"},
    "core.search": EM | {"core.solve"},
    "core.bayes": FIT,
    "families": FIT | {"core.gamma", "core.passes", "core.incomplete", "kernels"},
    "_report": EM | {"kernels"},
    "_inputs": EM | {"families"},
    "metrics": {"_inputs", "_report"},
    "_errors": EM
    | {"core.gamma", "core.incomplete", "core.student", "_inputs", "_report"},
    "_merging": {"_inputs"},
    "_saving": EM | {"_inputs"},
    "_fitted": EM
    | {"core.passes", "core.incomplete", "core.student", "core.bayes"}
    | {"_inputs", "_report", "_errors", "_saving"},
    "_fitting": FIT | {"_inputs", "_report", "_fitted", "exceptions"},
    "_tables": EM
    | {"core.incomplete", "core.search", "core.solve", "families", "exceptions"}
    | {"_inputs", "_report", "_errors", "_saving", "_fitted", "_fitting"},
    "gaussian_mixture": EM | {"_inputs", "_saving", "_fitted", "_fitting"},
    "student_mixture": EM
    | {"core.student", "_inputs", "_errors", "_fitted", "_fitting"},
    "bayesian_mixture": FIT
    | {"core.incomplete", "core.bayes"}
    | {"_inputs", "_report", "_saving", "_fitted", "_fitting"},
    "mixture_model": GAUSSIAN | {"core.solve", "_inputs", "_fitting", "_tables"},
    "_display": EM
    | {"core.solve", "core.student", "_inputs", "_report", "_fitted"}
    | {"gaussian_mixture", "student_mixture"},
    "_selection": FIT
    | {"_inputs", "_report", "_fitted", "_fitting", "exceptions"}
    | {"gaussian_mixture", "mixture_model"},
    "_bootstrap": FIT
    | {"families", "_inputs", "_report", "_fitting", "exceptions"}
    | {"gaussian_mixture", "student_mixture", "mixture_model"},
    "student_mixture_ic": GAUSSIAN
    | {"core.mixture", "core.solve", "_inputs", "_fitting", "_selection"}
    | {"student_mixture", "model_selection"},
    "model_selection": EM
    | {"core.solve", "_inputs", "_fitting", "_selection"}
    | {"gaussian_mixture", "exceptions"},
    "mixture_ic": GAUSSIAN
    | {"core.solve", "_inputs", "_report", "_fitting", "_tables", "_selection"}
    | {"mixture_model", "exceptions"},
    "_estimators": GAUSSIAN
    | {"core.incomplete", "core.mixture", "_inputs", "_saving", "_fitted"}
    | {"gaussian_mixture", "model_selection"},
    "outlier": {"_inputs", "_fitting", "_estimators", "gaussian_mixture"},
    "imputer": {"_inputs", "_fitted", "_fitting", "_estimators", "gaussian_mixture"},
    "regressor": {"_inputs", "_fitted", "_fitting", "_estimators"}
    | {"gaussian_mixture", "bayesian_mixture", "model_selection"}
    | {"student_mixture", "student_mixture_ic"},
    "discriminant": GAUSSIAN
    | {"_inputs", "_fitted", "_fitting", "_estimators", "gaussian_mixture"},
    "_cli": GAUSSIAN
    | {"_display", "_inputs", "_report", "_saving", "_selection", "exceptions", "skem"}
    | {"gaussian_mixture", "model_selection"},
    "__main__": {"_cli"},
}
# What is imported while a function runs, from a room that imports this one.
LATER = {
    "_fitted": {"gaussian_mixture"},
    "_saving": {"_tables", "gaussian_mixture", "bayesian_mixture"}
    | {"student_mixture", "mixture_model"}
    | {"regressor", "imputer", "discriminant", "outlier"},
    "_merging": {"_display"},
    "_cli": {"datasets"},
}
# What runs is for one module to know, and for `show_versions` to tell.
CALL_KERNELS = {
    "_report.versions",
    *("core.gaussian.packing", "core.passes.fused"),
    *("core.incomplete.gaps", "core.incomplete.masks"),
    *("core.mixture.plan", "core.mixture.step", "core.student.step"),
    "families.lookup",
}


def is_put_off(node):
    """Tell whether what is under this node does not run when its module does."""
    return isinstance(node, ast.FunctionDef) or (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    )


@cache
def imported_names(source, package):
    """Return the absolute dotted names of everything that is imported.

    Two sets: at once, and later, in functions or for type checkers.
    """
    names = set(), set()

    def visit(node, put_off):
        found = names[put_off]
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None]
            parts = [*(above if node.level else []), *filter(None, [node.module])]
            base = ".".join(parts)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(
            node, ast.stmt | ast.ExceptHandler | ast.match_case | ast.Module
        ):
            for child in ast.iter_child_nodes(node):
                visit(child, put_off or is_put_off(node))

    visit(ast.parse(source), False)
    return names


def is_within(name, module):
    return name == module or name.startswith(f"{module}.")


def room_of(module):
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "core" else 1])


def names_in(module):
    """Return the dotted names that a module imports, at once and later."""
    package = ".".join(["skem", *module.split(".")[:-1]])
    return imported_names(MODULES[module].read_text(encoding="utf-8"), package)


def modules_among(names):
    """Return the modules of skem that dotted names are, or are in."""
    found = set()
    for name in names:
        first, *parts = name.split(".")
        if first == "skem":
            found |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return found & MODULES.keys()


def test_the_list_names_each_room_once_and_no_other():
    assert {room_of(module) for module in MODULES} == set(MAY_IMPORT)
    # Rooms stand on each other, in an order.
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_rooms_import_what_is_on_their_list(module):
    room = room_of(module)
    allowed = MAY_IMPORT[room] | {room}
    at_once, later = (
        {room_of(other) for other in modules_among(names)} for names in names_in(module)
    )
    assert at_once <= allowed, f"{module} imports {at_once - allowed}"
    allowed = allowed | LATER.get(room, set())
    assert later <= allowed, f"{module} imports {later - allowed}, if later"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_there_is_no_circle_in_a_room(room):
    graphlib.TopologicalSorter(
        {
            module: modules_among(names_in(module)[0])
            for module in MODULES
            if room_of(module) == room
        }
    ).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_modules_know_what_is_their_business(module):
    names = set().union(*names_in(module))
    if module.startswith("core."):
        assert "skem" not in names
        assert not any(is_within(name, "sklearn.base") for name in names)
    if not module.startswith("kernels."):
        calls = any(is_within(name, "skem.kernels") for name in names)
        assert calls == (module in CALL_KERNELS)
    if module not in ("_inputs.sklearn", "core.mixture.seeds"):
        assert not {n for n in names if is_within(n, "sklearn") and "._" in n}


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
        ("def f():\n    from skem.core.mixture.em import EM", "skem.core.mixture.em"),
        ("from skem.core.mixture import em", "skem.core.mixture.em"),
        ("from .em import EMMap", "skem.core.mixture.em"),
        ("from . import em", "skem.core.mixture.em"),
        ("from ..gaussian import prior", "skem.core.gaussian.prior"),
    ],
)
def test_every_way_to_import_is_seen(source, expected):
    assert expected in set().union(*imported_names(source, "skem.core.mixture"))
