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
from skem._errors.listing import (
    NO_ESTIMATES,
    Key,
    ListedErrors,
    ListedIntervals,
    Listing,
    title_of,
)
from skem.families.family import Kind

Parameters = dict[str, dict[str, np.ndarray]]


class _Intervals(NamedTuple):
    weights: Interval
    parameters: dict[str, dict[str, Interval]]


class TableConfidenceIntervals(ListedIntervals, _Intervals):
    """What `TableStandardErrors.confidence_interval` returns, a named tuple.

    It prints as a table, with estimates and errors.

    Attributes
    ----------
    weights : Interval
        Lower and upper ends, in the shape of `weights_`.

    parameters : dict of str to dict of str to Interval
        Of `parameters_`.

    errors : TableStandardErrors or None
        What they were made of; not one of the two of the tuple.

    level : float or None
        The probability.
    """


class TableEstimates(NamedTuple):
    """The parameters that errors are of, and the families of their columns.

    And the categories of those that have them.
    """

    weights: np.ndarray
    parameters: Parameters
    kinds: dict[str, Kind]
    categories: dict[str, Any] | None = None

    def listing(
        self,
        errors: TableStandardErrors,
        intervals: TableConfidenceIntervals | None = None,
    ) -> Listing:
        """Return rows of errors, and of intervals."""
        laws = [(name, key) for name, own in self.parameters.items() for key in own]
        parts = [[Key(k, "weight") for k in range(len(self.weights))]]
        for name, key in laws:
            shape = np.shape(self.parameters[name][key])
            parts.append([self._key_of(name, key, *at) for at in np.ndindex(shape)])

        def listed(weights: Any, values: Any) -> np.ndarray:
            own = [np.ravel(values(name, key)) for name, key in laws]
            return np.concatenate([weights, *own])

        values = {
            "estimate": listed(
                self.weights, lambda name, key: self.parameters[name][key]
            ),
            "error": listed(
                errors.weights, lambda name, key: errors.parameters[name][key]
            ),
        }
        if intervals is None:
            return Listing(title_of(errors), parts, values)
        for i, end in enumerate(("lower", "upper")):
            values[end] = listed(
                intervals.weights[i],
                lambda name, key, i=i: intervals.parameters[name][key][i],
            )
        return Listing(title_of(errors, intervals.level), parts, values)

    def _key_of(self, name: str, parameter: str, k: int, *place: int) -> Key:
        """Say what an entry of a parameter is."""
        labels = (self.categories or {}).get(name)
        if labels is not None:
            j = place[0] if place else -1
            return Key(k, parameter.removesuffix("s"), (f"{name} = {labels[j]}",))
        own = parameter
        if place:
            parameter += str([*place])
        if own in self.kinds[name].logarithms:
            parameter += " of log"
        return Key(k, parameter, (name,))


class _Errors(NamedTuple):
    weights: np.ndarray
    parameters: Parameters


class TableStandardErrors(ListedErrors, _Errors):
    """What `MixtureModel.standard_errors` returns, a named tuple.

    It prints as a table of all parameters with their estimates.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Of `weights_`.

    parameters : dict of str to dict of str to ndarray
        Of `parameters_`.

    method : {'sandwich', 'survey', 'hessian', 'opg', 'bootstrap'} or None
        How they were found; not one of the two of the tuple.

    n_boot : int or None
        Number of refits of the bootstrap.

    n_groups : int or None
        Number of groups of rows that may depend on each other.
    """

    def confidence_interval(self, level: float = 0.95) -> TableConfidenceIntervals:
        """Intervals that cover each parameter, one by one, with a probability.

        For weights and probabilities p the score interval of Wilson [1]_, of the number
        of rows of which the share has that error, p(1 − p)/error² [2]_. Others are from
        the normal approximation: for rates, scales, sizes, shapes and degrees of
        freedom on the scale of logarithms, and for means of any sign estimate ± z
        errors.

        Parameters
        ----------
        level : float, default=0.95
            Probability that an interval covers its parameter, between 0 and 1.

        Returns
        -------
        intervals : TableConfidenceIntervals
            Named tuple of `weights` and `parameters`, with a named tuple of `lower` and
            `upper` for each array of errors. Where an error is infinite, the interval
            is the whole range of the parameter; where it is zero, the estimate alone;
            and where it is NaN, so are both ends.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1, or the errors were made by hand and have
            no estimates with them.

        References
        ----------
        .. [1] E. B. Wilson (1927). Probable inference, the law of succession, and
           statistical inference. JASA 22(158), 209-212.

        .. [2] E. L. Korn and B. I. Graubard (1998). Confidence intervals for
           proportions with small expected number of positive counts estimated from
           survey data. Survey Methodology 24(2), 193-201.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [1], [0], [1], [1], [1], [1]]
        >>> errors = MixtureModel(families="bernoulli").fit(X).standard_errors(X)
        >>> interval = errors.confidence_interval().parameters["x0"]["probability"]
        >>> interval.lower.round(2), interval.upper.round(2)
        (array([0.42]), array([0.92]))
        """
        z = quantile_of(level)
        if self.estimates is None:
            raise ValueError(NO_ESTIMATES)
        weights, parameters, kinds, _ = self.estimates

        found = {
            name: {
                key: _scale(kinds[name], key)(parameters[name][key], errors, z)
                for key, errors in own.items()
            }
            for name, own in self.parameters.items()
        }
        return TableConfidenceIntervals(
            of_shares(weights, self.weights, z), found, errors=self, level=level
        )


def _scale(kind: Kind, name: str) -> Callable[..., Interval]:
    """Return how intervals of a parameter are made."""
    if name in kind.probabilities:
        return of_shares
    return of_positive if name in kind.positive_parameters else about
