"""What mixtures that are fitted by maximum likelihood have in common."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skem._fitted.joint import Given
from skem._fitted.noise import set_noise
from skem._fitted.shared import LabelsItsData
from skem._fitting.fitting import PARAMETERS, unchanged_on_error
from skem._fitting.streaming import StreamingMixture, warn_of_lost
from skem._inputs.callers import users_level
from skem._inputs.fixed import PARTS, check_fixed, fixed_parts, wholly_fixed
from skem._inputs.options import StrOptions, covariance_types
from skem._inputs.sklearn import Interval
from skem._inputs.validation import Data, check_matrices, check_means, check_weights
from skem._report.text import UNDETERMINED, capitalised, rows_of_components
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.covariance import SHAPES, Structure
from skem.core.gaussian.degeneracy import degenerate_components, scarce
from skem.core.gaussian.fixed import Fixed
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap, Evaluation
from skem.core.mixture.members import members
from skem.core.mixture.noise import check_noise
from skem.core.mixture.scale import Clusterings
from skem.core.mixture.stream import Stream
from skem.core.solve.loop import Solution
from skem.exceptions import DegenerateComponentsWarning

OF_NOISE = 2
"""Parameters of noise: its weight and its volume."""
SIMPLIFY = "Try to decrease the number of components, or another covariance_type."


def of_small_weights(blocks: Blocks, structure: Structure, n_components: int) -> str:
    """Say so if it is weights, and not rows, that are too few for the components."""
    needed = structure.least_rows(n_components, blocks.n_features)
    total = blocks.total_weight
    if not total < needed <= blocks.n_observed:
        return ""
    return (
        f"The sample weights add up to {total:.3g}, as if there were so many samples: "
        "they should not be normalised."
    )


def rows_of_scarce(evaluation: Evaluation) -> dict[int, np.ndarray]:
    """Return the rows of each component that has too few, not counting empty ones."""
    em, parameters = evaluation.em, evaluation.parameters
    total, n_null = em.blocks.total_weight, em.regularization.n_null
    few = np.flatnonzero(scarce(em.structure, parameters, total, n_null))
    if not len(few):
        return {}
    found = members(em.of_points(parameters), em.blocks, few.tolist())
    return {k: rows for k, rows in found.items() if len(rows)}


class LikelihoodMixture(StreamingMixture, LabelsItsData):
    """A mixture of which starts, weights, locations and covariances may be given."""

    weights_init: ArrayLike | None
    means_init: ArrayLike | None
    precisions_init: ArrayLike | None
    noise: bool | float | None
    fixed: Any

    degenerate_components_: np.ndarray

    _parameter_constraints: dict = {  # noqa: RUF012
        **PARAMETERS,
        "covariance_type": [covariance_types(SHAPES)],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "noise": ["boolean", Interval(Real, 0.0, None, closed="neither"), None],
        "fixed": [StrOptions(PARTS), list, tuple, set, frozenset, dict, None],
    }

    @classmethod
    def _of_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: str,
        params: dict[str, Any],
        **more: ArrayLike,
    ) -> Self:
        """Return a fitted mixture of validated parameters, and of `more` of them."""
        means = np.array(means, dtype=float, ndmin=1)
        if means.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {means.ndim}D array instead for 'means'."
            )
        mixture = cls(len(means), covariance_type=covariance_type, **params)
        mixture._validate_params()
        n_components, n_features = means.shape
        structure = SHAPES[covariance_type]
        covariances = check_matrices(
            covariances, structure, n_components, n_features, "covariance"
        )
        cholesky, failed = structure.factor(covariances)
        if failed.any():
            raise ValueError(
                f"'{covariance_type} covariance' should be symmetric, positive-definite"
            )
        if not structure.allows(cholesky, n_features):
            raise ValueError(
                f"'{covariance_type} covariance' should have the shape that this name "
                f"stands for; use covariance_type={structure.free.name!r} for "
                "covariances of any shape"
            )
        mixture._set_parameters(
            cls._made_of(
                Parameters(
                    check_weights(weights, n_components),
                    check_means(means, n_components, n_features),
                    cholesky,
                ),
                **more,
            ),
            covariances,
        )
        mixture.n_features_in_ = n_features
        return mixture

    @classmethod
    def _made_of(cls, parameters: Parameters, **more: ArrayLike) -> Parameters:
        """Return parameters with what else there is of the components."""
        return parameters

    if TYPE_CHECKING:
        # Of the class itself, which only the types need to be told.
        def marginal(self, features: Sequence[int | str] | int | str) -> Self: ...

        def conditional(self, values: Given) -> Self: ...

    def _warn_of_hooks(self) -> None:
        """Say of a subclass what of it has no effect."""

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> Self:
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like, Dask array or Dask DataFrame of shape (n_samples, n_features)
            Data. Arrays of any floating-point, integer or boolean type and memory
            layout, and memory-mapped ones, are read in place. Of Dask collections,
            chunked in any way, each pass computes every block where it is, by the
            active `distributed.Client` or else Dask's default scheduler, and the
            result is that of the same rows in memory. Persist them if they fit into
            the memory of the workers. NaN is a missing value, missing at random: the
            likelihood is that of what was observed.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like or Dask array of shape (n_samples,), default=None
            Non-negative weights. An integer weight is the same as repeating the row,
            a zero weight as leaving it out. Their sum N plays the role of the number
            of samples, so do not normalise them to one.

        labels : array-like or Dask array of shape (n_samples,), default=None
            Known components: an integer from 0 to ``n_components - 1`` for each row, or
            −1 where it is not known, as in scikit-learn's semi-supervised estimators. A
            row whose component k is known adds log w_k p_k(x), with p_k the density of
            the component, to the log-likelihood, and counts for that component alone.
            Components are then returned in the order of the labels; those without a
            label are free. With metadata routing, ask for them by
            ``set_fit_request(labels=True)``.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            If X has infinite values, a feature without any value, or fewer rows than
            components; if ``noise=True`` and a feature is constant or a linear
            combination of others; if weights are negative or all zero; if a start has
            the wrong shape, or what is fixed has no value; or, with a numeric
            `reg_covar`, if a covariance is not positive definite; or if labels are not
            integers in their range. The estimator then stays as it was.

        TypeError
            If blocks of a Dask array are not NumPy arrays.

        Warns
        -----
        ConvergenceWarning
            If more than `tol` nats are estimated to be left after `max_iter` steps, and
            always with ``tol=0``.

        DegenerateComponentsWarning
            If there are `degenerate_components_`.

        UserWarning
            Once for a subclass that defines private methods which scikit-learn's
            mixture calls, such as `_m_step`: ours does not call them.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(2, random_state=0).fit(X)
        >>> mixture.means_.round(1)
        array([[ 4.3, 80. ],
               [ 2. , 54.5]])
        """
        self._warn_of_hooks()
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight, labels)
        return self

    @abstractmethod
    def _prepared(
        self, blocks: Blocks, clusterings: Clusterings | None = None
    ) -> EMMap:
        """Return the problem; clusterings of the data may be known."""

    def _with_fixed(self, em: EMMap) -> EMMap:
        """Return the problem with what of the mixture is given."""
        fixed = self._fixed(em.blocks.n_features)
        if fixed is None:
            return em
        return replace(em, fixed=fixed.inward(em.structure, em.coordinates))

    def _fixed(self, n_features: int) -> Fixed | None:
        """Return what is fixed, in units of the data."""
        masks = check_fixed(self.fixed, self.n_components)
        if not masks:
            return None
        return fixed_parts(
            masks,
            self._check_starts(n_features),
            SHAPES[self.covariance_type],
            self.n_components,
            n_features,
            noise=self._has_noise(),
        )

    def _has_noise(self) -> bool:
        return check_noise(self.noise) is not None

    def _is_start(self, given: dict[str, np.ndarray]) -> bool:
        masks = check_fixed(self.fixed, self.n_components)
        return len(given) == 3 or not wholly_fixed(masks, given)

    def _ordered(self, best: Solution) -> Solution:
        if not best.evaluation.em.exchangeable:
            return best
        return replace(best, evaluation=best.evaluation.by_weight())

    def _check_starts(self, n_features: int) -> dict[str, np.ndarray]:
        """Return the given parts of a start, in the terms of `Parameters`."""
        K, d = self.n_components, n_features
        structure = SHAPES[self.covariance_type]
        given = {}
        if self.weights_init is not None:
            noise = self._has_noise()
            given["weights"] = check_weights(self.weights_init, K, noise=noise)
        if self.means_init is not None:
            given["means"] = check_means(self.means_init, K, d)
        if self.precisions_init is not None:
            precisions = check_matrices(self.precisions_init, structure, K, d)
            given["precisions_cholesky"] = structure.factor_precisions(precisions)
        return given

    def _n_parameters(self) -> int:
        of_noise = 0 if self._background is None else OF_NOISE
        return super()._n_parameters() + of_noise - getattr(self, "_n_given", 0)

    def _set_stream(self, stream: Stream) -> None:
        super()._set_stream(stream)
        self._set_noise(stream)
        fixed, structure, d = stream.fixed, stream.structure, self._dimensions[1]
        self._n_given = 0 if fixed is None else fixed.n_parameters(structure, d)
        if fixed is not None:
            # To the last digit, which another unit may change.
            found = fixed.outward().restored(self._parameters())
            weights, means = found.weights, found.means
            self.__dict__.update(
                weights_=weights.astype(stream.dtype), means_=means.astype(stream.dtype)
            )
        self.n_parameters_ = self._n_parameters()
        n_null = stream.regularization.n_null
        self.degenerate_components_ = degenerate_components(
            structure, stream.parameters, stream.size, n_null
        )

    def _set_noise(self, stream: Stream) -> None:
        """Set the attributes of noise, or take away those of an earlier fit."""
        for name in ("_noise", "noise_weight_", "noise_volume_"):
            self.__dict__.pop(name, None)
        if stream.background is not None:
            set_noise(self, stream.background, stream.parameters.noise_weight)

    def _warn_of_components(self, best: Solution) -> None:
        """Name the components that the data do not support."""
        if len(self.degenerate_components_):
            em = best.evaluation.em
            remedy = of_small_weights(em.blocks, em.structure, self.n_components)
            rows = rows_of_components(rows_of_scarce(best.evaluation))
            warnings.warn(
                f"Components {self.degenerate_components_.tolist()} {UNDETERMINED} "
                f"{capitalised(rows)}{'. ' if rows else ''}"
                f"{remedy or SIMPLIFY}",
                DegenerateComponentsWarning,
                stacklevel=users_level(),
            )

    def _advance(self, stream: Stream, data: Data, weight: np.ndarray | None) -> None:
        before = self.degenerate_components_
        super()._advance(stream, data, weight)
        warn_of_lost(before, self.degenerate_components_)

    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one step with a batch of a stream: stepwise EM.

        The running statistics move towards those of the batch, and the M-step turns
        them into parameters [1]_. Memory does not grow, and the result hardly depends
        on how the stream is cut into batches.

        The first batch is fitted as `fit` would. While there are fewer than 150 rows
        per component, or fewer distinct rows than components, rows are kept and fitted
        anew each time that their number has doubled. The order of the components may
        then still change. Rows should come in random order, at least at first. A
        component whose rows no longer come fades, and does not move to where others
        come: a drift is followed, a jump of all the data is not. An outlier may claim a
        component, as in `fit`; to a :class:`~skem.StudentMixture`, values beyond 10⁴
        standard deviations of the first rows, outliers apart, count as being there.

        After `fit`, a stream goes on as if the data of the fit had been its beginning.
        The parameters of a mixture without data, made by `from_parameters`, are the
        start. `fit` ends a stream, and begins a new one; with ``warm_start=True`` it
        starts from the stream's parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A batch, of one row or more. NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as in `fit`. A batch counts by its total weight.

        Returns
        -------
        self : object
            The mixture. It is fitted once there are as many rows as components; methods
            that need it to be raise :class:`~sklearn.exceptions.NotFittedError` before.

        Raises
        ------
        ValueError
            As in `fit`; if the number or the names of the features differ from those of
            the first batch; or if `n_components` or `covariance_type` has been changed
            since. The estimator then stays as it was.

        Warns
        -----
        DegenerateComponentsWarning
            If a batch adds to `degenerate_components_`.

        References
        ----------
        .. [1] O. Cappé and E. Moulines (2009). On-line expectation-maximization
           algorithm for latent data models. JRSS B 71(3), 593-613.

        Examples
        --------
        A generator of batches is read in a loop:

        >>> import numpy as np
        >>> from skem import GaussianMixture
        >>> def batches(n_batches, rng):
        ...     for _ in range(n_batches):
        ...         centres = rng.choice([-3.0, 3.0], size=(1000, 1))
        ...         yield centres + rng.normal(size=(1000, 1))
        >>> mixture = GaussianMixture(2, random_state=0)
        >>> for batch in batches(50, np.random.default_rng(0)):
        ...     mixture = mixture.partial_fit(batch)
        >>> np.sort(mixture.means_.ravel()).round(1)
        array([-3.,  3.])
        """
        self._warn_of_hooks()
        with unchanged_on_error(self):
            self._validated_partial_fit(X, sample_weight)
        return self
