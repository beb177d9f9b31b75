"""
Outliers, by support probability
================================

How unusual is a row? Its density is no answer, since densities have units. The mass of
the mixture where the density is lower has none: it is a probability.
"""

# %%
# Two clusters, and seven rows that belong to neither:

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixture

truth = GaussianMixture.from_parameters(
    [0.7, 0.3],
    [[0.0, 0.0], [6.0, 2.0]],
    [[[1.0, 0.8], [0.8, 1.0]], [[4.0, 0.0], [0.0, 0.3]]],
)
X, _ = truth.sample(1000, random_state=0)
odd = np.array(
    [[-3, 3], [2, -3], [3, 6], [7, 6], [6, -2], [12, -1], [1.0, -0.8]], dtype=float
)
data = np.vstack([X, odd])
mixture = GaussianMixture(2, random_state=0).fit(data)

# %%
# `support_probability` is the chance that a draw of the mixture is no more probable
# than this row. In 1 007 rows, one in a thousand is nothing unusual. One in a hundred
# thousand is. It is the least there can be, as the mass is estimated by 100 000 draws.

probability = mixture.support_probability(data, random_state=0)
suspects = np.flatnonzero(probability < 0.1 / len(data))
for row in suspects:
    print(f"row {row}: {data[row].round(1)}  p = {probability[row]:.1e}")

# %%
# A threshold of 0.1/n gives a false alarm in one sample of ten. It is drawn here by
# `hdr_level`, the log-density on the border of the region with the rest of the mass:

levels = [
    mixture.hdr_level(mass, random_state=0)
    for mass in (1 - 0.1 / len(data), 0.99, 0.9, 0.5)
]
x, y = np.meshgrid(np.linspace(-5, 16, 200), np.linspace(-4.5, 7, 200))
log_density = mixture.score_samples(np.column_stack([x.ravel(), y.ravel()]))

figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
axes.scatter(*data.T, s=5, color="0.7")
lines = axes.contour(
    x, y, log_density.reshape(x.shape), levels, cmap="viridis", linestyles="solid"
)
axes.legend(
    lines.legend_elements()[0],
    ["0.1/n", "1 %", "10 %", "50 %"],
    title="mass outside",
    loc="lower right",
)
axes.scatter(*data[suspects].T, s=60, facecolor="none", edgecolor="tab:red")
plt.show()

# %%
# One of the seven is not found: it lies at the edge of a cluster, where rows are to be
# expected.
#
# Does the model fit?
# -------------------
#
# Under the model the probabilities are uniform. Their histogram is a test of the whole
# fit: here it is flat, but for small values, which are too few. The seven rows took
# part in the fit, and have widened the components.

figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
axes.hist(probability, bins=20, density=True, color="0.8", edgecolor="0.5")
axes.axhline(1, color="0.3", linewidth=0.8)
axes.set(xlabel="support probability", ylabel="density", xlim=(0, 1))
plt.show()

# %%
# Labels, on the other hand, are no measure of fit. Responsibilities compare the
# components with each other, and out there one of them always wins:

print(mixture.predict_proba(data[suspects]).max(axis=1).round(3))
