"""Functions over the chunks of Dask arrays, as graphs that a scheduler computes.

A sum is one graph: a task for each chunk of rows, and a tree that adds up their values.
The tree depends on the number of chunks alone, so that no bit of the sum depends on who
computed what, or how often.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import reduce
from operator import call, iadd
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

A = TypeVar("A")

FAN_IN = 16
"""Values that a task of the tree adds up, at most."""
MOVED_BYTES = 2**12
"""Bytes of an array inside a graph from which on data are moved to the cluster, once.

What a graph has besides, such as names of files, is smaller.
"""


@dataclass(frozen=True)
class Chunks:
    """Chunks of rows, with weights and labels beside them if any, in a Dask graph.

    Computed by the active `distributed.Client`, else by Dask's default scheduler.
    `keys` has the graph's keys of a chunk and what is beside it, by its number.
    """

    graph: Mapping[Any, Any]
    keys: Mapping[int, tuple[Any, ...]]
    schedule: Callable[[Mapping[Any, Any], Any], Any]

    @classmethod
    def of(cls, *arrays: Any) -> Chunks:
        """Take the Dask arrays apart, which are cut into the same chunks of rows."""
        import dask
        from dask.base import get_scheduler
        from dask.core import flatten

        schedule = get_scheduler(collections=arrays)
        graph: dict[Any, Any] = {}
        if hasattr(schedule, "__self__"):
            arrays = _on_cluster(arrays)
            # Optimised graphs leave these out; but what they stand for stays on the
            # cluster as long as they are held, and is found only if they are there.
            graph |= _futures(arrays)
        elif "distributed" in sys.modules and _futures(arrays):
            raise RuntimeError(
                "Blocks of X or of the weights are held by a `distributed.Client` that "
                "is closed or not the active one."
            )
        arrays = dask.optimize(*arrays)
        for array in arrays:
            graph |= array.__dask_graph__()
        keys = (flatten(array.__dask_keys__()) for array in arrays)
        return cls(graph, dict(enumerate(zip(*keys, strict=True))), schedule)

    def only(self, numbers: Iterable[int]) -> Chunks:
        """Leave out all chunks but some."""
        return self._needing({number: self.keys[number] for number in numbers})

    def without_data(self) -> Chunks:
        """Leave out the data: keep what is beside them."""
        return self._needing({number: keys[1:] for number, keys in self.keys.items()})

    def _needing(self, keys: Mapping[int, tuple[Any, ...]]) -> Chunks:
        """Leave out what is not needed: not every scheduler does."""
        from dask.optimization import cull

        if keys == self.keys:
            return self
        graph, _ = cull(self.graph, [key for chunk in keys.values() for key in chunk])
        return replace(self, graph=graph, keys=keys)

    def each(
        self, function: Callable[..., Any], own: Mapping[int, Any] | None = None
    ) -> list[Any]:
        """Return ``function(*chunk)`` of each, or ``function(*chunk, own[number])``."""
        tasks, keys = self._mapped(function, own)
        collect = f"skem-list-{uuid4().hex}"
        return self._compute({**tasks, collect: (list, keys)}, collect)

    def total(self, function: Callable[..., A]) -> A:
        """Add up ``function(*chunk)`` over the chunks, in their order."""
        tasks, keys = self._mapped(function)
        name = f"skem-sum-{uuid4().hex}"
        level = 0
        while len(keys) > 1:
            groups = [keys[i : i + FAN_IN] for i in range(0, len(keys), FAN_IN)]
            keys = [(name, level, i) for i in range(len(groups))]
            tasks |= {
                key: (_sum, group) for key, group in zip(keys, groups, strict=True)
            }
            level += 1
        return self._compute(tasks, keys[0])

    def _mapped(
        self, function: Callable[..., Any], own: Mapping[int, Any] | None = None
    ) -> tuple[dict[Any, Any], list[Any]]:
        # The function is a node of its own: a worker gets it once, not once a chunk.
        name = f"skem-map-{uuid4().hex}"
        tasks: dict[Any, Any] = {name: function}
        for number, keys in self.keys.items():
            arguments = keys if own is None else (*keys, own[number])
            tasks[name, number] = (call, name, *arguments)
        return tasks, [(name, number) for number in self.keys]

    def _compute(self, tasks: Mapping[Any, Any], key: Any) -> Any:
        try:
            return self._run(tasks, key)
        except Exception as error:
            number = self._culprit(error)
            if number is not None:
                error.add_note(f"Raised by the computation of block {number} of X.")
            raise

    def _run(self, tasks: Mapping[Any, Any], key: Any) -> Any:
        with _large_graphs():
            return self.schedule({**self.graph, **tasks}, key)

    def _culprit(self, error: Exception) -> int | None:
        """Find the chunk that cannot be computed, by bisection; None: it is not one."""
        if isinstance(error, CancelledError) or _is_of_cluster(error):
            return None
        numbers = list(self.keys)
        while len(numbers) > 1:
            half = len(numbers) // 2
            failed = self.only(numbers[:half])._raises(type(error))
            numbers = numbers[:half] if failed else numbers[half:]
        return numbers[0] if self.only(numbers)._raises(type(error)) else None

    def _raises(self, kind: type[Exception]) -> bool:
        tasks, keys = self._mapped(_nothing)
        collect = f"skem-list-{uuid4().hex}"
        try:
            self._run({**tasks, collect: (list, keys)}, collect)
        except Exception as error:
            return isinstance(error, kind)
        return False


def _is_of_cluster(error: Exception) -> bool:
    """Whether the cluster is at fault, as with `distributed.KilledWorker`."""
    return type(error).__module__.partition(".")[0] == "distributed"


def _on_cluster(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Move data that are in the arrays' graphs, and would travel with every pass."""
    import dask

    if not any(map(_carries_data, arrays)):
        return arrays
    with _large_graphs():
        return dask.persist(*arrays)


def _futures(arrays: tuple[Any, ...]) -> dict[Any, Any]:
    """Nodes of the arrays' graphs that stand for what is on the cluster already."""
    from distributed import Future

    return {
        key: node
        for array in arrays
        for key, node in array.__dask_graph__().items()
        if isinstance(node, Future)
    }


def _carries_data(array: Any) -> bool:
    """Whether data are part of an array's graph, as those of `from_array` are."""
    from dask.sizeof import sizeof

    return any(
        sizeof(getattr(node, "value", node)) > MOVED_BYTES
        for node in array.__dask_graph__().values()
        if isinstance(node, np.ndarray) or hasattr(node, "value")
    )


def _large_graphs() -> Any:
    """Let graphs with large parameters pass without a warning."""
    import dask

    option = "distributed.admin.large-graph-warning-threshold"
    return dask.config.set({option: sys.maxsize})


def _nothing(*chunk: Any) -> None:
    """Need a chunk, and do nothing with it."""


def _sum(values: list[Any]) -> Any:
    """Add up without a change to the values, which may be needed once more."""
    if len(values) == 1:
        return values[0]
    first, second, *others = values
    return reduce(iadd, others, first + second)
