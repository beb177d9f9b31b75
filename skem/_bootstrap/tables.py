"""The bootstrapped likelihood ratio test for mixtures of tables."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skem._bootstrap.arrays import check_counted, without_start
from skem._bootstrap.simulated_tables import TableSimulation
from skem._inputs.families import resolve, warn_of_codes
from skem._inputs.sklearn import num_samples
from skem._inputs.tables import read_weighed
from skem._inputs.validation import (
    check_n_samples,
    check_sample_weight,
    weight_of_each,
)
from skem._report.text import NOT_IDENTIFIED
from skem.exceptions import DegenerateComponentsWarning
from skem.mixture_model import MixtureModel


def check_rows(X: Any, sample_weight: Any, n_components: int) -> None:
    """Require as many rows of positive weight as the largest mixture needs.

    And no more weight than rows can be simulated.
    """
    n = num_samples(X)
    weight = check_sample_weight(sample_weight, np.empty((n, 0)))
    seen = n if weight is None else int(np.count_nonzero(weight))
    check_n_samples(seen, n_components)
    if weight is not None:
        check_counted(weight)


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
    simulation = TableSimulation.of(null, X, sample_weight, components[1])
    with Parallel(n_jobs=n_jobs) as parallel:
        found = parallel(
            delayed(_simulate)(template, simulation, components, seed) for seed in seeds
        )
    return statistic, np.array(found)


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


def _simulate(
    template: MixtureModel,
    simulation: TableSimulation,
    components: tuple[int, int],
    seed: int,
) -> float:
    """Return the statistic of a table drawn from the smaller mixture."""
    table, weight = simulation.drawn(seed), simulation.weight
    return _fit(template, table, weight, components, seed)[1]
