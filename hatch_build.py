"""Compile the pass over data (skem/kernels/fold.cpp) for each instruction set.

One shared library each, which every Python calls by ctypes: one wheel for a platform.
Without a compiler, or where it fails, the package has NumPy alone, and says so.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "skem/kernels/fold.cpp"
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
FLAGS = (
    "-x c++ -std=c++17 -O3 -shared -ffp-contract=fast -fno-math-errno "
    "-fno-trapping-math -fno-exceptions -fno-rtti -fvisibility=hidden"
).split()


def targets() -> dict[int, list[str]]:
    """Return the flags of each instruction set, by the number in its library's name."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        widths = {2: 16, 3: 32, 4: 64}
        return {n: [f"-march=x86-64-v{n}", f"-DWIDTH={w}"] for n, w in widths.items()}
    return {1: ["-DWIDTH=16"]}


def compiler() -> list[str] | None:
    """Return the command of a C++ compiler that knows GCC's vectors."""
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    names = ("clang++",) if sys.platform == "win32" else ("c++", "g++", "clang++")
    return next(([name] for name in names if shutil.which(name)), None)


def compile_all(root: Path, out: Path) -> list[Path]:
    """Compile a library for each instruction set into a directory.

    Raises `OSError` where that fails.
    """
    command = compiler()
    if command is None:
        raise OSError("there is no C++ compiler")
    platform_flags = ["-lkernel32"] if sys.platform == "win32" else ["-fPIC"]
    if sys.platform == "linux":
        platform_flags += ["-pthread", "-Wl,--as-needed"]
    extra = shlex.split(os.environ.get("CXXFLAGS", ""))
    running, failures = {}, []
    for number, flags in targets().items():
        library = out / f"_fold_{number}{SUFFIX}"
        library.unlink(missing_ok=True)
        arguments = [*FLAGS, *flags, *platform_flags, *extra, root / SOURCE]
        running[library] = subprocess.Popen(
            [*command, *map(str, arguments), "-o", str(library)],
            stderr=subprocess.PIPE,
        )
    for library, process in running.items():
        _, said = process.communicate()
        if process.returncode or not library.exists():
            failures += [*said.decode(errors="replace").splitlines(), ""][:1]
    if failures:
        for library in running:
            library.unlink(missing_ok=True)
        raise OSError(": ".join(filter(None, [f"{command[0]} fails", failures[0]])))
    return list(running)


class CustomBuildHook(BuildHookInterface):
    """Put the libraries into the wheel; of an editable one, beside the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless that fails."""
        root = Path(self.root)
        beside = root / Path(SOURCE).parent
        self.out = beside if version == "editable" else Path(tempfile.mkdtemp())
        try:
            libraries = compile_all(root, self.out)
        except OSError as error:
            self.app.display_warning(
                f"skem is built without its compiled pass: {error}"
            )
            return
        tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{tag}"
        build_data["pure_python"] = False
        if version != "editable":
            for library in libraries:
                inside = f"{Path(SOURCE).parent.as_posix()}/{library.name}"
                build_data["force_include"][str(library)] = inside

    def finalize(self, version: str, build_data: dict[str, Any], path: str) -> None:
        """Remove what was compiled for a wheel."""
        if version != "editable":
            shutil.rmtree(self.out, ignore_errors=True)
