"""How a mixture of a table is fitted: by a search, from a start, by batches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skem._fitted.shared import LabelsItsData
from skem._fitting.fitting import START_ANEW
from skem._fitting.monitor import line_of
from skem._fitting.state import PlainState
from skem._fitting.streaming import unfitted, warn_of_lost
from skem._inputs.callers import users_level
from skem._inputs.families import (
    Columns,
    distinct,
    place_of,
    resolve,
    warn_of_codes,
)
from skem._inputs.tables import Table, read_weighed
from skem._inputs.validation import check_labels, check_n_samples
from skem._report.text import (
    MOST_NAMED,
    NOT_IDENTIFIED,
    UNDETERMINED,
    capitalised,
    count,
    rows_of_components,
)
from skem._tables.described import DescribedTable, outward_parameters
from skem._tables.fitted import FittedTable
from skem._tables.gathering import TableGathering
from skem._tables.start import given_start
from skem.core.blocks.threads import Workers
from skem.core.mixture.stream import Forgetting
from skem.core.search.climb import height
from skem.core.search.follow import follow
from skem.core.solve.loop import Solution
from skem.core.solve.registry import ACCELERATORS
from skem.exceptions import DegenerateComponentsWarning
from skem.families.degeneracy import degenerate_components
from skem.families.hurdle import Hurdle
from skem.families.point import Given, Point
from skem.families.search import Neighbour, TableSearch
from skem.families.stream import TableStream
from skem.families.table_map import TableMap, by_weight

OF_ONE_FIT = ("labels_", "search_bounds_")
"""Attributes that a stream does not have."""


class FittingTable(PlainState, DescribedTable, LabelsItsData):
    """The fits of a `MixtureModel`, which has the parameters."""

    n_components: int
    families: Any
    covariance_type: str
    tol: float
    pseudo_observations: float | str
    max_iter: int
    n_init: int | str
    algorithm: str
    weights_init: Any
    parameters_init: Any
    warm_start: bool
    verbose: int
    fixed: Any
    learning_decay: float
    learning_window: float | None
    converged_: bool
    n_iter_: int
    search_bounds_: np.ndarray
    degenerate_components_: np.ndarray
    _stream: TableStream | TableGathering
    _began_with: dict[str, Any]

    _internal = (
        "_columns",
        "_product",
        "_laws",
        "_stream",
        "_dtypes",
        "_covariances",
    )

    def _why_unfitted(self) -> str | None:
        state = getattr(self, "_stream", None)
        if not isinstance(state, TableGathering):
            return None
        needed = max(self.n_components, 2)
        lack = (
            f"and {needed} are needed"
            if state.n_seen < needed
            else "and a column without a value in all of them"
        )
        return unfitted(state.n_seen, lack)

    def _validated_fit(
        self, X: Any, sample_weight: ArrayLike | None, labels: ArrayLike | None
    ) -> None:
        self._validate_params()
        table, weight = read_weighed(self, X, sample_weight, reset=True, min_samples=2)
        known = check_labels(labels, table.n_rows, self.n_components, weight)
        warm = self.warm_start and hasattr(self, "weights_")
        if warm:
            self._check_unchanged(START_ANEW)
            if [column.name for column in table.columns] != list(self._columns.names):
                raise ValueError(
                    "warm_start=True needs the columns of the present mixture, "
                    f"{list(self._columns.names)}. {START_ANEW}"
                )
        if not warm:
            warn_of_codes(self.families, table, weight)
        self._fit_table(table, weight, known, warm=warm)
        if len(self.degenerate_components_):
            warnings.warn(
                f"Components {self.degenerate_components_.tolist()} {UNDETERMINED} "
                f"{self._few_rows()}Try to decrease the number of components.",
                DegenerateComponentsWarning,
                stacklevel=users_level(),
            )
        if known is None:
            self._warn_unless_identified()

    def _warn_unless_identified(self) -> None:
        """Say so if there are more parameters than the table can determine."""
        (kind, places), *others = self._columns.groups
        if isinstance(kind, Hurdle) and not others and len(self.weights_) > 1:
            name = self._columns.names[places[0]]
            warnings.warn(
                f"{NOT_IDENTIFIED}: zeros of the column {name!r} alone do not tell the "
                "components apart. So weights and zero probabilities are not "
                "determined, but for their products' sum. Use more columns, or the "
                "positive values alone.",
                UserWarning,
                stacklevel=users_level(),
            )
        n_cells = self._columns.n_cells
        if n_cells is not None and self.n_parameters_ > n_cells - 1:
            warnings.warn(
                f"{NOT_IDENTIFIED}: there are {self.n_parameters_} free ones, and a "
                f"table of {count(n_cells, 'cell')} determines at most {n_cells - 1}. "
                "Use fewer components or more columns.",
                UserWarning,
                stacklevel=users_level(),
            )

    def _few_rows(self) -> str:
        """Say which rows degenerate components rest on, if these are a few."""
        labels = vars(self).get("labels_")
        if not isinstance(labels, np.ndarray):
            return ""
        rows = {k: np.flatnonzero(labels == k) for k in self.degenerate_components_}
        told = rows_of_components(
            {k: own for k, own in rows.items() if 0 < len(own) <= MOST_NAMED}
        )
        return f"{capitalised(told)}: look there for errors. " if told else ""

    def _validated_partial_fit(self, X: Any, sample_weight: ArrayLike | None) -> None:
        self._validate_params()
        fresh = not hasattr(self, "n_features_in_")
        table, weight = read_weighed(self, X, sample_weight, reset=fresh)
        state: TableStream | TableGathering | None = getattr(self, "_stream", None)
        if state is not None:
            self._check_unchanged("Call fit, or clone the estimator, to begin anew.")
        elif hasattr(self, "weights_"):
            raise ValueError(
                "The mixture has no statistics that a stream could go on from: it was "
                "loaded from a file, or is a part of another one. Call fit to begin "
                "anew."
            )
        if isinstance(state, TableStream):
            self._advance(state, table, weight)
            return
        if state is None:
            state = TableGathering(table, weight)
        else:
            state = state.join(table, weight)
        if state.is_due(self.n_components):
            if not state.told:
                told = warn_of_codes(self.families, state.table, state.weight)
                state = replace(state, told=told)
            self._fit_table(state.table, state.weight, None)
            state = replace(state, n_fitted=state.n_seen)
            self.converged_ = False
            self._forget_fit()
        elif state.has_values:
            self._check_gathered(state)
        if not state.is_enough(self.n_components):
            self._stream, self._began_with = state, self._structure()
        else:
            self._warn_unless_identified()

    def _forget_fit(self) -> None:
        """Leave out what a stream does not have."""
        for name in OF_ONE_FIT:
            self.__dict__.pop(name, None)

    def _check_gathered(self, state: TableGathering) -> None:
        """Refuse a batch that would be refused when all rows so far are fitted."""
        with warnings.catch_warnings():
            # It is told then.
            warnings.simplefilter("ignore", UserWarning)
            groups = resolve(self.families, self.covariance_type, state.table)
        columns = Columns.of(state.table, groups, state.weight)
        columns.read(state.table, "missing", state.weight)

    def _structure(self) -> dict[str, Any]:
        """Return the parameters that a stream keeps."""
        names = ("n_components", "covariance_type", "families")
        return {name: getattr(self, name) for name in names}

    def _check_unchanged(self, advice: str) -> None:
        for name, before in self._began_with.items():
            now = getattr(self, name)
            if now is not before and now != before:
                raise ValueError(
                    f"{name} has changed from {before!r} to {now!r}. {advice}"
                )

    def _advance(self, stream: TableStream, table: Table, weight: np.ndarray) -> None:
        """Take one step of a stream that has begun."""
        columns = self._columns.with_another(table, weight)
        if columns is not self._columns:
            known = self._columns.labels
            more = [j for j, own in columns.labels.items() if own != known[j]]
            stream = stream.with_another(more)
            self._set_columns(columns, stream.product, self.n_components)
        values, few = columns.read(table, self.handle_unknown, weight)
        if table.file is None:
            kept = np.flatnonzero(weight > 0)
            values = few = np.ascontiguousarray(values[:, kept])
            weight = weight[kept]
            stream = stream.widened(values, weight)
        forgetting = Forgetting.of(
            self.learning_decay, self.learning_window, stream.unit
        )
        with Workers() as workers:
            em = TableMap(stream.product.of(few), values, weight, workers)
            stream = stream.advance(em, forgetting)
        before = self.degenerate_components_
        self._set_stream(stream)
        self._set_point(columns, stream.product.as_points(), stream.point)
        self.converged_ = False
        self.n_iter_ += 1
        self.lower_bound_ = stream.loglik
        if self.verbose:
            print(line_of(self, self.n_iter_, self.lower_bound_))
        warn_of_lost(before, self.degenerate_components_)

    def _set_stream(self, stream: TableStream) -> None:
        """Take the sums that stand for the data, and what these do not support."""
        self._stream = stream
        self._forget_fit()
        self.degenerate_components_ = degenerate_components(
            stream.product, stream.point, stream.size
        )

    def _fit_table(
        self,
        table: Table,
        weight: np.ndarray,
        known: np.ndarray | None,
        *,
        warm: bool = False,
        beside: FittedTable | None = None,
        brief: bool = False,
    ) -> None:
        if self.fixed is not None and not warm:
            raise ValueError(
                "fixed needs values: warm_start=True, and a mixture that is fitted."
            )
        if self.weights_init is not None and self.parameters_init is None:
            raise ValueError(
                "weights_init needs parameters_init: weights alone do not tell "
                "components apart."
            )
        check_n_samples(int(np.count_nonzero(weight)), self.n_components)
        if warm:
            columns = self._columns
        else:
            groups = resolve(self.families, self.covariance_type, table)
            columns = Columns.of(table, groups, weight)
        with Workers() as workers:
            em, product = self._prepared(columns, table, weight, known, workers)
            if warm:
                start = product.carried(self._point, self._product)
                given = self._given_parts(start)
                product = replace(product, given=given)
                em = replace(em, product=replace(em.product, given=given))
                ends = [self._finished(em, start, None)]
            elif self.parameters_init is not None:
                ends = [self._from_given(em, columns)]
            else:
                ends = self._searched(em, beside, brief)
            sort = not warm and self.parameters_init is None
            if not sort:
                self._tell("Run from the given parameters", ends[0])
            self._take(columns, table, weight, em, product, ends, sort=sort)
        best = ends[0]
        if not best.converged:
            warnings.warn(
                "Best performing initialization did not converge: an estimated "
                f"{best.accelerator.remaining:.3g} nats of log-likelihood are left to "
                "be gained. Increase max_iter or tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=users_level(),
            )

    def _tell(self, what: str, end: Solution) -> None:
        """Print where a search or a run has come to, if that is wanted."""
        if self.verbose:
            here = end.evaluation
            mean = here.loglik / here.em.total_weight
            print(f"{what}: mean log-likelihood {mean:.6f}", flush=True)

    def _lower(self, table: Table, weight: np.ndarray, beside: FittedTable) -> None:
        """Take a better optimum, if that of one component more leads to one."""
        columns = self._columns
        with Workers() as workers:
            em, product = self._prepared(columns, table, weight, None, workers)
            start = product.carried(self._point, self._product)
            rng = check_random_state(self.random_state)
            search = TableSearch(self.n_components, rng, self._finished, brief=True)
            best = search.lowered(em, start, responsibilities_of(beside))
            if best is not None:
                self._take(columns, table, weight, em, product, [best], sort=True)

    def _take(
        self,
        columns: Columns,
        table: Table,
        weight: np.ndarray,
        em: TableMap,
        product: Any,
        ends: Sequence[Solution],
        *,
        sort: bool,
    ) -> None:
        """Set what a fit has found: the first of the ends, and how high all are."""
        best = ends[0]
        point = best.evaluation.parameters
        if em.known is None and sort:
            point = by_weight(em, point)
        self._set_fit(columns, table, product.as_points(), point, best)
        evaluation = em.evaluate(point)
        follows = isinstance(self.pseudo_observations, str)
        self._set_stream(TableStream.begin(evaluation, product, follows))
        self._began_with = self._structure()
        points = em.product.as_points()
        if em.known is not None or points is not em.product:
            scored = TableMap(points, em.values, em.weight, em.workers)
            evaluation = scored.evaluate(point)
        total = float(weight.sum())
        self.lower_bound_ = evaluation.loglik / total
        # What is climbed has a penalty, and widths of values that are shared.
        behind = [height(best) - height(end) for end in ends]
        self.search_bounds_ = self.lower_bound_ - np.array(behind) / total
        if table.file is None:
            values, few = columns.read(table, self.handle_unknown, weight)
            even = np.ones(table.n_rows)
            self._label(TableMap(self._product.of(few), values, even, em.workers))

    def _fitted_bound(self) -> float:
        """Mean log-likelihood that the fit has climbed: shared values have widths."""
        assert isinstance(self._stream, TableStream)
        return self._stream.loglik

    def _excess(
        self, table: Table, weight: np.ndarray, known: np.ndarray | None
    ) -> float:
        """Nats of the log-likelihood that come from taking shared values for points.

        After a fit to these rows.
        """
        assert isinstance(self._stream, TableStream)
        product = self._stream.product
        points = product.as_points()
        if points is product:
            return 0.0
        values, few = self._columns.read(table, self.handle_unknown, weight)
        with Workers() as workers:
            of_points, climbed = (
                TableMap(each.of(few), values, weight, workers, known)
                .evaluate(self._point)
                .loglik
                for each in (points, product)
            )
        return of_points - climbed

    def _given_parts(self, start: Point) -> Given | None:
        """Return what is fixed, with its values."""
        if self.fixed is None:
            return None
        names = list(self._columns.names)
        columns = [part for part in self.fixed if part != "weights"]
        chosen = {place_of(part, names, "fixed") for part in columns}
        groups = []
        for _, places in self._columns.groups:
            own = chosen & set(places)
            if own and own != set(places):
                raise ValueError(
                    f"The columns {[names[j] for j in places]} are one group: fix all "
                    "of them, or none."
                )
            groups.append(bool(own))
        return Given(start, "weights" in self.fixed, tuple(groups))

    def _prepared(
        self,
        columns: Columns,
        table: Table,
        weight: np.ndarray,
        known: np.ndarray | None,
        workers: Workers,
    ) -> tuple[TableMap, Any]:
        """Return the map of the data, and the models whatever is missing."""
        values, few = columns.read(table, self.handle_unknown, weight)
        auto = isinstance(self.pseudo_observations, str)
        epsilon = None if auto else float(self.pseudo_observations)
        product = columns.product(values, weight, self.n_components, epsilon)
        if table.file is not None:
            return TableMap(product.of(few), values, weight, workers, known), product
        if not weight.all():
            kept = np.flatnonzero(weight)
            values, weight = values[:, kept], weight[kept]
            known = None if known is None else known[kept]
        merged = distinct(values, weight, known) if columns.discrete else None
        if merged is not None:
            first, weight = merged
            values, known = values[:, first], None if known is None else known[first]
        values = np.ascontiguousarray(values)
        return TableMap(product.of(values), values, weight, workers, known), product

    def _searched(
        self, em: TableMap, beside: FittedTable | None, brief: bool
    ) -> list[Solution]:
        """Return the ends of the searches that are asked for, the best first."""
        rng = check_random_state(self.random_state)
        neighbour = None if beside is None else responsibilities_of(beside)
        search = TableSearch(
            self.n_components,
            rng,
            self._finished,
            neighbour,
            brief=brief,
            tell=partial(self._tell, "Search"),
        )
        n_init = None if isinstance(self.n_init, str) else self.n_init
        return search.optima(em, n_init)

    def _from_given(self, em: TableMap, columns: Columns) -> Solution:
        """Run from the parameters that users give, without a search."""
        rng = check_random_state(self.random_state)
        pool = em
        if not isinstance(em.values, np.ndarray):
            pool = TableSearch(self.n_components, rng, self._finished).pool(em)
        resp = given_start(
            pool, columns, self.weights_init, self.parameters_init, self.n_components
        )
        return self._finished(em, pool.labelled(resp), None)

    def _finished(
        self,
        em: TableMap,
        start: Point,
        earlier: Solution | None,
        give_up: Any = None,
        rough: float = 0.0,
    ) -> Solution:
        accelerate = ACCELERATORS[self.algorithm]
        limits = self.tol, self.max_iter
        return follow(
            accelerate, *limits, em, start, earlier, rough=rough, callback=give_up
        )

    def _set_fit(
        self,
        columns: Columns,
        table: Table,
        product: Any,
        point: Point,
        best: Solution,
    ) -> None:
        self._container = table.container
        self._dtypes = None if table.dtypes is None else list(table.dtypes)
        self._set_columns(columns, product, self.n_components)
        self._set_point(columns, product, point)
        self.converged_ = bool(best.converged)
        self.n_iter_ = best.n_iter

    def _set_columns(self, columns: Columns, product: Any, n_components: int) -> None:
        self.families_ = {
            columns.names[j]: kind.name
            for kind, places in columns.groups
            for j in places
        }
        self.families_ = {name: self.families_[name] for name in columns.names}
        self.categories_ = {
            columns.names[j]: _label_array(labels)
            for j, labels in sorted(columns.labels.items())
        }
        self.n_parameters_ = product.n_free(n_components)

    def _set_point(self, columns: Columns, product: Any, point: Point) -> None:
        self._columns, self._product, self._laws = columns, product, point.laws
        # A copy, as it may be edited, and a stream has the point too.
        self.weights_ = point.weights.copy()
        self._parameters, self._covariances = outward_parameters(
            columns, product, point
        )


def responsibilities_of(mixture: FittedTable) -> Neighbour:
    """Return what tells those of the rows of another map of the same columns."""

    def of(em: TableMap) -> np.ndarray:
        product = mixture._product.of(em.values)
        own = TableMap(product, em.values, em.weight, em.workers)
        return np.hstack([resp for _, _, resp in own.posterior(mixture._point)])

    return of


def _label_array(labels: Sequence[Any]) -> np.ndarray:
    """Return labels as an array, of objects if they are of more than one type."""
    if len({type(label) for label in labels}) == 1 and not isinstance(labels[0], str):
        return np.array(labels)
    found = np.empty(len(labels), dtype=object)
    found[:] = labels
    return found
