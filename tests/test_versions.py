"""What `show_versions` tells."""

import os
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import numpy as np
import pytest
import sklearn

import skem
from skem.kernels import native

pytestmark = pytest.mark.usefixtures("short_search")


def test_versions_of_what_is_used_are_told(capsys):
    skem.show_versions()
    told = capsys.readouterr().out
    assert sys.executable in told
    assert f"numpy: {np.__version__}" in told
    assert f"scikit-learn: {sklearn.__version__}" in told
    assert "num_threads" in told


def test_package_that_is_not_there_is_told(capsys, monkeypatch):
    monkeypatch.setattr("skem._report.versions.PACKAGES", ("numpy", "no-such-package"))
    skem.show_versions()
    assert "no-such-package: None" in capsys.readouterr().out


@pytest.mark.parametrize(
    "asked", ["numpy", pytest.param("compiled", marks=pytest.mark.slow)]
)
def test_kernel_that_runs_is_told(asked):
    told = subprocess.run(
        [sys.executable, "-c", "import skem; skem.show_versions()"],
        env=os.environ | {"SKEM_KERNEL": asked},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    libraries = native.runnable()
    if asked == "numpy" or not libraries:
        assert "passes over data: NumPy, as" in told
    else:
        assert f"passes over data: {libraries[0].name}" in told


@pytest.mark.parametrize("compiled", [True, False])
def test_compiled_code_that_is_elsewhere_is_told(
    compiled, capsys, monkeypatch, tmp_path
):
    info = tmp_path / "skem-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: skem\nVersion: 0.1.0")
    files = ["skem/__init__.py", *["skem/kernels/_fold_2.so"] * compiled]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    installed = Distribution.at(info)
    monkeypatch.setattr("skem._report.versions.distribution", lambda name: installed)
    monkeypatch.setattr(native, "runnable", lambda: ())
    monkeypatch.setattr(native, "library", lambda: None)
    skem.show_versions()
    told = capsys.readouterr().out
    assert "passes over data: NumPy, as no library is there" in told
    hint = f"{Path(native.__file__).parents[1]}, a source tree without compiled code"
    assert (hint in told) == ("install with `pip install -e .`" in told) == compiled
