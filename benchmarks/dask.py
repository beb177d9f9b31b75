"""Passes over a Dask array on a cluster of this machine, beside those in memory.

python -m benchmarks.dask [--no-save] [--tiny]
"""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import cloudpickle
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from benchmarks.data import COVARIANCE_TYPES, mixture_sample, parameters_of, start
from benchmarks.timing import TINY, Report, duel, seconds
from skem import GaussianMixture
from skem._inputs.blocks import open_blocks
from skem.core.blocks import graph as dask_graph
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap

BLOCKS = (10,) if TINY else (10, 100, 1000)
SMALL = (2000 if TINY else 200_000, 5, 5)
"""n, d, K of data for which the overhead is what a pass costs."""
LARGE = (2000, 5, 5) if TINY else (1_000_000, 20, 50)
"""n, d, K of data for which it is not."""
FAR = (10**9, 20, 50)
"""n, d, K of the prediction."""
FAR_WORKERS, FAR_BLOCKS = 100, 1000
BANDWIDTH = 1e9
"""Bytes per second into and out of each machine: 10 Gbit/s, less what is lost."""
LATENCY = 2e-3
"""Seconds for one worker to ask another for a value, beside its transport."""
REPEATS = 1 if TINY else 3


@contextmanager
def problem(X, K: int, covariance_type: str = "full") -> Iterator[tuple]:
    """Open data of known K as an EM map, with parameters to evaluate it at."""
    d = X.shape[1]
    given = start(mixture_sample(1, d, K)[1], covariance_type)
    structure = STRUCTURES[covariance_type]
    with open_blocks(GaussianMixture(K), X, reset=True) as blocks:
        em = EMMap.prepare(blocks, structure, K, 1e-6)
        public = parameters_of(structure, given)
        yield em, em.coordinates.inward(structure, public)


def pass_seconds(X, K: int) -> float:
    """Median seconds of an EM pass."""
    with problem(X, K) as (em, point):
        em.evaluate(point)
        times = [seconds(lambda: em.evaluate(point).successor) for _ in range(REPEATS)]
    return float(np.median(times))


