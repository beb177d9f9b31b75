"""The EM map θ → (θ⁺, ℓ(θ)): fold the E-step over blocks, then the M-step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from skem.core.blocks.arrays import ArrayBlocks, Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.chart import Chart
from skem.core.gaussian.coordinates import Coordinates, standardising_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.fixed import Fixed
from skem.core.gaussian.maximisation import maximise
from skem.core.gaussian.parameters import Parameters, shares
from skem.core.gaussian.regularization import Regularization, Ridge, ScaleFreePenalty
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.expectation import Expectation, filled_rows, total_statistics
from skem.core.mixture.noise import Background, clean
from skem.core.mixture.rows import Rows
from skem.core.mixture.scale import Clusterings, Sample, as_one, one_scatter
from skem.core.mixture.step import MOST_VALUES, Limits, Outcome, Run, Stepper
from skem.core.mixture.totals import scored
from skem.core.passes.forms import choose_form

LABELLED = 100
"""Rows known of a component that any part of the rows has, if there are so many."""
COMPARED = 1_000
"""Rows known of a component that decide which component of a start it is."""
LEAST_NOISE, STARTING_NOISE = 1e-3, 0.05
"""The weight of noise in a start, if there is less of it."""
LARGEST = 1e100
"""Nats beyond which a log-density counts as no better."""
EQUAL_WEIGHTS = 6
"""Decimals of weights that tell components apart when they are put in order."""


@dataclass(frozen=True)
class EMMap:
    """The data, in coordinates, with a structure and a regularization.

    `total` are the one-component statistics of the data, and `sample` the rows that the
    regularization takes the scale of clusters from, if it does. Where values are
    missing, `whole` is the one component that rows are completed by for a start. What
    is given of the mixture is `fixed`, in coordinates. With a `background` one more
    component is noise.
    """

    blocks: Blocks
    coordinates: Coordinates
    structure: Structure
    regularization: Regularization
    total: Statistics
    sample: Sample | None = None
    whole: Parameters | None = None
    fixed: Fixed | None = None
    background: Background | None = None

    @classmethod
    def prepare(
        cls,
        blocks: Blocks,
        structure: Structure,
        n_components: int,
        reg_covar: float | str,
        noise: float | None = None,
        clusterings: Clusterings | None = None,
    ) -> EMMap:
        """Standardise the data, and set the regularization to suit them.

        `reg_covar` is "auto", or a variance in squared units of the data. `noise` is
        True, the density of noise, or None (or False) if there is none. `clusterings`
        of the data may be known.
        """
        coordinates = standardising_coordinates(blocks, structure)
        background = None
        if noise is not None and noise is not False:
            background = Background.of(blocks, coordinates, noise)
        if reg_covar != "auto":
            whole = as_one(blocks, coordinates, structure)
            total = total_statistics(blocks, coordinates, structure, whole)
            with np.errstate(over="ignore"):
                origin = -coordinates.shift * coordinates.scale
            ridge = Ridge(float(reg_covar) * coordinates.slope**2, origin)
            return cls(
                blocks,
                coordinates,
                structure,
                ridge,
                total,
                whole=whole,
                background=background,
            )
        sample = Sample.of(blocks, coordinates, structure, clusterings)
        if background is not None:
            # Noise is wider than any cluster.
            sample = sample.only(clean(sample.rows[0].T, np.random.RandomState(0)))
        coordinates, whole = sample.coordinates, sample.whole
        total = total_statistics(blocks, coordinates, structure, whole)
        penalty = ScaleFreePenalty.of_data(
            sample.scale(n_components),
            one_scatter(total, incomplete=blocks.incomplete),
            blocks.total_weight,
        )
        return cls(
            blocks,
            coordinates,
            structure,
            penalty,
            total,
            sample,
            whole,
            background=background,
        )

    @property
    def scales(self) -> dict[int, np.ndarray]:
        """Scales of clusters that have been found, by the number of components."""
        return {} if self.sample is None else self.sample.scales

    def clusters(self, n_components: int) -> Parameters | None:
        """Return the quick fit that the scale is taken from, if there was one."""
        found = None if self.sample is None else self.sample.clusters.get(n_components)
        return found if found is None else self.constrained(found)

    def reopened(self, blocks: ArrayBlocks) -> EMMap:
        """Return the same problem of the same array, opened anew."""
        sample = self.sample
        if sample is not None:
            again = replace(sample.blocks, workers=blocks.workers)
            sample = replace(sample, blocks=again)
        return replace(self, blocks=blocks, sample=sample)

    def for_components(self, n_components: int) -> EMMap:
        """Return the same problem for another number of components.

        Of what is given only equal weights may be.
        """
        em, d = self, self.blocks.n_features
        if em.fixed is not None:
            noise = em.background is not None
            equal = Fixed.equal_weights(em.structure, n_components, d, noise)
            em = replace(em, fixed=equal)
        if em.sample is None:
            return em
        scale = em.sample.scale(n_components)
        return replace(em, regularization=em.regularization.rescaled(scale))

    @cached_property
    def total_second(self) -> np.ndarray:
        """Σ v z zᵀ of all the data."""
        d = self.blocks.n_features
        return self.total.quadratic.unpack(self.total.sums[:, 1 + d :], d)[0]

    def restricted(self, most: int, rng: np.random.RandomState) -> EMMap:
        """Return the same problem for at most so many rows, chosen at random.

        The penalty shrinks with the weight, so that the optimum is about the same.
        """
        blocks = self.blocks.take(self.random_rows(most, rng))
        share = blocks.total_weight / self.blocks.total_weight
        return replace(
            self,
            blocks=blocks,
            regularization=self.regularization.scaled(share),
            total=total_statistics(
                blocks, self.coordinates, self.structure, self.whole
            ),
        )

    def random_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Sorted indices of at most so many rows of positive weight, and of known ones.

        Of each known component there are some, however few they are.
        """
        rows = self.blocks.random_rows(most, rng)
        if not self._any_known or len(rows) == self.blocks.n_observed:
            return rows
        return np.union1d(rows, self.blocks.known_rows(LABELLED, rng))

    def rows(self, most: int, rng: np.random.RandomState) -> Rows:
        """Return at most so many rows of positive weight, chosen by index.

        All of them, if they are few, are loaded once.
        """
        values = self.blocks.n_observed * self.blocks.n_features
        if self.blocks.n_observed <= most and values <= MOST_VALUES:
            return self._all_rows
        return Rows.of(self, self.blocks.take(self.random_rows(most, rng)))

    @cached_property
    def _all_rows(self) -> Rows:
        every = self.random_rows(self.blocks.n_observed, np.random.RandomState(0))
        return Rows.of(self, self.blocks.take(every))

    def responsibilities(self, parameters: Parameters, block: Block) -> np.ndarray:
        """Posterior probabilities (K, n) of a block, in float64."""
        if self._stepper is not None and block.data.shape[1] == self.blocks.n_samples:
            found = self._stepper.responsibilities(parameters, self.regularization)
            if found is not None:
                return found
        expectation = self.expectation(parameters, np.dtype(float))
        return expectation.responsibilities(block, Workspace())

    @property
    def _any_known(self) -> bool:
        return len(self.blocks.known_components) > 0

    @cached_property
    def _compared(self) -> list[tuple[int, Block]]:
        """Rows of each known component that starts are compared with."""
        blocks = self.blocks
        if not self._any_known:
            return []
        rows = np.sort(blocks.known_rows(COMPARED, np.random.RandomState(0)))
        taken = blocks.take(rows)
        block = taken.block(0, len(rows))
        return [
            (int(k), block.only(taken.known == k)._replace(known=None))
            for k in blocks.known_components
        ]

    def admitted(self, start: Parameters) -> Parameters:
        """Return a start with its components in the order of what is known or given.

        What is given is put in its place.
        """
        fixed = self.fixed
        start = self.with_noise(start)
        if not self._any_known and fixed is None:
            return start
        K = len(start.weights)
        loss = np.zeros((K, K)) if fixed is None else fixed.distances(start)
        expectation = self.expectation(start)
        for k, block in self._compared:
            found = expectation.component_log_density(block, Workspace())
            v = np.ones(found.shape[1]) if block.weight is None else block.weight
            loss[k] -= np.maximum(found, -LARGEST) @ v
        _, order = linear_sum_assignment(loss)
        cholesky = self.structure.ordered(start.precisions_cholesky, order)
        return self.with_fixed(start.ordered(order, cholesky))

    def movable(self, n_components: int) -> np.ndarray:
        """Mask of components that may be taken away: nothing is known or given."""
        free = ~np.isin(np.arange(n_components), self.blocks.known_components)
        return free if self.fixed is None else free & ~self.fixed.placed

    def with_noise(self, start: Parameters) -> Parameters:
        """Leave something for noise, if there is: nothing would stay nothing."""
        if self.background is None or start.noise_weight >= LEAST_NOISE:
            return start
        weights = (1 - STARTING_NOISE) * shares(start.weights)
        return replace(start, weights=weights)

    def ready(self, start: Parameters) -> Parameters:
        """Return a start as the structure, noise and what is given allow it."""
        return self.with_fixed(self.with_noise(self.constrained(start)))

    def with_fixed(self, parameters: Parameters) -> Parameters:
        """Put what is given in its place."""
        return parameters if self.fixed is None else self.fixed.restored(parameters)

    @property
    def exchangeable(self) -> bool:
        """Whether components may come in any order."""
        alike = self.fixed is None or self.fixed.alike
        return alike and not self._any_known

    def restored(self, parameters: Parameters) -> Parameters:
        """Put back what of a mixture must not change."""
        if self.regularization.pins:
            cholesky = parameters.precisions_cholesky
            cholesky = self.regularization.pinned(self.structure, cholesky)
            parameters = replace(parameters, precisions_cholesky=cholesky)
        return self.with_fixed(parameters)

    def chart(self, base: Parameters) -> Chart:
        """Return unconstrained coordinates about `base`."""
        changes = self.regularization.pins or self.fixed is not None
        restored = self.restored if changes else None
        noise = self.background is not None
        return Chart(self.structure, base, self.blocks.total_weight, restored, noise)

    def constrained(self, parameters: Parameters) -> Parameters:
        """Return parameters with the nearest covariances that the structure allows."""
        before, d = parameters.precisions_cholesky, self.blocks.n_features
        cholesky = self.structure.constrained(before, parameters.weights, d)
        if cholesky is before:
            return parameters
        return replace(parameters, precisions_cholesky=cholesky)

    def of_part(self, statistics: Statistics) -> Statistics:
        """Let statistics of a part of the rows stand for all of them.

        To an M-step that looks at shares they do as they are.
        """
        return statistics

    def adopted(self, parameters: Parameters) -> Parameters:
        """Return what a part of the rows has led to, as a start for all of them."""
        return parameters

    def filled(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return raw data (d, n) as `filled_rows` does."""
        return filled_rows(data, self.coordinates, self.structure, self.whole)

    def gathered(self, Z: np.ndarray) -> np.ndarray:
        """Return rows (n, d) as clusterings that go by distances may see them."""
        return Z

    def views(self, Z: np.ndarray) -> list[np.ndarray]:
        """Return what distances between rows (n, d) may be measured in, in turn.

        Where axes may turn, but no feature be scaled by itself, clusters are often seen
        in standardised features only.
        """
        seen = self.gathered(Z)
        structure = self.structure
        if structure.scales_features or not structure.matrices:
            return [seen]
        spread = seen.std(axis=0)
        return [seen / np.where(spread > 0, spread, 1.0), seen]

    def of_labels(
        self, Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
    ) -> Statistics:
        """Return the statistics of rows (n, d) with weighted responsibilities."""
        return Statistics.of_labels(self.structure.quadratic, Z, resp, squares)

    @cached_property
    def _log_widths(self) -> np.ndarray | None:
        """Those of noise, in coordinates."""
        background = self.background
        return None if background is None else background.inward(self.coordinates)

    def expectation(
        self, parameters: Parameters, dtype: np.dtype | None = None
    ) -> Expectation:
        """Return the kernels that evaluate a block at `parameters`.

        In the type of the blocks, if no other is given.
        """
        dtype = self.blocks.dtype if dtype is None else dtype
        form = choose_form(self.structure, parameters, dtype, self._log_widths)
        return Expectation(form, self.coordinates)

    def of_points(self, parameters: Parameters) -> Expectation:
        """Return the kernels that take shared values for points, as a score does."""
        expectation = self.expectation(parameters)
        coordinates = replace(self.coordinates, ties=None)
        return replace(expectation, coordinates=coordinates)

    @cached_property
    def _stepper(self) -> Stepper | None:
        if self.background is not None:
            return None
        return Stepper.of(
            self.blocks, self.coordinates, self.structure, self.total_second
        )

    def evaluate(self, parameters: Parameters) -> Evaluation:
        """Fold one pass over the data at `parameters`."""
        if self._stepper is not None:
            outcome = self._stepper(parameters, self.regularization)
            if outcome is not None:
                return Evaluation.known(self, parameters, outcome)
        expectation = self.expectation(parameters)
        statistics = self.blocks.fold(
            expectation.statistics, expectation.values_per_sample
        )
        return Evaluation(self, parameters, statistics)

    @property
    def quick(self) -> bool:
        """Whether many plain steps take little time."""
        return self._stepper is not None

    def climbed(
        self, parameters: Parameters, steps: int, least: float = -math.inf
    ) -> tuple[Evaluation, np.ndarray]:
        """Take plain steps, as long as one mixture of a stack gains more than `least`.

        Return what is found at their end, and the log-likelihoods and objectives of all
        of them, (steps + 1, 2, …).
        """
        plain = type(parameters) is Parameters and self.fixed is None
        if plain and self._stepper is not None:
            found = self._stepper.climb(parameters, self.regularization, steps, least)
            if found is not None:
                outcome, values = found
                return Evaluation.known(self, outcome.parameters, outcome), values
        here = self.evaluate(parameters)
        path = [(here.loglik, here.objective)]
        while len(path) <= steps:
            here = self.evaluate(here.successor)
            path.append((here.loglik, here.objective))
            if not np.max(path[-1][1] - path[-2][1]) > least:
                break
        return here, np.array(path)

    def followed(
        self,
        start: Parameters,
        limits: Limits,
        lbfgs: tuple[float, ...],
        path: np.ndarray | None,
    ) -> tuple[Evaluation, Run] | None:
        """Follow the map in one call, if there is one: see `Stepper.follow`."""
        if self._stepper is None or self.fixed is not None:
            return None
        run = self._stepper.follow(start, self.regularization, limits, lbfgs, path)
        if run is None:
            return None
        return Evaluation.known(self, run.outcome.parameters, run.outcome), run

    def contest(
        self, stack: Parameters, steps: int, hope: float, least: float
    ) -> tuple[Parameters, np.ndarray] | None:
        """Take steps from a stack, and give up the worse, in one call, if there is one.

        See `Stepper.contest`.
        """
        if self._stepper is None or self.fixed is not None:
            return None
        return self._stepper.contest(stack, self.regularization, steps, hope, least)

    def labelled(self, rows: Rows, resp: np.ndarray) -> Parameters | None:
        """Do what `started` does of the statistics of labels in one call, if it can."""
        if self._stepper is None or not isinstance(
            self.regularization, ScaleFreePenalty
        ):
            return None
        return self._stepper.label(self.regularization, rows, resp)

    def moved(self, parameters: Parameters, *how: Any) -> Parameters | None:
        """Leave a mixture in several ways in one call, if there is one: see `Moves`."""
        free = self.fixed is None and isinstance(self.regularization, ScaleFreePenalty)
        if self._stepper is None or not free:
            return None
        return self._stepper.move(parameters, self.regularization, *how)

    def advanced(self, parameters: Parameters, steps: int) -> Parameters:
        """Return where so many plain steps lead."""
        if steps > 1 and self._stepper is not None and self.fixed is None:
            outcome = self._stepper(parameters, self.regularization, steps)
            if outcome is not None:
                return outcome.successor
        for _ in range(steps):
            parameters = self.evaluate(parameters).successor
        return parameters

    def started(self, statistics: Statistics) -> Parameters:
        """M-step of labelled rows, for a start: nothing of it is given yet.

        Axes that components have in common are the best ones that one of them has.
        """
        return replace(self, fixed=None, structure=self.structure.rough).maximise(
            statistics
        )

    def maximise(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> Parameters:
        """M-step. An empty component keeps its previous mean."""
        if statistics.quadratic == self.structure.quadratic:
            scatter = statistics.scatter()
        else:
            scatter = statistics.within(self.total)
        return maximise(
            self.structure,
            self.regularization,
            statistics,
            scatter,
            previous,
            self.fixed,
        )


@dataclass(frozen=True)
class Evaluation:
    """What one pass at `parameters` has found; one value a mixture, if stacked."""

    em: EMMap
    parameters: Parameters
    statistics: Statistics

    @classmethod
    def known(cls, em: EMMap, parameters: Parameters, outcome: Outcome) -> Evaluation:
        """Return one of which all is known."""
        found = cls(em, parameters, outcome.statistics)
        found.__dict__.update(
            loglik=outcome.loglik, objective=outcome.loglik - outcome.penalty
        )
        if em.fixed is None:
            found.__dict__.update(successor=outcome.successor)
        return found

    def by_weight(self) -> Evaluation:
        """Return the same with the heaviest component first.

        Weights that differ by less than a fit tells apart count as equal, and then the
        means decide, feature by feature.
        """
        weights = np.round(self.parameters.weights, EQUAL_WEIGHTS)
        order = np.lexsort((*self.parameters.means.T[::-1], -weights))
        if (order == np.arange(len(order))).all():
            return self
        cholesky = self.parameters.precisions_cholesky
        cholesky = self.em.structure.ordered(cholesky, order)
        found = replace(
            self,
            parameters=self.parameters.ordered(order, cholesky),
            statistics=self.statistics[order],
        )
        # Sums in another order would differ by rounding.
        found.__dict__.update(loglik=self.loglik, objective=self.objective)
        return found

    @cached_property
    def loglik(self) -> Any:
        """ℓ(θ) = Σ v log p(x | θ), of the standardised data.

        Where values are shared, the mean of log p over their widths stands for log p,
        component by component.
        """
        loglik = self.statistics.loglik
        structure = self.em.structure
        if self.statistics.quadratic == structure.quadratic:
            return loglik
        cholesky = self.parameters.precisions_cholesky
        return loglik - 0.5 * structure.trace_precision(cholesky, self.em.total_second)

    @cached_property
    def score(self) -> float:
        """Σ v log p(x | θ) in units of the data, with shared values taken for points.

        That is the log-likelihood that users see.
        """
        em = self.em
        if em.coordinates.ties is None:
            total = em.blocks.total_weight
            return float(self.loglik + total * em.coordinates.log_slope)
        return scored(em.of_points(self.parameters), em.blocks).loglik

    @cached_property
    def complete(self) -> Statistics:
        """The statistics with all that the data contribute, whatever the form."""
        statistics = replace(self.statistics, loglik=self.loglik)
        if statistics.quadratic == self.em.structure.quadratic:
            return statistics
        return statistics.completed(self.em.total)

    @cached_property
    def objective(self) -> Any:
        """ℓ_p(θ): the log-likelihood less the regularization's penalty."""
        em = self.em
        return self.loglik - em.regularization.penalty(em.structure, self.parameters)

    @cached_property
    def successor(self) -> Parameters:
        """θ⁺, the next EM iterate."""
        statistics = self.statistics
        if self.em.blocks.empty_weight > 0:
            statistics = statistics + self._of_empty_rows
        return self.em.maximise(statistics, self.parameters)

    @property
    def _of_empty_rows(self) -> Statistics:
        """What rows without a value add to the statistics: what is expected of them.

        That takes part in the step, and does not change where steps lead.
        """
        blocks = self.em.blocks
        nothing = np.full((blocks.n_features, 1), np.nan)
        block = Block(0, 1, nothing, np.array([blocks.empty_weight]), incomplete=True)
        return self.em.expectation(self.parameters).statistics(block, Workspace())
