"""
Concentration prior
===================

A Bayesian mixture is given more components than it takes, and empties those that it can
do without. What the concentration of the weights' prior has to say in that, on the data
of scikit-learn's example of the same name.
"""

# %%
# Three clusters, and priors
# --------------------------
#
# The clusters have standard deviations of 0.7 and 0.1, and 200, 500 and 200 rows. The
# mixtures have room for six components.

import matplotlib.pyplot as plt
import numpy as np
import sklearn.mixture

from skem import BayesianGaussianMixture, MixtureDisplay

rng = np.random.default_rng(2)
means = np.array([[0.0, -0.7], [0.0, 0.0], [0.0, 0.7]])
X = np.concatenate(
    [
        mean + rng.normal(size=(n, 2)) * [0.7, 0.1]
        for mean, n in zip(means, (200, 500, 200), strict=True)
    ]
)
X = X[rng.permutation(len(X))]

figure, panels = plt.subplots(2, 3, figsize=(8, 5), layout="constrained")
rows = zip(panels, ("dirichlet_distribution", "dirichlet_process"), strict=True)
for row, prior in rows:
    for axes, concentration in zip(row, (0.001, 1.0, 1000.0), strict=True):
        mixture = BayesianGaussianMixture(
            6,
            weight_concentration_prior_type=prior,
            weight_concentration_prior=concentration,
            random_state=0,
        ).fit(X)
        MixtureDisplay.from_estimator(mixture, X, show_legend=False, ax=axes)
        axes.set_title(
            f"{prior.split('_')[1]}, {concentration:g}: "
            f"{mixture.n_effective_components_}"
        )
plt.show()

# %%
# The number above each picture is `n_effective_components_`. A concentration that is
# small, or one, leaves the number to the data. A large one of a Dirichlet distribution
# says that all six have about the same weight, and the data have to live with that. A
# large one of a Dirichlet process says that a stick is broken into many small pieces.
#
# What changes beside scikit-learn
# --------------------------------
#
# scikit-learn takes small steps from one start of six clusters, in any order. In a
# Dirichlet process the order counts: each stick of few rows before those of many costs
# a few nats. `BayesianGaussianMixture` starts from different numbers of clusters,
# deletes, merges and splits components as long as that raises the bound, and sorts
# them. To compare the two, both bounds are computed in the same way, with
# scikit-learn's prior.

bounds = {}
for concentration in (0.001, 1.0, 1000.0):
    params = {
        "n_components": 6,
        "weight_concentration_prior": concentration,
        "covariance_prior": None,
        "random_state": 0,
    }
    ours = BayesianGaussianMixture(**params).fit(X)
    theirs = sklearn.mixture.BayesianGaussianMixture(max_iter=1500, **params).fit(X)
    there = BayesianGaussianMixture.from_sklearn(
        theirs, warm_start=True, max_iter=0, reg_covar=1e-6
    ).fit(X)
    ahead = ours.lower_bound_ - there.lower_bound_
    bounds[concentration] = f"{ahead:+.1f} nats"
bounds
