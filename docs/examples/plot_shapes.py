"""
Fourteen shapes of covariance
=============================

Volume, shape and orientation of the components may be equal (E), vary (V), or be those
of the identity (I). Three letters name a model, as in R's mclust.
"""

# %%
# Three clusters of different size, each of them long in a direction of its own:

import matplotlib.pyplot as plt

from skem import GaussianMixture, GaussianMixtureIC, MixtureDisplay

truth = GaussianMixture.from_parameters(
    [0.4, 0.3, 0.3],
    [[0.0, 0.0], [5.0, 3.0], [6.0, -3.0]],
    [
        [[1.0, 0.8], [0.8, 1.0]],
        [[2.0, -0.6], [-0.6, 0.4]],
        [[0.3, 0.0], [0.0, 1.5]],
    ],
)
X, _ = truth.sample(400, random_state=0)

# %%
# One fit for each shape. The ellipses are two standard deviations from the means:

SHAPES = [
    *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE"),
    *("VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"),
]
figure, panels = plt.subplots(
    4, 4, figsize=(9, 9), sharex=True, sharey=True, layout="constrained"
)
for axes in panels.flat[len(SHAPES) :]:
    axes.set_axis_off()
for axes, shape in zip(panels.flat, SHAPES, strict=False):
    mixture = GaussianMixture(3, covariance_type=shape, random_state=0).fit(X)
    MixtureDisplay.from_estimator(mixture, X, standard_deviations=[2], ax=axes)
    axes.set(xlabel="", ylabel="")
    if axes.get_legend() is not None:
        axes.get_legend().remove()
    axes.set_title(f"{shape}, BIC {mixture.bic(X):.0f}", fontsize="medium")
plt.show()

# %%
# A selection compares them all, and numbers of components:

search = GaussianMixtureIC(
    (2, 3, 4), covariance_type="all", n_init=2, random_state=0
).fit(X)
print(search.n_components_, "components,", search.covariance_type_)
