"""
A million rows
==============

A fit reads its data in blocks. Beyond them it needs a few tens of megabytes, however
many rows there are, and whether they are in memory or in a file.
"""

# %%
# A million rows in a file of float32, as `numpy.save` writes it:

import tempfile
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixture

rng = np.random.default_rng(0)
truth = GaussianMixture.from_parameters(
    np.full(6, 1 / 6), rng.normal(0, 4, (6, 2)), rng.uniform(0.3, 1.2, (6, 2)), "diag"
)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "rows.npy"
np.save(path, truth.sample(1_000_000, random_state=0)[0].astype(np.float32))
print(f"{path.stat().st_size / 1e6:.0f} MB")

# %%
# Opened as a memory map, the file is not read until the fit reads it, block by block.
# The search for a good optimum is not made on a million rows, but on a random
# subsample; what it finds is carried on through growing ones, or through points that
# stand for cells of rows, so that few passes over the whole are left.

X = np.load(path, mmap_mode="r")

tracemalloc.start()
mixture = GaussianMixture(6, random_state=0).fit(X)
_, peak = tracemalloc.get_traced_memory()
tracemalloc.stop()

print(f"{mixture.n_iter_} passes over all rows")
print(f"{peak / 1e6:.0f} MB of memory at most")

# %%
# Labels of a million rows, likewise:

counts = np.bincount(mixture.predict(X), minlength=6)
print(counts)

# %%
# The true weights are 1/6 each:

print(np.sort(mixture.weights_).round(4))

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
axes.hexbin(*X[::10].T, gridsize=90, bins="log", cmap="Greys", linewidths=0)
axes.plot(*truth.means_.T, "o", markersize=11, fillstyle="none", label="true means")
axes.plot(*mixture.means_.T, "+", markersize=11, label="found")
axes.legend()
plt.show()

# %%
folder.cleanup()
