"""
Regression where the mean is wrong
==================================

A response with two branches: the mean lies between them, where nothing ever is. The
conditional law of a mixture has both.
"""

# %%
# An arm reaches a point with the elbow up or down, and which of the two is a matter of
# chance:

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixtureRegressor

rng = np.random.default_rng(0)
distance = rng.uniform(0.3, 1.9, 1500)
angle = np.arccos(distance / 2) * rng.choice([-1, 1], 1500)
angle += 0.08 * rng.normal(size=1500)
X = distance[:, None]
regressor = GaussianMixtureRegressor(random_state=0).fit(X, angle)
print(regressor.n_components_, "components, by BIC")

# %%
# The mean is near zero all along. Draws, and the density, follow the branches:

grid = np.linspace(0.3, 1.9, 161)
angles = np.linspace(-2, 2, 161)
mean, std = regressor.predict(grid[:, None], return_std=True)
pairs = np.meshgrid(grid, angles)
log_density = regressor.log_density(pairs[0].reshape(-1, 1), pairs[1].ravel())

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
axes[0].scatter(distance, angle, s=3, color="0.7")
axes[0].plot(grid, mean, color="tab:red", label="mean")
axes[0].fill_between(grid, mean - std, mean + std, color="tab:red", alpha=0.15)
axes[0].set(xlabel="distance", ylabel="elbow", title="mean ± standard deviation")
axes[1].pcolormesh(*pairs, np.exp(log_density).reshape(161, 161), cmap="Blues")
for q in regressor.predict_quantiles(grid[:, None], [0.05, 0.25, 0.75, 0.95]).T:
    axes[1].plot(grid, q, color="0.3", linewidth=0.8)
axes[1].set(xlabel="distance", title="density and quantiles")
plt.show()

# %%
# Which law predicts rows better that it has not seen? One component is linear
# regression, with the same spread everywhere:

test = rng.uniform(0.3, 1.9, 500)
truth = np.arccos(test / 2) * rng.choice([-1, 1], 500) + 0.08 * rng.normal(size=500)
for each in (GaussianMixtureRegressor(1).fit(X, angle), regressor):
    found = each.log_density(test[:, None], truth).mean()
    print(f"{each.n_components_:2d} components: {found:.2f} nats per row")

# %%
# R² sees nothing of it: the mean is no better than that of a line.

print(f"R² = {regressor.score(test[:, None], truth):.2f}")
