"""Mixtures of one table with rising numbers of components, each a start of the next.

Each is started from splits of the one before, too, and tried again from merges of the
one after.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skem._inputs.families import TAKEN
from skem._inputs.tables import Table
from skem._selection.candidates import CLOSE
from skem._selection.grid import Candidate, worth_refining
from skem.mixture_model import MixtureModel


class Rows(NamedTuple):
    """A table with the weights of its rows, and what is known of them.

    `seen` are the attributes that say which columns a fit has seen.
    """

    table: Table
    weight: np.ndarray
    known: np.ndarray | None
    seen: dict[str, Any]
    verbose: int = 0

    def fit(self, model: MixtureModel, **how: Any) -> None:
        """Fit a mixture that is new."""
        for name, value in self.seen.items():
            setattr(model, name, value)
        model._fit_table(self.table, self.weight, self.known, **how)
        if self.verbose:
            what = f"{model.covariance_type}: {model.n_components} fitted"
            print(f"{what}, mean log-likelihood {model.lower_bound_:.6f}", flush=True)

    def candidate(self, model: MixtureModel, seconds: float) -> Candidate:
        """Return a fitted mixture as a candidate."""
        excess = model._excess(self.table, self.weight, self.known)
        return Candidate(
            model.n_components,
            model.covariance_type,
            model,
            excess=excess,
            seconds=seconds,
        )


def path(models: Sequence[MixtureModel], rows: Rows) -> list[Candidate]:
    """Fit mixtures, with the numbers of components rising."""
    seconds = []
    with _told_already():
        before: MixtureModel | None = None
        for model in models:
            began = time.perf_counter()
            near = before is not None and is_next(before, model)
            beside = before if near else None
            rows.fit(model, beside=beside, brief=len(models) > 1)
            before = model
            seconds.append(time.perf_counter() - began)
        # Components that are known keep their numbers, and are not merged.
        if rows.known is None:
            for model, after in zip(models[-2::-1], models[:0:-1], strict=True):
                if is_next(model, after) and model.n_components > 1:
                    model._lower(rows.table, rows.weight, after)
    return [
        rows.candidate(model, own) for model, own in zip(models, seconds, strict=True)
    ]


def searched(candidate: Candidate, model: MixtureModel, rows: Rows) -> Candidate:
    """Search for a better optimum as a single fit does, by a mixture that is new."""
    began = time.perf_counter()
    with _told_already():
        rows.fit(model)
    seconds = candidate.seconds + time.perf_counter() - began
    if model._fitted_bound() <= candidate.mixture._fitted_bound():
        return replace(candidate, seconds=seconds)
    return rows.candidate(model, seconds)


def near_the_best(
    fitted: Sequence[Sequence[Candidate]], criterion: str
) -> list[set[int]]:
    """Return the numbers of components of those that may yet be the best.

    Those that are close behind it, and the next one: the optimum that it has found may
    be a poor one. One component less has mergers of the best one for starts. `fitted`
    has the candidates of each structure.
    """
    near = worth_refining(fitted, criterion, CLOSE, 0.0)
    ranked = [[c.judged_by(criterion) for c in those] for those in fitted]
    own = min(range(len(fitted)), key=lambda i: min(ranked[i]))
    place = ranked[own].index(min(ranked[own]))
    near[own] |= {c.n_components for c in fitted[own][place : place + 2]}
    return near


@contextmanager
def _told_already() -> Iterator[None]:
    """Leave out what `results_` says of all candidates, and what was said once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message=f"Column .* {TAKEN}")
        yield


def is_next(model: MixtureModel, after: MixtureModel) -> bool:
    """Whether there is one component more."""
    return model.n_components + 1 == after.n_components
