"""The candidates of a model selection: which there are, and how they are judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np

from skem._inputs.options import OF_ONE_FEATURE, StrOptions, covariance_types
from skem._inputs.sklearn import Interval
from skem._inputs.validation import N_JOBS
from skem._report.criterion import is_corrected, models_of
from skem._report.text import MOST_NAMED, rows_of_components
from skem.core.gaussian.covariance import FOURTEEN, SHAPES
from skem.core.mixture.totals import Totals
from skem.core.solve.registry import ACCELERATORS

CRITERIA = ("bic", "aic", "icl")
CHOICE_CONSTRAINTS: dict[str, Any] = {
    "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
    "covariance_type": [covariance_types(SHAPES, "all"), "array-like"],
    "criterion": [StrOptions(CRITERIA)],
    "tol": [Interval(Real, 0.0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "algorithm": [StrOptions(ACCELERATORS)],
    "random_state": ["random_state"],
    "n_jobs": N_JOBS,
}
"""Constraints of the parameters that all choices have."""


@dataclass(frozen=True)
class Candidate:
    """A fitted mixture with what it is judged by, or why there is none."""

    n_components: int
    covariance_type: str
    mixture: Any = None
    total_weight: float = math.nan
    log_likelihood: float = math.nan
    surprise: float = math.nan
    """−Σ v max_k log r_k."""
    excess: float = 0.0
    """Nats of the log-likelihood that come from taking shared values for points."""
    warning: str = ""
    seconds: float = 0.0
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    """The rows of each component that has too few."""
    families: str = ""
    """Those of columns with alternatives, if there are any."""

    def why_not(self) -> str:
        """Say what is wrong with its components, and what to do."""
        if not self.rows:
            return "some of its components coincide. Choose among fewer components."
        named = {k: rows for k, rows in self.rows.items() if len(rows) <= MOST_NAMED}
        if not named:
            # So many rows are no errors.
            return (
                "some of its components have too few rows to tell covariances of so "
                "many features. Choose among fewer components, or among other "
                "covariance types."
            )
        one = sum(map(len, named.values())) == 1
        return (
            f"{rows_of_components(named)}. Look at {'this row' if one else 'these'}"
            f"{'' if one else ' rows'}, and leave out what is an error; else choose "
            "among fewer components."
        )

    @property
    def n_parameters(self) -> int:
        """Number of free parameters; 0 without a mixture."""
        return 0 if self.mixture is None else self.mixture.n_parameters_

    @property
    def _totals(self) -> Totals:
        return Totals(self.total_weight, self.log_likelihood, -self.surprise)

    @property
    def bic(self) -> float:
        """−2ℓ + p log N."""
        return self._totals.bic(self.n_parameters)

    @property
    def aic(self) -> float:
        """−2ℓ + 2p."""
        return self._totals.aic(self.n_parameters)

    @property
    def icl(self) -> float:
        """BIC + 2 × surprise."""
        return self._totals.icl(self.n_parameters)

    @property
    def judged_likelihood(self) -> float:
        """The log-likelihood with shared values as wide as they are."""
        return self.log_likelihood - self.excess

    def judged_by(self, criterion: str) -> float:
        """Return the criterion of that likelihood, which the choice is made by."""
        return float(getattr(self, criterion)) + 2 * self.excess


def _listed(value: Any, kind: type) -> list:
    """Return one of a kind, or an array of one, in a list, and else a list of all."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return [value[()]]
    return [value] if isinstance(value, kind) else list(value)


def check_numbers_of_components(n_components: Any) -> list[int]:
    """Return the different numbers of components, ascending."""
    numbers = _listed(n_components, Integral)
    for number in numbers:
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not whole or number < 1:
            raise ValueError(
                "The 'n_components' parameter must be an int in the range [1, inf) or "
                f"a sequence of them. Got {number!r} instead."
            )
    if not numbers:
        raise ValueError("The 'n_components' parameter must not be empty.")
    return sorted({int(number) for number in numbers})


