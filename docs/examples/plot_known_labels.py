"""
A few known labels
==================

Thirty bottles of wine that somebody has looked at, and 148 that nobody has.
"""

# %%
# What is known
# -------------
#
# Two measurements of 178 wines from three growers. The grower of ten wines each is
# known; the others have the label −1.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

from skem import GaussianMixture, MixtureDisplay
from skem.metrics import class_error

wine = load_wine()
X, grower = wine.data[:, [0, 6]], wine.target
rng = np.random.default_rng(0)
labels = np.full(len(X), -1)
for k in range(3):
    labels[rng.choice(np.flatnonzero(grower == k), 10, replace=False)] = k
known = labels >= 0

# %%
# Three fits
# ----------
#
# By measurements alone, by the thirty labelled wines alone, and by both.

fits = {
    "measurements": GaussianMixture(3, random_state=0).fit(X),
    "labelled wines": GaussianMixture(3).fit(X[known], labels=labels[known]),
    "both": GaussianMixture(3, random_state=0).fit(X, labels=labels),
}
for name, mixture in fits.items():
    error = class_error(grower[~known], mixture.predict(X[~known]))
    print(f"{name:15} {error:.1%} of the other wines wrong")

# %%
# In a picture
# ------------
#
# The circles are the wines whose grower is known.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, ax in zip(("measurements", "both"), axes, strict=True):
    MixtureDisplay.from_estimator(
        fits[name],
        X,
        feature_names=["alcohol", "flavanoids"],
        show_legend=False,
        ax=ax,
    )
    ax.set_title(f"fitted to {name}")
axes[1].scatter(*X[known].T, s=60, facecolors="none", edgecolors="black", zorder=5)
plt.show()
