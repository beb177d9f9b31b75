"""How the compiled pass is built, and that a package is built where it is not."""

import importlib.util
import platform
import stat
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from skem.kernels import native

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")


@pytest.fixture
def hatch_build():
    spec = importlib.util.spec_from_file_location(
        "hatch_build", ROOT / "hatch_build.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Return a function that makes a compiler of a line of shell, and uses it."""

    def use(line):
        script = tmp_path / "compiler"
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("CXX", str(script))

    return use


WORKS = 'while [ "$1" != -o ]; do shift; done; echo compiled >"$2"'
BROKEN = {
    "nothing said": "exit 1",
    "much said": "echo unknown target >&2; echo in line 2 >&2; exit 1",
    "nothing written": "exit 0",
    "the last one fails": f'case "$*" in *v2*) {WORKS} ;; *) exit 1 ;; esac',
}


@pytest.fixture
def build(hatch_build, tmp_path):
    """Return a function that runs the hook: what it warned of, and of the wheel."""
    out = tmp_path / "out"
    (tmp_path / "skem/kernels").mkdir(parents=True)

    def run(version):
        said, data = [], {"force_include": {}}
        hook = hatch_build.CustomBuildHook(
            str(tmp_path), {}, None, None, str(out), "wheel",
            SimpleNamespace(display_warning=said.append),
        )  # fmt: skip
        hook.initialize(version, data)
        existed = [Path(library).exists() for library in data["force_include"]]
        hook.finalize(version, data, "")
        return said, data, existed

    return run


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "arm64", "riscv64"])
def test_every_target_has_a_name(hatch_build, monkeypatch, machine):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    numbers = {2, 3, 4} if "64" in machine and machine[0] in "xA" else {1}
    assert set(hatch_build.targets()) == numbers
    assert numbers <= set(native.LEVELS)
    assert hatch_build.SUFFIX == native.SUFFIX


@posix
def test_wheel_has_the_libraries_and_the_name_of_its_platform(
    build, compiler, hatch_build
):
    compiler(WORKS)
    said, data, existed = build("standard")
    assert said == []
    assert data["tag"].startswith("py3-none-")
    assert not {"-", "."} & set(data["tag"].removeprefix("py3-none-"))
    assert not data["pure_python"]
    assert all(existed)
    names = [Path(path).name for path in data["force_include"].values()]
    assert names == [native.path(level).name for level in hatch_build.targets()]
    # What was compiled for a wheel is not left behind.
    assert not any(Path(library).exists() for library in data["force_include"])


@posix
def test_editable_installation_has_the_libraries_beside_the_sources(
    build, compiler, tmp_path
):
    compiler(WORKS)
    said, data, _ = build("editable")
    assert said == []
    assert data["force_include"] == {}
    assert any((tmp_path / "skem/kernels").glob("_fold_*"))


@posix
@pytest.mark.parametrize("version", ["standard", "editable"])
@pytest.mark.parametrize("failure", BROKEN)
def test_broken_compiler_costs_one_line_of_warning(
    build, compiler, hatch_build, tmp_path, version, failure
):
    # What an earlier version compiled would not fit.
    (tmp_path / f"skem/kernels/_fold_1{native.SUFFIX}").write_bytes(b"")
    (tmp_path / f"skem/kernels/_fold_2{native.SUFFIX}").write_bytes(b"")
    compiler(BROKEN[failure])
    (line,), data, _ = build(version)
    assert line.startswith("skem is built without its compiled pass: ")
    assert "\n" not in line
    assert ("unknown target" in line) == (failure == "much said")
    # A wheel for every platform, of Python alone.
    assert data == {"force_include": {}}
    if version == "editable":
        left = {path.name for path in (tmp_path / "skem/kernels").iterdir()}
        assert not left & {
            path.name for path in map(native.path, hatch_build.targets())
        }


@pytest.mark.parametrize("version", ["standard", "editable"])
def test_missing_compiler_costs_one_line_of_warning(
    build, hatch_build, monkeypatch, version
):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(hatch_build.shutil, "which", lambda name: None)
    (line,), data, _ = build(version)
    assert line.endswith("there is no C++ compiler")
    assert data == {"force_include": {}}
    monkeypatch.setenv("CXX", "no-such-compiler --option")
    (line,), data, _ = build(version)
    assert "no-such-compiler" in line


def test_source_distribution_has_what_a_build_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"skem", "hatch_build.py"} <= set(included)
    assert (ROOT / "skem/kernels/fold.cpp").exists()
