"""Standard errors of the mixture of a table, from the scores of its rows.

With responsibilities r and D_k the derivatives of log w_k p(x | k), the score of a row
is s = Σ_k r_k D_k, and minus the Hessian of its log-likelihood (Louis 1982)

    s sᵀ − Σ_k r_k (D_k D_kᵀ + ∂D_k).

Derivatives are central differences in coordinates in which the information is about the
identity. Most coordinates move one component alone, so that those of different
components are moved together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from skem._errors.bounds import INDISTINCT, costs
from skem._errors.information import Rows, warn_of_few_rows
from skem.families.model import Laws, Model
from skem.families.point import Point
from skem.families.table_map import TableMap

DIFFERENCE = 1e-2
"""Of coordinates in which the information of the data is about one."""
IDENTIFIED = 1e-8
"""Share of the largest information below which a direction has none."""
UNKNOWN = 1e-4
"""Share of a parameter's gradient in such directions from which it is not known."""


@dataclass(frozen=True)
class FreeCoordinates:
    """Coordinates of weights, or of one model's laws, and what they move.

    `moves` has, for each direction, the coordinate that moves each component: one of
    its own, or one that they share; −1 where there is none.
    """

    unpack: Callable[[np.ndarray], Any]
    size: int
    moves: np.ndarray

    @classmethod
    def none(cls, value: Any, n_components: int) -> FreeCoordinates:
        """None, of what is given."""
        return cls(lambda _: value, 0, np.empty((0, n_components), int))

    @classmethod
    def of_weights(cls, weights: np.ndarray, counts: np.ndarray) -> FreeCoordinates:
        """Logarithms, in standard deviations, which all weights depend on."""
        logs = np.log(np.maximum(weights, 1e-300))

        def unpack(vector: np.ndarray) -> np.ndarray:
            shares = np.exp(logs + vector / np.sqrt(counts))
            return shares / shares.sum()

        K = len(weights)
        return cls(unpack, K, np.repeat(np.arange(K)[:, None], K, axis=1))

    @classmethod
    def of_model(cls, model: Any, laws: Laws, counts: np.ndarray) -> FreeCoordinates:
        """Those of a model, with the coordinates of different components together."""
        size, K = len(model.pack(laws, laws, counts)), len(counts)

        def unpack(vector: np.ndarray) -> Laws:
            return model.unpack(vector, laws, counts)

        here = unpack(np.zeros(size))
        own: list[list[int]] = [[] for _ in range(K)]
        shared = []
        for c, step in enumerate(np.eye(size) * DIFFERENCE):
            there = unpack(step)
            moved = np.zeros(K, dtype=bool)
            for name, law in here.items():
                changed = law != there[name]
                of_each = len(law) == K and (law.ndim == 1 or model.apart)
                if of_each:
                    moved |= changed.reshape(K, -1).any(axis=1)
                else:
                    moved |= bool(changed.any())
            if moved.sum() == 1:
                own[int(moved.argmax())].append(c)
            else:
                shared.append(np.full(K, c))
        most = max(map(len, own))
        together = [[o[a] if a < len(o) else -1 for o in own] for a in range(most)]
        moves = np.array([*together, *shared], dtype=int).reshape(-1, K)
        return cls(unpack, size, moves)

    def steps(self) -> Iterator[np.ndarray]:
        """Yield a step along each direction."""
        for move in self.moves:
            step = np.zeros(self.size)
            step[move[move >= 0]] = DIFFERENCE
            yield step


@dataclass(frozen=True)
class Information:
    """Scores, and what is made of them, about a point."""

    em: TableMap
    point: Point
    weight: np.ndarray

    @cached_property
    def parts(self) -> list[FreeCoordinates]:
        """Coordinates of the weights, and of each model, unless they are given."""
        point, counts = self.point, self.em.chart(self.point).counts
        models, given = self.em.product.models, self.em.product.given
        free = (True,) * (1 + len(models))
        if given is not None:
            free = (not given.weights, *(not each for each in given.groups))
        values: list[Any] = [point.weights, *point.laws]
        found = [partial(FreeCoordinates.of_weights, point.weights, counts)]
        for model, laws in zip(models, point.laws, strict=True):
            found.append(partial(FreeCoordinates.of_model, model, laws, counts))
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

    def _logits(self, values: np.ndarray) -> Iterator[Callable[[Any], np.ndarray]]:
        """Yield functions of weights, and of laws: parts of log w p(x), (K, b)."""
        product = self.em.product
        n = values.shape[1]

        def of_weights(weights: np.ndarray) -> np.ndarray:
            return np.repeat(np.log(weights)[:, None], n, axis=1)

        yield of_weights
        for model, place in zip(product.models, product.places, strict=True):
            yield partial(_of_model, model, model.rows(values[place]))

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Return minus the Hessian, and the sum of outer products of scores."""
        p = self.starts[-1]
        outer, inner = np.zeros((2, p, p))
        moves = np.vstack(
            [
                np.where(part.moves >= 0, part.moves + start, -1)
                for part, start in zip(self.parts, self.starts, strict=False)
            ]
        )
        for rows, _, resp in self.em.posterior(self.point):
            values, v = self.em.numbers(rows), self.weight[rows]
            weighted = resp * v
            first = []
            for part, start, logits in zip(
                self.parts, self.starts, self._logits(values), strict=False
            ):
                first += self._slopes(part, logits)
                self._curvatures(part, start, logits, weighted, inner)
            slopes = np.array(first)
            scores = np.zeros((p, resp.shape[1]))
            for k, r in enumerate(resp):
                there = moves[:, k] >= 0
                D, own = slopes[there, k], moves[there, k]
                np.add.at(scores, own, D * r)
                inner[np.ix_(own, own)] += (D * weighted[k]) @ D.T
            outer += (scores * v) @ scores.T
        return outer - inner, outer

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

    @staticmethod
    def _slopes(part: FreeCoordinates, logits: Callable[[Any], np.ndarray]) -> list:
        return [
            (logits(part.unpack(step)) - logits(part.unpack(-step))) / (2 * DIFFERENCE)
            for step in part.steps()
        ]

    @staticmethod
    def _curvatures(
        part: FreeCoordinates,
        start: int,
        logits: Callable[[Any], np.ndarray],
        weighted: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Add Σ v r ∂D of a model to a matrix."""
        steps = list(part.steps())

        def total(step: np.ndarray) -> np.ndarray:
            return np.einsum("kb,kb->k", weighted, logits(part.unpack(step)))

        for i, a in enumerate(steps):
            for j, b in enumerate(steps[: i + 1]):
                found = total(a + b) - total(a - b) - total(b - a) + total(-a - b)
                found /= 4 * DIFFERENCE**2
                for k, value in enumerate(found):
                    row, column = part.moves[i, k], part.moves[j, k]
                    if row >= 0 and column >= 0:
                        out[start + row, start + column] += value
                        if i != j:
                            out[start + column, start + row] += value


