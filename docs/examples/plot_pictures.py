"""
Pictures of mixtures
====================

A mixture in one feature, in two, and in many; and how it was found.
"""

# %%
# Two features
# ------------
#
# Rows have the colour of their component. Ellipses are at one and two standard
# deviations; the grey regions hold 50, 80 and 95 % of the mixture.

import matplotlib.pyplot as plt
from sklearn.datasets import load_iris

from skem import ConvergenceDisplay, GaussianMixture, MixtureDisplay
from skem.datasets import load_faithful, load_galaxies

faithful = load_faithful()
mixture = GaussianMixture(2, random_state=0).fit(faithful.data)

figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
MixtureDisplay.from_estimator(
    mixture, faithful.data, feature_names=faithful.feature_names, ax=axes
)
plt.show()

# %%
# One feature
# -----------
#
# A histogram, the weighted density of each component, and their sum. Velocities of 82
# galaxies, in thousands of km/s:

galaxies = load_galaxies().data / 1000
mixture = GaussianMixture(4, covariance_type="tied", random_state=0).fit(galaxies)

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
MixtureDisplay.from_estimator(mixture, galaxies, bins=30, ax=axes)
axes.set_xlabel("velocity, 1000 km/s")
plt.show()

# %%
# Many features
# -------------
#
# A grid of pairs: marginals on the diagonal, rows and ellipses below it, regions above.

iris = load_iris()
mixture = GaussianMixture(3, random_state=0).fit(iris.data)
display = MixtureDisplay.from_estimator(
    mixture,
    iris.data,
    feature_names=[name.removesuffix(" (cm)") for name in iris.feature_names],
)
display.figure_.set_size_inches(7.5, 7.5)
plt.show()

# %%
# The climb
# ---------
#
# From the same start: nats that plain EM and the default still lack after each pass.

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
ConvergenceDisplay.from_estimator(
    GaussianMixture(3, random_state=0), faithful.data, ax=axes
)
plt.show()
