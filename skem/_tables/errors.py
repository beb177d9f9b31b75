"""Standard errors of the mixture of a table, from the scores of its rows.

With responsibilities r and D_k the derivatives of log w_k p(x | k), the score of a row
is s = Σ_k r_k D_k, and minus the Hessian of its log-likelihood (Louis 1982)

    s sᵀ − Σ_k r_k (D_k D_kᵀ + ∂D_k).

Pseudo-observations of categories, and of zeros of a hurdle, count as the rows that they
stand for: of ε p̄_c rows in component k, D_k is the score, and −∂D_k minus the Hessian.
So their scores add up to zero. Those of other families, as of counts, are no rows:
where a rate is near zero the outer product of its scores may be too small, and errors
by that too large. What is identified is told without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from skem._errors.bounds import INDISTINCT, costs
from skem._errors.groups import GroupSums
from skem._errors.information import Rows, warn_of_few_rows
from skem._inputs.callers import users_level
from skem._tables.coordinates import (
    FreeCoordinates,
    HurdleLogits,
    Logits,
    ModelLogits,
    ShareCoordinates,
    WeightLogits,
)
from skem.families.categories import CategoricalModel
from skem.families.hurdle import HurdleModel
from skem.families.point import Point
from skem.families.table_map import TableMap

IDENTIFIED = 1e-8
"""Share of the largest information below which a direction has none."""
UNKNOWN = 1e-4
"""Share of a parameter's gradient in such directions from which it is not known."""
OTHER_ROWS = 2**15
"""Rows with another category in a cell that are made, at most, about."""
OF_CURVATURE = ("hessian", "sandwich", "survey")
"""Methods that invert minus the Hessian."""
NEGLIGIBLE = 1e-100
"""Of a score, beside others of about one."""
LIFTED = 1e-6
"""A proportion on its border is moved there, to see what moves with it."""


