"""
Bands for what is missing
=========================

A missing value has a law given the others: its mean fills it in, and its quantiles say
how well it is known.
"""

# %%
# Old Faithful. Of every other row the waiting time is taken away:

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixture
from skem.datasets import load_faithful

X = load_faithful().data
mixture = GaussianMixture(2, random_state=0).fit(X[::2])
holed = X[1::2].copy()
holed[:, 1] = np.nan
filled = mixture.impute(holed)

# %%
# Between the clusters the band is wide: a row may be of either.

grid = np.linspace(1.4, 5.2, 150)
laws = [mixture.conditional({0: x}) for x in grid]
bands = np.array([law.quantile([0.05, 0.25, 0.75, 0.95]) for law in laws])

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.fill_between(grid, bands[:, 0], bands[:, 3], color="tab:blue", alpha=0.15)
axes.fill_between(grid, bands[:, 1], bands[:, 2], color="tab:blue", alpha=0.25)
axes.scatter(*X[1::2].T, s=8, color="0.5", label="the truth")
axes.scatter(*filled.T, s=8, color="tab:red", label="imputed")
axes.set(xlabel="eruption (minutes)", ylabel="waiting (minutes)")
axes.legend()
plt.show()

# %%
# Means have no spread. To keep the spread of the column, draw:

drawn = mixture.impute(holed, sample=True, random_state=0)
for name, values in (("truth", X[1::2]), ("means", filled), ("draws", drawn)):
    print(f"{name}: standard deviation {values[:, 1].std():.1f}")
