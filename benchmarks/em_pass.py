"""One EM pass (E-step and M-step) beside scikit-learn's, and the machine's bound.

python -m benchmarks.em_pass [full tied diag spherical] [--onedal PYTHON]
    [--no-save] [--tiny]

PYTHON is the interpreter of an environment with daal4py (see benchmarks/onedal.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.data import (
    COVARIANCE_TYPES,
    GRID,
    mixture_sample,
    parameters_of,
    start,
)
from benchmarks.timing import (
    LEAST,
    TINY,
    Report,
    chosen,
    duel,
    geometric_mean,
    seconds,
)
from skem._inputs.blocks import array_blocks
from skem._inputs.validation import Data
from skem.core.blocks.threads import Workers
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.passes.forms import choose_form
from skem.kernels import native


def machine_rates() -> tuple[float, float]:
    """Matrix-product flops and exponentials per second, on all cores."""
    rng = np.random.default_rng(0)
    size = 200 if TINY else 2000
    A = rng.normal(size=(size, size))
    # Whole registers of the widest kind.
    x, out = rng.normal(size=(2, 2**17))
    library = native.library()
    pointers = [ctypes.c_void_p(native.address(array)) for array in (x, out)]

    def exponentials():
        if library is None:
            np.exp(x, out=out)
        else:
            library.functions.skem_exponentials(ctypes.c_int64(len(x)), *pointers)

    with Workers() as workers:
        n_threads = workers.n_threads
        exp_seconds = min(seconds(exponentials) for _ in range(50))
    gemm_seconds = min(seconds(lambda: A @ A) for _ in range(5))
    return 2 * size**3 / gemm_seconds, n_threads * len(x) / exp_seconds


def bound(n, d, K, covariance_type, flop_rate, exp_rate) -> float:
    """Seconds that products with [1, x, q(x)] and K·n exponentials need at least."""
    p = 1 + d + STRUCTURES[covariance_type].logit_quadratic.size(d)
    return 2 * 2 * n * K * p / flop_rate + K * n / exp_rate


def fitted(estimator, X, **params):
    """Return the estimator, one step from its given start."""
    params = {
        name: value.astype(X.dtype) if isinstance(value, np.ndarray) else value
        for name, value in params.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator(len(params["means_init"]), max_iter=1, **params).fit(X)


def skem_pass(X, covariance_type, given):
    """Return a function that times passes of skem's EM, and the E-step's form.

    NaN is a missing value; the form is that of complete rows.
    """
    structure = STRUCTURES[covariance_type]
    public = parameters_of(structure, given)
    data = Data(X, bool(np.isnan(X).any()))

    def timed() -> float:
        # As in a fit: the threads and their scratch memory serve many passes.
        with array_blocks(data, None) as blocks:
            em = EMMap.prepare(blocks, structure, len(public.weights), 1e-6)
            start = em.coordinates.inward(structure, public)
            em.evaluate(start)
            return seconds(lambda: em.evaluate(start).successor, LEAST)

    coordinates = scoring_coordinates(structure, public, X.dtype)
    form = choose_form(structure, coordinates.inward(structure, public), X.dtype)
    return timed, type(form).__name__.lower()


def peer_pass(X, covariance_type, given):
    """Return a function that times passes of scikit-learn's EM."""
    peer = fitted(Peer, X, covariance_type=covariance_type, **given)

    def job():
        _, log_resp = peer._e_step(X)
        peer._m_step(X, log_resp)

    return lambda: seconds(job, LEAST)


def onedal() -> str | None:
    """Return the Python that the command line names as that of oneDAL."""
    arguments = sys.argv[1:]
    return (
        arguments[arguments.index("--onedal") + 1] if "--onedal" in arguments else None
    )


@contextlib.contextmanager
def onedal_pass(X, covariance_type, given) -> Iterator[Callable[[], float]]:
    """Yield a function that times passes of oneDAL's EM, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.npz"
        np.savez(path, X=X, weights=given["weights_init"], means=given["means_init"])
        script = Path(__file__).with_name("onedal.py")
        command = [onedal(), script, path, covariance_type, str(LEAST)]
        with subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:

            def timed() -> float:
                process.stdin.write("\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            yield timed


def compare_onedal(report: Report, dtype: type) -> None:
    report.line(
        f"\n## oneDAL, {np.dtype(dtype).name}\n\n"
        "skem beside oneDAL's EM, called by daal4py in an environment and a process of "
        "its own, in turn. oneDAL has full and diagonal covariances alone."
    )
    report.table("covariance", "data", "oneDAL ms", "skem ms", "ratio", "spread")
    ratios = []
    for covariance_type in chosen(["full", "diag"]):
        for n, d, K in GRID:
            X, means = mixture_sample(n, d, K)
            given = start(means, covariance_type)
            X = X.astype(dtype)
            given = {name: value.astype(dtype) for name, value in given.items()}
            ours, _ = skem_pass(X, covariance_type, given)
            with onedal_pass(X, covariance_type, given) as theirs:
                result = duel(ours, theirs)
            report.row(covariance_type, cell(n, d, K), *result.cells)
            ratios.append(result.ratio)
    report.line(f"\nGeometric mean of the ratios: {geometric_mean(ratios):.1f}")


def cell(n, d, K) -> str:
    return f"{n} × {d}, K = {K}"


def compare_passes(report: Report, dtype: type) -> None:
    flop_rate, exp_rate = machine_rates()
    report.line(
        f"\n## One EM pass, {np.dtype(dtype).name}\n\n"
        f"Bound: matrix products at {flop_rate / 1e9:.0f} Gflop/s and exponentials at "
        f"{exp_rate / 1e9:.2f} G/s, both measured in float64 on all cores."
    )
    report.table(
        "covariance",
        "data",
        "scikit-learn ms",
        "skem ms",
        "ratio",
        "spread",
        "bound ms",
        "form",
    )
    for covariance_type in chosen(COVARIANCE_TYPES):
        for n, d, K in GRID:
            X, means = mixture_sample(n, d, K)
            X = X.astype(dtype)
            given = start(means, covariance_type)
            ours, form = skem_pass(X, covariance_type, given)
            result = duel(ours, peer_pass(X, covariance_type, given))
            least = bound(n, d, K, covariance_type, flop_rate, exp_rate)
            report.row(
                covariance_type,
                cell(n, d, K),
                *result.cells,
                f"{1e3 * least:.2f}",
                form,
            )


def main() -> None:
    report = Report(
        "em_pass",
        "One EM pass",
        "skem beside `sklearn.mixture.GaussianMixture`: same data, same start, same "
        "process, in turn; median of 5 rounds after a warm-up. Ratio: scikit-learn's "
        "time ÷ skem's, with the smallest and the largest of the rounds.",
    )
    compare_passes(report, np.float64)
    compare_passes(report, np.float32)
    if onedal():
        compare_onedal(report, np.float64)
        compare_onedal(report, np.float32)
    report.save()


if __name__ == "__main__":
    main()
