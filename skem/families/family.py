"""What a family is asked for: the law of a column, given the component.

An exponential family with statistic T(x) has log p(x) = η·T(x) − A(η) + h(x). A block
of samples then costs two matrix products, whatever the columns are: L = Θ F and
S = R Fᵀ, with F the rows of T, zero where a cell is missing, beside a row that says
where it is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np

Laws = dict[str, np.ndarray]
"""Parameters of all K components by name: the first axis is that of components."""
Running = Any
"""Sums that can be added up over passes at different parameters: arrays, mostly."""
LARGEST_COUNT = 2.0**53
SMALLEST_COUNT = 1e-6
"""Rows that a component is taken to have, at least, by the scale of coordinates."""


class Look(Protocol):
    """What a family may look at: a column or more, (d, n), with NaN for missing."""

    @property
    def values(self) -> np.ndarray:
        """The values, (d, n)."""

    @property
    def weight(self) -> np.ndarray:
        """Weights, (n,)."""

    @property
    def n_components(self) -> int:
        """K."""

    @property
    def epsilon(self) -> float:
        """How many pseudo-observations of the pooled data each component gets."""

    @property
    def given(self) -> bool:
        """Whether users chose `epsilon`."""

    @property
    def n_categories(self) -> int:
        """Number of categories of the column, 0 if it is of numbers."""


class Model(Protocol):
    """A family that has seen the data: what an EM step asks of it."""

    @property
    def n_rows(self) -> int:
        """Rows of features."""

    @property
    def linear(self) -> bool:
        """Whether log-densities are linear in the rows, mostly at least."""

    @property
    def apart(self) -> bool:
        """Whether each component is estimated by itself, whatever the others are."""

    def of(self, values: np.ndarray) -> Model:
        """Return the model as it is for values that may be missing."""

    def as_points(self) -> Model:
        """Return the model that takes values that rows share for points."""

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Return the features of values (d, b), shape (n_rows, b)."""

    def base(self, values: np.ndarray) -> np.ndarray:
        """Log-density that does not depend on the parameters, (b,)."""

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """Θ (K, n_rows) and constants (K,), or None if logits are not linear."""

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """Log p(x | k) less the base, (K, b)."""

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Return what the M-step sees of responsibilities (K, b)."""

    def maximise(
        self,
        sums: np.ndarray,
        counts: np.ndarray,
        previous: Laws | None,
        own: bool = False,
    ) -> Laws:
        """M-step, with the penalty, of R Fᵀ; or of `sums` if `own`."""

    def running(
        self, sums: np.ndarray, counts: np.ndarray, laws: Laws, own: bool
    ) -> Running:
        """Return the sums of a pass at `laws`, to be added to those of other passes."""

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step, with the penalty, of running sums."""

    def renewed(self, running: Running, share: float) -> Model:
        """Return the model with the penalty of what a stream has shown by now."""

    def carried(self, laws: Laws, other: Any) -> Laws:
        """Return laws of the same family's `other` model as those of this one."""

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """M-step of labels, without earlier parameters."""

    def penalty(self, laws: Laws) -> float:
        """Return what the objective is below the log-likelihood."""

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """Coordinates about `base`: the complete data's information is about one."""

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """Size of a step, in standard deviations or logarithms."""

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Rows for k-means, (p, b), of about unit variance."""

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw n samples of component k, (d, n)."""

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete missing values by their conditional means, or likeliest ones."""

    def n_free(self, n_components: int) -> int:
        """Return the number of free parameters."""

    def outward(self, laws: Laws) -> Laws:
        """Return what users see."""

    def scaled(self, share: float) -> Model:
        """Return the model with so much of the penalty."""

    def scarce(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Mask of components of fewer rows than it takes to determine them, (K,)."""

    def ordered(self, laws: Laws, order: np.ndarray) -> Laws:
        """Return the components in another order."""


