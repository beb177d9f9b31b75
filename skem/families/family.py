"""What a family is asked for: the law of a column, given the component.

An exponential family with statistic T(x) has log p(x) = η·T(x) − A(η) + h(x). A block
of samples then costs two matrix products, whatever the columns are: L = Θ F and
S = R Fᵀ, with F the rows of T, zero where a cell is missing, beside a row that says
where it is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from skem.families.column import (
    ColumnModel,
    mean_and_spread,
    observed,
    typical,
)
from skem.families.model import Bounds, Laws, Look, Model

LARGEST_COUNT = 2.0**53


class Kind(ABC):
    """What all families are: a name, what values they take, and a model of them."""

    name: ClassVar[str]
    """Name in tables."""
    categorical: ClassVar[bool] = False
    """Whether values are codes of categories."""
    discrete: ClassVar[bool] = False
    """Whether values are whole numbers, of which rows may share many."""
    multivariate: ClassVar[bool] = False
    """Whether one law may be that of several columns."""
    bounds: ClassVar[Bounds | None] = None
    """The parameter that may end on a bound of its range, if there is one."""
    positive_parameters: ClassVar[tuple[str, ...]] = ()
    """Names of what is above zero: its intervals are of logarithms."""
    probabilities: ClassVar[tuple[str, ...]] = ()
    """Names of what is between zero and one: its intervals are Wilson's."""
    logarithms: ClassVar[tuple[str, ...]] = ()
    """Names of what is of the logarithms of values."""

    def moved(self, laws: Laws, bound: float) -> Laws:
        """Return laws with that parameter on a bound.

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        bound : float
            The bound.

        Returns
        -------
        laws : dict of ndarray
            Parameters by name, the others as likely as can be.
        """
        if self.bounds is None:
            return laws
        name = self.bounds.name
        return {**laws, name: np.full(len(laws[name]), bound)}

    def check(self, x: np.ndarray) -> None:  # noqa: B027
        """Raise `ValueError` if observed values are out of the family's range.

        The text should end the sentence "Column 'a' …", as "has negative values".

        Parameters
        ----------
        x : ndarray of shape (n,)
            Values without missing ones.
        """

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Return the probabilities of values up to x.

        What needs them asks for this method: `MixtureModel.cdf`, `quantile` and
        `goodness_of_fit`, and `QuantileDisplay`.

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        x : ndarray of shape (n,)
            Numbers, infinite ones and such that no value has among them.

        Returns
        -------
        prob : ndarray of shape (K, n)
            Probabilities, of which those of smaller x are no larger.
        """
        raise NotImplementedError(
            f"The family {self.name!r} has no distribution function: define the method "
            "cdf(laws, x)."
        )

    @abstractmethod
    def look(self, look: Look) -> Model:
        """Return the family as it is for these data."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Family(Kind):
    """Law of one column given the component: an exponential family.

    The base class of the families of `MixtureModel`, and of your own. A family says
    what it is by eight short methods; missing cells, weights, the penalty, the
    solver and all the methods of `MixtureModel` follow. Arrays of parameters have the
    components along their first axis.

    The log-density is η·T(x) − A(η) + h(x), with T the `statistics` (p of them), η and
    A what `natural` returns, and h the `log_base`.

    Notes
    -----
    Each component gets ε = 2/√N pseudo-observations with the mean statistics of all the
    data. That is a conjugate prior, and keeps parameters off the border of their range.

    Class attributes say the rest. `name` is the name of the family in `families_` and
    must be set. `discrete`, False by default, says whether values are whole numbers:
    equal rows of a table of such columns are fitted as one. `bounds`, None by default,
    is the parameter that may end on a bound of its range, with its place in `to_free`
    and that range: a ``skem.families.model.Bounds(name, column, least, most)``.
    `positive_parameters` and `probabilities`, tuples of names, say of which parameters
    confidence intervals are of logarithms, or Wilson's. Of the others they are estimate
    ± z errors.

    See Also
    --------
    MixtureModel : Takes instances of families for columns.

    Examples
    --------
    The exponential distribution by its rate λ, with T(x) = x and η = −λ:

    >>> import numpy as np
    >>> from skem import Family, MixtureModel
    >>> class Exponential(Family):
    ...     name = "my exponential"
    ...     positive_parameters = ("rate",)
    ...     def statistics(self, x):
    ...         return x[None]
    ...     def natural(self, laws):
    ...         return -laws["rate"][:, None], -np.log(laws["rate"])
    ...     def estimate(self, means):
    ...         return {"rate": 1 / means[:, 0]}
    ...     def to_free(self, laws):
    ...         return np.log(laws["rate"])[:, None]
    ...     def from_free(self, free):
    ...         return {"rate": np.exp(free[:, 0])}
    ...     def information(self, laws):
    ...         return np.ones((len(laws["rate"]), 1))
    ...     def draw(self, laws, k, n, rng):
    ...         return rng.exponential(1 / laws["rate"][k], n)
    ...     def expected(self, laws):
    ...         return 1 / laws["rate"]
    >>> rng = np.random.default_rng(0)
    >>> x = np.r_[rng.exponential(1, 300), rng.exponential(50, 300)]
    >>> model = MixtureModel(2, families=[(Exponential(), [0])], random_state=0)
    >>> model.fit(x[:, None]).parameters_["x0"]["rate"].shape
    (2,)
    """

    _model: ClassVar[type[ColumnModel]] = ColumnModel

    @abstractmethod
    def statistics(self, x: np.ndarray) -> np.ndarray:
        """Return T(x).

        Parameters
        ----------
        x : ndarray of shape (n,)
            Values without missing ones.

        Returns
        -------
        statistics : ndarray of shape (p, n)
            Of each value.
        """

    @abstractmethod
    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """Return the natural parameters η and the log-norm A(η).

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        Returns
        -------
        eta : ndarray of shape (K, p)
            Natural parameters.

        norm : ndarray of shape (K,)
            Log-norms.
        """

    @abstractmethod
    def estimate(self, means: np.ndarray) -> Laws:
        """Return the maximum likelihood parameters for mean statistics.

        Parameters
        ----------
        means : ndarray of shape (K, p)
            Mean statistics of each component.

        Returns
        -------
        laws : dict of ndarray
            Parameters by name.
        """

    @abstractmethod
    def to_free(self, laws: Laws) -> np.ndarray:
        """Return unconstrained coordinates, best those with a diagonal information.

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        Returns
        -------
        free : ndarray of shape (K, q)
            Coordinates.
        """

    @abstractmethod
    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`.

        Parameters
        ----------
        free : ndarray of shape (K, q)
            Coordinates.

        Returns
        -------
        laws : dict of ndarray
            Parameters by name.
        """

    @abstractmethod
    def information(self, laws: Laws) -> np.ndarray:
        """Return the Fisher information of one sample about each free coordinate.

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        Returns
        -------
        information : ndarray of shape (K, q)
            Roughly right will do: it scales the steps.
        """

    @abstractmethod
    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw values of a component.

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        k : int
            The component.

        n : int
            The number of values.

        rng : RandomState instance
            Random numbers.

        Returns
        -------
        x : ndarray of shape (n,)
            Values.
        """

    @abstractmethod
    def expected(self, laws: Laws) -> np.ndarray:
        """Return the mean of each component.

        Parameters
        ----------
        laws : dict of ndarray
            Parameters by name, each with the components along its first axis.

        Returns
        -------
        means : ndarray of shape (K,)
            In units of the values.
        """

    def log_base(self, x: np.ndarray) -> np.ndarray:
        """Return h(x), which does not depend on the parameters.

        Parameters
        ----------
        x : ndarray of shape (n,)
            Values without missing ones.

        Returns
        -------
        log_base : ndarray of shape (n,)
            In nats; zero by default.
        """
        return np.zeros(len(x))

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Return values on a scale for k-means: equal differences mean about the same.

        Parameters
        ----------
        x : ndarray of shape (n,)
            Values without missing ones.

        Returns
        -------
        embedded : ndarray of shape (n,)
            The values themselves by default.
        """
        return x

    def look(self, look: Look) -> Model:
        """Return the family as it is for these data.

        Parameters
        ----------
        look : object
            `values` (1, n), with NaN where they are missing, `weight` (n,),
            `n_components` and `epsilon`, the number of pseudo-observations.

        Returns
        -------
        model : object
            What an EM step asks.
        """
        x, v = observed(look)
        embedded = self.embed(x)
        kept = typical(v, x, embedded)
        pooled = self.statistics(x[kept]) @ (v[kept] / v[kept].sum())
        return self.seen(pooled, look.epsilon, mean_and_spread(embedded, v))

    def seen(
        self, pooled: np.ndarray, epsilon: float, place: tuple[float, float]
    ) -> ColumnModel:
        """Return the model of what `look` has found.

        Parameters
        ----------
        pooled : ndarray of shape (p,)
            Mean statistics of all the data.

        epsilon : float
            The number of pseudo-observations of them.

        place : tuple of float
            Mean and standard deviation of what `embed` returns.

        Returns
        -------
        model : object
            What an EM step asks.
        """
        return self._model(self, pooled, epsilon, place)


def whole_numbers(x: np.ndarray) -> None:
    """Require counts: whole numbers from 0."""
    if (x < 0).any():
        raise ValueError("has negative values")
    if (x != np.floor(x)).any():
        raise ValueError("has values that are not whole numbers")
    if (x > LARGEST_COUNT).any():
        raise ValueError("has counts beyond 2**53")


def positive(x: np.ndarray) -> None:
    """Require positive values."""
    if (x <= 0).any():
        raise ValueError("has values that are not positive")
