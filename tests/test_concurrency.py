"""Threads and processes around a fit: none is starved, stuck or left behind."""

import os
import signal
import sys
import threading
import time
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from skem import GaussianMixture
from skem._fitting.monitor import Lines
from skem.core.blocks import arrays as blocks_module
from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers, single_threaded_blas
from skem.core.mixture.em import EMMap

pytestmark = pytest.mark.usefixtures("short_search")

fork_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows does not interrupt waiting for a thread"
)


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)


def blobs(n=6_000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 4, (3, 2))[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def fit(X, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(3, random_state=0, **params).fit(X)


def exit_code_of_fork(job):
    """Run a job in a forked child, which is killed if it takes a minute."""
    with warnings.catch_warnings():
        # Python 3.12 warns of the threads that BLAS has.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)
            code = job()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@fork_only
def test_a_property_that_another_thread_computes_is_free_in_a_fork():
    computing, go_on = threading.Event(), threading.Event()

    def slowly():
        with vars(EMMap)["_stepper"].lock:
            computing.set()
            go_on.wait()

    def job():
        return fit(blobs()).n_components - 3

    if not hasattr(vars(EMMap)["_stepper"], "lock"):
        pytest.skip("since Python 3.12 there is no lock")
    thread = threading.Thread(target=slowly)
    thread.start()
    computing.wait()
    try:
        assert exit_code_of_fork(job) == 0
    finally:
        go_on.set()
        thread.join()


@pytest.mark.slow
def test_workers_of_a_grid_search_keep_to_their_share_of_threads(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    # Local, so that it is pickled by value: workers cannot import this module.
    class Recorder(GaussianMixture):
        def fit(self, X, y=None):
            original = Workers.__enter__
            self.counts_ = []

            def recorded(workers):
                entered = original(workers)
                self.counts_.append(workers.n_threads)
                return entered

            Workers.__enter__ = recorded
            try:
                return super().fit(X)
            finally:
                Workers.__enter__ = original

        def score(self, X, y=None):
            assert self.counts_
            return max(self.counts_)

    search = GridSearchCV(
        Recorder(2, random_state=0),
        {"covariance_type": ["full", "diag"]},
        cv=2,
        n_jobs=2,
        refit=False,
        error_score="raise",
    )
    try:
        search.fit(blobs(200))
    finally:
        get_reusable_executor().shutdown()
    share = max(1, cpu_count() // 2)
    counts = [search.cv_results_[f"split{i}_test_score"] for i in range(2)]
    np.testing.assert_array_equal(counts, share)


@fork_only
@pytest.mark.parametrize("n_init", [1, "auto"])
def test_a_forked_child_fits_as_its_parent_did(n_init, two_threads, many_blocks):
    X = blobs()
    expected = fit(X, n_init=n_init, max_iter=2)

    def job():
        found = fit(X, n_init=n_init, max_iter=2)
        labels = found.predict(X)
        return 0 if np.array_equal(labels, expected.predict(X)) else 2

    assert exit_code_of_fork(job) == 0
    assert job() == 0  # nor has the parent changed


@fork_only
def test_a_fork_amid_another_threads_work_has_blas_threads_of_its_own(
    blas_counts, default_threads
):
    before = default_threads
    entered, leave = threading.Event(), threading.Event()

    def other_user():
        with Workers():
            entered.set()
            leave.wait(timeout=60)

    def job():
        with Workers() as workers:
            inside = workers.n_threads
        return 0 if inside == min(before) and blas_counts() == before else 2

    thread = threading.Thread(target=other_user)
    thread.start()
    try:
        assert entered.wait(timeout=60)
        assert exit_code_of_fork(job) == 0
        assert single_threaded_blas.n_threads() == min(before)
    finally:
        leave.set()
        thread.join(timeout=60)
    assert blas_counts() == before


def test_fits_in_two_threads_give_what_they_give_alone(
    two_threads, many_blocks, blas_counts
):
    data = [blobs(seed=1), blobs(seed=2)]
    alone = [fit(X, max_iter=5) for X in data]
    together, barrier = {}, threading.Barrier(2)

    def fit_one(i):
        barrier.wait(timeout=60)
        together[i] = [GaussianMixture(3, random_state=0, max_iter=5) for _ in "ab"]
        for mixture in together[i]:
            mixture.fit(data[i])

    threads = [threading.Thread(target=fit_one, args=(i,)) for i in range(2)]
    # Around both: filters are the whole process's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
    for i, expected in enumerate(alone):
        for mixture in together[i]:
            for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
                np.testing.assert_array_equal(
                    getattr(mixture, name), getattr(expected, name)
                )
    assert set(blas_counts()) == {2}


@pytest.fixture
def ctrl_c():
    """Let SIGINT interrupt, also where the tests run in the background of a script."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


def interrupt_when(ready):
    """Send this process what Ctrl-C sends, once; return when it was sent."""
    sent = []

    def send():
        deadline = time.monotonic() + 60
        while not ready() and time.monotonic() < deadline:
            time.sleep(0.001)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()
    return sent


@posix_only
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupted_fit_leaves_all_as_it_was(
    n_threads, many_blocks, ctrl_c, monkeypatch, blas_counts
):
    X, began = blobs(), threading.Event()
    mixture = fit(X, max_iter=2).set_params(tol=0, max_iter=10**9, verbose=1)
    monkeypatch.setattr(Lines, "run", lambda *_: nullcontext(lambda *_: began.set()))
    before, threads = dict(vars(mixture)), set(threading.enumerate())
    with threadpool_limits(n_threads, user_api="blas"):
        counts = blas_counts()
        sent = interrupt_when(began.is_set)
        with pytest.raises(KeyboardInterrupt):
            mixture.fit(X)
        # A fit without end: far longer than a block, on a busy machine.
        assert time.monotonic() - sent[0] < 5
        assert blas_counts() == counts
    assert vars(mixture).keys() == before.keys()
    assert all(vars(mixture)[name] is value for name, value in before.items())
    left = {
        t for t in set(threading.enumerate()) - threads if t.name.startswith("skem")
    }
    assert not left


@posix_only
def test_an_interrupt_does_not_wait_for_groups_of_blocks(
    two_threads, many_blocks, ctrl_c, blas_counts
):
    began, blocks_done = threading.Event(), []
    X = np.zeros((512 * 32 * 200, 1), dtype=bool)

    def kernel(block, workspace):
        began.set()
        time.sleep(0.05)  # 200 blocks of a group take ten seconds
        blocks_done.append(block.start)
        return 0

    sent = interrupt_when(began.is_set)
    with pytest.raises(KeyboardInterrupt), Workers() as workers:
        ArrayBlocks(X, None, workers, np.dtype(float)).fold(kernel, 1)
    assert time.monotonic() - sent[0] < 5
    done = len(blocks_done)
    time.sleep(0.2)
    assert len(blocks_done) == done
    assert set(blas_counts()) == {2}


@posix_only
def test_an_interrupt_is_heard_that_reaches_another_thread(two_threads, ctrl_c):
    # So is one that comes just before the calling thread waits: neither ends its wait.
    sent = []

    def work(item, workspace):
        if not sent:
            sent.append(time.monotonic())
            time.sleep(0.1)  # the calling thread waits by then
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return list(workers.until_stopped(time.sleep(0.05) for _ in range(200)))

    with pytest.raises(KeyboardInterrupt), Workers() as workers:
        list(workers.map(work, range(2)))
    assert time.monotonic() - sent[0] < 5


def test_workers_serve_again_after_an_interrupt(two_threads):
    workers = Workers()
    with pytest.raises(KeyboardInterrupt), workers:
        raise KeyboardInterrupt
    with workers:
        items = workers.map(
            lambda group, workspace: sum(workers.until_stopped(group)), [[1, 2], [3]]
        )
        assert list(items) == [3, 3]
