"""The choice of a mixture of Gaussian or t components by a criterion."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_random_state

from skem._fitted.shared import AllowsGaps
from skem._fitting.fitting import PARAMETERS, unchanged_on_error
from skem._fitting.likelihood import SIMPLIFY, LikelihoodMixture, of_small_weights
from skem._inputs.blocks import open_blocks, reopening, warn_unless_counts
from skem._inputs.callers import users_level
from skem._inputs.sklearn import Interval, fit_context
from skem._inputs.typing import CovarianceType
from skem._inputs.validation import check_n_samples
from skem._report.criterion import CORRECTED, is_corrected
from skem._selection.candidates import candidates
from skem._selection.delegate import (
    AttributeOfBest,
    Chooser,
    of_best,
    warn_unless_converged,
)
from skem._selection.grid import (
    CHOICE_CONSTRAINTS,
    Candidate,
    check_covariance_types,
    check_numbers_of_components,
    print_candidates,
    results_of,
)
from skem._selection.judge import CROWDED
from skem._selection.problem import Problem
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.coordinates import extent_of
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.degeneracy import too_few
from skem.exceptions import DegenerateComponentsWarning

TOO_FEW = "Expected n_samples >= n_components but got n_components = {}, n_samples = {}"


class ChosenMixture(AllowsGaps, Chooser):
    """Fit every candidate, choose one, and have its methods."""

    means_ = AttributeOfBest[np.ndarray]()
    covariances_ = AttributeOfBest[np.ndarray]()
    precisions_ = AttributeOfBest[np.ndarray]()
    precisions_cholesky_ = AttributeOfBest[np.ndarray]()
    lower_bounds_ = AttributeOfBest[list[float]]()
    noise_weight_ = AttributeOfBest[float]()
    noise_volume_ = AttributeOfBest[float]()
    covariance_type_: CovarianceType

    n_components: int | Sequence[int]
    covariance_type: Any
    n_init: int
    random_state: Any
    n_jobs: int | None
    refit: bool
    verbose: int

    _parameter_constraints: dict = {  # noqa: RUF012
        **CHOICE_CONSTRAINTS,
        "reg_covar": PARAMETERS["reg_covar"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": PARAMETERS["init_params"],
        "noise": LikelihoodMixture._parameter_constraints["noise"],
        "refit": ["boolean"],
        "verbose": ["verbose"],
    }

    _margin: ClassVar[float] = 10.0
    """Nats that a candidate may be behind the best one, and be followed to the end."""
    _kind: ClassVar[type[LikelihoodMixture]]
    """The estimator of each candidate."""
    _passed: ClassVar[tuple[str, ...]] = (
        *("tol", "reg_covar", "max_iter", "init_params", "noise", "algorithm"),
        "random_state",
    )
    """Parameters that each of them has as they are."""

    def _candidates(
        self,
        opened: Callable[[], AbstractContextManager[Blocks]],
        components: Sequence[int],
        structures: Sequence[str],
        seed: int,
        n_jobs: int | None,
    ) -> list[Candidate]:
        """Fit mixtures to data that `opened` holds ready: by K, then by structure."""
        problem = Problem(
            opened,
            self._kind,
            components,
            self.n_init,
            self.criterion,
            self._margin,
            seed,
            {name: getattr(self, name) for name in self._passed},
            self.verbose,
        )
        return candidates(problem, structures, n_jobs)

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> Self:
        """Fit every candidate, and choose one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, as for `GaussianMixture`: NaN is a missing value.

        y : Ignored
            Not used, present for API consistency by convention.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Their sum N plays the role of the number of samples,
            in the criterion too: so do not normalise them to one.

        labels : array-like of shape (n_samples,), default=None
            Known components, −1 where they are not known, as for `GaussianMixture`.
            Numbers of components that are fewer than those of the labels are no
            candidates. The criterion counts the labels.

        Returns
        -------
        self : object
            With the chosen mixture.

        Raises
        ------
        ValueError
            If X has infinite values or a feature without any value, weights are
            negative or all zero, a parameter is out of range, or no candidate at all
            could be fitted. The estimator then stays as it was.

        Warns
        -----
        FitFailedWarning
            If there are fewer samples than components of some candidates, which are
            then marked in `results_`.
        UserWarning
            If no candidate is eligible; the best of the others is chosen. If the
            largest of several numbers of components is chosen. If weights are not
            whole numbers, and add up to more than twice the number of rows.
        DegenerateComponentsWarning
            If a candidate of a lower criterion is passed over, since some of its
            components rest on too few rows, which are named, or coincide.
        ConvergenceWarning
            If the chosen mixture has not converged.

        Examples
        --------
        >>> from skem import GaussianMixtureIC
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> selection = GaussianMixtureIC((1, 2, 3), covariance_type="full").fit(X)
        >>> selection.n_components_, selection.covariance_type_
        (2, 'full')
        """
        with unchanged_on_error(self):
            self._validated_fit(X, sample_weight, labels)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def _validated_fit(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None,
        labels: ArrayLike | None,
    ) -> None:
        components = check_numbers_of_components(self.n_components)
        structures = check_covariance_types(self.covariance_type)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        with open_blocks(
            self,
            X,
            sample_weight,
            reset=True,
            labels=labels,
            n_components=components[-1],
        ) as blocks:
            warn_unless_counts(blocks, "criteria")
            rows = blocks.n_observed
            # Fewer components than labels name are no candidates.
            named = 1 + int(blocks.known_components.max(initial=0))
            components = [K for K in components if K >= named]
            check_n_samples(rows, components[0])
            # More components than rows cannot be started: those candidates fail.
            possible = [K for K in components if K <= rows]
            opened, elsewhere = reopening(blocks)
            n_jobs = self.n_jobs if elsewhere else 1
            # One of these has to be chosen where there are no others.
            d, total = blocks.n_features, blocks.total_weight
            if total <= d:
                extent = extent_of(blocks)
                d = int((extent.high > extent.low).sum())
            crowded = [
                name
                for name in structures
                if too_few(SHAPES[name], components[0], d, total)
            ]
            fitted = [each for each in structures if each not in crowded] or structures
            found = self._candidates(opened, possible, fitted, seed, n_jobs)
            found += [
                Candidate(K, name, warning=CROWDED)
                for K in possible
                for name in structures
                if name not in fitted
            ]
            found.sort(
                key=lambda c: (c.n_components, structures.index(c.covariance_type))
            )
            least = min(
                (SHAPES[name] for name in structures),
                key=lambda structure: structure.least_points(blocks.n_features),
            )
            remedy = of_small_weights(blocks, least, components[0]) or SIMPLIFY
        beyond = components[len(possible) :]
        if beyond:
            warnings.warn(
                f"No candidates with n_components {', '.join(map(str, beyond))} can be "
                f"fitted, as there are only {rows} samples.",
                FitFailedWarning,
                stacklevel=users_level(),
            )
        found += [
            Candidate(K, name, warning=TOO_FEW.format(K, rows))
            for K in beyond
            for name in structures
        ]
        self._choose(found, remedy)
        if self.refit:
            with opened() as again:
                self.best_estimator_._label(again)

    def _choose(self, found: list[Candidate], remedy: str) -> None:
        self._set_choice(results_of(found, self.criterion))
        if self.verbose:
            print_candidates(self.results_, self.criterion)
        best = found[self.best_index_]
        if best.mixture is None:
            raise ValueError(best.warning)
        if best.warning:
            warnings.warn(
                "No candidate is eligible; the best of the others is chosen. "
                f"{best.warning} {remedy}",
                UserWarning,
                stacklevel=users_level(),
            )
        self._warn_of_better(found, best)
        self._warn_of_most_tried()
        warn_unless_converged(best.mixture)
        self.__dict__.pop("best_estimator_", None)
        if self.refit:
            if hasattr(self, "feature_names_in_"):
                best.mixture.feature_names_in_ = self.feature_names_in_
            self.best_estimator_ = best.mixture

    def _warn_of_better(self, found: list[Candidate], best: Candidate) -> None:
        """Say so if a candidate of a lower criterion is passed over."""
        if best.warning:
            return
        # Of a crowded one it is no news that it has a likelihood without end.
        fitted = [c for c in found if c.mixture is not None and c.warning != CROWDED]
        lowest = min(fitted, key=lambda c: c.judged_by(self.criterion))
        less = best.judged_by(self.criterion) - lowest.judged_by(self.criterion)
        if less > 0:
            name = self.criterion
            if is_corrected(self.results_, name):
                name += f" ({CORRECTED})"
            warnings.warn(
                f"The candidate with n_components={lowest.n_components} and "
                f"covariance_type={lowest.covariance_type!r} has a lower "
                f"{name}, by {less:.1f}, but it is not eligible: "
                f"{lowest.why_not()}",
                DegenerateComponentsWarning,
                stacklevel=users_level(),
            )

    predict = of_best(LikelihoodMixture.predict)
    predict_proba = of_best(LikelihoodMixture.predict_proba)
    score_samples = of_best(LikelihoodMixture.score_samples)
    component_log_density = of_best(LikelihoodMixture.component_log_density)
    sample = of_best(LikelihoodMixture.sample)
    summary = of_best(LikelihoodMixture.summary)
    standard_errors = of_best(LikelihoodMixture.standard_errors)
    support_probability = of_best(LikelihoodMixture.support_probability)
    hdr_level = of_best(LikelihoodMixture.hdr_level)
    marginal = of_best(LikelihoodMixture.marginal)
    conditional = of_best(LikelihoodMixture.conditional)
    impute = of_best(LikelihoodMixture.impute)
    cdf = of_best(LikelihoodMixture.cdf)
    quantile = of_best(LikelihoodMixture.quantile)
