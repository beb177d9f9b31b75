"""
How many components?
====================

Three questions that are often taken for one: how many components the density needs, how
many clusters there are, and which model describes new data best.
"""

# %%
# Components: BIC
# ---------------
#
# `GaussianMixtureIC` fits each number of components with each covariance structure, and
# keeps the one with the lowest BIC.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, cross_val_score

from skem import (
    CriterionDisplay,
    GaussianMixture,
    GaussianMixtureIC,
    MixtureDisplay,
    bootstrap_lrt,
)
from skem.datasets import load_faithful

X = load_faithful().data
search = GaussianMixtureIC(range(1, 7), random_state=0).fit(X)

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
CriterionDisplay.from_estimator(search, ax=axes, limit=200)
plt.show()

# %%
# Spherical mixtures are out of view: the waiting times vary by more minutes than the
# durations, and one variance fits neither. The five best are below. Waiting times are
# whole minutes, which rows share: the column `criterion`, which the choice is made by,
# is BIC corrected for that. Differences up to 2 are nothing, above 10 very strong.

results = pd.DataFrame(search.results_).sort_values("rank").head()
columns = ["param_n_components", "param_covariance_type", "criterion", "bic", "icl"]
results[columns].round(1)

# %%
# Clusters: ICL
# -------------
#
# Two of the three components overlap: together they are one kind of eruption, whose
# durations are skewed. ICL adds a price for overlap, and counts it once.

clusters = GaussianMixtureIC(range(1, 7), criterion="icl", random_state=0).fit(X)

figure, panels = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
for axes, chosen in zip(panels, (search, clusters), strict=True):
    MixtureDisplay.from_estimator(chosen.best_estimator_, X, show_legend=False, ax=axes)
    axes.set_title(
        f"{chosen.criterion.upper()}: {chosen.n_components_} {chosen.covariance_type_}"
    )
plt.show()

# %%
# Is the third one real?
# ----------------------
#
# A likelihood ratio has no χ² distribution here, so it is compared with those of data
# drawn from two components (McLachlan 1987):

test = bootstrap_lrt(
    GaussianMixture(covariance_type="tied"), X, 2, 3, n_boot=19, random_state=0
)
print(f"statistic {test.statistic:.1f}, p = {test.p_value:.3f}")
print(f"largest of 19 simulated: {test.bootstrap_statistics.max():.1f}")

# %%
# With 19 simulations no p-value is below 1/20. It says that two *equal Gaussians* are
# not all there is, which is not to say that there are three kinds of eruption.
#
# New data: held-out likelihood
# -----------------------------
#
# `score` is the mean log-likelihood, so that cross-validation needs no scorer.

components = range(1, 7)
folds = KFold(5, shuffle=True, random_state=0)
scores = np.array(
    [
        cross_val_score(
            GaussianMixture(K, covariance_type="tied", random_state=0), X, cv=folds
        )
        for K in components
    ]
)
means, errors = scores.mean(axis=1), scores.std(axis=1, ddof=1) / np.sqrt(5)

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.errorbar(components, means, errors, fmt="o-", capsize=3)
axes.set(xlabel="components, tied", ylabel="held-out nats per eruption")
plt.show()

# %%
# From two components on, the differences are smaller than their errors: held-out
# likelihood says how well, and seldom how many. Where the number itself is wanted, use
# BIC or ICL; where the density is wanted, any model within an error of the best will
# do, and the smallest of them is the one to take.