def check_covariance_types(covariance_type: Any) -> list[str]:
    """Return the different structures, in the given order."""
    names = _listed(covariance_type, str)
    if names == ["all"]:
        return list(FOURTEEN)
    for name in names:
        if not isinstance(name, str) or name not in SHAPES:
            raise ValueError(
                "The 'covariance_type' parameter must be 'all' alone, a str among "
                f"{[*SHAPES]} or a sequence of these ({OF_ONE_FEATURE}). Got "
                f"{covariance_type!r} instead."
            )
    if not names:
        raise ValueError("The 'covariance_type' parameter must not be empty.")
    # A structure may have two names.
    different = {SHAPES[name].shape_name: str(name) for name in reversed(names)}
    return [name for name in dict.fromkeys(names) if name in different.values()]


def worth_refining(
    fitted: Sequence[Sequence[Candidate]],
    criterion: str,
    margin: float,
    short: float,
) -> list[set[int]]:
    """Return the numbers of components of those that may yet be the best.

    `fitted` has the candidates of each structure. One may be the best if it is no more
    than `margin` nats behind, and `short` for each of its parameters.
    """
    possible = [c for those in fitted for c in those if c.mixture is not None]
    # If none is eligible, one that is not will have to be chosen.
    choice = [c for c in possible if not c.warning] or possible
    best = min((c.judged_by(criterion) for c in choice), default=math.inf)
    # NaN, of candidates that could not be fitted, is not less than anything.
    return [
        {
            c.n_components
            for c in those
            if c.judged_by(criterion) <= best + 2 * (margin + short * c.n_parameters)
        }
        for those in fitted
    ]


def results_of(found: Sequence[Candidate], criterion: str) -> dict[str, np.ndarray]:
    """Return the candidates as columns; the order of equals is kept in their rank.

    Their criterion is that by which they are judged, but for what the best one has.
    """
    judged = np.array([candidate.judged_by(criterion) for candidate in found])
    eligible = np.array(
        [candidate.mixture is not None and not candidate.warning for candidate in found]
    )
    # NaN, of candidates that could not be fitted, comes last.
    order = np.lexsort((judged, ~eligible))
    rank = np.empty(len(found), dtype=int)
    rank[order] = np.arange(1, len(found) + 1)
    raw = {name: np.array([getattr(c, name) for c in found]) for name in CRITERIA}
    excess = np.array([candidate.excess for candidate in found])
    mixtures = [candidate.mixture for candidate in found]
    families = np.array([candidate.families for candidate in found])
    return {
        "param_n_components": np.array([c.n_components for c in found]),
        "param_covariance_type": np.array([c.covariance_type for c in found]),
        **({"param_families": families} if families.any() else {}),
        # Only differences have a meaning: the chosen one keeps the raw value.
        "criterion": raw[criterion] + 2 * (excess - excess[order[0]]),
        **raw,
        "log_likelihood": np.array([c.log_likelihood for c in found]),
        "excess": excess,
        "n_parameters": np.array([c.n_parameters for c in found]),
        "converged": np.array([m is not None and m.converged_ for m in mixtures]),
        "n_iter": np.array([0 if m is None else m.n_iter_ for m in mixtures]),
        "eligible": eligible,
        "warning": np.array([c.warning for c in found]),
        "fit_time": np.array([c.seconds for c in found]),
        "rank": rank,
    }


def print_candidates(results: dict[str, np.ndarray], criterion: str) -> None:
    """Print a line for each candidate."""
    corrected = is_corrected(results, criterion)
    for i in range(len(results["criterion"])):
        row = {name: column[i] for name, column in results.items()}
        raw = f" ({criterion} {row[criterion]:.2f})" if corrected else ""
        line = (
            "{param_n_components} {name}: {criterion:.2f}{raw}, {fit_time:.3f} s "
            "{warning}".format(**row, raw=raw, name=models_of(results)[i])
        )
        print(line.rstrip())
