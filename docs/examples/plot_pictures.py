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
from sklearn.datasets import load_iris, load_wine

from skem import ConvergenceDisplay, GaussianMixture, MixtureDisplay, QuantileDisplay
from skem.datasets import load_faithful, load_galaxies

faithful = load_faithful()
mixture = GaussianMixture(2, random_state=0).fit(faithful.data)

figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
MixtureDisplay.from_estimator(
    mixture, faithful.data, feature_names=faithful.feature_names, ax=axes
)
plt.show()

# %%
# Who is where, and how surely
# ----------------------------
#
# On the left the region of each component, on the right the uncertainty: dark where the
# most probable component may well not be the one. Rows that are uncertain are large.

mixture = GaussianMixture(3, random_state=0).fit(faithful.data)

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for kind, ax in zip(("boundaries", "uncertainty"), axes, strict=True):
    MixtureDisplay.from_estimator(mixture, faithful.data, kind=kind, ax=ax)
    ax.set_title(kind)
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
# Is that the density of the data? Where the points leave the line, it is not.

figure, axes = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
QuantileDisplay.from_estimator(mixture, galaxies, ax=axes)
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
# More than ten features
# ----------------------
#
# Thirteen measurements of wines, on the two directions along which components are the
# furthest apart.

wine = load_wine()
mixture = GaussianMixture(3, covariance_type="tied", random_state=0).fit(wine.data)
MixtureDisplay.from_estimator(mixture, wine.data, labels=wine.target)
plt.show()

# %%
# The climb
# ---------
#
# From the same start: nats that plain EM and the default still lack after each pass,
# and after how much time.

ConvergenceDisplay.from_estimator(GaussianMixture(3, random_state=0), faithful.data)
plt.show()
