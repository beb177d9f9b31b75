"""Covariance structures: scikit-learn's four, and the fourteen shapes of mclust.

A structure is a storage, which has the linear algebra, with what it allows covariances
to be: how they are estimated, and in which coordinates they stay so. Nothing else in
the core asks which one it is. `STRUCTURES` maps scikit-learn's names to instances, and
`SHAPES` all names.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from skem.core.gaussian.constraint import CONSTRAINTS, Constraint, least_of_spread
from skem.core.gaussian.local import Local, LogCholesky, local
from skem.core.gaussian.matrices import OneMatrix, OwnMatrices
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.storage import Storage, diagonals
from skem.core.gaussian.variances import Diagonals, Spheres
from skem.core.gaussian.volumes import scaled

LEAST_COUNT = 1e-6
"""Weight that components are given at least, to have a part in what is shared."""

ROUNDED_LOGS = 1e-3
"""Change of a logarithm of variances that is taken for rounding."""


class Scatter(NamedTuple):
    """Σ r (x − μ)(x − μ)ᵀ as the structure's quadratic kind has it, with Σ r."""

    values: np.ndarray
    counts: np.ndarray


NOTHING = Scatter(np.zeros(()), np.zeros(()))


class Structure(Storage):
    """A storage, and what it allows covariances to be.

    Shapes: K components, d features. `estimate` also takes arrays with leading axes, as
    the storage's verbs do.
    """

    name: str
    scales_features: bool
    """Whether the structure is closed under scaling each feature by itself."""
    peer: ClassVar[str]
    """scikit-learn's structure that has covariances of the same shape."""
    constraint: Constraint | None = None
    """What is asked of the covariances together, if anything is."""

    @abstractmethod
    def estimate(
        self,
        scatter: Scatter,
        prior: Scatter,
        n_features: int,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the covariances that maximise the likelihood of the scatter.

        `prior` is one scatter (no component axis) that each of them gets on top, and
        `previous` are the precision Cholesky factors of a step before.
        """

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Return the number of free covariance parameters."""

    def n_free(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters: weights, means and covariances."""
        own = n_components * n_features + n_components - 1
        return own + self.n_parameters(n_components, n_features)

    def least_points(self, n_features: int) -> int:
        """Return how many points it takes to determine a component.

        Where all share one covariance, a component has a mean alone of its own.
        """
        return 1 if self.shared else least_of_spread(n_features)

    def least_rows(self, n_components: int, n_features: int) -> int:
        """Return how many rows it takes to determine so many components."""
        own = n_components * self.least_points(n_features)
        return own + n_features if self.shared else own

    def local(self, base: np.ndarray, n_features: int) -> Local:
        """Return coordinates about `base` in which covariances stay as allowed."""
        return LogCholesky(self, base, n_features)

    def constrained(
        self, cholesky: np.ndarray, weights: np.ndarray, n_features: int
    ) -> np.ndarray:
        """Return the nearest factors that are allowed, for components of a mixture.

        Those that maximise the likelihood of samples from the mixture given.
        """
        return cholesky

    def allows(
        self, cholesky: np.ndarray, n_features: int, null: NullSpace | None = None
    ) -> bool:
        """Whether factors are as the structure asks, to single precision.

        In the directions that are no null directions.
        """
        if self.constraint is None:
            return True
        if null is not None:
            if null.size == n_features:
                return True
            n_features -= null.size
            # The unit of all of them has no effect, and may be at the end of the range.
            cholesky = self.beside(cholesky / np.abs(cholesky).max(), null)
        nearest = self.constrained(cholesky, np.ones(len(cholesky)), n_features)
        return bool(np.abs(self.to_chart(cholesky, nearest)).max() < ROUNDED_LOGS)

    def beside(self, cholesky: np.ndarray, null: NullSpace) -> np.ndarray:
        """Return the factors in the directions that are not null.

        In features times the relative slope.
        """
        basis = null.others(along_features=not self.matrices)
        cholesky = self.rescale_precisions_cholesky(cholesky, 1 / null.relative_slope)
        if not self.matrices:
            return cholesky @ basis
        return self.factor(basis.T @ self.covariances(cholesky) @ basis)[0]

    @property
    def shape_name(self) -> str:
        """Mclust's name of it, whichever it was asked for by."""
        names = {name: alias for alias, name in ALIASES.items()}
        return names.get(self.name, self.name)

    @property
    def freedom(self) -> tuple[int, ...]:
        """How much of volume, shape and orientation is free: none, one, or each."""
        return tuple(map("IEV".index, self.shape_name))

    def includes(self, other: Structure) -> bool:
        """Whether all that another structure allows is allowed here, too."""
        pairs = zip(other.freedom, self.freedom, strict=True)
        return all(its <= own for its, own in pairs)

    def adopted(
        self, other: Structure, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return factors of a structure that is included, as they are kept here."""
        K, d = shape
        if other.matrices:
            dense = np.broadcast_to(cholesky, (K, d, d))
        else:
            variances = np.broadcast_to(cholesky.reshape(K, -1), (K, d))
            if not self.matrices:
                return variances if self.shape(K, d) == (K, d) else cholesky
            dense = variances[:, :, None] * np.eye(d)
        return dense[0] if self.shared else dense

    @cached_property
    def rough(self) -> Structure:
        """The same for starts: axes in common are not turned to those that fit best."""
        constraint = self.constraint
        if constraint is None or constraint.rough is constraint:
            return self
        found = copy(self)
        found.constraint = constraint.rough
        return found

    @property
    def free(self) -> Structure:
        """The structure of the same matrices or variances, each by itself."""
        return STRUCTURES["full" if self.shared else self.peer]

    @property
    def of_parts(self) -> Structure:
        """The structure of marginals and conditionals."""
        constraint = self.constraint
        return self if constraint is None or constraint.has_marginals else self.free


class Unconstrained(Structure):
    """Covariances of which nothing is asked together, but that all may be the same."""

    scales_features = True

    def estimate(
        self,
        scatter: Scatter,
        prior: Scatter,
        n_features: int,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        values, counts = scatter
        if self.shared:
            values, counts = values.sum(axis=counts.ndim - 1), counts.sum(axis=-1)
        total = np.asarray(counts + prior.counts)
        if values.ndim == total.ndim:
            # The squares of all features are in one sum.
            total = n_features * total
        axes = (1,) * (values.ndim - total.ndim)
        return (values + prior.values) / total.reshape(total.shape + axes)


class Full(OwnMatrices, Unconstrained):
    """Each component has its own covariance matrix."""

    name = peer = "full"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def least_points(self, n_features: int) -> int:
        return n_features + 1


class Tied(OneMatrix, Unconstrained):
    """All components share one covariance matrix."""

    name = peer = "tied"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2


class Diag(Diagonals, Unconstrained):
    """Each component has its own diagonal covariance matrix."""

    name = peer = "diag"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features


class Spherical(Spheres, Unconstrained):
    """Each component has one variance for all features."""

    name = peer = "spherical"
    scales_features = False

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components


class Shaped(Structure):
    """Covariances of which something is asked together: mclust's other ten."""

    constraint: Constraint

    def __init__(self, constraint: Constraint) -> None:
        self.constraint = constraint
        self.name = constraint.name
        self.scales_features = constraint.scales_features

    def estimate(
        self,
        scatter: Scatter,
        prior: Scatter,
        n_features: int,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        before = None
        if previous is not None and self.constraint.iterates:
            before = self.covariances(previous)
        # Singular ones are seen when they are factored.
        with np.errstate(all="ignore"):
            return self.constraint.estimate(
                scatter.values + prior.values,
                scatter.counts + prior.counts,
                n_features,
                before,
            )

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return self.constraint.n_parameters(n_components, n_features)

    def least_points(self, n_features: int) -> int:
        return self.constraint.least_points(n_features)

    def local(self, base: np.ndarray, n_features: int) -> Local:
        return local(self.constraint.name, self, base, n_features)

    def constrained(
        self, cholesky: np.ndarray, weights: np.ndarray, n_features: int
    ) -> np.ndarray:
        # A component without weight has a covariance, too.
        counts = np.maximum(weights, LEAST_COUNT)
        # The trace, where that is all there is of a scatter.
        times = n_features if cholesky.ndim == weights.ndim else 1
        # In units in which covariances are in range, as far as that may be.
        sizes = diagonals(cholesky) if self.matrices else cholesky
        sizes = sizes.reshape(-1, sizes.shape[-1] if self.scales_features else 1)
        unit = np.sqrt(sizes.min(axis=0)) * np.sqrt(sizes.max(axis=0))
        unit = np.broadcast_to(unit, n_features)
        with np.errstate(over="ignore", invalid="ignore"):
            inward = self.rescale_precisions_cholesky(cholesky, 1 / unit)
            values = scaled(self.covariances(inward), times * counts)
        if not np.isfinite(values).all():
            return cholesky
        covariances = self.estimate(Scatter(values, counts), NOTHING, n_features)
        found, failed = self.factor(covariances)
        # A mixture of a stack is as it was if any of its components fails.
        stack = weights.shape[:-1]
        lost = np.asarray(failed.reshape(*stack, -1).any(axis=-1))
        lost = lost.reshape(stack + (1,) * (cholesky.ndim - len(stack)))
        found = self.rescale_precisions_cholesky(found, unit)
        return np.where(lost, cholesky, found)


class ShapedMatrices(OwnMatrices, Shaped):
    """Matrices of one of the shapes."""

    peer = "full"


class ShapedDiagonals(Diagonals, Shaped):
    """Variances of one of the shapes."""

    peer = "diag"


class ShapedSpheres(Spheres, Shaped):
    """Variances that all features and components share."""

    peer = "spherical"


def _shaped(constraint: Constraint) -> Structure:
    kinds: dict[str, type[Shaped]] = {"EII": ShapedSpheres}
    diagonal = constraint.name.endswith("I")
    kind = ShapedDiagonals if diagonal else ShapedMatrices
    return kinds.get(constraint.name, kind)(constraint)


def _renamed(structure: Structure, name: str) -> Structure:
    other = copy(structure)
    other.name = name
    return other


STRUCTURES: dict[str, Structure] = {
    structure.name: structure for structure in (Full(), Tied(), Diag(), Spherical())
}
"""Those that scikit-learn has as well."""
FOURTEEN: dict[str, Structure] = STRUCTURES | {
    name: _shaped(constraint) for name, constraint in CONSTRAINTS.items()
}
"""All structures, by the name that each has."""
ALIASES = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}
"""mclust's names of those that scikit-learn has."""
SHAPES: dict[str, Structure] = FOURTEEN | {
    alias: _renamed(FOURTEEN[name], alias) for alias, name in ALIASES.items()
}
"""All structures, by all names."""
