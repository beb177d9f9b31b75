"""Stepwise EM of a table: running sums of every family, in constant memory.

Cappé & Moulines (2009): the sums are those of a complete-data statistic, which no
parameter is in, so that those of passes at different parameters may be averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import is_
from typing import Self

import numpy as np

from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.late import with_late_widths
from skem.core.mixture.stream import Forgetting
from skem.families.categories import CategoricalModel
from skem.families.gaussian_model import GaussianModel
from skem.families.model import Running
from skem.families.point import Point
from skem.families.product import Product
from skem.families.table_map import Evaluation, TableMap


@dataclass(frozen=True)
class TableStream:
    """A mixture of a table, and the sums that stand for what it has seen.

    - `averages`: running means of counts, and of each family's sums
    - `loglik`: that of the mean log-likelihood, of each batch before its step
    - `unit`: weight of the start, which the forgetting counts by
    - `seen`: weight of all rows so far
    - `size`: the weight of as many rows as the averages are as precise as
    - `follows`: whether the penalty is ε = 2/√size, or stays as it is
    """

    product: Product
    point: Point
    averages: list[Running]
    loglik: float
    unit: float
    seen: float
    size: float
    follows: bool

    @classmethod
    def begin(cls, evaluation: Evaluation, product: Product, follows: bool) -> Self:
        """Begin as if what has been fitted had been the stream so far."""
        em, point = evaluation.em, evaluation.parameters
        N = em.total_weight
        averages = [
            each * (1 / N) for each in em.product.running(evaluation.sums, point)
        ]
        loglik = evaluation.loglik / N
        return cls(product, point, averages, loglik, N, N, N, follows)

    def with_another(self, places: Sequence[int]) -> Self:
        """Return the stream with one category more of each of some columns.

        These are groups of their own, and no row has had the category so far.
        """
        models, averages = [*self.product.models], [*self.averages]
        for j, place in enumerate(self.product.places):
            if place[0] not in places:
                continue
            model, running = models[j], averages[j + 1]
            assert isinstance(model, CategoricalModel)
            assert isinstance(running, np.ndarray)
            models[j] = model.with_another()
            averages[j + 1] = np.pad(running, ((0, 0), (0, 1)))
        whole = [each * self.size for each in averages]
        product = replace(self.product, models=tuple(models))
        point = product.settled(whole, self.point)
        return replace(self, product=product, averages=averages, point=point)

    def widened(self, values: np.ndarray, weight: np.ndarray) -> Self:
        """Return the stream ready for values (columns, n) of its Gaussian columns.

        Where these have had a single one so far: see `with_late_widths`.
        """
        models, averages = [*self.product.models], [*self.averages]
        for j, place in enumerate(self.product.places):
            # The first of the averages are counts.
            model, running = models[j], averages[j + 1]
            if not isinstance(model, GaussianModel):
                continue
            assert isinstance(running, Statistics)
            batch = model.family.transform(values[place]).T, weight
            how = model.coordinates, running, running.pooled(), self.size
            late = with_late_widths(*how, *batch)
            if late is not None:
                models[j] = replace(model, coordinates=late[0])
                averages[j + 1] = late[1]
        if all(map(is_, models, self.product.models)):
            return self
        whole = [each * self.size for each in averages]
        product = replace(self.product, models=tuple(models)).renewed(whole, 1.0)
        point = product.settled(whole, self.point)
        return replace(self, product=product, averages=averages, point=point)

    def advance(self, em: TableMap, forgetting: Forgetting) -> Self:
        """Take one step with a batch."""
        total = em.total_weight
        step, size = forgetting.after(self.seen, self.size, self.unit, total)
        evaluation = em.evaluate(self.point)
        found = em.product.running(evaluation.sums, self.point)
        averages = [
            _moved(before, batch, step / total, 1 - step)
            for before, batch in zip(self.averages, found, strict=True)
        ]
        whole = [each * size for each in averages]
        share = float(np.sqrt(self.size / size)) if self.follows else 1.0
        product = self.product.renewed(whole, share)
        return replace(
            self,
            product=product,
            point=product.settled(whole, self.point),
            averages=averages,
            loglik=(1 - step) * self.loglik + step * evaluation.loglik / total,
            seen=self.seen + total,
            size=size,
        )


def _moved(averages: Running, batch: Running, gain: float, kept: float) -> Running:
    """Add `gain` times the batch to `kept` times the averages."""
    if isinstance(averages, Statistics):
        return (batch * gain).merged(averages * kept)
    return kept * averages + gain * batch