class Seen:
    """What most models have in common."""

    linear = True
    apart = True

    @property
    def least_points(self) -> int:
        """Rows that it takes to determine a component."""
        return 1

    def scarce(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Mask of components of fewer rows, rounded, than `least_points`."""
        return np.round(counts) < self.least_points

    def maximise(
        self,
        sums: np.ndarray,
        counts: np.ndarray,
        previous: Laws | None,
        own: bool = False,
    ) -> Laws:
        """M-step of what the family sees."""
        raise NotImplementedError

    def scaled(self, share: float) -> Self:
        """Return the model with so much of the penalty."""
        raise NotImplementedError

    def running(
        self, sums: np.ndarray, counts: np.ndarray, laws: Laws, own: bool
    ) -> Running:
        """Return the sums of a pass: no parameter is in the statistics."""
        return sums

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step of running sums."""
        return self.maximise(running, counts, previous)

    def renewed(self, running: Running, share: float) -> Self:
        """Return the model with so much of the penalty, about the data of its start."""
        return self.scaled(share)

    def carried(self, laws: Laws, other: Any) -> Laws:
        """Return laws of another model of the family: they are in the same units."""
        return laws

    def of(self, values: np.ndarray) -> Self:
        """Return the model as it is for values that may be missing: the same."""
        return self

    def as_points(self) -> Self:
        """Return the model that takes shared values for points: the same."""
        return self

    def outward(self, laws: Laws) -> Laws:
        """Return what users see: the parameters themselves."""
        return dict(laws)

    def ordered(self, laws: Laws, order: np.ndarray) -> Laws:
        """Return the components in another order."""
        return {name: values[order] for name, values in laws.items()}


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

    def check(self, x: np.ndarray) -> None:  # noqa: B027
        """Raise `ValueError` if observed values are out of the family's range.

        The text should end the sentence "Column 'a' …", as "has negative values".

        Parameters
        ----------
        x : ndarray of shape (n,)
            Values without missing ones.
        """

    @abstractmethod
    def look(self, look: Look) -> Model:
        """Return the family as it is for these data."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Family(Kind):
    """Law of one column given the component: an exponential family.

    The base class of the families of `MixtureModel`, and of your own. A family says
    what it is by seven short methods; missing cells, weights, the penalty, the
    solver and all the methods of `MixtureModel` follow. Arrays of parameters have the
    components along their first axis.

    The log-density is η·T(x) − A(η) + h(x), with T the `statistics` (p of them), η and
    A what `natural` returns, and h the `log_base`.

    Notes
    -----
    Each component gets ε = 2/√N pseudo-observations with the mean statistics of all the
    data. That is a conjugate prior, and keeps parameters off the border of their range.

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
        T = self.statistics(x)
        place = self.embed(x)
        mean = float(np.average(place, weights=v))
        spread = float(np.sqrt(np.average((place - mean) ** 2, weights=v)))
        pooled = T @ (v / v.sum())
        return self.seen(pooled, look.epsilon, (mean, spread or 1.0))

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
        return ColumnModel(self, pooled, epsilon, place)


def observed(look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Values of a column that are there, with weights, in rows of positive weight."""
    x = look.values[0]
    kept = ~np.isnan(x) & (look.weight > 0)
    return x[kept], look.weight[kept]


@dataclass(frozen=True)
class ColumnModel(Seen):
    """A column of an exponential family: rows [mask, T], S = R [mask, T]ᵀ.

    `pooled` is the mean statistic of all the data, which each component has `epsilon`
    pseudo-observations of; `place` the mean and the deviation of what k-means sees.
    """

    family: Family
    pooled: np.ndarray
    epsilon: float
    place: tuple[float, float]

    @property
    def n_rows(self) -> int:
        """The mask and T."""
        return 1 + len(self.pooled)

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, mask · T]."""
        x = values[0]
        missing = np.isnan(x)
        rows = np.empty((self.n_rows, len(x)))
        rows[0] = ~missing
        if missing.any():
            rows[1:] = 0
            rows[1:, ~missing] = self.family.statistics(x[~missing])
        else:
            rows[1:] = self.family.statistics(x)
        return rows

    def base(self, values: np.ndarray) -> np.ndarray:
        """h(x), zero where x is missing."""
        x = values[0]
        found = np.zeros(len(x))
        kept = ~np.isnan(x)
        found[kept] = self.family.log_base(x[kept])
        return found

    def _theta(self, laws: Laws) -> np.ndarray:
        """Return [−A, η] of all components."""
        natural, norm = self.family.natural(laws)
        return np.column_stack([-norm, natural])

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """Return [−A, η]."""
        theta = self._theta(laws)
        return theta, np.zeros(len(theta))

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """η·T − A."""
        return self._theta(laws) @ rows

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Σ r [mask, T]."""
        return resp @ rows.T

    def maximise(
        self,
        sums: np.ndarray,
        counts: np.ndarray,
        previous: Laws | None,
        own: bool = False,
    ) -> Laws:
        """(Σ r T + ε T̄) / (n + ε)."""
        total = sums[:, 0] + self.epsilon
        safe = np.where(total > 0, total, 1.0)[:, None]
        means = (sums[:, 1:] + self.epsilon * self.pooled) / safe
        # Without a sample and without a penalty, as all the data are.
        return self.family.estimate(np.where(total[:, None] > 0, means, self.pooled))

    def renewed(self, running: Running, share: float) -> ColumnModel:
        """Return the model with the mean statistic of all that a stream has shown."""
        n, *total = running.sum(axis=0)
        pooled = np.array(total) / n if n > 0 else self.pooled
        return replace(self.scaled(share), pooled=pooled)

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """M-step of labels."""
        return self.maximise(resp @ rows.T, resp.sum(axis=1), None)

    def penalty(self, laws: Laws) -> float:
        """−ε Σ_k (η_k·T̄ − A_k), less what it is for the pooled law."""
        if self.epsilon == 0:
            return 0.0
        whole = self.family.estimate(self.pooled[None])
        value = [
            natural @ self.pooled - norm
            for natural, norm in map(self.family.natural, (laws, whole))
        ]
        return float(self.epsilon * (value[1] - value[0]).sum())

    def _scale(self, base: Laws, counts: np.ndarray) -> np.ndarray:
        information = self.family.information(base)
        return np.sqrt(
            np.maximum(counts, SMALLEST_COUNT)[:, None] * np.maximum(information, 1e-12)
        )

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """√(n I) (φ − φ⁰)."""
        moved = self.family.to_free(laws) - self.family.to_free(base)
        return (self._scale(base, counts) * moved).ravel()

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""
        scale = self._scale(base, counts)
        moved = vector.reshape(scale.shape) / scale
        return self.family.from_free(self.family.to_free(base) + moved)

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """Largest change of a free coordinate, in roots of its information or as is."""
        scale = self._scale(base, counts)
        size = np.abs(vector.reshape(scale.shape)) / scale
        information = np.sqrt(self.family.information(base))
        return float(np.max(size * np.minimum(information, 1.0), initial=0.0))

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Values on the family's scale, standardised, at the mean where missing."""
        x = values[0]
        mean, spread = self.place
        found = np.zeros((1, len(x)))
        kept = ~np.isnan(x)
        found[0, kept] = (self.family.embed(x[kept]) - mean) / spread
        return found

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from the family."""
        return np.asarray(self.family.draw(laws, k, n, rng), float)[None]

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete by Σ r E_k x."""
        mean = self.family.expected(laws) @ resp
        return np.where(np.isnan(values), mean, values)

    @property
    def least_points(self) -> int:
        """q: as many as there are free coordinates."""
        whole = self.family.estimate(self.pooled[None])
        return self.family.to_free(whole).shape[1]

    def n_free(self, n_components: int) -> int:
        """K q."""
        return n_components * self.least_points

    def scaled(self, share: float) -> ColumnModel:
        """Return the model with so much of the penalty."""
        return replace(self, epsilon=self.epsilon * share)


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
