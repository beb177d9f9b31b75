"""Warnings of the package."""


class DegenerateComponentsWarning(UserWarning):
    """Some components of a fitted mixture are not supported by the data.

    A component rests on fewer effective samples, N·w_k, than it takes to determine its
    mean and covariance (d + 1 for a full covariance, 1 for a tied one that is far from
    all others, 3 for variances, or 2 of one feature), or several components have the
    same mean and covariance. In a `StudentMixture` a component may have made a peak of
    a row, by degrees of freedom at their lower bound: with fewer rows than half as many
    as there are features its density there has no bound. The attribute
    `degenerate_components_` of the mixture says which, and the warning names the rows
    by their indices, unless components coincide. In a `MixtureModel` it takes as many
    samples as a component has free parameters for each column of numbers or counts, and
    one for categories; groups of Gaussian columns are as in `GaussianMixture`.

    `GaussianMixtureIC` warns if it passes over a candidate of a lower criterion for
    that reason.

    Examples
    --------
    >>> import warnings
    >>> from skem import GaussianMixture
    >>> from skem.exceptions import DegenerateComponentsWarning
    >>> X = [[0.0], [0.1], [0.2], [0.3], [9.0]]
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", DegenerateComponentsWarning)
    ...     mixture = GaussianMixture(2, random_state=0).fit(X)
    >>> [warning.category.__name__ for warning in caught]
    ['DegenerateComponentsWarning']
    >>> len(mixture.degenerate_components_)
    1
    """
