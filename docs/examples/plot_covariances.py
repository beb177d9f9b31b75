"""
Four shapes of covariance
=========================

A covariance structure says what the components may look like. The fewer parameters it
has, the fewer data it needs; the wrong one needs several components for one cluster.
"""

# %%
# Three clusters, each of them long in a direction of its own:

import matplotlib.pyplot as plt

from skem import GaussianMixture, MixtureDisplay

truth = GaussianMixture.from_parameters(
    [0.4, 0.3, 0.3],
    [[0.0, 0.0], [4.0, 3.0], [5.0, -2.0]],
    [
        [[1.0, 0.8], [0.8, 1.0]],
        [[2.0, -0.6], [-0.6, 0.4]],
        [[0.3, 0.0], [0.0, 1.5]],
    ],
)
X, _ = truth.sample(600, random_state=0)

# %%
# One fit for each structure. The ellipses are two standard deviations from the means:

figure, panels = plt.subplots(
    2, 2, figsize=(7, 6.4), sharex=True, sharey=True, layout="constrained"
)
for axes, structure in zip(
    panels.flat, ["full", "tied", "diag", "spherical"], strict=True
):
    mixture = GaussianMixture(3, covariance_type=structure, random_state=0).fit(X)
    MixtureDisplay.from_estimator(
        mixture,
        X,
        standard_deviations=[2],
        mass=[0.5, 0.9],
        show_legend=False,
        ax=axes,
    )
    axes.label_outer()
    axes.set_title(
        f"{structure}: {mixture.n_parameters_} parameters, BIC {mixture.bic(X):.0f}",
        fontsize="medium",
    )
plt.show()

# %%
# BIC finds the extra parameters of "full" worth their price: these components have
# shapes of their own. With few rows it does not:

for n_samples in (30, 60, 120, 600):
    bic = {
        structure: GaussianMixture(3, covariance_type=structure, random_state=0)
        .fit(X[:n_samples])
        .bic(X[:n_samples])
        for structure in ("full", "tied", "diag", "spherical")
    }
    print(n_samples, "rows:", min(bic, key=bic.get))
