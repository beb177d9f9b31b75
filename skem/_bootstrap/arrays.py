"""Data drawn from a mixture, and the likelihood ratio of more components there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone

from skem._bootstrap.recording import Recording
from skem._fitting.fitting import explained_failure
from skem._fitting.likelihood import LikelihoodMixture
from skem._inputs.blocks import array_blocks, to_be_fitted
from skem._inputs.validation import (
    Data,
    check_data,
    check_n_samples,
    check_sample_weight,
)
from skem._report.text import count
from skem.core.blocks.arrays import Blocks, are_whole
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.expectation import total_statistics
from skem.core.search.climb import best_of
from skem.core.search.effort import affordable
from skem.core.search.follow import swiftly
from skem.core.search.many import best_end, many
from skem.core.search.neighbours import divided
from skem.core.solve.loop import Solution
from skem.core.solve.registry import ACCELERATORS

FRESH = 24
"""Diverse starts of the larger mixture beside those from the smaller one."""
DIVISIONS = 24
"""Ways to cut a component in two that are tried, at most."""
LARGEST_SAMPLE = 10**8
"""Rows of a simulated data set: more weight than that is not on the scale of rows."""
ANEW = {
    **dict.fromkeys(["weights_init", "means_init", "precisions_init", "df_init"]),
    "parameters_init": None,
    "warm_start": False,
    "verbose": 0,
}
"""Parameters of mixtures that start anew, and print nothing."""
M = TypeVar("M", bound=BaseEstimator)


class ValidatedRows(NamedTuple):
    """Validated data and weights, and what simulated rows weigh and lack."""

    data: Data
    weight: np.ndarray | None
    like: Likeness
    gaps: np.ndarray | None


def without_start(estimator: M) -> M:
    """Return a mixture of the same parameters that starts anew, and prints nothing."""
    template = clone(estimator)
    params = template.get_params(deep=False)
    for name in ("noise", "fixed"):
        if params.get(name):
            raise ValueError(
                f"The test is of mixtures without {name}, got {name}={params[name]!r}."
            )
    template.set_params(**{name: ANEW[name] for name in ANEW if name in params})
    template._validate_params()
    return template


def checked_rows(
    template: LikelihoodMixture, X: Any, sample_weight: Any, n_components: int
) -> ValidatedRows:
    data = check_data(template, X, reset=True)
    weight = check_sample_weight(sample_weight, data.X)
    with array_blocks(data, weight) as blocks:
        blocks = to_be_fitted(template, blocks)
        check_n_samples(blocks.n_observed, n_components)
        weight = blocks.weight
    like = Likeness.of(weight, len(data.X), n_components)
    gaps = np.isnan(data.X)[like.rows] if data.incomplete else None
    return ValidatedRows(data, weight, like, gaps)


class Likeness(NamedTuple):
    """Which row of the data each simulated one is like, and what it weighs."""

    rows: np.ndarray
    weight: np.ndarray | None

    @classmethod
    def of(cls, weight: np.ndarray | None, n_rows: int, n_components: int) -> Likeness:
        """Take rows as often as they count, if weights are whole numbers.

        Others are kept: how much a statistic varies depends on how they do. `None`
        stands for weights of one.
        """
        if weight is None:
            return cls(np.arange(n_rows), None)
        check_counted(weight)
        if not are_whole(weight):
            rows = np.flatnonzero(weight)
            return cls(rows, weight[rows])
        rows = np.repeat(np.arange(n_rows), weight.astype(int))
        # As many as a mixture needs, the last one again.
        least = np.minimum(np.arange(max(n_components, 2, len(rows))), len(rows) - 1)
        return cls(rows[least], None)


def check_counted(weight: np.ndarray) -> None:
    """Refuse counts of more rows than can be simulated."""
    total = float(weight.sum(dtype=float))
    if total > LARGEST_SAMPLE and are_whole(weight):
        raise ValueError(
            f"Sample weights add up to {total:.3g}, and so many rows would have to be "
            f"simulated. Scale them to add up to {LARGEST_SAMPLE:.0e} at most, such as "
            f"the {count(len(weight), 'row')} that there are."
        )


def ratios(
    template: LikelihoodMixture,
    rows: ValidatedRows,
    components: tuple[int, int],
    n_boot: int,
    n_jobs: int | None,
    rng: np.random.RandomState,
) -> tuple[float, np.ndarray]:
    """Return the likelihood ratio statistic of the data, and of simulated ones."""
    own, *seeds = map(int, rng.randint(np.iinfo(np.int32).max, size=n_boot + 1))
    k0, k1 = components
    null = clone(template).set_params(n_components=k0, random_state=own)
    finish = partial(
        swiftly, ACCELERATORS[template.algorithm], template.tol, template.max_iter
    )
    with (
        array_blocks(rows.data, rows.weight) as blocks,
        explained_failure(blocks.dtype),
    ):
        em = null._prepared(blocks)
        small = best_of(null._solutions(em, {}, None, finish))
        maps = [em.for_components(k) for k in range(k0, k1 + 1)]
        statistic = _ratio(null, maps, small, np.random.RandomState(own), finish)
        null._set_solution(small)
        null.n_features_in_ = blocks.n_features
        simulation = Simulation(
            null,
            [replace(em, blocks=cast(Any, None), sample=None) for em in maps],
            Recording.of(
                em.blocks, em.coordinates, em.structure, rows.data.X, rows.weight
            ),
            small.evaluation.parameters,
            rows.like,
            rows.gaps,
            blocks.dtype,
            finish,
        )
        with Parallel(n_jobs=n_jobs) as parallel:
            simulated = parallel(delayed(simulation.statistic)(seed) for seed in seeds)
    return statistic, np.array(simulated)


@dataclass(frozen=True)
class Simulation:
    """How data are drawn from the smaller mixture, and the statistic of such data.

    `maps` are the problems of the smaller mixture up to the larger one; `start` are its
    parameters, in their coordinates. Values are recorded as those of the data are.
    """

    null: LikelihoodMixture
    maps: list[EMMap]
    recording: Recording
    start: Parameters
    like: Likeness
    gaps: np.ndarray | None
    dtype: np.dtype
    finish: Any

    def statistic(self, seed: int) -> float:
        """Draw data, and return their likelihood ratio statistic."""
        rng = np.random.RandomState(seed)
        X, _ = self.null.sample(len(self.like.rows), random_state=rng)
        # Draws come in the order of their components, and weights are of any row.
        X = self.recording.recorded(rng.permutation(X).T, rng).T
        X = X.astype(self.dtype, order="C", copy=False)
        if self.gaps is not None:
            X[self.gaps] = np.nan
        data = Data(X, self.gaps is not None)
        with array_blocks(data, self.like.weight) as blocks:
            filled = to_be_fitted(self.null, blocks)
            maps = list(self._of(filled))
            small = self.finish(maps[0], self.start)
            return _ratio(self.null, maps, small, rng, self.finish)

    def _of(self, blocks: Blocks) -> Iterator[EMMap]:
        em = self.maps[0]
        total = total_statistics(blocks, em.coordinates, em.structure, em.whole)
        for each in self.maps:
            yield replace(each, blocks=blocks, total=total)


def _ratio(
    null: LikelihoodMixture,
    maps: list[EMMap],
    small: Solution,
    rng: np.random.RandomState,
    finish: Any,
) -> float:
    """Return 2(ℓ₁ − ℓ₀); the larger mixture is searched for as `null` would be.

    Cuts of the smaller one are starts beside fresh ones. Values that rows share have
    their widths: as points they would speak for more components.
    """
    parameters, best = small.evaluation.parameters, None
    for K, em in enumerate(maps[1:], len(parameters.weights) + 1):
        starts = divided(em, parameters, affordable(em, K, DIVISIONS), rng)
        starts += many(em, K, affordable(em, K, FRESH), rng)
        best = best_end(em, starts, finish)
        parameters = best.evaluation.parameters
    assert best is not None
    search = replace(null._search(finish, rng), n_components=K, patience=1)
    large = search.improved(em, best)
    return max(0.0, 2 * (large.evaluation.loglik - small.evaluation.loglik))
