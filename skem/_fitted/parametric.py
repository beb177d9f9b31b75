"""The parameters of a fitted mixture, as its attributes hold them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skem._fitted.density import expectation_at
from skem._fitted.kept import kept
from skem._fitted.noise import background_of
from skem._fitted.shared import AllowsGaps, SharedMethods
from skem._inputs.array_api import numpy_of
from skem._inputs.typing import CovarianceType, RandomState
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.far import without_empty
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.kernel import Kernel
from skem.core.mixture.noise import Background


def _fingerprint(*arrays: ArrayLike) -> int:
    """Return a number that changes with any value, also where it is in place."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(numpy_of(array)).data, found)
    return found


class Parametric(AllowsGaps, SharedMethods):
    """A mixture with parameters, and the density that they stand for.

    A subclass has the parameters `covariance_type` and `random_state`, and calls
    `_set_parameters`.
    """

    covariance_type: CovarianceType
    random_state: RandomState

    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    precisions_: np.ndarray
    precisions_cholesky_: np.ndarray
    n_parameters_: int
    labels_: np.ndarray
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are parameters, and not only the first rows of a stream."""
        return hasattr(self, "means_")

    def _check_is_fitted(self) -> None:
        """Require parameters, and the structure that they were made with."""
        # Asked first, as scikit-learn's check takes as long as a row does.
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self, msg=self._why_unfitted())
        # Attributes may have been set by hand.
        before = getattr(self, "_fitted_type", self.covariance_type)
        if self.covariance_type != before:
            raise ValueError(
                f"covariance_type has changed from {before!r} to "
                f"{self.covariance_type!r} since the mixture was fitted. Call fit, or "
                "set it back."
            )

    def _why_unfitted(self) -> str | None:
        """Return why there is no mixture yet, or None for scikit-learn's words."""
        return None

    def _set_parameters(self, parameters: Parameters, covariances: np.ndarray) -> None:
        self.__dict__.update(self._parameter_attributes(parameters, covariances))
        self.n_parameters_ = self._n_parameters()

    def _parameter_attributes(
        self, parameters: Parameters, covariances: np.ndarray
    ) -> dict[str, Any]:
        """Return the fitted attributes that make a mixture of these parameters."""
        structure = SHAPES[self.covariance_type]
        with np.errstate(over="ignore", under="ignore"):
            precisions = structure.precisions(parameters.precisions_cholesky)
        limit = np.finfo(precisions.dtype).max
        # As `skem.load` has it: the order in memory decides about the last digits.
        cholesky = np.ascontiguousarray(parameters.precisions_cholesky)
        return {
            "_fitted_type": self.covariance_type,
            "weights_": parameters.weights,
            "means_": parameters.means,
            "covariances_": covariances,
            "precisions_cholesky_": cholesky,
            "precisions_": np.clip(precisions, -limit, limit),
            "_as_fitted": _fingerprint(covariances, parameters.precisions_cholesky),
        }

    def _parameters(self) -> Parameters:
        """Return the parameters of the density, from attributes set by hand too.

        `precisions_cholesky_` may be any square root of the precisions then, or be
        missing.
        """
        structure = SHAPES[self.covariance_type]
        if hasattr(self, "precisions_cholesky_") or not hasattr(self, "covariances_"):
            roots = numpy_of(self.precisions_cholesky_, float)
            cholesky = structure.upper_factor(roots)
        else:
            covariances = numpy_of(self.covariances_, float)
            cholesky, failed = structure.factor(covariances)
            if failed.any():
                raise ValueError(
                    f"'{self.covariance_type} covariance' should be symmetric, "
                    "positive-definite"
                )
        return Parameters(
            numpy_of(self.weights_, float),
            numpy_of(self.means_, float),
            cholesky,
        )

    def _covariances_by_hand(self) -> np.ndarray | None:
        """Return `covariances_`, unless the factor stands for them.

        It does in the attributes that a fit has set, and has twice the range. Of
        others scikit-learn's `sample` takes the covariances, whatever the factor.
        """
        covariances = getattr(self, "covariances_", None)
        if covariances is None:
            return None
        cholesky = getattr(self, "precisions_cholesky_", None)
        if cholesky is not None:
            as_fitted = getattr(self, "_as_fitted", None)
            if as_fitted == _fingerprint(covariances, cholesky):
                return None
        return numpy_of(covariances, float)

    def _expectation(self, dtype: np.dtype) -> Kernel:
        """Return the kernels that score and label blocks in a floating-point type."""
        return self._density(dtype)

    def _components(self, dtype: np.dtype) -> Kernel:
        """Return those that evaluate components, whatever weight they have."""
        return self._density(dtype, with_empty=True)

    def _density(self, dtype: np.dtype, *, with_empty: bool = False) -> Kernel:
        """Return those of the density that `sample` draws from."""
        background, null = self._background, self._null
        log_widths = None if background is None else background.log_widths
        basis = None if null is None else null.basis
        structure = SHAPES[self.covariance_type]

        def make() -> Kernel:
            parameters = self._parameters()
            if not with_empty:
                parameters = without_empty(structure, parameters)
            return self._density_at(structure, parameters, log_widths, null, dtype)

        return kept(
            self,
            ("components" if with_empty else "density", dtype),
            self.covariance_type,
            (*self._values_of_density(), log_widths, basis),
            make,
        )

    def _density_at(
        self,
        structure: Structure,
        parameters: Parameters,
        log_widths: np.ndarray | None,
        null: NullSpace | None,
        dtype: np.dtype,
    ) -> Kernel:
        """Prepare the kernels of the density at parameters."""
        return expectation_at(structure.name, parameters, dtype, log_widths)

    def _values_of_density(self) -> list[Any]:
        """Return the attributes that `_parameters` are made of."""
        has_root = hasattr(self, "precisions_cholesky_")
        root = "precisions_cholesky_" if has_root else "covariances_"
        names = ("weights_", "means_", "df_", root)
        return [getattr(self, name, None) for name in names]

    @property
    def _background(self) -> Background | None:
        """Return where noise is, if there is any."""
        return background_of(self)

    @property
    def _null(self) -> NullSpace | None:
        """Return where the data of the fit have no variance, if there is that."""
        return getattr(self, "_null_space", None)

    @property
    def _steps(self) -> np.ndarray | None:
        """Roots of what variances have of steps, (K, d), if features are in any."""
        return getattr(self, "_of_steps", None)

    @property
    def _dimensions(self) -> tuple[int, int]:
        """The number of components, and of directions in which data vary."""
        (K, d), null = np.shape(self.means_), self._null
        return K, d if null is None else d - null.size

    def _n_parameters(self) -> int:
        self._check_is_fitted()
        return SHAPES[self.covariance_type].n_free(*self._dimensions)
