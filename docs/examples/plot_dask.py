"""
A fit on a Dask cluster
=======================

A Dask array is fitted where its blocks are. Only statistics travel, and the result is
that of the same rows in memory.
"""

# %%
# A cluster of two workers, in this process; elsewhere it would be an address. Without
# any client, Dask's threads do the work.

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

from skem import GaussianMixture, MixtureDisplay

cluster = LocalCluster(
    n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
)
client = Client(cluster)

# %%
# 300 000 rows in ten blocks. Each is made by the worker that will read it, as it would
# be read from a file. `persist` keeps the blocks where they were made.

truth = GaussianMixture.from_parameters(
    [0.5, 0.3, 0.2],
    [[0.0, 0.0], [5.0, 1.0], [2.0, 5.0]],
    [[[1.0, 0.5], [0.5, 1.0]], [[2.0, 0.0], [0.0, 0.3]], [[0.5, 0.0], [0.0, 0.5]]],
)


def block(block_info=None):
    number = block_info[None]["chunk-location"][0]
    return truth.sample(30_000, random_state=number)[0]


X = da.map_blocks(
    block, chunks=((30_000,) * 10, (2,)), dtype=float, meta=np.empty((0, 2))
).persist()
X

# %%
# The fit, with the same call as ever:

mixture = GaussianMixture(3, random_state=0).fit(X)
print(
    "converged:", mixture.converged_, "after", mixture.n_iter_, "passes over all rows"
)
print(mixture.means_[np.argsort(mixture.weights_)[::-1]].round(2))

# %%
# It is the fit of the same rows in memory:

local = GaussianMixture(3, random_state=0).fit(X.compute())
difference = np.abs(mixture.means_ - local.means_).max()
print("largest difference of the means:", f"{difference:.0e}")

# %%
# Predictions are lazy, and are computed where they are needed. Counting labels moves
# three numbers for each block:

labels = mixture.predict(X)
print(labels)
print(da.bincount(labels, minlength=3).compute())

# %%
# `score`, `bic` and the like are numbers, and computed at once.

print("BIC:", round(mixture.bic(X)))

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
MixtureDisplay.from_estimator(mixture, X[:2000].compute(), ax=axes)
plt.show()

# %%
client.close()
cluster.close()
