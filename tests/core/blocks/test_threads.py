"""Workers: order, workspaces, and BLAS left as it was found."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skem.core.blocks.threads import Workers, Workspace, single_threaded_blas


@pytest.fixture(params=[1, 2, 4])
def workers(request):
    with Workers() as workers:
        workers.n_threads = request.param
        yield workers


@pytest.mark.parametrize("n_items", [0, 1, 2, 30])
def test_results_come_in_the_order_of_the_items(workers, n_items):
    def delayed(item, workspace):
        time.sleep(0.002 * (item % 3 == 0))  # so that others overtake it
        return item * item

    assert list(workers.map(delayed, range(n_items))) == [
        item * item for item in range(n_items)
    ]


def test_exception_propagates_and_the_workers_go_on(workers):
    def failing(item, workspace):
        if item == 5:
            raise KeyError(item)
        return item

    with pytest.raises(KeyError, match="5"):
        list(workers.map(failing, range(10)))
    assert list(workers.map(failing, range(5))) == list(range(5))


def test_each_thread_has_its_own_workspace(workers):
    def fill(item, workspace):
        buffer = workspace.array("buffer", (64,), float)
        buffer[:] = item
        time.sleep(0.001)
        return bool((buffer == item).all()), threading.get_ident(), id(workspace)

    results = list(workers.map(fill, range(20)))
    assert all(intact for intact, *_ in results)
    owners = {(thread, workspace) for _, thread, workspace in results}
    assert len(owners) == len({thread for thread, _ in owners}) <= workers.n_threads


def test_one_item_is_worked_on_in_the_calling_thread(workers):
    (thread,) = workers.map(lambda item, workspace: threading.get_ident(), [0])
    assert thread == threading.get_ident()


def test_workspace_uses_the_same_memory_again():
    workspace = Workspace()
    first = workspace.array("a", (4, 5), float)
    assert np.shares_memory(first, workspace.array("a", (2, 3), float))
    assert not np.shares_memory(first, workspace.array("b", (2, 3), float))
    larger = workspace.array("a", (10, 10), float)
    assert larger.shape == (10, 10)
    assert workspace.array("a", (2,), np.float32).dtype == np.float32


def test_as_many_threads_as_blas_would_use(two_threads):
    with Workers() as workers:
        assert workers.n_threads == 2
    with threadpool_limits(1, user_api="blas"), Workers() as workers:
        assert workers.n_threads == 1


def test_blas_is_restored_after_use(two_threads, blas_counts):
    with Workers() as workers:
        inside = workers.map(lambda item, workspace: blas_counts(), range(4))
        assert {count for counts in inside for count in counts} == {1}
    assert set(blas_counts()) == {2}


def test_blas_is_restored_after_an_exception(two_threads, blas_counts):
    def failing(item, workspace):
        raise KeyError(item)

    with pytest.raises(KeyError), Workers() as workers:
        list(workers.map(failing, range(10)))
    assert set(blas_counts()) == {2}


def test_nested_users_see_the_count_from_before(two_threads, blas_counts):
    with Workers(), Workers() as inner:
        assert inner.n_threads == 2
        assert single_threaded_blas.n_threads() == 2
        assert set(blas_counts()) == {1}
    assert set(blas_counts()) == {2}
    assert single_threaded_blas.n_threads() == 2


def test_blas_is_limited_where_another_thread_has_set_its_limits(
    two_threads, blas_counts
):
    counts = []

    def other_user():
        with Workers() as workers:
            counts.append({workers.n_threads, *blas_counts()})
        counts.append(set(blas_counts()))

    thread = threading.Thread(target=other_user)
    thread.start()
    thread.join(timeout=10)
    assert counts == [{2, 1}, {2}]


@pytest.mark.parametrize("first_out", ["first in", "last in"])
def test_blas_is_limited_until_the_last_of_concurrent_users_is_out(
    first_out, default_threads, blas_counts
):
    entered, leave = threading.Event(), threading.Event()

    def other_user():
        with Workers():
            entered.set()
            leave.wait(timeout=10)

    thread = threading.Thread(target=other_user)
    with Workers():
        thread.start()
        assert entered.wait(timeout=10)
        if first_out == "last in":
            leave.set()
            thread.join(timeout=10)
        assert set(blas_counts()) == {1}
    if first_out == "first in":
        assert set(blas_counts()) == {1}
        leave.set()
        thread.join(timeout=10)
    assert blas_counts() == default_threads


def test_no_thread_outlives_an_interrupt_while_it_starts(monkeypatch):
    before, start, begun = set(threading.enumerate()), threading.Thread.start, []

    def interrupted(thread):
        start(thread)
        if thread.name.startswith("skem"):
            while not begun:
                time.sleep(0.001)
            raise KeyboardInterrupt

    def slow(item, workspace):
        begun.append(item)
        time.sleep(0.1)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), Workers() as workers:
        workers.n_threads = 2
        list(workers.map(slow, range(4)))
    assert begun == [0]
    assert set(threading.enumerate()) <= before


def test_no_threads_outlive_the_workers():
    before = set(threading.enumerate())
    with Workers() as workers:
        workers.n_threads = 2
        list(workers.map(lambda item, workspace: item, range(4)))
        assert set(threading.enumerate()) - before
    assert set(threading.enumerate()) <= before


def test_little_work_is_done_without_a_limit_on_blas(blas_counts, two_threads):
    with Workers.for_work(10) as workers:
        assert blas_counts() == [2] * len(blas_counts())
        assert list(workers.map(lambda item, workspace: item + 1, [1])) == [2]
    with Workers.for_work(10**6) as workers:
        assert workers.n_threads == 2
        assert blas_counts() == [1] * len(blas_counts())


def test_little_work_is_done_in_the_calling_thread(two_threads):
    with Workers.for_work(10) as workers:
        found = workers.map(lambda item, ws: threading.get_ident(), range(3))
        assert set(found) == {threading.get_ident()}
