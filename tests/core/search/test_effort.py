"""How much a search does."""

from types import SimpleNamespace

import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.search import effort
from skem.core.search.effort import affordable_rounds, lightened, pool_rows

K = 6


@pytest.mark.parametrize(
    ("structure", "d", "rows"),
    [
        ("full", 3, 10_000),
        # As many as have so many products, or values.
        ("diag", 600, 2**25 // (K * 1201)),
        ("diag", 4000, max(6 * 200, 100 * (K * 8000 + K - 1) // 4000)),
        # Parameters ask for all of them.
        ("full", 80, 10_000),
    ],
)
def test_pools_are_of_fewer_rows_where_these_have_many_values(structure, d, rows):
    blocks = SimpleNamespace(n_features=d, n_samples=50_000, incomplete=False)
    em = SimpleNamespace(structure=STRUCTURES[structure], blocks=blocks)
    assert pool_rows(em, K) == rows


def test_few_features_are_searched_in_double_precision(make_blocks, rng, monkeypatch):
    em = EMMap.prepare(
        make_blocks(rng.normal(size=(300, 2))), STRUCTURES["full"], K, "auto"
    )
    monkeypatch.setattr(effort, "LONG", 1)
    assert lightened(em, K) is em


@pytest.mark.parametrize(
    ("steps", "rounds"), [(1, 7), (2**35 // (5000 * K * 6 * 3), 3), (2**40, 1)]
)
def test_there_are_fewer_rounds_of_long_steps_but_one_at_least(steps, rounds):
    blocks = SimpleNamespace(n_features=2, n_samples=5000, incomplete=False)
    em = SimpleNamespace(structure=STRUCTURES["full"], blocks=blocks)
    assert affordable_rounds(em, K, steps, 7) == rounds
