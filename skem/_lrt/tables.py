"""The bootstrapped likelihood ratio test for mixtures of tables."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skem._inputs.blocks import array_blocks
from skem._inputs.families import refuses, resolve, warn_of_codes
from skem._inputs.sklearn import num_samples
from skem._inputs.tables import read_weighed
from skem._inputs.validation import (
    Data,
    check_n_samples,
    check_sample_weight,
    weight_of_each,
    without_empty_rows,
)
from skem._lrt.simulated import models_of, n_simulated, recording_of, without_start
from skem._report.text import NOT_IDENTIFIED
from skem.core.gaussian.coordinates import Coordinates, standardising_coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.exceptions import DegenerateComponentsWarning
from skem.families.family import Kind
from skem.mixture_model import MixtureModel


def check_rows(X: Any, sample_weight: Any, n_components: int) -> None:
    """Require as many rows of positive weight as the largest mixture needs.

    And no more weight than rows can be simulated.
    """
    n = num_samples(X)
    weight = check_sample_weight(sample_weight, np.empty((n, 0)))
    seen = n if weight is None else int(np.count_nonzero(weight))
    check_n_samples(seen, n_components)
    n_simulated(weight, n, n_components)


def with_families(estimator: MixtureModel, X: Any, sample_weight: Any) -> MixtureModel:
    """Return a copy without a start that names the family of each column.

    Of odd columns one warning is enough, for all fits.
    """
    template = without_start(estimator)
    table, weight = read_weighed(clone(estimator), X, sample_weight, reset=True)
    groups = resolve(template.families, template.covariance_type, table)
    warn_of_codes(template.families, table, weight)
    return template.set_params(families=groups)


def simulated_ratios(
    template: MixtureModel,
    X: Any,
    components: tuple[int, int],
    n_boot: int,
    n_jobs: int | None,
    rng: np.random.RandomState,
    sample_weight: Any,
) -> tuple[float, np.ndarray]:
    """Return the statistic of the data, and those of tables that are simulated."""
    own, *seeds = map(int, rng.randint(np.iinfo(np.int32).max, size=n_boot + 1))
    null, statistic = _fit(template, X, sample_weight, components, own)
    values = null._map(X, sample_weight).values[:, :]
    missing = np.isnan(values)
    weight = check_sample_weight(sample_weight, missing.T)
    n_rows = n_simulated(weight, missing.shape[1], components[1])
    gaps = missing[:, models_of(weight, n_rows)]
    families = _families_of(null)
    recording = RecordedColumns.of(values, weight, families)
    with Parallel(n_jobs=n_jobs) as parallel:
        found = parallel(
            delayed(_simulate)(template, null, recording, gaps, components, seed)
            for seed in seeds
        )
    return statistic, np.array(found)


def _families_of(model: MixtureModel) -> list[tuple[Kind, list[int]]]:
    """Return the families that a fit has used, as its parameter."""
    return [(kind, list(places)) for kind, places in model._columns.groups]


def _fit(
    template: MixtureModel,
    X: Any,
    sample_weight: Any,
    components: tuple[int, int],
    seed: int,
) -> tuple[MixtureModel, float]:
    """Return the smaller mixture, and the likelihood ratio statistic.

    Values that rows share have their widths: as points they would speak for more
    components.
    """
    models = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DegenerateComponentsWarning)
        # Densities are compared, which are the same.
        warnings.filterwarnings("ignore", message=NOT_IDENTIFIED)
        for K in components:
            model = clone(template).set_params(n_components=K, random_state=seed)
            models.append(model.fit(X, sample_weight=sample_weight))
    null, alternative = models
    total = float(weight_of_each(sample_weight, len(X)).sum())
    ratio = 2 * total * (alternative._fitted_bound() - null._fitted_bound())
    return null, max(0.0, ratio)


@dataclass(frozen=True)
class RecordedColumns:
    """Columns of continuous families, and how their values are recorded.

    `floor` (d, 1) is the lowest value of those whose family refuses zero, else −∞.
    """

    columns: list[int]
    coordinates: Coordinates
    floor: np.ndarray

    @classmethod
    def of(
        cls, values: np.ndarray, weight: np.ndarray | None, families: list
    ) -> RecordedColumns | None:
        """Look at the values of a table; None if no column is continuous."""
        kinds = {j: kind for kind, own in families for j in own if not kind.discrete}
        if not kinds:
            return None
        X = np.ascontiguousarray(values[list(kinds)].T)
        data = Data(X, bool(np.isnan(X).any()))
        weight = without_empty_rows(X, weight) if data.incomplete else weight
        structure = SHAPES["diag"]
        with array_blocks(data, weight) as blocks:
            start = standardising_coordinates(blocks, structure)
            coordinates = recording_of(blocks, start, structure)
        lowest = [
            np.nanmin(x) if refuses(kind, np.zeros(1)) else -np.inf
            for x, kind in zip(X.T, kinds.values(), strict=True)
        ]
        return cls(list(kinds), coordinates, np.array(lowest)[:, None])

    def recorded(self, values: np.ndarray) -> np.ndarray:
        """Return values (d, n) of all columns as they would be recorded."""
        found = self.coordinates.recorded(values[self.columns])
        out = values.copy()
        out[self.columns] = np.where(found > 0, found, np.maximum(found, self.floor))
        return out


def _simulate(
    template: MixtureModel,
    null: MixtureModel,
    recording: RecordedColumns | None,
    gaps: np.ndarray,
    components: tuple[int, int],
    seed: int,
) -> float:
    """Return the statistic of a table drawn from the smaller mixture."""
    rng = np.random.RandomState(seed)
    _, values = null._labelled_draws(gaps.shape[1], rng)
    values = values[:, rng.permutation(gaps.shape[1])]
    if recording is not None:
        values = recording.recorded(values)
    empty = (gaps | np.isnan(values)).all(axis=1)
    values[gaps & ~empty[:, None]] = np.nan
    return _fit(template, null._rebuilt(values), None, components, seed)[1]
