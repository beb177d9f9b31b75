"""Look again at those of a path whose neighbours let expect a better optimum.

Each component more raises the likelihood of the best mixture by less than the one
before, about. So a mixture that is less likely than the mean of its neighbours was most
likely missed, and is sought again: from cuts of the one of fewer components at many
places, and from many unions of the one of more.
"""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.effort import affordable
from skem.core.search.initialize import started
from skem.core.search.one_more import divided
from skem.core.search.path import ROUGH, Path
from skem.core.search.sketch import Sketch

CUTS = 8
"""Components that are cut, and pairs that are merged."""
DENT = 2 * ROUGH
"""Nats that a mixture must lack to be sought again."""
TIMES = 2
"""Times that all of them are looked at: what is mended may show what else lacks."""


def mend(path: Path, rng: np.random.RandomState) -> None:
    """Improve those numbers of components that lack something, if it is found."""
    tried: set[tuple[int, float]] = set()
    for _ in range(TIMES):
        values = {K: found.objective for K, found in path.found.items()}
        lacking = [K for K in dents(values) if (K, values[K]) not in tried]
        if not lacking:
            break
        for K in lacking:
            tried.add((K, values[K]))
            present = {k: found.parameters for k, found in path.found.items()}
            starts = neighbours(path.problem(K), K, present, CUTS, rng)
            path.improve(K, [], starts)


def dents(values: dict[int, float]) -> list[int]:
    """Return the numbers of components that are below the line between neighbours."""
    numbers = sorted(values)
    found = []
    for before, K, after in zip(numbers, numbers[1:], numbers[2:], strict=False):
        share = (K - before) / (after - before)
        line = (1 - share) * values[before] + share * values[after]
        if values[K] < line - DENT:
            found.append(K)
    return found


def neighbours(
    em: EMMap,
    n_components: int,
    present: dict[int, Parameters],
    count: int,
    rng: np.random.RandomState,
) -> list[Parameters]:
    """Return starts from mixtures of one component fewer and of one more.

    So many of each, at most.
    """
    found: list[Parameters] = []
    most = affordable(em, n_components, count)
    if n_components - 1 in present:
        found += divided(em, present[n_components - 1], most, rng)
    if n_components + 1 in present:
        sketch = Sketch.of_mixture(em, present[n_components + 1])
        unions = sketch.unions(most, em.structure.quadratic)
        found += [start for _, start in started(em, unions)]
    return found
