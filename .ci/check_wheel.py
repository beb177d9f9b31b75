"""Check an installed wheel: the compiled pass runs, and fits as NumPy alone does."""

import os
import subprocess
import sys

CHECK = """
import skem
from skem.datasets import load_faithful

skem.show_versions()
mixture = skem.GaussianMixture(2, random_state=0).fit(load_faithful().data)
print(mixture.lower_bound_ * 272)
"""


def run(kernel: str) -> tuple[str, float]:
    """Return what is told of the kernel, and the log-likelihood of a fit."""
    told = subprocess.run(
        [sys.executable, "-c", CHECK],
        env=os.environ | {"SKEM_KERNEL": kernel},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    print(told)
    (line,) = (line for line in told.splitlines() if "passes over data: " in line)
    return line.partition(": ")[2], float(told.splitlines()[-1])


(compiled, found), (twin, expected) = run("compiled"), run("numpy")
if not compiled.startswith("compiled for") or not twin.startswith("NumPy"):
    sys.exit(f"the kernels are {compiled!r} and {twin!r}")
# The optimum is the same, and each climb ends within `tol` of it, 0.01 nats.
if not abs(found - expected) < 0.02:
    sys.exit(f"the log-likelihoods are {found} and {expected}")
