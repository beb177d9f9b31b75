"""Time two ways of doing a job, in turn, in one process."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import scipy
import sklearn
import threadpoolctl
from numpy.typing import ArrayLike

import skem
from skem.kernels import native

TINY = "--tiny" in sys.argv
"""Whether to run a small part of a benchmark, to see that it runs."""
REST = 0.0 if TINY else 0.1
"""Seconds before each turn: the threads of OpenBLAS go on spinning after use."""
LEAST = 0.0 if TINY else 0.05
"""Seconds of passes in a round, at least."""
RESULTS = Path(__file__).parent / "results"


def geometric_mean(values: ArrayLike) -> float:
    return float(np.exp(np.mean(np.log(values))))


class Times(NamedTuple):
    """Seconds of one contestant, one entry for each round."""

    seconds: np.ndarray

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


class Duel(NamedTuple):
    """Rounds of skem and its peer, in turn."""

    skem: Times
    peer: Times

    @property
    def ratios(self) -> np.ndarray:
        """Peer ÷ skem, round by round."""
        return self.peer.seconds / self.skem.seconds

    @property
    def ratio(self) -> float:
        return float(np.median(self.ratios))

    @property
    def spread(self) -> str:
        return f"{self.ratios.min():.1f}-{self.ratios.max():.1f}"

    @property
    def cells(self) -> list[str]:
        """Milliseconds of the peer and of skem, the ratio and its spread."""
        return [
            f"{1e3 * self.peer.median:.1f}",
            f"{1e3 * self.skem.median:.2f}",
            f"{self.ratio:.1f}",
            self.spread,
        ]


def seconds(job: Callable[[], object], least: float = 0.0) -> float:
    """Mean wall time of one run, over at least `least` seconds of runs."""
    runs = 0
    start = time.perf_counter()
    while True:
        job()
        runs += 1
        elapsed = time.perf_counter() - start
        if elapsed >= least:
            return elapsed / runs


def duel(
    skem_seconds: Callable[[], float],
    peer_seconds: Callable[[], float],
    rounds: int = 5,
) -> Duel:
    """Warm both up, then let them time themselves in turn."""

    def rested(contestant: Callable[[], float]) -> float:
        time.sleep(REST)
        return contestant()

    if TINY:
        rounds = 1
    else:
        skem_seconds(), peer_seconds()
    times = [(rested(skem_seconds), rested(peer_seconds)) for _ in range(rounds)]
    ours, theirs = np.transpose(times)
    return Duel(Times(ours), Times(theirs))


def machine() -> str:
    """Processor, threads, versions and date, one line each."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    blas = {
        f"{x['internal_api']} {x['version']} ({x['num_threads']} threads)"
        for x in threadpoolctl.threadpool_info()
        if x["user_api"] == "blas"
    }
    return "\n".join(
        [
            f"- machine: {model}, {joblib.cpu_count()} cores, {platform.system()}",
            f"- python {platform.python_version()}, numpy {np.__version__}, "
            f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
            f"skem {skem.__version__}",
            f"- BLAS: {', '.join(sorted(blas))}",
            f"- pass over the data: {native.description()}",
            f"- date: {date.today().isoformat()}",
        ]
    )


class Report:
    """A Markdown page that is printed as it grows, and saved at the end."""

    def __init__(self, name: str, title: str, about: str) -> None:
        self._path = RESULTS / f"{name}.md"
        self._lines: list[str] = []
        self.line(f"# {title}\n\n{about}\n")
        self.line(f"`python -m benchmarks.{name}`\n\n{machine()}\n")

    def line(self, text: str = "") -> None:
        """Add a line."""
        print(text, flush=True)
        self._lines.append(text)

    def table(self, *header: str) -> None:
        """Begin a table."""
        self.line()
        self.row(*header)
        self.row(*("---" for _ in header))

    def row(self, *cells: object) -> None:
        """Add a row to the table."""
        self.line("| " + " | ".join(map(str, cells)) + " |")

    def save(self, section: str = "", *, alone: bool = False) -> None:
        """Write the page, unless only a small part of the work was done.

        A section of that title stays if this report lacks it. If it is all that was
        asked for, it takes its place on the page, and the rest of the page stays.
        """
        if "--no-save" in sys.argv or TINY:
            return
        RESULTS.mkdir(exist_ok=True)
        before = sections(self._path.read_text()) if self._path.exists() else {}
        page = sections("\n".join(self._lines) + "\n")
        if alone and before:
            page = before | {section: page[section]}
        elif section in before and section not in page:
            page |= {section: before[section]}
        self._path.write_text("".join(page.values()))


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by their titles, each with its title."""
    head, *others = page.split("\n## ")
    named = {text.split("\n", 1)[0]: f"\n## {text}" for text in others}
    return {"": head, **named}


def write_parts(report: Report, *parts: Callable[[Report], object]) -> None:
    """Write those parts of a page that the command line asks for, and save it."""
    named = {part.__name__: part for part in parts}
    for name in chosen(list(named)):
        named[name](report)
    report.save()


def chosen(names: Sequence[str]) -> list[str]:
    """Return those names that the command line asks for; all of them by default."""
    asked = [argument for argument in sys.argv[1:] if argument in names]
    return asked or list(names)
