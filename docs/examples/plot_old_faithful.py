"""
Old Faithful
============

272 eruptions of a geyser: how long each lasted, and how long the next one took to come.
A mixture of two Gaussians describes them, labels them, and predicts.
"""

# %%
# Fit
# ---

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixture, MixtureDisplay
from skem.datasets import load_faithful

faithful = load_faithful()
X = faithful.data
mixture = GaussianMixture(2, random_state=0).fit(X)

for weight, mean, covariance in zip(
    mixture.weights_, mixture.means_, mixture.covariances_, strict=True
):
    deviations = np.sqrt(np.diag(covariance))
    print(f"{weight:.0%} of the eruptions:")
    for name, m, s in zip(faithful.feature_names, mean, deviations, strict=True):
        print(f"  {name}: {m:.2f} ± {s:.2f} minutes")

# %%
# Short eruptions are followed by short waits.
#
# Density and labels
# ------------------
#
# `predict` names the component that each row most probably belongs to, `predict_proba`
# says how probably, and `score_samples` is the log-density. The picture has the labels
# as colours, ellipses of one and two standard deviations, and the regions that hold 50,
# 80 and 95 % of the mixture.

figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
MixtureDisplay.from_estimator(
    mixture, X, feature_names=["eruption, minutes", "waiting time, minutes"], ax=axes
)
plt.show()

# %%
# The clusters are far apart, and few eruptions could belong to either.

certainty = mixture.predict_proba(X).max(axis=1)
print(f"{(certainty < 0.99).sum()} of {len(X)} are less than 99 % sure:")
for row in np.flatnonzero(certainty < 0.99):
    print(f"  {X[row]} {certainty[row]:.2f}")

# %%
# Prediction
# ----------
#
# How long is the wait after an eruption of three minutes? The conditional density of a
# mixture is the joint density along a line, normalised:

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
minutes = np.linspace(38, 102, 400)
for duration in (2.0, 3.0, 4.5):
    line = np.column_stack([np.full(len(minutes), duration), minutes])
    density = np.exp(mixture.score_samples(line))
    density /= np.trapezoid(density, minutes)
    axes.plot(minutes, density, label=f"after {duration} minutes")
axes.set(xlabel="waiting time, minutes", ylabel="density")
axes.legend()
plt.show()

# %%
# Simulation
# ----------
#
# `sample` draws new eruptions, each with the component that it came from.

rows, components = mixture.sample(5, random_state=1)
for row, component in zip(rows, components, strict=True):
    print(component, row.round(2))
