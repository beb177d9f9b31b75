"""
Clusters on a background
========================

Three rows in ten belong to no cluster. One more component takes them up.
"""

# %%
# With noise and without
# ----------------------
#
# Two bent bands on an even background. Without noise every row must belong to a
# component, and the components widen until they hold the background, too.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture, MixtureDisplay

rng = np.random.default_rng(0)
t = rng.uniform(-1, 1, 700)
band = rng.integers(2, size=700)
clusters = np.column_stack([6 * t, 4 * np.abs(t) + 6 * band])
clusters += rng.normal(scale=0.25, size=clusters.shape)
background = rng.uniform([-9, -5], [9, 15], size=(300, 2))
X = np.vstack([clusters, background])
truth = np.r_[band, np.full(300, -1)]

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for noise, ax in zip((None, True), axes, strict=True):
    mixture = GaussianMixture(4, noise=noise, random_state=0).fit(X)
    MixtureDisplay.from_estimator(mixture, X, show_legend=False, ax=ax)
    ax.set_title(f"noise={noise}, BIC {mixture.bic(X):.0f}")
plt.show()

# %%
# What is noise
# -------------
#
# Noise has the label −1. Each band is two components: the arms of a chevron.

labels = mixture.predict(X)
print(f"weight of noise {mixture.noise_weight_:.2f}, 0.30 of the rows were drawn so")
alike = adjusted_rand_score(truth == -1, labels == -1)
print(f"adjusted Rand index of noise against the rest {alike:.2f}")

# %%
# Uncertainty
# -----------
#
# A row at the edge of a band may be of either kind. The probability of noise is the
# last column of `predict_proba`.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
points = ax.scatter(*X.T, c=mixture.predict_proba(X)[:, -1], s=8)
fig.colorbar(points, label="probability of noise")
plt.show()
