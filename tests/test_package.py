"""The package's own names, which are imported when they are asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skem

SOURCE = Path(skem.__file__)


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE.parents[1])},
        timeout=120,
        check=True,
    ).stdout


def test_names_are_where_type_checkers_look_for_them():
    found = {}
    for node in ast.walk(ast.parse(SOURCE.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("skem."):
            module = node.module.removeprefix("skem.")
            found |= {alias.name: module for alias in node.names}
    assert found == skem._MODULES
    assert sorted(found) == sorted(skem.__all__)


@pytest.mark.parametrize("name", skem.__all__)
def test_names_are_there(name):
    value = getattr(skem, name)
    assert value.__name__ == name
    assert name in dir(skem)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="module 'skem' has no attribute 'nope'"):
        _ = skem.nope
    assert not hasattr(skem, "_nope")


def test_modules_need_no_import_of_their_own():
    code = "import skem; print(skem.exceptions.DegenerateComponentsWarning.__name__)"
    assert run(code) == "DegenerateComponentsWarning\n"


def test_star_import_brings_all():
    names = {}
    exec("from skem import *", names)
    assert names.keys() - {"__builtins__"} == set(skem.__all__)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--colums", "3"],
        ["--covariance", "x"],
        ["missing.csv"],
        ["pedict", "x"],
    ],
)
def test_help_and_mistakes_import_nothing_that_takes_time(arguments):
    code = f"""
import sys
from skem.__main__ import main
sys.stderr = sys.stdout
try:
    print(main({arguments!r}))
except SystemExit as end:
    print(end.code)
print(sorted({{"numpy", "scipy", "sklearn", "pandas"}} & sys.modules.keys()))
"""
    *_, status, imported = run(code).splitlines()
    assert status == ("0" if "--help" in arguments else "2")
    assert imported == "[]"
