"""The EM map θ → (θ⁺, ℓ(θ)): fold the E-step over blocks, then the M-step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from skem.core.blocks.arrays import ArrayBlocks, Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.chart import Chart
from skem.core.gaussian.covariance import Scatter
from skem.core.gaussian.maximisation import maximise
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.prior import Prior
from skem.core.gaussian.statistics import Statistics
from skem.core.incomplete.expectation import Incomplete
from skem.core.mixture.expectation import Expectation
from skem.core.mixture.kernel import Kernel
from skem.core.mixture.plan import Outcome, is_light
from skem.core.mixture.problem import FitProblem
from skem.core.mixture.rows import Rows
from skem.core.mixture.step import Limits, Run, Stepper
from skem.core.mixture.totals import classified, scored
from skem.core.mixture.wide import WideStep
from skem.core.passes.forms import choose_form

S = TypeVar("S")

COMPARED = 1_000
"""Rows known of a component that decide which component of a start it is."""
LARGEST_LOSS = 1e100
"""Nats beyond which a log-density counts as no better."""
OFFSET = 300.0
"""Means in standard deviations up to which rows have few digits in common."""
SPREAD = 1e6
"""Mean square of coordinates up to which no row is too far away for that."""
IN_RANGE = 1e20
"""Mean square of coordinates up to which sums of squares are in range in any type."""
EQUAL_WEIGHTS = 6
"""Decimals of weights that tell components apart when they are put in order."""


@dataclass(frozen=True)
class EMMap(FitProblem):
    """The map θ → (θ⁺, ℓ(θ)) of a problem."""

    allows_single: ClassVar[bool] = True
    """Whether it may be computed in single precision."""

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
            loss[k] -= np.maximum(found, -LARGEST_LOSS) @ block.weight_of_each
        _, order = linear_sum_assignment(loss)
        cholesky = self.structure.ordered(start.precisions_cholesky, order)
        return self.with_fixed(start.ordered(order, cholesky))

    def in_single(self) -> EMMap:
        """Return the problem computed in single precision, where that is quicker.

        As far as it is precise enough: forms see to that. Else the problem itself, as
        for rows that it would round.
        """
        blocks, shift = self.blocks, self.coordinates.shift * self.coordinates.scale
        if not isinstance(blocks, ArrayBlocks) or blocks.incomplete:
            return self
        if not self.allows_single or blocks.dtype == np.float32:
            return self
        if self.coordinates.unit is not None or not (np.abs(shift) <= OFFSET).all():
            return self
        if self.total_second.max() > SPREAD * self.blocks.total_weight:
            return self
        return replace(self, blocks=replace(blocks, dtype=np.dtype(np.float32)))

    def responsibilities(self, parameters: Parameters, block: Block) -> np.ndarray:
        """Posterior probabilities (K, n) of a block, in float64."""
        if self._stepper is not None and block.data.shape[1] == self.blocks.n_samples:
            found = self._stepper.responsibilities(parameters, self.regularization)
            if found is not None:
                return found
        expectation = self.expectation(parameters, np.dtype(float))
        return expectation.responsibilities(block, Workspace())

    def weights(
        self, parameters: Parameters, block: Block
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """Posterior probabilities, and what rows count for with each component."""
        return self.responsibilities(parameters, block), 1.0

    def moments(
        self,
        parameters: Parameters,
        block: Block,
        weights: np.ndarray,
        unknown: np.ndarray,
    ) -> np.ndarray:
        """Σ r u [1, y, y yᵀ] of an incomplete block, about the means.

        For `weights` r u (K, b), and r of what is `unknown`.
        """
        at = Incomplete(self.structure, parameters, self.coordinates)
        return at.moments(block, weights, Workspace(), unknown)

    def chart(self, base: Parameters) -> Chart:
        """Return unconstrained coordinates about `base`."""
        return self._chart_of(Chart, base)

    def _chart_of(self, kind: type[Chart], base: Parameters, **more: Any) -> Chart:
        restored = self.restored if self.restores else None
        noise = self.background is not None
        total = self.blocks.total_weight
        return kind(self.structure, base, total, restored, noise, **more)

    def of_part(self, statistics: Statistics) -> Statistics:
        """Let statistics of a part of the rows stand for all of them.

        To an M-step that looks at shares they do as they are.
        """
        return statistics

    def adopted(self, parameters: Parameters) -> Parameters:
        """Return what a part of the rows has led to, as a start for all of them."""
        return parameters

    def of_labels(
        self, Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
    ) -> Statistics:
        """Return the statistics of rows (n, d) with weighted responsibilities."""
        return Statistics.of_labels(self.structure.quadratic, Z, resp, squares)

    def labelled_scales(
        self, Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
    ) -> np.ndarray | float:
        """Return what rows count for with their label: 1, whatever it is."""
        return 1.0

    @cached_property
    def _dtype(self) -> np.dtype:
        """The type that passes are computed in."""
        wide = self.total_second.max() > IN_RANGE * self.blocks.total_weight
        return np.dtype(float) if wide else self.blocks.dtype

    @cached_property
    def _log_widths(self) -> np.ndarray | None:
        """Those of noise, in coordinates."""
        background = self.background
        return None if background is None else background.inward(self.coordinates)

    def expectation(
        self, parameters: Parameters, dtype: np.dtype | None = None
    ) -> Kernel:
        """Return the kernels that evaluate a block at `parameters`.

        In the type of the blocks, if no other is given, and squares are in its range.
        """
        dtype = self._dtype if dtype is None else dtype
        form = choose_form(self.structure, parameters, dtype, self._log_widths)
        return Expectation(form, self.coordinates)

    def of_points(self, parameters: Parameters) -> Kernel:
        """Return the kernels that take shared values for points, as a score does."""
        coordinates = replace(self.coordinates, ties=None)
        return replace(self, coordinates=coordinates).expectation(parameters)

    @cached_property
    def _stepper(self) -> Stepper | None:
        return self._compiled(Stepper.of)

    @cached_property
    def _wide(self) -> WideStep | None:
        return self._compiled(WideStep.of)

    def _compiled(self, of: Callable[..., S]) -> S | None:
        """Return the compiled steps of one kind; None if there are none of these."""
        if self.background is not None or self._dtype != self.blocks.dtype:
            return None
        return of(self.blocks, self.coordinates, self.structure, self.total_second)

    def evaluate(self, parameters: Parameters) -> Evaluation:
        """Fold one pass over the data at `parameters`."""
        for step in (self._stepper, self._wide):
            found = step and step(parameters, self.regularization)
            if isinstance(found, Statistics):
                return self._evaluation(self, parameters, found)
            if found:
                return self._evaluation.known(self, parameters, found)
        return self._evaluation(self, parameters, self._folded(parameters))

    @property
    def _evaluation(self) -> type[Evaluation]:
        """What says what a pass has found."""
        return Evaluation

    def _folded(self, parameters: Parameters) -> Statistics:
        """Return the statistics of a pass over blocks."""
        at = self.expectation(parameters)
        return self.blocks.fold(at.statistics, at.values_per_sample)

    def light(self, stack: Parameters) -> bool:
        """Whether steps from a stack take little time, wherever the rows are."""
        if self.background is not None or self._any_known:
            return False
        return is_light(self.blocks, self.coordinates, self.structure, stack.shape)

    @property
    def quick(self) -> bool:
        """Whether many plain steps take little time."""
        return self._stepper is not None

    def for_components(self, n_components: int) -> Self:
        """Return the same problem for another number of components."""
        return super().for_components(n_components)._beside(self)

    def _beside(self, other: EMMap) -> Self:
        """Take over what another problem has of the same rows, and steps on them."""
        if other.quick:
            self.__dict__.update(_stepper=other._stepper, all_rows=other.all_rows)
        return self

    def climbed(
        self, parameters: Parameters, steps: int, least: float = -math.inf
    ) -> tuple[Evaluation, np.ndarray]:
        """Take plain steps, as long as one mixture of a stack gains more than `least`.

        Return what is found at their end, and the log-likelihoods and objectives of all
        of them, (steps + 1, 2, …).
        """
        if self.fixed is None and self._stepper is not None:
            found = self._stepper.climb(parameters, self.regularization, steps, least)
            if found is not None:
                outcome, values = found
                return self._evaluation.known(self, outcome.parameters, outcome), values
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
        if self._stepper is None or self.restores:
            return None
        run = self._stepper.follow(start, self.regularization, limits, lbfgs, path)
        if run is None:
            return None
        reached = run.outcome.parameters
        return self._evaluation.known(self, reached, run.outcome), run

    def contest(
        self, stack: Parameters, steps: int, *terms: float
    ) -> tuple[Parameters, np.ndarray] | None:
        """Take steps from a stack, and give up the worse, in one call, if there is one.

        See `Stepper.contest`.
        """
        if self._stepper is None or self.fixed is not None:
            return None
        return self._stepper.contest(stack, self.regularization, steps, *terms)

    def sketched(
        self, parameters: Parameters, no_account: float
    ) -> list[np.ndarray] | None:
        """Find moments of all rows, labelled by a mixture, in one call, if it can.

        See `Stepper.sketch`.
        """
        if self._stepper is None:
            return None
        rows = self.all_rows
        if len(rows.Z) < self.blocks.n_samples:
            return None
        how = self.regularization, rows, no_account
        return self._stepper.sketch(parameters, *how)

    def labelled(self, rows: Rows, resp: np.ndarray) -> Parameters | None:
        """Do what `started` does of the statistics of labels in one call, if it can."""
        if self._stepper is None or isinstance(self.regularization, Prior):
            return None
        return self._stepper.label(self.regularization, rows, resp)

    def moved(self, parameters: Parameters, *how: Any) -> Parameters | None:
        """Leave a mixture in several ways in one call, if there is one: see `Moves`."""
        bayesian = isinstance(self.regularization, Prior)
        if self._stepper is None or self.fixed is not None or bayesian:
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
        return maximise(
            self.structure,
            self.regularization,
            statistics,
            self._scatter(statistics),
            previous,
            self.fixed,
        )

    def _scatter(self, statistics: Statistics) -> Scatter:
        """Return the scatter of each component, or of all if that is enough."""
        if statistics.quadratic == self.structure.quadratic:
            return statistics.scatter()
        return statistics.within(self.total)


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
    def chart(self) -> Chart:
        """Unconstrained coordinates about this point."""
        return self.em.chart(self.parameters)

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

    @property
    def data_term(self) -> Any:
        """What the data contribute to the objective."""
        return self.loglik

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
    def certainty(self) -> float:
        """Σ v log max_k r_k, with shared values taken for points.

        It comes with the score where that takes a pass, too.
        """
        if self.em.coordinates.ties is None and self.em.quick:
            rows = self.em.all_rows
            resp = self.em.responsibilities(self.parameters, rows.block)
            return float(np.log(resp.max(axis=0)) @ rows.weight)
        found = classified(self.em.of_points(self.parameters), self.em.blocks)
        if self.em.coordinates.ties is not None:
            self.__dict__.setdefault("score", found.loglik)
        return found.certainty

    @cached_property
    def complete(self) -> Statistics:
        """The statistics with all that the data contribute, whatever the form."""
        statistics = replace(self.statistics, loglik=self.data_term)
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
