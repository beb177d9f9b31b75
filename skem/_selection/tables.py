"""Mixtures of one table with rising numbers of components, each a start of the next.

Each is started from splits of the one before, too, and tried again from merges of the
one after.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skem._inputs.families import TAKEN
from skem._inputs.tables import Table
from skem._selection.grid import Candidate
from skem.mixture_model import MixtureModel


def path(
    models: Sequence[MixtureModel],
    table: Table,
    weight: np.ndarray,
    known: np.ndarray | None,
    seen: dict[str, Any],
) -> list[Candidate]:
    """Fit mixtures, with the numbers of components rising; `seen` are the columns."""
    seconds = []
    with warnings.catch_warnings():
        # `results_` says so of all of them, and a warning of the chosen one.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # The search has said it once.
        warnings.filterwarnings("ignore", message=f"Column .* {TAKEN}")
        before: MixtureModel | None = None
        for model in models:
            for name, value in seen.items():
                setattr(model, name, value)
            began = time.perf_counter()
            near = before is not None and is_next(before, model)
            model._fit_table(
                table,
                weight,
                known,
                beside=before if near else None,
                brief=len(models) > 1,
            )
            before = model
            seconds.append(time.perf_counter() - began)
        # Components that are known keep their numbers, and are not merged.
        if known is None:
            for model, after in zip(models[-2::-1], models[:0:-1], strict=True):
                if is_next(model, after) and model.n_components > 1:
                    model._lower(table, weight, after)
    return [
        Candidate(
            model.n_components,
            model.covariance_type,
            model,
            excess=model._excess(table, weight, known),
            seconds=own,
        )
        for model, own in zip(models, seconds, strict=True)
    ]


def is_next(model: MixtureModel, after: MixtureModel) -> bool:
    """Whether there is one component more."""
    return model.n_components + 1 == after.n_components
