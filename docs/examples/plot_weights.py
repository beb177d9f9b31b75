"""
Weights and binned data
=======================

An integer weight is a repeated row, a zero weight an absent one, and any other weight
is in between.
"""

# %%
# Counts
# ------
#
# 200 000 measurements, rounded by the instrument to a tenth. There are few distinct
# values, so the counts are all the data there are:

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixture

rng = np.random.default_rng(0)
x = np.concatenate([rng.normal(-2.0, 0.5, 60_000), rng.normal(0.5, 1.0, 140_000)])
x = x.round(1)
values, counts = np.unique(x, return_counts=True)
print(len(x), "rows,", len(values), "distinct values")

# %%
# The fit to the counts is the fit to the rows:

start = {
    "weights_init": [0.5, 0.5],
    "means_init": [[-1.0], [1.0]],
    "precisions_init": [[[1.0]], [[1.0]]],
}
rows = GaussianMixture(2, **start).fit(x[:, None])
bins = GaussianMixture(2, **start).fit(values[:, None], sample_weight=counts)
for name, mixture in (("rows", rows), ("bins", bins)):
    deviations = np.sqrt(mixture.covariances_.ravel())
    print(name, mixture.weights_, mixture.means_.ravel(), deviations)

# %%
# So is all that follows from it: `score`, `bic`, `aic` and `icl` take weights too.

print(rows.bic(x[:, None]), bins.bic(values[:, None], sample_weight=counts))

# %%
# A sample that is not fair
# -------------------------
#
# A survey reaches some people more easily than others. Where the chance of being
# included is known, the weight 1/chance restores the population:

population = np.concatenate([rng.normal(165, 6, 5000), rng.normal(178, 7, 5000)])
chance = np.where(population > 172, 0.6, 0.1)
included = rng.random(len(population)) < chance
sample, weight = population[included], 1 / chance[included]

plain = GaussianMixture(2, random_state=0).fit(sample[:, None])
weighted = GaussianMixture(2, random_state=0).fit(
    sample[:, None], sample_weight=weight * len(sample) / weight.sum()
)

grid = np.linspace(140, 205, 300)
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.hist(population, 60, density=True, color="0.85", label="population")
for mixture, label in ((plain, "as sampled"), (weighted, "weighted")):
    axes.plot(grid, np.exp(mixture.score_samples(grid[:, None])), label=label)
axes.set(xlabel="height, cm", ylabel="density")
axes.legend()
plt.show()

# %%
# The weights were scaled to sum to the number of rows. Their sum N plays the role of
# the sample size, in BIC and in the penalty that keeps covariances regular; weights
# that sum to one would declare the survey a sample of one person.
#
# Weights in a pipeline
# ---------------------
#
# scikit-learn passes weights on where it is told who wants them:

from sklearn import config_context
from sklearn.model_selection import KFold, cross_val_score

with config_context(enable_metadata_routing=True):
    mixture = GaussianMixture(2, random_state=0)
    mixture.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    scores = cross_val_score(
        mixture,
        values[:, None],
        params={"sample_weight": counts},
        cv=KFold(5, shuffle=True, random_state=0),
    )
print(scores.round(3))

# %%
# The folds are of values here, not of rows: all rows of a value are held out together,
# and so the scores differ by more than those of folds of rows would.
