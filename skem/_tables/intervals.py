"""Standard errors of the mixture of a table, and intervals from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skem._errors.confidence import (
    Interval,
    about,
    of_positive,
    of_shares,
    quantile_of,
)
from skem.families.family import Kind

Parameters = dict[str, dict[str, np.ndarray]]


class TableConfidenceIntervals(NamedTuple):
    """What `TableStandardErrors.confidence_interval` returns.

    Attributes
    ----------
    weights : Interval
        Lower and upper ends, in the shape of `weights_`.

    parameters : dict of str to dict of str to Interval
        Of `parameters_`.
    """

    weights: Interval
    parameters: dict[str, dict[str, Interval]]


class TableEstimates(NamedTuple):
    """The parameters that errors are of, and the families of their columns."""

    weights: np.ndarray
    parameters: Parameters
    kinds: dict[str, Kind]


class _Errors(NamedTuple):
    weights: np.ndarray
    parameters: Parameters


class TableStandardErrors(_Errors):
    """What `MixtureModel.standard_errors` returns, a named tuple.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Of `weights_`.

    parameters : dict of str to dict of str to ndarray
        Of `parameters_`.
    """

    estimates: TableEstimates

    def __new__(
        cls, weights: np.ndarray, parameters: Parameters, estimates: TableEstimates
    ) -> TableStandardErrors:
        """Make the tuple of the first two."""
        errors = super().__new__(cls, weights, parameters)
        errors.estimates = estimates
        return errors

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self, self.estimates)

    def confidence_interval(self, level: float = 0.95) -> TableConfidenceIntervals:
        """Intervals that cover each parameter, one by one, with a probability.

        From the normal approximation: for weights and probabilities on the scale of
        log p/(1 − p), for rates, scales, sizes, shapes and degrees of freedom on that
        of logarithms, and for means of any sign estimate ± z errors.

        Parameters
        ----------
        level : float, default=0.95
            Probability that an interval covers its parameter, between 0 and 1.

        Returns
        -------
        intervals : TableConfidenceIntervals
            Named tuple of `weights` and `parameters`, with a named tuple of `lower` and
            `upper` for each array of errors. Where an error is infinite or NaN, the
            interval is the whole range of the parameter; where it is zero, the estimate
            alone.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [1], [0], [1], [1], [1], [1]]
        >>> errors = MixtureModel(families="bernoulli").fit(X).standard_errors(X)
        >>> interval = errors.confidence_interval().parameters["x0"]["probability"]
        >>> interval.lower.round(2), interval.upper.round(2)
        (array([0.38]), array([0.94]))
        """
        z = quantile_of(level)
        weights, parameters, kinds = self.estimates

        def interval(of: Callable[..., Interval], values: Any, errors: Any) -> Interval:
            return of(values, np.where(np.isnan(errors), np.inf, errors), z)

        found = {
            name: {
                key: interval(_scale(kinds[name], key), parameters[name][key], errors)
                for key, errors in own.items()
            }
            for name, own in self.parameters.items()
        }
        return TableConfidenceIntervals(
            interval(of_shares, weights, self.weights), found
        )


def _scale(kind: Kind, name: str) -> Callable[..., Interval]:
    """Return how intervals of a parameter are made."""
    if name in kind.probabilities:
        return of_shares
    return of_positive if name in kind.positive_parameters else about
