"""What runs here: versions, libraries and their threads, the kernel."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from skem.kernels import native

PACKAGES = (
    "skem",
    "numpy",
    "scipy",
    "scikit-learn",
    "joblib",
    "threadpoolctl",
    "pandas",
    "matplotlib",
    "dask",
    "distributed",
)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _table(title: str, values: dict[str, Any]) -> str:
    width = max(map(len, values))
    rows = (f"{name:>{width}}: {value}" for name, value in values.items())
    return "\n".join([f"{title}:", *rows])


def _kernel() -> str:
    """Say what runs, and where compiled code is that does not."""
    said = native.description()
    if native.runnable():
        return said
    here = Path(native.__file__).parent
    try:
        files = distribution("skem").files or []
    except PackageNotFoundError:
        return said
    elsewhere = {
        Path(str(file.locate())).parent for file in files if file.match("_fold_*")
    }
    if elsewhere - {here}:
        said += (
            f": {here.parent}, a source tree without compiled code, comes before the "
            "installed package. Run elsewhere, or install with `pip install -e .`"
        )
    return said


def show_versions() -> None:
    """Print what a report of a bug should have: versions, threads and the kernel.

    That is the system and Python, the packages that skem needs or uses (None for those
    that are not installed), whether passes over the data are compiled and for which
    instruction set, and the libraries that have threads.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Notes
    -----
    With ``SKEM_KERNEL=numpy`` in the environment NumPy computes what else a compiled
    library does, with the same results to rounding.

    Examples
    --------
    >>> import skem
    >>> skem.show_versions()  # doctest: +ELLIPSIS
    System:
         python: 3...
    """
    system = {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
    }
    tables = [
        _table("System", system),
        _table("Python dependencies", {name: _version(name) for name in PACKAGES}),
        _table("Kernel", {"passes over data": _kernel()}),
    ]
    tables += [_table("Thread pool", library) for library in threadpool_info()]
    print("\n\n".join(tables))
