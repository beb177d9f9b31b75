"""Data in a file: anonymous memory and time per row, beside scikit-learn's.

python -m benchmarks.memory [n_rows ...] [--no-save] [--tiny]
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture as Peer

from benchmarks.timing import TINY, Report
from skem import GaussianMixture

D, K = 10, 10
SIZES = [5000] if TINY else [1_000_000, 10_000_000]
CHUNK = 500_000
STEPS = 10
"""Steps of the short fits, for both."""
CAP_MB = 1000
"""Of the capped runs: private writable memory, in which files do not count."""
PATIENCE = 150
"""Seconds until a call is given up."""
SAMPLING = 0.002
"""Seconds between two looks at the memory."""


def write(path: Path, n: int) -> None:
    """Write rows of K unit Gaussians in float32, a chunk at a time."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, 3, (K, D))
    with path.open("wb") as file:
        for start in range(0, n, CHUNK):
            rows = min(CHUNK, n - start)
            X = means[rng.integers(K, size=rows)] + rng.normal(size=(rows, D))
            X.astype(np.float32).tofile(file)


def anonymous_mb() -> float:
    """Resident memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("the kernel does not tell RssAnon")


def peak(job: Callable[[], object]) -> dict[str, object]:
    """Seconds of a job, MB that it adds at most, and why it has failed, if it has."""
    before, most, done = anonymous_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLING):
            most[0] = max(most[0], anonymous_mb() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    failed = None
    start = time.perf_counter()
    signal.alarm(PATIENCE)
    try:
        job()
    except MemoryError:
        failed = "MemoryError"
    except TimeoutError:
        failed = f"not done in {PATIENCE} s"
    finally:
        signal.alarm(0)
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return {"seconds": seconds, "mb": most[0], "failed": failed}


def give_up(*_: object) -> None:
    raise TimeoutError


def contestant(peer: bool, whole: bool):
    """Return the estimator, with its defaults or for a few steps."""
    kind = Peer if peer else GaussianMixture
    return kind(K, random_state=0, **({} if whole else {"tol": 0, "max_iter": STEPS}))


def run(path: str, n: str, who: str, calls: str, cap: str) -> None:
    """Measure calls in this process, and print what was found."""
    warnings.simplefilter("ignore")
    model = contestant(who == "peer", calls == "whole")
    if cap == "capped":
        limit = int(CAP_MB * 1e6)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    X = np.memmap(path, dtype=np.float32, mode="r", shape=(int(n), D))
    X.reshape(-1)[:: 4096 // 4].sum()  # the file is in the page cache
    signal.signal(signal.SIGALRM, give_up)
    for name in ["fit", "score", "predict"] if calls == "short" else ["fit"]:
        found = {"call": name, **peak(lambda name=name: getattr(model, name)(X))}
        if name == "fit" and not found["failed"]:
            found["steps"] = model.n_iter_
        print(json.dumps(found), flush=True)
        if found["failed"]:
            return


def measured(path: Path, n: int, who: str, calls: str, cap: str = "free") -> list[dict]:
    """Run calls in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.memory", "run"]
    output = subprocess.run(
        [*command, str(path), str(n), who, calls, cap],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    return [json.loads(line) for line in output.splitlines()]


LABELS = {"skem": "skem", "peer": "scikit-learn"}


def report_runs(
    report: Report, n: int, who: str, runs: list[dict], note: str = ""
) -> None:
    for found in runs:
        seconds = found["seconds"]
        report.row(
            LABELS[who],
            f"{n:,}",
            found["call"] + note,
            f"{found['mb']:.0f}",
            found["failed"] or f"{seconds:.1f}",
            "" if found["failed"] else f"{1e9 * seconds / n:.0f}",
            found.get("steps", ""),
        )


def main() -> None:
    sizes = [int(argument) for argument in sys.argv[1:] if argument.isdigit()] or SIZES
    report = Report(
        "memory",
        "Data in a file",
        f"float32 rows of {D} features in a memory-mapped file, K = {K}, in its page "
        "cache; each estimator's calls in a process of their own. MB: peak of the "
        f"anonymous resident memory (RssAnon, every {1e3 * SAMPLING:.0f} ms) beyond "
        "that before the call, the result included (predict: 8 bytes a row). fit: the "
        f"default start and {STEPS} steps; default: to the end, with all the defaults. "
        f"Capped: under {CAP_MB} MB of private writable memory (RLIMIT_DATA), which "
        "includes the libraries'.",
    )
    report.table(
        "estimator", "rows", "call", "MB", "seconds", "nanoseconds a row", "steps"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X"
        for n in sizes:
            write(path, n)
            for who in LABELS:
                report_runs(report, n, who, measured(path, n, who, "short"))
        for who in ["skem"] if TINY else LABELS:
            capped = measured(path, n, who, "capped", "capped")
            report_runs(report, n, who, capped, ", capped")
        if not TINY:
            whole = measured(path, n, "skem", "whole")
            report_runs(report, n, "skem", whole, ", default")
    report.save()


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(*sys.argv[2:])
    else:
        main()
