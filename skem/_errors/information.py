"""Inverses of information matrices, and the errors of parameters that follow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skem._errors.scores import Push, Scores, ScoreSums
from skem._inputs.callers import users_level

UNTOLD = 1e100
"""An error that says no more than an infinite one."""
CEILING = 1e250
"""More than the ratio of two informations, with room to be multiplied."""
UNKNOWN = 1e-6
"""Share of a parameter's gradient in directions without information, from which on
the parameter is not identified."""


@dataclass(frozen=True)
class InverseInformation:
    """Steps whose outer products sum to the inverse information.

    `steps` has one column for each direction in which there is information, scaled by
    its standard error, and `unknown` one for each direction without. `units` have the
    standard error of each free coordinate by itself, and make directions comparable.
    """

    steps: np.ndarray
    unknown: np.ndarray
    units: np.ndarray

    @classmethod
    def of(
        cls, information: np.ndarray, diagonal: np.ndarray, columns: np.ndarray
    ) -> InverseInformation:
        """Split the directions of a matrix that may be singular, or not definite.

        `diagonal` is the information that coordinates are measured by. `columns` are
        what the coordinates of the steps are, for each that is free.
        """
        unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        # Then eigenvalues do not depend on units or sizes.
        eigenvalues, vectors = np.linalg.eigh(unit[:, None] * information * unit)
        largest = np.abs(eigenvalues).max(initial=1.0)
        known = eigenvalues > len(unit) * np.finfo(float).eps * largest
        vectors *= unit[:, None]
        steps = vectors[:, known] / np.sqrt(eigenvalues[known])
        return cls(columns @ steps, columns @ vectors[:, ~known], columns * unit)

    def between(self, information: np.ndarray) -> np.ndarray:
        """Return steps of A⁻¹ B A⁻¹, with A the own information and B another."""
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = self.steps.T @ information @ self.steps
        ratio = np.clip(np.nan_to_num(ratio, nan=CEILING), -CEILING, CEILING)
        eigenvalues, vectors = np.linalg.eigh(ratio)
        return self.steps @ (vectors * np.sqrt(np.maximum(eigenvalues, 0.0)))

    def misses(self, rows: slice, push: Push) -> np.ndarray:
        """Whether what `push` makes of steps depends on what is not known."""
        with np.errstate(over="ignore", invalid="ignore"):
            lost = _norms(push(self.unknown[rows]))
            whole = _norms(push(self.units[rows]))
        return lost > UNKNOWN * whole


@dataclass(frozen=True)
class Spread:
    """Steps whose outer products sum to the covariance of the estimates.

    They are infinite where a matrix that is inverted has no information, or a component
    has fewer rows than free coordinates and their scores have none.
    """

    steps: np.ndarray
    inverses: tuple[InverseInformation, ...]

    @classmethod
    def of(cls, method: str, scores: Scores, sums: ScoreSums) -> Spread:
        """Invert what the method says."""
        # Σ (r − w) is zero: log-weights have a common constant that is of no effect on
        # the weights. Information about it, which is also of none, makes the matrices
        # regular. In that of complete data, N(1 − √w √wᵀ), it leaves N on the diagonal.
        total, columns = sums.counts.sum(), scores.columns
        common = np.outer(scores.common, scores.common) * total
        outer, complete, missing = (
            columns.T @ each @ columns
            for each in (
                sums.scores,
                np.diag(scores.of_complete_data(sums.counts, sums.scales)),
                sums.missing,
            )
        )
        outer += common
        if scores.fixed_weights.any():
            complete += common
        tangent, front = scores.tangent, scores.n_free_before
        if tangent is not None:
            K = len(scores.parameters.weights)
            scatter = scores.scatter(sums.gradient, sums.counts[:K])
            found = tangent.information(scatter, sums.counts[:K])
            complete[front:, front:] = found
        by_scores = InverseInformation.of(outer, np.diagonal(outer), columns)
        if method == "opg":
            return cls(by_scores.steps, (by_scores,))
        diagonal = np.diagonal(complete)
        observed = InverseInformation.of(complete - missing, diagonal, columns)
        if method == "hessian":
            return cls(observed.steps, (observed,))
        # Scores need not vary in all directions: those of a category do not. But those
        # of few rows cannot.
        few = rows_of(scores, sums).few.any()
        inverses = (observed, by_scores) if few else (observed,)
        return cls(observed.between(sums.scores), inverses)

    def errors(self, rows: slice, push: Push) -> np.ndarray:
        """Return standard errors of what `push` makes of steps in some coordinates."""
        # Parameters may be out of the floating-point range.
        with np.errstate(over="ignore", invalid="ignore"):
            errors = _norms(push(self.steps[rows]))
        misses = [inverse.misses(rows, push) for inverse in self.inverses]
        return np.where(np.any(misses, axis=0), np.inf, errors)


class Rows(NamedTuple):
    """How many rows and free parameters there are: of each component (K,), and all."""

    counts: np.ndarray
    n_own: np.ndarray
    total: int
    n_free: int

    @property
    def few(self) -> np.ndarray:
        """Mask of the components of fewer rows than parameters of their own, (K,)."""
        return self.counts < self.n_own


def rows_of(scores: Scores, sums: ScoreSums) -> Rows:
    """Return how many there are, of weights that are one in the mean."""
    counts = sums.counts[: len(scores.parameters.weights)]
    n_free = scores.columns.shape[1] - 1
    return Rows(counts, scores.n_own, round(sums.counts.sum()), n_free)


def warn_of_few_rows(
    errors: Iterable[np.ndarray],
    by_hessian: Callable[[], Iterable[np.ndarray]],
    rows: Callable[[], Rows],
) -> bool:
    """Say so if errors are not finite as rows are few, and those by the Hessian are.

    Return whether it was said.
    """
    unknown = np.concatenate([~np.isfinite(each).ravel() for each in errors])
    if not unknown.any():
        return False
    found = rows()
    if found.few.any():
        where = np.flatnonzero(found.few).tolist()
        why = f"components {where} have fewer rows than parameters of their own"
    elif found.total < found.n_free:
        why = f"there are {found.total} rows for {found.n_free} parameters"
    else:
        return False
    known = np.concatenate([each.ravel() < UNTOLD for each in by_hessian()])
    told = bool((unknown & known).any())
    if told:
        warnings.warn(
            f"Some standard errors are not finite: {why}, so that the outer products "
            "of their scores are singular. Take method='hessian', which supposes that "
            "the model is right, or a structure with fewer parameters.",
            UserWarning,
            stacklevel=users_level(),
        )
    return told


def _norms(rows: np.ndarray) -> np.ndarray:
    """Return the norms of rows, of any magnitude."""
    rows = np.nan_to_num(rows, nan=np.finfo(float).max)
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    relative = rows / np.where(largest > 0, largest, 1.0)
    return largest[..., 0] * np.linalg.norm(relative, axis=-1)
