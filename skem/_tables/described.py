"""Laws of columns, parts of a mixture of a table, and its summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skem._errors.groups import check_grouped
from skem._errors.maximum import gain_of_a_step, warn_if_no_maximum
from skem._errors.weighted_bootstrap import BOOTSTRAP_NEEDS_ROWS, weighted_bootstrap
from skem._fitted.sampling import check_n_draws
from skem._inputs.blocks import warn_unless_counts
from skem._inputs.families import Columns
from skem._inputs.features import check_features
from skem._inputs.frames import in_memory, is_dask
from skem._inputs.tables import read_table, with_unknown
from skem._inputs.typing import ErrorMethod, RandomState
from skem._inputs.validation import (
    as_labels,
    check_groups,
    check_of_rows,
    rng_of,
    seed_of,
    weight_of_each,
)
from skem._tables.errors import errors_of, unflattened
from skem._tables.intervals import TableEstimates, TableStandardErrors
from skem._tables.parts import check_left, parts_of, row_given
from skem._tables.readonly import REFUSAL, read_only
from skem._tables.refits import TableRefit
from skem._tables.summary import TableSummary
from skem._tables.support import level_of, support_probability
from skem._tables.univariate import UnivariateTable
from skem.core.blocks.threads import Workers
from skem.families.gaussian import Gaussian
from skem.families.point import Point
from skem.families.stream import TableStream
from skem.families.table_map import TableMap


class DescribedTable(UnivariateTable):
    """Methods of a fitted `MixtureModel` that take columns apart, and describe it."""

    _covariances: dict[tuple[str, ...], np.ndarray]

    # Both are described with the class, as other attributes are.
    @property
    def parameters_(self) -> dict[str, dict[str, np.ndarray]]:
        self._check_is_fitted()
        return read_only(self._parameters)

    @parameters_.setter
    def parameters_(self, value: Any) -> None:
        raise AttributeError(REFUSAL)

    @property
    def covariances_(self) -> dict[tuple[str, ...], np.ndarray]:
        self._check_is_fitted()
        return read_only(self._covariances)

    @covariances_.setter
    def covariances_(self, value: Any) -> None:
        raise AttributeError(REFUSAL)

    def impute(
        self,
        X: Any,
        sample: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Complete missing cells by what the rest of the row says of them.

        Numbers by their conditional means, in the mixture given the row (Gaussian and
        log-normal columns given the others of their group too); categories by the
        likeliest one.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        sample : bool, default=False
            Whether to draw missing cells from their law given the others, as multiple
            imputation does: a component by its probability given the row, and the cells
            from that.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws; None takes that of the estimator.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_samples, n_features)
            A table of the kind that was fitted, without gaps, in memory. A pandas
            DataFrame has the index and the columns of X. Categories that are not known
            stay.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            As :meth:`predict`.
        """
        X = in_memory(X)
        em = self._map(X)
        _, resp = self._posterior(X)
        values = em.numbers().copy()
        if sample:
            rng = rng_of(self, random_state)
            below = resp.cumsum(axis=0)[:-1] <= rng.random_sample(resp.shape[1])
            labels = below.sum(axis=0)
        for model, place, laws in zip(
            em.product.models, em.product.places, self._laws, strict=True
        ):
            if sample:
                values[place] = model.drawn(laws, values[place], labels, rng)
            else:
                values[place] = model.filled(laws, values[place], resp)
        every = self.categories_
        if self.handle_unknown == "missing":
            every = with_unknown(values, every, read_table(self, X, reset=False))
        filled = self._rebuilt(values, every)
        if hasattr(filled, "iloc") and hasattr(X, "iloc"):
            # Names that are numbers had become text.
            filled.index, filled.columns = X.index, X.columns
        return filled

    def support_probability(
        self,
        X: Any,
        n_samples: int = 100_000,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Return the probability that a draw has no higher density than each row.

        A score for outliers, as in :class:`GaussianMixture`: draws of the mixture are
        below p with a probability of p, or less where rows of counts and categories
        share a probability.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table.

        n_samples : int, default=100_000
            Number of draws to compare with. The standard error is at most
            0.5/√n_samples, and a probability at least 1/(n_samples + 1).

        random_state : int, RandomState instance or None, default=None
            Seed of the draws; None takes that of the estimator.

        Returns
        -------
        prob : ndarray of shape (n_samples,)
            Probabilities; of rows with missing cells, those of the density of what they
            have, and one for a row without any value.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> model = MixtureModel(families="bernoulli").fit([[0], [1], [1], [1]])
        >>> model.support_probability([[0], [1]], random_state=0).round(2)
        array([0.25, 1.  ])
        """
        em = self._map(X)
        n_samples = check_n_draws(n_samples)
        rng = rng_of(self, random_state)
        return support_probability(self, em, n_samples, rng)

    def hdr_level(
        self,
        prob: float,
        n_samples: int = 100_000,
        random_state: RandomState = None,
    ) -> float:
        """Log-density on the border of the highest-density region of mass `prob`.

        The region, the smallest of at least that mass (Hyndman 1996), is where
        `score_samples` of rows without gaps is at least the level.

        Parameters
        ----------
        prob : float
            Mass of the region, between 0 and 1.

        n_samples : int, default=100_000
            Number of draws; the mass of the region has a standard error of at most
            0.5/√n_samples. Where rows of counts and categories share a probability, it
            is larger than `prob` by what those on the border have.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws; None takes that of the estimator.

        Returns
        -------
        level : float
            In nats.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            If `prob` is not between 0 and 1, or `n_samples` is less than one or not a
            whole number.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> model = MixtureModel(families="bernoulli").fit([[0], [1], [1], [1]])
        >>> level = model.hdr_level(0.7, random_state=0)
        >>> model.score_samples([[0], [1]]) >= level
        array([False,  True])
        """
        self._check_arguments("hdr_level", prob=prob, random_state=random_state)
        self._check_is_fitted()
        n_samples = check_n_draws(n_samples)
        return level_of(self, prob, n_samples, rng_of(self, random_state))

    def marginal(self, columns: Sequence[int | str] | int | str) -> Any:
        """Return the mixture of some of the columns.

        Parameters
        ----------
        columns : int, str or sequence of them
            The columns, by place or by name, in the order wanted; or a boolean mask of
            all columns.

        Returns
        -------
        mixture : MixtureModel
            Fitted, of the same weights and components. A part of a Gaussian group has
            its covariance structure, or where that does not pass on to parts, matrices
            or variances without constraints.

        Raises
        ------
        ValueError
            If there are no columns, or they are unknown or not distinct.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> list(model.marginal("x1").parameters_)
        ['x1']
        """
        self._check_is_fitted()
        chosen = check_features(columns, self._columns.names, "columns")
        nothing = np.full(len(self._columns.names), np.nan)
        return parts_of(self, chosen, nothing, self._point.weights)

    def conditional(self, values: Any) -> Any:
        """Return the mixture of the other columns, given the values of some.

        Its weights are the posterior probabilities of the components given the values.
        Columns are independent given the component, so that their parameters stay; the
        others of a Gaussian group are those of the regression on what is given of it.

        Parameters
        ----------
        values : mapping, or sequence of shape (n_features,)
            A value for each given column, by place or by name, as a category or a
            number; or a row, with None or NaN for the columns that are not given.

        Returns
        -------
        mixture : MixtureModel
            Fitted, of the columns without a value, in their order. Components keep
            their numbers.

        Raises
        ------
        ValueError
            If a column or a category is unknown, a value is infinite or does not suit
            the column's family, or all columns are given.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0, 1], [1, 0], [0, 2], [30, 9], [31, 8], [28, 7]]
        >>> model = MixtureModel(2, families="poisson", random_state=0).fit(X)
        >>> given = model.conditional({"x0": 25})
        >>> given.weights_.max().round(3)
        np.float64(1.0)
        """
        self._check_is_fitted()
        row = row_given(self._columns, values)
        wanted = check_left(row)
        X = row[:, None]
        em = TableMap(self._product.of(X), X, np.ones(1), Workers())
        _, _, resp = next(em.posterior(self._point))
        return parts_of(self, wanted, row, resp[:, 0])

    def standard_errors(
        self,
        X: Any,
        sample_weight: ArrayLike | None = None,
        *,
        method: ErrorMethod = "sandwich",
        n_boot: int = 200,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        labels: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> TableStandardErrors:
        """Estimate standard errors of the parameters.

        By default from the sandwich A⁻¹ B A⁻¹, with A minus the Hessian of the
        log-likelihood [1]_, and B the sum of outer products of the scores of the rows
        [2]_, as in :class:`GaussianMixture`. It is right for large samples whether the
        model is right or not. The likelihood is the one that the fit has climbed: there
        values that many rows share have a width, as in the Notes of `GaussianMixture`,
        which counts as known. Pseudo-observations of categories count as rows, in A and
        in B; otherwise the penalty is left out. Parameters that the rows do not
        determine have NaN, with a warning. Degrees of freedom, sizes and shapes that
        the data cannot tell from a bound of their range are held there by the others'
        errors, and have an infinite one. So do proportions of 0 and 1, and rates of 0:
        those of fits without pseudo-observations, and those of Bernoulli columns that
        are 0, or 1, in all rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The table that was fitted.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as repeated rows.

        method : {'sandwich', 'survey', 'hessian', 'opg', 'bootstrap'}, \
                default='sandwich'
            'survey' is the sandwich for sampling weights, of how many others a row
            stands for [3]_: scores are multiplied by weights then, and the scale of
            weights is of no effect but beside pseudo-observations. 'hessian' is A⁻¹ and
            'opg', the outer product of gradients, B⁻¹: both suppose that the model is
            right. 'bootstrap' is the standard deviation over refits to random weights
            of the rows [4]_, for small samples: each starts from the parameters of this
            mixture, with its pseudo-observations and the widths of values.

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
            Names or numbers of what rows were drawn together in, such as households:
            rows of one group may depend on each other, as in
            :meth:`GaussianMixture.standard_errors`. For 'sandwich', 'survey' and
            'bootstrap'.

        Returns
        -------
        errors : TableStandardErrors
            With `weights` and `parameters`, in the shapes of `weights_` and
            `parameters_`. What was `fixed` in the fit has error zero. Its method
            `confidence_interval` gives intervals. It prints as a table of estimates and
            errors, and `to_frame` has that table as a data frame.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            As :meth:`predict`; if `method` is none of the five, weights are negative
            or all zero, or labels are not those of components; if groups have missing
            values, there is only one, or `method` takes none; if X is a Dask collection
            for the bootstrap.

        Warns
        -----
        UserWarning
            If weights are not whole numbers, and add up to more than twice the number
            of rows.
            If the mixture is at no maximum of the likelihood of these rows, as where
            the fit had weights or labels that are not passed here.
            If errors are NaN: as rows are few, and those by the Hessian are not; as
            scores of rows do not vary, and those by the Hessian are numbers; or as the
            rows do not determine the parameters.

        References
        ----------
        .. [1] T. A. Louis (1982). Finding the observed information matrix when using
           the EM algorithm. JRSS B 44(2), 226-233.

        .. [2] H. White (1982). Maximum likelihood estimation of misspecified models.
           Econometrica 50(1), 1-25.

        .. [3] D. A. Binder (1983). On the variances of asymptotically normal estimators
           from complex surveys. International Statistical Review 51(3), 279-292.

        .. [4] M. A. Newton and A. E. Raftery (1994). Approximate Bayesian inference
           with the weighted likelihood bootstrap. JRSS B 56(1), 3-48.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [1], [0], [1], [1], [1], [1]]
        >>> model = MixtureModel(families="bernoulli").fit(X)
        >>> errors = model.standard_errors(X)
        >>> errors.parameters["x0"]["probability"].round(2)
        array([0.15])
        """
        self._check_is_fitted()
        self._check_arguments(
            "standard_errors",
            method=method,
            n_boot=n_boot,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        if groups is not None:
            check_grouped(method)
        boot = method == "bootstrap"
        if boot and is_dask(X):
            raise ValueError(BOOTSTRAP_NEEDS_ROWS)
        em = self._map(X, sample_weight, labels)
        weight = weight_of_each(sample_weight, em.n_samples)
        numbers = check_groups(groups, em.n_samples, weight)
        if method == "survey":
            # Their scale says nothing, and rows are to count as rows.
            weight = weight * (np.count_nonzero(weight) / weight.sum())
        else:
            warn_unless_counts(weight, "standard errors")
        em = self._with_widths(em, weight)
        if boot:
            refit = TableRefit(self, em.product, em.numbers(), em.known)
            seed = seed_of(self, random_state)
            found = weighted_bootstrap(refit, weight, numbers, n_boot, seed, n_jobs)
            errors = refit.informed(em, weight, found)
        else:
            elsewhere = warn_if_no_maximum(self, partial(_gain, em, weight))
            errors = errors_of(
                em,
                self._point,
                weight,
                self._outward,
                method,
                numbers,
                elsewhere=elsewhere,
            )
        columns, here = self._columns, unflattened(self._outward(self._point))
        kinds = {
            columns.names[j]: kind for kind, places in columns.groups for j in places
        }
        estimates = TableEstimates(
            np.array(self._point.weights), here, kinds, self.categories_
        )
        return TableStandardErrors(
            errors["weights"],
            unflattened(errors),
            estimates=estimates,
            method=method,
            n_boot=n_boot if boot else None,
            n_groups=None if numbers is None else int(numbers.max()) + 1,
        )

    def _with_widths(self, em: TableMap, weight: np.ndarray) -> TableMap:
        """Return the map of the likelihood that a fit to these rows climbs.

        It has widths of shared values, which a fitted mixture does not keep.
        """
        kinds = [kind for kind, _ in self._columns.groups]
        if all(kind.categorical or kind.discrete for kind in kinds):
            return em
        K = len(self.weights_)
        looked = self._columns.product(em.values, weight, K, None)
        return replace(em, product=em.product.with_widths_of(looked))

    def _outward(self, point: Point) -> dict[Any, np.ndarray]:
        """Return the weights, and the parameters by column and name."""
        found = outward_parameters(self._columns, self._product, point)[0]
        flat: dict[Any, np.ndarray] = {"weights": point.weights}
        for name, laws in found.items():
            flat |= {(name, key): values for key, values in laws.items()}
        return flat

    def summary(
        self,
        X: Any = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | None = None,
    ) -> TableSummary:
        """Return per-component tables of what the columns are like, to be printed.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features), default=None
            A table, usually that of the fit: its rows are counted, and the summary has
            its likelihood and criteria. None: what is known without data.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of these rows.

        labels : array-like of shape (n_samples,), default=None
            The labels that were passed to `fit`. The log-likelihood and the criteria
            then count them. The mean log-likelihood of the fit does not: the printed
            summary then says which is which.

        Returns
        -------
        summary : TableSummary
            Prints as text, and as HTML in notebooks.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        ValueError
            As :meth:`predict`; if weights or labels are given without X, weights are
            negative or all zero, or labels are not those of components.

        Examples
        --------
        >>> from skem import MixtureModel
        >>> X = [[0], [1], [1], [0], [1], [1]]
        >>> MixtureModel(families="bernoulli").fit(X).summary()
        Mixture of 1 component: 1 free parameter, mean log-likelihood -0.636514
        <BLANKLINE>
                     0
          weight  1.00
        <BLANKLINE>
        Proportions of categories
        <BLANKLINE>
                      0
          x0 = 1  0.667
        """
        self._check_is_fitted()
        check_of_rows(X, sample_weight, labels)
        summary = TableSummary(
            self._point.weights,
            self.families_,
            self.parameters_,
            self.categories_,
            self.n_parameters_,
            getattr(self, "lower_bound_", None),
            logarithms={
                self._columns.names[j]: kind.logarithms
                for kind, places in self._columns.groups
                for j in places
            },
        )
        if X is None:
            return summary
        found = self._agreement(X, sample_weight, labels)
        totals, sure = found.totals, found.certainty
        return replace(
            summary,
            sizes=sure.sizes,
            effective_sizes=sure.shared.sum(axis=0),
            log_likelihood=totals.loglik,
            bic=totals.bic(self.n_parameters_),
            aic=totals.aic(self.n_parameters_),
            icl=totals.icl(self.n_parameters_),
            entropy=sure.entropy,
            relative_entropy=sure.relative_entropy,
            mean_probabilities=sure.mean_probabilities,
            data_have_labels=_are_known(labels),
        )


def _are_known(labels: Any) -> bool:
    """Whether a component is known of any row."""
    return labels is not None and bool((as_labels(labels) >= 0).any())


def _gain(em: TableMap, weight: np.ndarray, stream: TableStream) -> float:
    """Return the nats that a step of EM gains, in the unit of weights of the fit."""
    weight = weight * (stream.seen / weight.sum())
    return gain_of_a_step(replace(em, weight=weight), stream.point)


def outward_parameters(
    columns: Columns, product: Any, point: Point
) -> tuple[dict[str, dict[str, np.ndarray]], dict[tuple[str, ...], np.ndarray]]:
    """Return the parameters of each column, and the covariances of groups."""
    found: dict[str, dict[str, np.ndarray]] = {}
    covariances: dict[tuple[str, ...], np.ndarray] = {}
    for (kind, places), model, laws in zip(
        columns.groups, product.models, point.laws, strict=True
    ):
        names = [columns.names[j] for j in places]
        outward = model.outward(laws)
        if isinstance(kind, Gaussian):
            covariances[tuple(names)] = outward["covariances"]
            for i, name in enumerate(names):
                found[name] = {
                    "mean": outward["means"][:, i],
                    "standard_deviation": outward["standard_deviations"][:, i],
                }
        else:
            found[names[0]] = outward
    return {name: found[name] for name in columns.names}, covariances
