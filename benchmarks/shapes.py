"""All fourteen shapes, against mclust's own tables.

python -m benchmarks.shapes [--no-save] [--tiny]

`mclust.csv` has what `mclustBIC(X)` of R's mclust 6.0.0 finds with its defaults, in its
own sign, for each shape and number of components that it could fit.
"""

from __future__ import annotations

import csv
import math
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.data import real_data
from benchmarks.timing import TINY, Report
from skem import GaussianMixtureIC
from skem.core.gaussian.covariance import FOURTEEN

DATASETS = ("faithful",) if TINY else ("faithful", "iris", "wine")
MOST = 2 if TINY else 9
CLOSE = 0.5
"""BIC by which a cell may be worse and still count as no worse."""
TIED = 0.01
"""Nats by which the larger of two nested models may be lower."""
SECONDS = {"faithful": 0.86, "iris": 0.70, "wine": 6.4}
"""CPU time of mclust's tables: 6.0.0, measured once."""
NESTED = [
    *("EII VII", "EII EEI", "VII VEI", "EEI VEI", "EEI EVI", "VEI VVI", "EVI VVI"),
    *("EEI EEE", "EVI EVE", "VVI VVE", "EEE VEE", "EEE EVE", "VEE VVE", "EVE VVE"),
    *("EEE EEV", "EEV VEV", "EEV EVV", "EVE EVV", "VEV VVV", "EVV VVV", "VVE VVV"),
    *("VEE VEV", "VEI VEE"),
]


class Cell(NamedTuple):
    """A shape with so many components."""

    shape: str
    K: int


class Peer(NamedTuple):
    """What mclust found there."""

    bic: float
    n_parameters: int


def peers() -> dict[str, dict[Cell, Peer]]:
    """Read mclust's table; BIC in the sign of scikit-learn."""
    found: dict[str, dict[Cell, Peer]] = {}
    with (Path(__file__).parent / "mclust.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = Cell(row["model"], int(row["G"]))
            peer = Peer(-float(row["bic"]), int(row["df"]))
            found.setdefault(row["dataset"], {})[cell] = peer
    return found


def compare(
    report: Report,
    name: str,
    X: np.ndarray,
    theirs: dict[Cell, Peer],
    misses: list[tuple],
) -> None:
    """Add one set of data to the report."""
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GaussianMixtureIC(
            range(1, MOST + 1), covariance_type="all", random_state=0, refit=True
        ).fit(X)
    seconds = time.process_time() - begin
    results = search.results_
    cells = [
        Cell(FOURTEEN[shape].shape_name, int(K))
        for shape, K in zip(
            results["param_covariance_type"], results["param_n_components"], strict=True
        )
    ]
    bic = dict(zip(cells, results["bic"], strict=True))
    loglik = dict(zip(cells, results["log_likelihood"], strict=True))
    count = dict(zip(cells, results["n_parameters"], strict=True))
    eligible = dict(zip(cells, results["eligible"], strict=True))
    both = [cell for cell in cells if cell in theirs]
    sound = [cell for cell in both if eligible[cell]]
    good = {cell for cell in both if bic[cell] <= theirs[cell].bic + CLOSE}
    best = min(bic, key=lambda cell: (not eligible[cell], bic[cell]))
    peer = min(theirs, key=lambda cell: theirs[cell].bic)
    inner = [
        loglik[Cell(larger, K)] - loglik[Cell(smaller, K)]
        for smaller, larger in map(str.split, NESTED)
        for K in range(1, MOST + 1)
    ]
    deepest = -min(min(inner), 0.0)
    agree = sum(count[cell] == theirs[cell].n_parameters for cell in both)
    report.row(
        name,
        f"{len(good)} of {len(both)}",
        f"{len(good & set(sound))} of {len(sound)}",
        f"{agree} of {len(both)}",
        f"{best.shape},{best.K}: {bic[best]:.1f}",
        f"{peer.shape},{peer.K}: {theirs[peer].bic:.1f}",
        f"{sum(gain >= -TIED for gain in inner)} of {len(inner)}; {deepest:.2f}",
        f"{seconds:.1f} s",
        f"{SECONDS.get(name, math.nan):.2f} s",
    )
    for cell in both:
        if cell not in good and eligible[cell]:
            behind = bic[cell] - theirs[cell].bic
            misses.append((name, cell.shape, cell.K, f"{behind:+.2f}"))


def main() -> None:
    report = Report(
        "shapes",
        "All fourteen shapes",
        'One `GaussianMixtureIC` with `covariance_type="all"` and K = 1 to 9, beside '
        "`mclustBIC` of R's mclust 6.0.0. No worse: cells in which skem's BIC is at "
        f"most {CLOSE} above mclust's; eligible ones are those that skem does not "
        "warn of, as a component has too few rows. Nested: pairs of shapes, one of "
        "which allows all that the other does, in which the larger one's "
        f"log-likelihood is at most {TIED} lower, and the largest such loss, of all "
        "cells. CPU seconds; those of mclust were measured once, on another day.",
    )
    report.table(
        "data",
        "no worse",
        "no worse, eligible",
        "same number of parameters",
        "best of skem",
        "best of mclust",
        "nested; largest loss",
        "skem s",
        "mclust s",
    )
    misses: list[tuple] = []
    data, table = real_data(), peers()
    for name in DATASETS:
        with threadpool_limits(1):
            compare(report, name, data[name], table[name], misses)
    report.line("\n## Eligible cells with a larger BIC")
    report.table("data", "shape", "K", "excess")
    for miss in misses:
        report.row(*miss)
    report.save()


if __name__ == "__main__":
    main()