def _of_model(model: Model, rows: np.ndarray, laws: Laws) -> np.ndarray:
    return model.logits(laws, rows)


def errors_of(
    em: TableMap,
    point: Point,
    weight: np.ndarray,
    outward: Callable[[Point], dict[Any, np.ndarray]],
    method: str,
) -> dict[Any, np.ndarray]:
    """Return the errors of what `outward` makes of a point, by the delta method."""
    information = Information(em, point, weight)
    size = information.starts[-1]
    here = outward(point)
    if not size:
        return {key: np.zeros(values.shape) for key, values in here.items()}
    gradients = np.empty((size, sum(values.size for values in here.values())))
    # Of a component that no row has, or without extent, no step may be small enough.
    with np.errstate(all="ignore"):
        for gradient, step in zip(gradients, np.eye(size) * DIFFERENCE, strict=True):
            ends = (outward(information.at(sign * step)) for sign in (1, -1))
            first, second = (
                np.concatenate([values.ravel() for values in end.values()])
                for end in ends
            )
            gradient[:] = (first - second) / (2 * DIFFERENCE)
        hessian, outer = information.matrices()
        on_bounds = information.on_bounds
        # Of categories alone, curvature without scores is the penalty's, or chance.
        scored = not em.product.single

        def errors_by(method: str) -> np.ndarray:
            return _delta(hessian, outer, gradients, method, on_bounds, scored)

        errors = errors_by(method)
        warn_of_few_rows([errors], lambda: [errors_by("hessian")], information.rows)
    cuts = np.cumsum([values.size for values in here.values()])[:-1]
    parts = np.split(errors, cuts)
    return {
        key: part.reshape(values.shape)
        for (key, values), part in zip(here.items(), parts, strict=True)
    }


def _delta(
    hessian: np.ndarray,
    outer: np.ndarray,
    gradients: np.ndarray,
    method: str,
    on_bounds: np.ndarray | bool = False,
    scored: bool = False,
) -> np.ndarray:
    """Return errors of functions with gradients (p, q), NaN where they are not known.

    What has no finite curvature is taken for what the data say nothing of; and if only
    what is `scored` counts, a direction in which no row has a score. What is on a bound
    is held there: its error is infinite, and it has no part in the others'.
    """
    finite = np.isfinite(np.diag(hessian)) & np.isfinite(np.diag(outer)) & ~on_bounds
    both = finite[:, None] & finite
    hessian, outer = (
        np.where(both & np.isfinite(matrix), matrix, 0.0) for matrix in (hessian, outer)
    )
    gradients = np.nan_to_num(gradients, nan=np.finfo(float).max)
    units = np.abs(gradients).max(axis=0)
    gradients = gradients / np.where(units > 0, units, 1.0)
    if scored:
        _, vectors, known = _eigen(outer)
        onto = vectors[:, known] @ vectors[:, known].T
        hessian = onto @ hessian @ onto
    values, vectors, known = _eigen(outer if method == "opg" else hessian)
    along = vectors.T @ gradients
    solved = along[known] / values[known, None]
    if method == "sandwich":
        middle = vectors[:, known].T @ outer @ vectors[:, known]
        variances = np.einsum("ij,ik,kj->j", solved, middle, solved)
    else:
        variances = (along[known] * solved).sum(axis=0)
    lost = np.square(along[~known]).sum(axis=0)
    total = np.square(gradients).sum(axis=0)
    errors = units * np.sqrt(np.maximum(variances, 0.0))
    errors = np.where(lost > UNKNOWN**2 * total, np.nan, errors)
    bound = np.broadcast_to(on_bounds, len(gradients))
    return np.where((gradients[bound] != 0).any(axis=0), np.inf, errors)


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalues and eigenvectors, and which directions have information."""
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors, values > IDENTIFIED * max(values.max(), 1.0)


def unflattened(errors: dict[Any, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return errors of (column, name) by column and then by name."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, values in errors.items():
        if key != "weights":
            found.setdefault(key[0], {})[key[1]] = values
    return found
