"""What a second thread or process brings, and how soon a fit can be interrupted.

python -m benchmarks.threads [passes search interrupt] [--no-save] [--tiny]
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings

import numpy as np
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from benchmarks.data import COVARIANCE_TYPES, GRID, mixture_sample, start
from benchmarks.em_pass import cell, skem_pass
from benchmarks.timing import TINY, Report, duel, seconds, write_parts
from skem import GaussianMixture

LARGEST = sorted(GRID, key=lambda cell: cell[0] * cell[2] * cell[1] ** 2)[-4:]
"""By the floating-point operations of a pass, n·K·d²."""


def passes(report: Report) -> None:
    report.line("\n## One EM pass on one and two threads, float64")
    report.table("covariance", "data", "one, ms", "two, ms", "speed-up", "spread")
    for covariance_type in COVARIANCE_TYPES:
        for n, d, K in LARGEST:
            X, means = mixture_sample(n, d, K)
            timed, _ = skem_pass(X, covariance_type, start(means, covariance_type))

            def limited(threads, timed=timed):
                with threadpool_limits(threads, user_api="blas"):
                    return timed()

            result = duel(lambda f=limited: f(2), lambda f=limited: f(1))
            report.row(covariance_type, cell(n, d, K), *result.cells)


def search(report: Report) -> None:
    n, d = 1000 if TINY else 100_000, 5
    grid = {"n_components": [2, 4, 6, 8], "covariance_type": ["full", "diag"]}
    if TINY:
        grid = {"n_components": [2]}
    X, _ = mixture_sample(n, d, 6)

    def fits(n_jobs):
        model = GaussianMixture(random_state=0)
        return GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, refit=False).fit(X)

    result = duel(
        lambda: seconds(lambda: fits(2)), lambda: seconds(lambda: fits(1)), rounds=3
    )
    report.line(f"\n## A grid search of default fits, {n // 2} × {d} each")
    report.table("n_jobs=1, ms", "n_jobs=2, ms", "speed-up", "spread")
    report.row(*result.cells)


def interrupt(report: Report) -> None:
    """Interrupt a fit without end in its start and in its passes."""
    # A shell lets what runs in its background ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    n, d, K = 20_000 if TINY else 2_000_000, 10, 50
    X = mixture_sample(n, d, K)[0].astype(np.float32)
    report.line(f"\n## From Ctrl-C to the end of a fit, {n} × {d} float32, K = {K}")
    report.table("seconds into the fit", "milliseconds")
    for delay in (0.1,) if TINY else (0.01, 0.1, 0.5, 1.0, 2.0, 4.0):
        sent = []

        def send(delay=delay, sent=sent):
            time.sleep(delay)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            GaussianMixture(K, random_state=0, tol=0, max_iter=10**9).fit(X)
        except KeyboardInterrupt:
            report.row(delay, f"{1e3 * (time.perf_counter() - sent[0]):.0f}")
        thread.join()


def main() -> None:
    warnings.simplefilter("ignore")
    report = Report(
        "threads",
        "Threads and processes",
        "skem alone, in turn; medians. Speed-up: the first column ÷ the second, with "
        "the smallest and the largest of the rounds. The four largest cells of the "
        "grid, by the operations of a pass.",
    )
    write_parts(report, passes, search, interrupt)


if __name__ == "__main__":
    main()
