"""Distribution functions and quantiles of mixtures of one column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._fitted.joint import check_numbers, check_probabilities
from skem._tables.fitted import FittedTable
from skem.core.gaussian.storage import TINY
from skem.families.family import Kind
from skem.families.far import LARGEST

BISECTIONS = 64
"""As many as it takes to tell all numbers apart."""
BEYOND = 0.9 * LARGEST
"""A size beyond which quantiles are infinite, as differences to them may be."""
SIGN = np.int64(2**63 - 1)
"""Bits of a number but for that of its sign."""


class UnivariateTable(FittedTable):
    """Methods of a fitted `MixtureModel` of one column, or of one of its columns."""

    _parameters: dict[str, dict[str, np.ndarray]]

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """Probability of at most x, under a mixture of one column of numbers.

        Parameters
        ----------
        x : array-like
            Numbers, in an array of any shape; infinite ones too.

        Returns
        -------
        prob : ndarray of the shape of x, or float
            Probabilities.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            If the mixture has more than one column, or one of categories, or x has
            NaN.

        NotImplementedError
            If the column's family is one of your own that does not define `cdf`.

        See Also
        --------
        marginal : The mixture of one of the columns.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.marginal("x0").cdf([2, 25]).round(2)
        array([0.16, 0.72])
        """
        self._check_on_a_line("cdf")
        x = check_numbers(x, "x")
        return self._column_cdf(0, x.ravel()).reshape(x.shape)[()]

    def quantile(self, q: ArrayLike) -> np.ndarray:
        """Quantile of a mixture of one column: the least number whose `cdf` reaches q.

        Parameters
        ----------
        q : array-like
            Probabilities from 0 to 1, in an array of any shape.

        Returns
        -------
        x : ndarray of the shape of q, or float
            Quantiles. Of 0 the lower end of the values that are possible, and of 1
            infinite.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            If the mixture has more than one column, or one of categories, or q is not
            from 0 to 1.

        NotImplementedError
            If the column's family is one of your own that does not define `cdf`.

        See Also
        --------
        marginal : The mixture of one of the columns.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> model.marginal("x0").quantile([0.25, 0.5, 0.75])
        array([ 3., 11., 26.])
        """
        self._check_on_a_line("quantile")
        q = check_probabilities(q)
        return self._column_quantile(0, q.ravel()).reshape(q.shape)[()]

    def _check_on_a_line(self, method: str) -> None:
        self._check_is_fitted()
        d = len(self._columns.names)
        if d > 1:
            raise ValueError(
                f"{method} is of a mixture of one column, and this one has {d}. Take "
                "its marginal or its conditional first."
            )
        self._kind_of_numbers(0, method)

    def _kind_of_numbers(self, j: int, method: str) -> Kind:
        """Return the family of a column, which must not be one of categories."""
        kind = next(kind for kind, own in self._columns.groups if j in own)
        if kind.categorical:
            raise ValueError(
                f"{method} is of numbers, and column {self._columns.names[j]!r} has "
                "categories."
            )
        return kind

    def _component_cdf(self, j: int, x: np.ndarray) -> np.ndarray:
        """Probabilities of at most x (n,) of each component, of one column, (K, n)."""
        kind = self._kind_of_numbers(j, "cdf")
        laws: Any = self._parameters[self._columns.names[j]]
        return kind.cdf(laws, x)

    def _column_cdf(self, j: int, x: np.ndarray) -> np.ndarray:
        weights = self._point.weights
        below = weights / weights.sum() @ self._component_cdf(j, x)
        # Of weights that rounding has made more than one.
        return np.where(x == np.inf, 1.0, np.minimum(below, 1.0))

    def _column_quantile(self, j: int, q: np.ndarray) -> np.ndarray:
        """Return the least numbers of which the distribution function reaches q.

        By bisection among all numbers in their order, of which there are 2⁶⁴: it
        needs no bracket, and finds steps of counts as well.
        """
        low = np.full(q.shape, _place(np.array(-LARGEST)))
        high = np.full(q.shape, _place(np.array(np.inf)))
        for _ in range(BISECTIONS):
            # Their mean, without a sum that overflows.
            middle = (low & high) + ((low ^ high) >> 1)
            reached = self._column_cdf(j, _number(middle)) >= np.maximum(q, TINY)
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        found = _number(high)
        found = np.where(np.abs(found) > BEYOND, np.copysign(np.inf, found), found)
        lowest = 0.0 if self._column_cdf(j, np.array([-TINY]))[0] == 0 else -np.inf
        found = np.where(q == 0, lowest, found)
        return np.where(q == 1, np.inf, found) + 0.0


def _place(x: np.ndarray) -> np.ndarray:
    """Return whole numbers in the order of floats."""
    bits = np.asarray(x, float).view(np.int64)
    return np.where(bits < 0, bits ^ SIGN, bits)


def _number(place: np.ndarray) -> np.ndarray:
    """Undo `_place`."""
    return np.where(place < 0, place ^ SIGN, place).view(np.float64)