def cut(X: np.ndarray, n_blocks: int) -> da.Array:
    return da.from_array(X, chunks=(-(-len(X) // n_blocks), X.shape[1]))


@contextmanager
def cluster(n_workers: int) -> Iterator[Client]:
    """Start processes of one thread each."""
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            # Processes take seconds to start.
            **({"processes": False} if TINY else {"host": "127.0.0.1"}),
            dashboard_address="127.0.0.1:0",
        ) as processes,
        Client(processes) as client,
    ):
        yield client


def moved(X: da.Array) -> da.Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the size of the graph with the data
        X = X.persist()
    wait(X)
    return X


def overhead(report: Report) -> float:
    """Return seconds of a pass on the cluster per block, where blocks are small."""
    n, d, K = SMALL
    X, _ = mixture_sample(n, d, K)
    report.line(
        f"\n## Overhead of a pass\n\n{n} × {d}, K = {K}, full. Two workers of one "
        "thread each; blocks are persisted. In the last column, what a pass on them "
        "takes beyond the one in memory, per block."
    )
    report.table(
        "blocks",
        "in memory ms",
        "default scheduler ms",
        "two workers ms",
        "overhead per block ms",
    )
    default = {n_blocks: pass_seconds(cut(X, n_blocks), K) for n_blocks in BLOCKS}
    with cluster(2):
        for n_blocks in BLOCKS:
            persisted = moved(cut(X, n_blocks))
            with problem(persisted, K) as (em, point):
                result = duel(
                    lambda: pass_seconds(X, K),
                    lambda: seconds(lambda: em.evaluate(point).successor),
                    rounds=REPEATS,
                )
            memory, processes = result.skem.median, result.peer.median
            each = (processes - memory) / n_blocks
            report.row(
                n_blocks,
                f"{1e3 * memory:.1f}",
                f"{1e3 * default[n_blocks]:.1f}",
                f"{1e3 * processes:.1f}",
                f"{1e3 * each:.2f}",
            )
    return each


def scaling(report: Report) -> float:
    """Return seconds of one thread per row."""
    n, d, K = LARGE
    X, _ = mixture_sample(n, d, K)
    report.line(
        f"\n## From one worker to two\n\n{n} × {d}, K = {K}, full, in 20 blocks. "
        "Scheduler and client share the cores of this machine with the workers."
    )
    report.table("workers", "pass ms", "ratio", "µs per row and thread")
    times = []
    for n_workers in (1, 2):
        with cluster(n_workers):
            times.append(pass_seconds(moved(cut(X, 20)), K))
        per_row = n_workers * times[-1] / n
        report.row(
            n_workers,
            f"{1e3 * times[-1]:.0f}",
            f"{times[0] / times[-1]:.2f}",
            f"{1e6 * per_row:.2f}",
        )
    return times[0] / n


def travelling(report: Report) -> tuple[float, ...]:
    """Return bytes of parameters, statistics and graph, as `measured`, for 'full'."""
    _, d, K = FAR
    n_blocks = 10 if TINY else 100
    X = cut(mixture_sample(20_000, d, K)[0], n_blocks)
    report.line(
        f"\n## What travels in a pass\n\nd = {d}, K = {K}. Parameters go to each "
        "worker once. Each block gives one statistic, which is sent at most once, to "
        "the task that adds it to others, and has a share in the graph that goes to "
        "the scheduler. kB, pickled. In the last column what two workers sent in a "
        f"pass over {n_blocks} blocks, in parts of all the statistics."
    )
    report.table(
        "covariance", "parameters", "statistics", "graph, per block", "sent share"
    )
    sizes = {}
    with cluster(2) as client:
        X = moved(X)
        for name in COVARIANCE_TYPES[:1] if TINY else COVARIANCE_TYPES:
            with problem(X, K, name) as (em, point):
                before = sent(client)
                sizes[name] = measured(em, point)
                share = (sent(client) - before) / (n_blocks * sizes[name][1])
            kilobytes = [f"{size / 1e3:.2f}" for size in sizes[name]]
            report.row(name, *kilobytes, f"{share:.2f}")
    return sizes["full"]


def sent(client: Client) -> int:
    """Bytes of values that the workers have sent until now."""

    def total(dask_worker):
        return dask_worker.transfer_outgoing_bytes_total

    return sum(client.run(total).values())


def measured(em: EMMap, point: Parameters) -> tuple[float, ...]:
    """Bytes of the parameters that are sent, of the statistics and of the graph."""
    found: list[float] = []
    total = dask_graph.Chunks.total

    def watched(chunks, function):
        def schedule(graph, key):
            new = {
                name: task
                for name, task in graph.items()
                if name not in chunks.graph and task is not function
            }
            found.extend(len(cloudpickle.dumps(part)) for part in (function, new))
            return chunks.schedule(graph, key)

        return total(replace(chunks, schedule=schedule), function)

    dask_graph.Chunks.total = watched
    try:
        statistics = em.evaluate(point).statistics
    finally:
        dask_graph.Chunks.total = total
    parameters, graph = found
    return parameters, len(pickle.dumps(statistics)), graph / len(em.blocks.tallies)


def prediction(
    report: Report,
    per_row: float,
    per_block: float,
    parameters: float,
    statistics: float,
    graph: float,
) -> None:
    n, d, K = FAR
    levels = math.ceil(math.log(FAR_BLOCKS, dask_graph.FAN_IN))
    compute = n * per_row / FAR_WORKERS
    scheduling = FAR_BLOCKS * per_block
    tree = levels * (LATENCY + dask_graph.FAN_IN * statistics / BANDWIDTH)
    broadcast = FAR_WORKERS * parameters / BANDWIDTH
    traffic = FAR_WORKERS * parameters + FAR_BLOCKS * (statistics + graph)
    report.line(
        f"\n## Predicted: {n:.0e} × {d}, K = {K}, full, on {FAR_WORKERS} workers\n\n"
        f"One thread per worker, {FAR_BLOCKS} blocks, {BANDWIDTH / 1e9:.0f} GB/s, and "
        f"{1e3 * LATENCY:.0f} ms for a value to be asked for."
    )
    report.table("part of a pass", "s")
    for name, value in (
        ("E-step on the workers", compute),
        ("scheduling of blocks", scheduling),
        ("adding up statistics", tree),
        ("sending parameters", broadcast),
        ("sum", compute + scheduling + tree + broadcast),
    ):
        report.row(name, f"{value:.3f}")
    report.line(
        f"\nTraffic of a pass: at most {traffic / 1e6:.0f} MB; the data have "
        f"{8 * n * d / 1e9:.0f} GB."
    )


def main() -> None:
    report = Report(
        "dask",
        "Dask",
        "A pass is an E-step and an M-step, float64. Workers are processes of one "
        f"thread on this machine. Medians of {REPEATS} rounds.",
    )
    per_block = overhead(report)
    per_row = scaling(report)
    prediction(report, per_row, per_block, *travelling(report))
    report.save()


if __name__ == "__main__":
    main()
