"""Heaps of a column in even steps: the values that some rows were rounded to.

Some give their age in years and others in fives. Then a multiple of five has the rows
of those in years, as many as its neighbours have, and the rows of the others, and the
width of these is five years. So w² of a heap is the mean over both. Multiples of ten
may be heaps among those of five, and so on.
"""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.distinct import changes
from skem.core.gaussian.steps import OFF, even_step

PERIODS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 24, 25, 30, 50, 60, 100)
"""Steps that people round to: round numbers, and parts of hours, days and years."""
LEAST_HEAPS = 5
"""Heaps that are a period, at least: single values are heaped for other reasons."""
LEAST_CLOSE = 12
"""The same of periods 2 and 3 in the steps of all rows: there is no telling heaps from
narrow clusters at equal distances there, but that so many are rare."""
MORE = 1.5
"""Times the rows of the values in between that heaps have, at least."""
MOST_OF = 0.8
"""Share of the heaps, by the rows in between, of which that is true."""
ENOUGH = 10
"""Values that many rows share, from which on they say in what steps they are."""
TENTH = 0.1
"""Times the others in its cell that a value in the steps of heaps has, at least."""
SURE = 5.0
"""Standard errors by which heaps have more in all."""
AT_MOST = 3.0
"""Standard errors that count of one heap: it may be the centre of a narrow cluster."""


def squares_of_heaps(
    values: np.ndarray, masses: np.ndarray, step: float, least: float
) -> np.ndarray:
    """Return w²/12 of values on heaps, (m,), ascending ones in steps; zero elsewhere.

    `masses` are the weights of their rows; heaps that have less than the `least` do
    not matter. Without a step these are rows among others that have any values: heaps
    are what is in the steps of those that have as much weight.
    """
    if step > 0:
        return _squares_on_grid(values, masses, step, least, 0.0)
    heavy = masses >= least
    if heavy.sum() < ENOUGH:
        return np.zeros(len(values))
    step = even_step(values[heavy], masses[heavy])
    if not step > 0:
        return np.zeros(len(values))
    # Beyond these there are no heaps, but outliers at any distance.
    first, last = np.flatnonzero(heavy)[[0, -1]]
    inside = slice(first, last + 1)
    values, masses = values[inside], masses[inside]
    squares = _squares_on_grid(values, masses, step, least, 1.0)
    cells = np.round((values - values[0]) / step).astype(int)
    on = squares > 0
    own, others = (
        np.bincount(cells, np.where(some, masses, 0.0)) for some in (on, ~on)
    )
    accompanied = others[own >= TENTH * others].sum() >= MOST_OF * others.sum()
    found = np.zeros(len(heavy))
    found[inside] = squares if accompanied else 0.0
    return found


def _squares_on_grid(
    values: np.ndarray, masses: np.ndarray, step: float, least: float, base: float
) -> np.ndarray:
    """Return w²/12 of values on heaps; of others in these steps by the base."""
    away = (values - values[masses.argmax()]) / step
    squares = np.zeros(len(values))
    own = np.flatnonzero(np.abs(away - np.round(away)) <= OFF)
    places = np.round(away[own]).astype(int)
    # Values that differ by rounding are one.
    first = changes(places)
    masses = np.add.reduceat(masses[own], first)
    which = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(own))))
    squares[own] = (
        _squares_of_places(places[first], masses, least, base)[which] * step**2 / 12
    )
    return squares


def _squares_of_places(
    places: np.ndarray, masses: np.ndarray, least: float, base: float
) -> np.ndarray:
    """Return w² of values on heaps, (m,), in steps of one; else the base.

    That is zero if the steps are those of all rows, and one if they are of heaps.
    """
    squares = np.full(len(places), base)
    own, period, narrower = np.arange(len(places)), 1, 1.0
    fewest = LEAST_HEAPS if base else LEAST_CLOSE
    while (
        found := _heaps(places[own] // period, masses[own], least, fewest)
    ) is not None:
        heaps, times, share = found
        own, period, fewest = own[heaps], period * times, LEAST_HEAPS
        narrower += share * (period**2 - narrower)
        squares[own] = narrower
    return squares


def _heaps(
    places: np.ndarray, masses: np.ndarray, least: float, fewest: int
) -> tuple[np.ndarray, int, float] | None:
    """Return which values are on heaps, their period, and the share rounded to it.

    None if there are none. The least period is taken: others are heaps among heaps. If
    it is 2 or 3 there are to be so many of them.
    """
    places = places - places[0]
    rows = np.zeros(places[-1] + 1)
    rows[places] = masses
    inner = rows[1:-1]
    higher = (inner >= least) & (inner > MORE / 2 * (rows[:-2] + rows[2:]))
    if higher.sum() < LEAST_HEAPS:
        return None
    total = rows.sum()
    distances: list[int] = []
    for period in PERIODS:
        if (LEAST_HEAPS - 1) * period >= len(rows):
            break
        # Every second one of narrow clusters is none either.
        if any(period % distance == 0 for distance in distances):
            continue
        # All that are as far from a heap together.
        sums = np.bincount(np.arange(len(rows)) % period, rows)
        phase, most = int(sums.argmax()), sums.max()
        if most * (period - 1) > MORE * (total - most):
            share = _rounded(rows, period, phase, fewest if period < 4 else LEAST_HEAPS)
            if share is None:
                distances.append(period)
            elif share > 0:
                return places % period == phase, period, share
    return None


def _rounded(rows: np.ndarray, period: int, phase: int, fewest: int) -> float | None:
    """Return the share of the rows on heaps that others nearby do not account for.

    Zero if these places are no heaps, or there are fewer. None if they are centres of
    narrow clusters at equal distances, which have more rows right beside them than
    farther off.
    """
    half = period // 2
    heaps = np.arange(phase, len(rows), period)
    heaps = heaps[(heaps >= half) & (heaps + half < len(rows))]
    away = np.arange(1, half + 1)
    between = (rows[heaps[:, None] + away] + rows[heaps[:, None] - away]) / 2
    own, others = rows[heaps], between.mean(axis=1)
    if half > 1 and between[:, 0].sum() > MORE * between[:, 1:].mean(axis=1).sum():
        return None
    more, errors = own > MORE * others, np.sqrt(own + others / half)
    surely = np.minimum((own - others)[errors > 0] / errors[errors > 0], AT_MOST)
    if (
        more.sum() < fewest
        or others[more].sum() < MOST_OF * others.sum()
        or surely.sum() < SURE * np.sqrt(len(surely))
    ):
        return 0.0
    return float(1 - others.sum() / own.sum())
