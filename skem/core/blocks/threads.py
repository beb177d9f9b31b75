"""Worker threads over blocks, with BLAS held to one thread inside them."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
from joblib import cpu_count
from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")


class Workspace:
    """Named scratch arrays that are reused from block to block by one thread."""

    def __init__(self) -> None:
        self._buffers: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an uninitialised array, backed by the same memory every time."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size or buffer.dtype != dtype:
            buffer = self._buffers[name] = np.empty(size, dtype)
        return buffer[:size].reshape(shape)


@cache
def _controller() -> ThreadpoolController:
    # Finding the loaded libraries takes about a millisecond; they do not change.
    return ThreadpoolController()


def _take_control() -> None:
    """Let this thread set limits, also if another one has set the present ones.

    Since threadpoolctl 3.8, calls of other threads are silently ignored.
    """
    for library in _controller().lib_controllers:
        clear = getattr(library, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)


class _SingleThreadedBlas:
    """Holds BLAS to one thread while any user is inside.

    Safe for nested and concurrent users: only the first one in and the last one out
    act.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limiter: Any = None
        self._threads_before = 1

    def n_threads(self) -> int:
        """Return how many threads BLAS would use, were nobody inside."""
        with self._lock:
            return self._threads_before if self._users else self._ask()

    @staticmethod
    def _ask() -> int:
        counts = [
            library["num_threads"]
            for library in _controller().info()
            if library["user_api"] == "blas"
        ]
        return max(1, min(counts)) if counts else int(cpu_count())

    def __enter__(self) -> int:
        """Enter, and return the number of threads that BLAS had."""
        with self._lock:
            if self._users == 0:
                self._threads_before = self._ask()
                _take_control()
                self._limiter = _controller().limit(limits=1, user_api="blas")
                self._limiter.__enter__()
            self._users += 1
            return self._threads_before

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _take_control()
                self._limiter.__exit__(*exc)
                self._limiter = None

    def hold(self) -> None:
        """Let nobody enter or leave while this process forks."""
        self._lock.acquire()

    def release(self) -> None:
        """Undo `hold` in the parent."""
        self._lock.release()

    def reset(self) -> None:
        """Undo `hold` in the child, where other threads, and so all users, are gone."""
        if self._users:
            self._users = 0
            _take_control()
            self._limiter.__exit__(None, None, None)
            self._limiter = None
        self._lock.release()


single_threaded_blas = _SingleThreadedBlas()


def _renew_locks() -> None:
    """Give cached properties new locks in a forked process.

    Before Python 3.12 each has one, which another thread may hold while the process
    forks: nobody would release it in the child.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "skem":
            continue
        for kind in [each for each in vars(module).values() if isinstance(each, type)]:
            for attribute in vars(kind).values():
                if isinstance(attribute, cached_property):
                    attribute.lock = threading.RLock()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    if sys.version_info < (3, 12):
        os.register_at_fork(after_in_child=_renew_locks)
    os.register_at_fork(
        before=single_threaded_blas.hold,
        after_in_parent=single_threaded_blas.release,
        after_in_child=single_threaded_blas.reset,
    )


def single_threaded_openmp() -> AbstractContextManager:
    """Hold OpenMP to one thread, for scikit-learn's functions on a few thousand rows.

    There two threads gain little, and on a busy machine, where they wait for each other
    in loops, they take up to a hundred times as long. In a forked process GNU's OpenMP
    waits for ever for its threads, which the child does not have.
    """
    return _controller().limit(limits=1, user_api="openmp")


UNSHARED = 8192
"""Multiplications of a product that BLAS gives to one thread of its own accord."""


LONGEST_WAIT = 0.5
"""Seconds that the calling thread waits before it looks whether it was interrupted."""


def _finish(futures: list[Future[None]]) -> None:
    """Wait for all of them, and raise what one has raised.

    An interrupt that reaches another thread, or this one just before it waits, does not
    end a wait: it would be heard once the call is done, which can take long.
    """
    for future in futures:
        while not future.done():
            wait([future], LONGEST_WAIT)
        future.result()


class Workers(Generic[T, R]):
    """As many threads as BLAS would use, for work on blocks.

    A context manager. `map` yields results in the order of its items, whatever the
    number of threads, and hands each call a `Workspace` of its own thread. The calling
    thread is one of them. Leaving the context, by an exception also,
    waits for the calls under way; those that take their work from `until_stopped` end
    early.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pool: ThreadPoolExecutor | None = None
        self.n_threads = 1

    @classmethod
    def for_work(cls, multiplications: int) -> AbstractContextManager[Workers]:
        """Return workers in a context, for so many multiplications.

        Holding BLAS to one thread takes longer than a few rows do. Where BLAS would use
        one anyway, the calling thread does the work, with the same result.
        """
        workers: Workers = cls()
        return nullcontext(workers) if multiplications <= UNSHARED else workers

    def __enter__(self) -> Workers:
        self._stop.clear()
        self.n_threads = single_threaded_blas.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        pool, self._pool = self._pool, None
        try:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
                # An interrupt while the pool starts a thread makes it forget that one.
                for thread in self._threads:
                    thread.join()
        finally:
            self._threads = []
            self._local = threading.local()
            single_threaded_blas.__exit__(kind, value, traceback)

    def until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, but raise once the context is being left."""
        for item in items:
            if self._stop.is_set():
                raise CancelledError
            yield item

    def _call(self, function: Callable[[T, Workspace], R], item: T) -> R:
        workspace = getattr(self._local, "workspace", None)
        if workspace is None:
            workspace = self._local.workspace = Workspace()
        return function(item, workspace)

    def map(
        self, function: Callable[[T, Workspace], R], items: Iterable[T]
    ) -> Iterator[R]:
        """Yield ``function(item, workspace)`` for each item, in order."""
        items = list(items)
        n_threads = min(self.n_threads, len(items))
        if n_threads <= 1:
            return (self._call(function, item) for item in items)
        return self._shared(function, items, n_threads)

    def _shared(
        self, function: Callable[[T, Workspace], R], items: list[T], n_threads: int
    ) -> Iterator[R]:
        """Let each thread take the next item that none has, as soon as it is free.

        The calling thread works, too: it would only wait, and wake up for each result.
        """
        waiting = deque(enumerate(items))
        found: dict[int, R] = {}

        def take() -> bool:
            try:
                i, item = waiting.popleft()
            except IndexError:
                return False
            found[i] = self._call(function, item)
            return True

        def take_all() -> None:
            try:
                while take():
                    pass
            except BaseException:
                waiting.clear()
                raise

        try:
            others = [self._start(take_all) for _ in range(n_threads - 1)]
            for i in range(len(items)):
                while i not in found and take():
                    pass
                if i not in found:
                    _finish(others)
                # Popped, so that nothing keeps a result that its reader has let go.
                yield found.pop(i)
        finally:
            waiting.clear()

    def _start(self, work: Callable[[], None]) -> Future[None]:
        """Let another thread do some work."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.n_threads - 1,
                thread_name_prefix="skem",
                initializer=lambda: self._threads.append(threading.current_thread()),
            )
        return self._pool.submit(work)