@dataclass(frozen=True)
class Information:
    """Scores, and what is made of them, about a point."""

    em: TableMap
    point: Point
    weight: np.ndarray
    groups: np.ndarray | None = None

    @cached_property
    def _of_categories(self) -> list[tuple[int, CategoricalModel]]:
        """Columns of categories."""
        product = self.em.product
        batch = () if product.batch is None else product.batch.models
        return list(zip(product.batched, batch, strict=True))

    @cached_property
    def parts(self) -> list[FreeCoordinates]:
        """Coordinates of the weights, and of each model, unless they are given."""
        point, counts = self.point, self.em.chart(self.point).counts
        models, given = self.em.product.models, self.em.product.given
        free = (True,) * (1 + len(models))
        if given is not None:
            free = (not given.weights, *(not each for each in given.groups))
        values: list[Any] = [point.weights, *point.laws]
        found: list[Callable[[], FreeCoordinates]] = [
            partial(ShareCoordinates.of_weights, point.weights, counts)
        ]
        for model, laws in zip(models, point.laws, strict=True):
            found.append(partial(FreeCoordinates.of_model, model, laws, counts))
        for j, model in self._of_categories:
            of = ShareCoordinates.of_categories
            found[1 + j] = partial(of, model, point.laws[j], counts)
        return [
            of() if own else FreeCoordinates.none(value, len(counts))
            for of, own, value in zip(found, free, values, strict=True)
        ]

    @cached_property
    def on_bounds(self) -> np.ndarray:
        """Mask of the coordinates of what is on a bound of its range."""
        point, found = self.point, [np.zeros(part.size, bool) for part in self.parts]
        tests = [
            (j, model.moved(laws, bound), np.zeros(len(point.weights)))
            for j, (model, laws) in enumerate(
                zip(self.em.product.models, point.laws, strict=True)
            )
            if model.bounds is not None and self.parts[1 + j].size
            for bound in (model.bounds.least, model.bounds.most)
        ]
        if tests:
            for rows, _, resp in self.em.posterior(point):
                logits = list(self._logits(self.em.numbers(rows)))[1:]
                for j, laws, cost in tests:
                    changes = logits[j](laws) - logits[j](point.laws[j])
                    cost += costs(resp, changes, self.weight[rows])
        for j, _, cost in tests:
            bounds = self.em.product.models[j].bounds
            assert bounds is not None
            own = found[1 + j].reshape(len(cost), -1)
            own[np.abs(cost) < INDISTINCT, bounds.column] = True
        for j, low in self._on_border():
            if j not in self.em.product.batched:
                found[1 + j] |= low.ravel()
        return np.concatenate(found)

    @cached_property
    def starts(self) -> list[int]:
        """Where the coordinates of each begin, and the end."""
        return np.cumsum([0] + [part.size for part in self.parts]).tolist()

    def at(self, vector: np.ndarray) -> Point:
        """Return the point of coordinates."""
        cuts = self.starts[1:-1]
        weights, *laws = (
            part.unpack(own)
            for part, own in zip(self.parts, np.split(vector, cuts), strict=True)
        )
        return Point(weights, tuple(laws))

    def _logits(self, values: np.ndarray) -> Iterator[Logits]:
        """Yield functions of weights, and of laws: parts of log w p(x), (K, b)."""
        product = self.em.product
        yield WeightLogits(len(self.point.weights), values.shape[1])
        for model, place in zip(product.models, product.places, strict=True):
            yield ModelLogits(model, model.rows(values[place]))

    @cached_property
    def _moves(self) -> np.ndarray:
        """The coordinate that moves each component, for all directions."""
        pairs = zip(self.parts, self.starts, strict=False)
        shifted = [np.where(p.moves >= 0, p.moves + start, -1) for p, start in pairs]
        return np.vstack(shifted)

    def _scored(
        self, logits: list[Logits], resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return D along each direction, and the scores of rows."""
        pairs = zip(self.parts, logits, strict=True)
        slopes = np.array([slope for part, own in pairs for slope in part.slopes(own)])
        scores = np.zeros((self.starts[-1], resp.shape[1]))
        for k, r in enumerate(resp):
            there = self._moves[:, k] >= 0
            scores[self._moves[there, k]] += slopes[there, k] * r
        return slopes, scores

    def matrices(
        self, *, survey: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return minus the Hessian, and the sum of outer products of scores.

        And how much their sum varies: with squares of the weights, of a survey, and
        those of groups.
        """
        p = self.starts[-1]
        outer, inner, squared = np.zeros((3, p, p))
        sums = None if self.groups is None else GroupSums(self.groups, p)
        for rows, _, resp in self.em.posterior(self.point):
            logits, v = list(self._logits(self.em.numbers(rows))), self.weight[rows]
            weighted = resp * v
            slopes, scores = self._scored(logits, resp)
            outer += _products(scores, v)
            if sums is not None:
                sums.add(rows, scores * v)
            elif survey:
                squared += _products(scores, v**2)
            for k, own in enumerate(weighted):
                there = self._moves[:, k] >= 0
                D, into = slopes[there, k], self._moves[there, k]
                inner[np.ix_(into, into)] += _products(D, own)
            for part, start, own in zip(self.parts, self.starts, logits, strict=False):
                _add_curvatures(part, start, own, weighted, inner)
        varying = squared if survey else outer
        return outer - inner, outer, varying if sums is None else sums.products

    def pseudo(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrices of the pseudo-observations that count as rows."""
        outer, inner = np.zeros((2, self.starts[-1], self.starts[-1]))
        K = len(self.point.weights)
        models: list[tuple[int, CategoricalModel | HurdleModel]] = [
            *self._of_categories,
            *(
                (j, model)
                for j, model in enumerate(self.em.product.models)
                if isinstance(model, HurdleModel)
            ),
        ]
        for j, model in models:
            part, start = self.parts[1 + j], self.starts[1 + j]
            if part.size:
                each: Logits = HurdleLogits()
                if isinstance(model, CategoricalModel):
                    each = ModelLogits(model, np.eye(model.n_rows))
                v = np.tile(model.epsilon * model.pooled, (K, 1))
                _add_curvatures(part, start, each, v, inner)
                slopes = np.array(part.slopes(each))
                for k, into in enumerate((part.moves + start).T):
                    D = slopes[:, k]
                    outer[np.ix_(into, into)] += (D * v[k]) @ D.T
        return -inner, outer

    def possible(self, outer: np.ndarray) -> np.ndarray:
        """Add the outer products of rows that might have been seen.

        They are the rows with another category in one cell, as likely as that is given
        the others. A direction in which no row that is possible has a score is not
        identified; in others it may be that those are rare which have one.
        """
        em, point = self.em, self.point
        if not self._of_categories:
            return outer
        values, known = self._some_rows
        share = self.weight.sum() / max(values.shape[1], 1)
        for j, model in self._of_categories:
            C, place = model.n_rows, em.product.places[j][0]
            seen = ~np.isnan(values[place])
            others = np.tile(values[:, seen], C)
            others[place] = np.repeat(np.arange(C), seen.sum())
            if not others.size:
                continue
            labels = None if known is None else np.tile(known[seen], C)
            ones = np.ones(others.shape[1])
            swapped = replace(em, values=others, weight=ones, known=labels, keep=False)
            found = np.concatenate([f for _, f, _ in swapped.posterior(point)])
            odds = found.reshape(C, -1)
            odds = np.exp(odds - odds.max(axis=0))
            v = share * (odds / odds.sum(axis=0)).ravel()
            for block, _, resp in swapped.posterior(point):
                logits = list(self._logits(others[:, block]))
                _, scores = self._scored(logits, resp)
                outer = outer + _products(scores, v[block])
        return outer

    @property
    def _some_rows(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows of all parts of the table, of categories alone distinct ones."""
        em, found = self.em, []
        blocks = [rows for rows, *_ in em.posterior(self.point)]
        n_others = sum(model.n_rows for _, model in self._of_categories)
        # Each has about as many others as there are parameters of a component.
        least = 4 * len(self.point.weights)
        most = -(-max(OTHER_ROWS // n_others, least) // len(blocks))
        for block in blocks:
            rows = em.numbers(block)
            if em.known is not None:
                rows = np.vstack([rows, em.known[block]])
            rows = rows[:, self.weight[block] > 0]
            if not em.product.single:
                as_numbers = np.nan_to_num(rows, nan=-2.0)
                _, first = np.unique(as_numbers, axis=1, return_index=True)
                rows = rows[:, np.sort(first)]
            found.append(rows[:, :: max(-(-rows.shape[1] // most), 1)])
        rows = np.hstack(found)
        if em.known is None:
            return rows, None
        return rows[:-1], rows[-1].astype(int)

    @property
    def n_common(self) -> int:
        """Number of directions that leave all shares as they are."""
        K = len(self.point.weights)
        free = [self.parts[1 + j].size > 0 for j, _ in self._of_categories]
        return K * sum(free) + (self.parts[0].size > 0)

    @cached_property
    def border(self) -> Border:
        """Proportions of about zero that no pseudo-observation keeps from there."""
        laws, held = list(self.point.laws), [np.zeros(p.size, bool) for p in self.parts]
        for j, low in self._on_border():
            if j in self.em.product.batched:
                held[1 + j] = low.ravel()
                there = np.where(low, LIFTED, laws[j]["proportions"])
                laws[j] = {"proportions": there / there.sum(axis=1, keepdims=True)}
        return Border(np.concatenate(held), Point(self.point.weights, tuple(laws)))

    def _on_border(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield models with coordinates of what is zero, and the mask of these."""
        counts = self.em.chart(self.point).counts
        pairs = zip(self.em.product.models, self.point.laws, strict=True)
        for j, (model, laws) in enumerate(pairs):
            found = model.on_border(laws, counts) if self.parts[1 + j].size else None
            if found is not None and found.any():
                yield j, found

    def rows(self) -> Rows:
        """Return how many rows and free parameters there are."""
        K = len(self.point.weights)
        used, counts = self.weight > 0, np.zeros(K)
        for rows, _, resp in self.em.posterior(self.point):
            counts += resp @ used[rows]
        # What components share is alike in all of them.
        moves = np.vstack([part.moves for part in self.parts[1:]])
        apart = (moves != moves[:, :1]).any(axis=1) | (K == 1)
        n_weights = min(self.parts[0].size, 1)
        n_own = n_weights + (moves[apart] >= 0).sum(axis=0)
        n_free = self.starts[-1] - n_weights
        return Rows(counts, n_own, int(used.sum()), n_free)


class Border(NamedTuple):
    """Mask of the coordinates that are held at zero, and a point that is off it."""

    held: np.ndarray
    off: Point


def _products(scores: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Σ v s sᵀ, without what is so small that processors take long for it."""
    scaled = scores * np.sqrt(weight)
    scaled[np.abs(scaled) < NEGLIGIBLE] = 0.0
    return scaled @ scaled.T


def _add_curvatures(
    part: FreeCoordinates,
    start: int,
    logits: Logits,
    weighted: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Σ v r ∂D of a model to a matrix."""
    for i, j, found in part.curvatures(logits, weighted):
        for k, value in enumerate(found):
            row, column = part.moves[i, k], part.moves[j, k]
            if row >= 0 and column >= 0:
                out[start + row, start + column] += value
                if i != j:
                    out[start + column, start + row] += value


def errors_of(
    em: TableMap,
    point: Point,
    weight: np.ndarray,
    outward: Callable[[Point], dict[Any, np.ndarray]],
    method: str,
    groups: np.ndarray | None = None,
    *,
    elsewhere: bool = False,
) -> dict[Any, np.ndarray]:
    """Return the errors of what `outward` makes of a point, by the delta method.

    Rows of one of the `groups`, numbers from 0 on, may depend on each other. It has
    been said if the point is `elsewhere`, at no maximum.
    """
    information = Information(em, point, weight, groups)
    size = information.starts[-1]
    here = outward(point)
    if not size:
        return {key: np.zeros(values.shape) for key, values in here.items()}

    def flat(point: Point) -> np.ndarray:
        return np.concatenate([values.ravel() for values in outward(point).values()])

    gradients = np.empty((size, sum(values.size for values in here.values())))
    reach = np.concatenate([part.reach for part in information.parts])
    # Of a component that no row has, or without extent, no step may be small enough.
    with np.errstate(all="ignore"):
        for gradient, step in zip(gradients, np.diag(reach), strict=True):
            first, second = (flat(information.at(sign * step)) for sign in (1, -1))
            gradient[:] = (first - second) / (2 * step.max())
        matrices = Matrices.of(information, method)
        held = information.border.held
        gradients[held] = 0.0
        on_bounds = information.on_bounds
        off = flat(information.border.off)
        moved = np.abs(off - flat(point))
        on_border = (moved > 0) & (moved > off * (1 - off) / 2)

        def errors_by(method: str) -> np.ndarray:
            errors = _delta(matrices, gradients, method, on_bounds)
            return np.where(on_border, np.inf, errors)

        errors = errors_by(method)
        told = elsewhere or warn_of_few_rows(
            [errors], lambda: [errors_by("hessian")], information.rows
        )
        if not told:
            _warn_of_unknown(errors, here, method, lambda: errors_by("hessian"))
    return dict(zip(here, _cut(errors, here), strict=True))


def _cut(errors: np.ndarray, like: dict[Any, np.ndarray]) -> list[np.ndarray]:
    """Cut a vector into arrays of given shapes."""
    cuts = np.cumsum([values.size for values in like.values()])[:-1]
    pairs = zip(np.split(errors, cuts), like.values(), strict=True)
    return [part.reshape(values.shape) for part, values in pairs]


def _warn_of_unknown(
    errors: np.ndarray,
    like: dict[Any, np.ndarray],
    method: str,
    by_hessian: Callable[[], np.ndarray],
) -> None:
    """Say so if errors are NaN, and of what."""
    unknown = np.isnan(errors)
    if not unknown.any():
        return
    pairs = zip(like, _cut(unknown, like), strict=True)
    keys = [key if isinstance(key, str) else key[0] for key, u in pairs if u.any()]
    names = ", ".join(map(repr, dict.fromkeys(keys)))
    why = "the rows do not determine them. Fewer components or more columns may help."
    if method != "hessian" and (unknown & np.isfinite(by_hessian())).any():
        why = "scores do not vary in all directions. Take method='hessian'."
    warnings.warn(
        f"Some standard errors of {names} are NaN: {why}",
        UserWarning,
        stacklevel=users_level(),
    )


class Matrices(NamedTuple):
    """Minus the Hessian A and the outer products B of scores, with pseudo-observations.

    What has information in `told`, by method, is identified.
    """

    hessian: np.ndarray
    outer: np.ndarray
    told: dict[str, np.ndarray]

    @classmethod
    def of(cls, information: Information, method: str) -> Matrices:
        """Return those of the rows, without what is held on a border."""
        hessian, outer, varying = information.matrices(survey=method == "survey")
        of_pseudo = information.pseudo()
        held = information.border.held
        single = not all(
            isinstance(model, CategoricalModel | HurdleModel)
            for model in information.em.product.models
        )
        told = outer
        if method == "opg" or not single:
            _, _, known = _eigen(np.nan_to_num(_without(held, outer)))
            if (~known).sum() > information.n_common + held.sum():
                told = information.possible(outer)
        # Of shares alone, curvature without scores is the penalty's, or chance.
        curved = _without(held, hessian if single else told)
        return cls(
            _without(held, hessian + of_pseudo[0]),
            _without(held, varying + of_pseudo[1]),
            {"opg": _without(held, told)} | dict.fromkeys(OF_CURVATURE, curved),
        )


def _without(held: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.where(held[:, None] | held, 0.0, matrix)


def _delta(
    matrices: Matrices,
    gradients: np.ndarray,
    method: str,
    on_bounds: np.ndarray | bool = False,
) -> np.ndarray:
    """Return errors of functions with gradients (p, q), NaN where they are not known.

    What has no finite curvature is taken for what the data say nothing of. What is on a
    bound is held there: its error is infinite, and it has no part in the others'.
    """
    hessian, outer, told = matrices.hessian, matrices.outer, matrices.told[method]
    finite = np.isfinite(np.diag(hessian)) & np.isfinite(np.diag(outer)) & ~on_bounds
    both = finite[:, None] & finite
    hessian, outer, told = (
        np.where(both & np.isfinite(matrix), matrix, 0.0)
        for matrix in (hessian, outer, told)
    )
    gradients = np.nan_to_num(gradients, nan=np.finfo(float).max)
    units = np.abs(gradients).max(axis=0)
    gradients = gradients / np.where(units > 0, units, 1.0)
    _, vectors, known = _eigen(told)
    base = vectors[:, known]
    inverted = outer if method == "opg" else hessian
    values, vectors, known = _eigen(base.T @ inverted @ base)
    base = base @ vectors[:, known]
    along = base.T @ gradients
    solved = along / values[known, None]
    if method in ("sandwich", "survey"):
        variances = np.einsum("ij,ik,kj->j", solved, base.T @ outer @ base, solved)
    else:
        variances = (along * solved).sum(axis=0)
    total = np.square(gradients).sum(axis=0)
    lost = np.square(gradients - base @ along).sum(axis=0)
    errors = units * np.sqrt(np.maximum(variances, 0.0))
    errors = np.where(lost > UNKNOWN**2 * total, np.nan, errors)
    bound = np.broadcast_to(on_bounds, len(gradients))
    return np.where((gradients[bound] != 0).any(axis=0), np.inf, errors)


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalues and eigenvectors, and which directions have information."""
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors, values > IDENTIFIED * values.max(initial=1.0)


def unflattened(errors: dict[Any, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return errors of (column, name) by column and then by name."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, values in errors.items():
        if key != "weights":
            found.setdefault(key[0], {})[key[1]] = values
    return found
