"""The summary of a fitted mixture, and standard errors of its parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._errors.confidence import Estimates, StandardErrors
from skem._errors.groups import GROUPS_NEED_ROWS, check_grouped
from skem._errors.maximum import gain_of_a_step, warn_if_no_maximum
from skem._errors.scores import Scores
from skem._errors.standard_errors import standard_errors
from skem._errors.weighted_bootstrap import (
    BOOTSTRAP_NEEDS_ROWS,
    MixtureRefit,
    weighted_bootstrap,
)
from skem._fitted.parametric import Parametric
from skem._fitted.shared import of_likelihood
from skem._inputs.array_api import numpy_of
from skem._inputs.blocks import open_blocks, unthreaded_blocks, warn_unless_counts
from skem._inputs.features import names_of
from skem._inputs.fixed import check_fixed
from skem._inputs.frames import is_dask
from skem._inputs.typing import ErrorMethod, RandomState, available_if
from skem._inputs.validation import (
    check_data,
    check_groups,
    check_of_rows,
    check_sample_weight,
    seed_of,
)
from skem._report.measures import agreement, bhattacharyya, correlations
from skem._report.summary import MixtureSummary
from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.core.mixture.bulk import Bulk
from skem.core.mixture.kernel import Kernel
from skem.core.mixture.scale import Sample
from skem.core.mixture.stream import Stream


class Reporting(Parametric):
    """Summarises a mixture, and estimates standard errors of its parameters."""

    def summary(
        self,
        X: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> MixtureSummary:
        """Summarise the mixture, and how well it fits data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Data, usually those of the fit. None: what is known without data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        labels : array-like of shape (n_samples,), default=None
            The labels that were passed to `fit`. The log-likelihood and the criteria
            then count them. `lower_bound` does in any case: without labels here, the
            printed summary says which is with labels.

        Returns
        -------
        summary : MixtureSummary
            Prints as tables, in notebooks as HTML. Its attributes are `weights`,
            `means`, `standard_deviations`, `correlations`, `n_parameters`,
            `feature_names`, `covariance_type`, and `overlap`: the Bhattacharyya
            coefficients [1]_ of all pairs of components, 1 for equal densities and 0
            for separate ones (of t components, from 10 000 draws of each, with a
            standard error of at most 0.005); `df` of t components, whose
            `standard_deviations` are scales, the roots of the diagonals of the scale
            matrices, and smaller than standard deviations; after a fit,
            `lower_bound` and `converged`; and with X, `n_samples`, `sizes` and
            `effective_sizes` (sums of labels and of responsibilities),
            `log_likelihood`, `bic`, `aic`, `icl`, and the
            `entropy` of the responsibilities, in nats, with `relative_entropy` and
            `mean_probabilities`: how sure labels are. What is not known is None.
            That of a :class:`~skem.BayesianGaussianMixture` is of its plug-in mixture
            and has no criteria; its `lower_bound` is the evidence lower bound.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if weights
            are negative, all zero, or given without X; or if labels are not integers
            in their range, or given without X.

        References
        ----------
        .. [1] K. Fukunaga (1990). Introduction to Statistical Pattern Recognition,
           2nd edition, section 3.4. Academic Press.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> summary = GaussianMixture(2, n_init=5, random_state=0).fit(X).summary(X)
        >>> summary.sizes
        array([175.,  97.])
        >>> print(round(summary.bic, 1), round(summary.overlap[0, 1], 4))
        2322.2 0.0025
        """
        self._check_is_fitted()
        check_of_rows(X, sample_weight, labels)
        structure, parameters = SHAPES[self.covariance_type], self._parameters()
        summary = MixtureSummary(
            covariance_type=self.covariance_type,
            feature_names=tuple(map(str, names_of(self, parameters.shape[1]))),
            n_parameters=self._n_parameters(),
            weights=parameters.weights,
            means=parameters.means,
            standard_deviations=structure.standard_deviations(
                parameters.precisions_cholesky, parameters.shape
            ),
            correlations=correlations(structure, parameters),
            overlap=self._overlap(),
            lower_bound=getattr(self, "lower_bound_", None),
            converged=getattr(self, "converged_", None),
            noise_weight=getattr(self, "noise_weight_", None),
            df=getattr(self, "df_", None),
            is_evidence=not of_likelihood(self),
            fit_has_labels=getattr(self, "_labelled", False),
        )
        if X is None:
            return summary
        K = len(parameters.weights)
        with open_blocks(
            self, X, sample_weight, reset=False, labels=labels, n_components=K
        ) as blocks:
            found = agreement(self._expectation(blocks.dtype), blocks)
            labelled = len(blocks.known_components) > 0
            summary = summary.on_data(found, blocks.total_weight, labelled=labelled)
        if of_likelihood(self):
            return summary
        return replace(summary, bic=None, aic=None, icl=None)

    def _overlap(self) -> np.ndarray:
        """Bhattacharyya coefficients of all pairs of components."""
        return bhattacharyya(SHAPES[self.covariance_type], self._parameters())

    @available_if(of_likelihood)
    def standard_errors(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: ErrorMethod = "sandwich",
        n_boot: int = 200,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        labels: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> StandardErrors:
        """Estimate standard errors of the weights, means and covariances.

        By default from the sandwich A⁻¹ B A⁻¹, with A minus the Hessian of the
        log-likelihood, and B = Σ_i v_i s_i s_iᵀ the sum of outer products of the
        gradients s of the rows' log-densities [1]_ [2]_. It is right for large samples,
        in which every component has many rows, whether the model is right or not: then
        the parameters are those of the nearest mixture. Both matrices are exact [3]_,
        and found in one pass over the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data of the fit. Of Dask collections, blocks are computed where they
            are, as in a fit.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight is the same as repeating the row:
            weights count observations, and do not tell their precision.

        method : {'sandwich', 'survey', 'hessian', 'opg', 'bootstrap'}, \
                default='sandwich'
            'survey' is the sandwich for sampling weights, of how many others a row
            stands for [5]_: B is Σ_i v_i² s_i s_iᵀ then, and the scale of weights is of
            no effect. 'hessian' is A⁻¹ and 'opg', the outer product of gradients, B⁻¹.
            Both suppose that the model is right; then A⁻¹ varies less from sample to
            sample than the sandwich, and B⁻¹ is larger in small samples. 'bootstrap' is
            the standard deviation over refits to random weights of the rows [4]_, for
            small samples. Each refit starts from the parameters of this mixture, so
            that components keep their numbers. It takes arrays, and no Dask
            collections.

        n_boot : int, default=200
            Number of refits of the bootstrap, at least two. Its errors have a relative
            standard error of about 1/√(2 n_boot).

        random_state : int, RandomState instance or None, default=None
            Seed of the bootstrap. None: the estimator's `random_state`.

        n_jobs : int or None, default=None
            The number of refits at a time, in processes of joblib.

        labels : array-like of shape (n_samples,), default=None
            The known components that the fit was given.

        groups : array-like of shape (n_samples,), default=None
            Names or numbers of what rows were drawn together in, such as households, or
            patients of whom there are several rows: rows of one group may depend on
            each other, and groups are independent. B is G/(G − 1) Σ_g t_g t_gᵀ then, of
            the sums t_g of v_i s_i in each of G groups [6]_, and the bootstrap draws a
            weight for each group. Errors are too small where there are few groups, less
            than 30 or so. All t_g are held in memory. For 'sandwich', 'survey' and
            'bootstrap'; X is no Dask collection then.

        Returns
        -------
        errors : StandardErrors
            Named tuple of `weights`, `means` and `covariances`, in the shapes of
            `weights_`, `means_` and `covariances_`, float64; the entries of a
            covariance matrix have an error each. Infinite where the data tell nothing
            about a parameter: for a component without data, or where the log-likelihood
            has no maximum in it; and, but by the Hessian or the bootstrap, for a
            component of fewer rows than parameters of its own. A weight
            of zero or one is on its bound, and has error zero, and so has what was
            `fixed` in the fit; but with `noise` fixed weights are shares of what that
            leaves, and vary with it. Of t components, its attribute `df` has those of
            `df_`, infinite where the data cannot tell one from its bound. The errors of
            all other parameters are computed with it held at that bound. Its method
            `confidence_interval` gives intervals. It prints as a table of estimates and
            errors, and `to_frame` has that table as a data frame.

        Raises
        ------
        ValueError
            If X has infinite values, or not the features of the fit; if weights
            are negative or all zero; if `method` is not one of the five; if X is a
            Dask collection for the bootstrap, or with groups; if groups have missing
            values, there is only one, or `method` takes none.

        Warns
        -----
        UserWarning
            If weights are not whole numbers, and add up to more than twice the number
            of rows, but by 'survey'.
            If the mixture is at no maximum of the likelihood of these rows, as where
            the fit had weights or labels that are not passed here; but not by
            'bootstrap'.
            If errors are infinite as rows are few, and those by the Hessian are not.

        Notes
        -----
        The matrices are those of the likelihood, and the penalty of `reg_covar` is left
        out. Where it is all that holds a covariance, the data tell nothing about it.
        Values that many rows share have the width that a fit to these rows gives them,
        which counts as known.
        With `noise`, its volume is taken for known.

        References
        ----------
        .. [1] H. White (1982). Maximum likelihood estimation of misspecified models.
           Econometrica 50(1), 1-25.
        .. [2] G. McLachlan and D. Peel (2000). Finite Mixture Models, section 2.15.
           Wiley.
        .. [3] T. A. Louis (1982). Finding the observed information matrix when using
           the EM algorithm. JRSS B 44(2), 226-233.
        .. [4] M. A. Newton and A. E. Raftery (1994). Approximate Bayesian inference
           with the weighted likelihood bootstrap. JRSS B 56(1), 3-48.
        .. [5] D. A. Binder (1983). On the variances of asymptotically normal estimators
           from complex surveys. International Statistical Review 51(3), 279-292.
        .. [6] K.-Y. Liang and S. L. Zeger (1986). Longitudinal data analysis using
           generalized linear models. Biometrika 73(1), 13-22.

        Examples
        --------
        >>> from skem import GaussianMixture
        >>> from skem.datasets import load_faithful
        >>> X = load_faithful().data
        >>> mixture = GaussianMixture(2, n_init=5, random_state=0).fit(X)
        >>> mixture.means_.round(2)
        array([[ 4.29, 79.97],
               [ 2.04, 54.48]])
        >>> errors = mixture.standard_errors(X)
        >>> errors.means.round(2)
        array([[0.03, 0.46],
               [0.03, 0.6 ]])
        >>> errors.confidence_interval(0.95).means.upper.round(2)
        array([[ 4.35, 80.87],
               [ 2.09, 55.65]])
        """
        self._check_arguments(
            "standard_errors",
            method=method,
            n_boot=n_boot,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self._check_is_fitted()
        structure, K = SHAPES[self.covariance_type], np.shape(self.means_)[0]
        if groups is not None:
            check_grouped(method)
            if is_dask(X):
                raise ValueError(GROUPS_NEED_ROWS)
        if method == "bootstrap" and is_dask(X):
            raise ValueError(BOOTSTRAP_NEEDS_ROWS)
        if method == "bootstrap":
            X, _ = check_data(self, X, reset=False)
            weight = check_sample_weight(sample_weight, X)
            numbers = check_groups(groups, len(X), weight)
            warn_unless_counts(weight, "standard errors")
            refit = MixtureRefit(self, X, labels)
            each = np.ones(len(X)) if weight is None else weight
            seed = seed_of(self, random_state)
            errors = refit.known(
                weighted_bootstrap(refit, each, numbers, n_boot, seed, n_jobs)
            )
            if len(errors) > 3:
                blocks = unthreaded_blocks(self, X, weight, labels, K)
                scores, *_ = self._scored(blocks)
                errors = (*errors[:3], scores.unless_on_bounds(errors[3]))
        else:
            # The work is one product per block, and threads of our own would need an
            # information matrix each.
            blocks = unthreaded_blocks(self, X, sample_weight, labels, K)
            blocks, numbers = _grouped(blocks, groups)
            unit = 1.0
            if method == "survey":
                # Their scale says nothing, and rows are to count as rows.
                unit = blocks.total_weight / blocks.n_observed
            else:
                warn_unless_counts(blocks, "standard errors")
            elsewhere = warn_if_no_maximum(self, partial(_gain, blocks))
            scores, expectation, features = self._scored(blocks, unit)
            errors = standard_errors(
                scores,
                expectation,
                blocks,
                method,
                features,
                numbers,
                elsewhere=elsewhere,
            )
        estimates = Estimates.of(
            numpy_of(self.weights_),
            numpy_of(self.means_),
            numpy_of(self.covariances_),
            structure.matrices,
            vars(self).get("df_"),
            tuple(map(str, names_of(self, np.shape(self.means_)[1]))),
            structure.shared,
        )
        weights, means, covariances, *df = errors
        return StandardErrors(
            weights,
            means,
            covariances,
            estimates=estimates,
            df=df[0] if df else None,
            method=method,
            n_boot=n_boot if method == "bootstrap" else None,
            n_groups=None if numbers is None else int(numbers.max()) + 1,
        )

    def _scored(
        self, blocks: Blocks, unit: float = 1.0
    ) -> tuple[Any, Kernel, np.ndarray | None]:
        """Return scores, the E-step that they are of, and what features they are of.

        Weights are in that unit where they count as rows.
        """
        scores, features = self._scores(), self._varying_features()
        structure = SHAPES[self.covariance_type]
        expectation: Any = self._expectation(blocks.dtype)
        if features is not None:
            scores = scores.of_part(features)
            expectation = self._density_at(
                structure, scores.parameters, None, scores.null, blocks.dtype
            )
        if self.reg_covar == "auto":
            widths = self._widths(blocks, unit)
            widths = widths if features is None else widths.only(features)
            there = expectation.coordinates.with_widths_of(widths)
            expectation = replace(expectation, coordinates=there)
        return scores.held(expectation, blocks, features, unit), expectation, features

    def _widths(self, blocks: Blocks, unit: float) -> Coordinates:
        """Return coordinates with the widths of values that rows of the fit share.

        What has not kept them has those that a fit to these rows would give them.
        """
        stream = getattr(self, "_stream", None)
        if isinstance(stream, Stream):
            return stream.coordinates
        structure = SHAPES[self.covariance_type]
        bulk = Bulk.of(blocks, structure)
        rows = replace(bulk.blocks, weight=bulk.blocks.weight_of_each / unit)
        return Sample.of(rows, bulk.coordinates, structure).coordinates

    def _varying_features(self) -> np.ndarray | None:
        """Return the features, by index, that are not constant; None for all.

        Constants that tell components apart, or from noise, are kept.
        """
        null, scores = self._null, self._scores()
        if null is None or scores.noise or {"means", "covariances"} & set(scores.given):
            return None
        varying = np.flatnonzero(~null.features)
        if not len(varying):
            # One without errors stands for all.
            varying = np.arange(1)
        return varying if len(varying) < len(null.slope) else None

    def _scores(self) -> Scores:
        """Return the scores of the parameters that are free."""
        masks = {}
        if getattr(self, "_n_given", 0) > 0:
            masks = check_fixed(getattr(self, "fixed", None), np.shape(self.means_)[0])
        structure, noise = SHAPES[self.covariance_type], self._background is not None
        return Scores(structure, self._parameters(), masks, noise, self._null)


def _grouped(blocks: Any, groups: Any) -> tuple[Blocks, np.ndarray | None]:
    """Return the rows that have a group, and its number."""
    if groups is None:
        return blocks, None
    numbers = check_groups(groups, blocks.n_samples, blocks.weight)
    assert numbers is not None
    rows = np.flatnonzero(numbers >= 0)
    if len(rows) == len(numbers):
        return blocks, numbers
    return blocks.take(rows), numbers[rows]


def _gain(blocks: Blocks, stream: Stream) -> float:
    """Return the nats that a step of EM gains, in the unit of weights of the fit."""
    share = blocks.total_weight / stream.seen
    total = (stream.averages * stream.size).pooled()
    em = stream.map_of(blocks, stream.regularization.scaled(share), total)
    return gain_of_a_step(em, stream.parameters) / share
