"""
Clusters among outliers
=======================

A Gaussian mixture has to put every row somewhere. Rows that belong nowhere take a
component, or stretch one until it covers two clusters. Components with heavy tails,
Student's t, leave such rows in their tails.
"""

# %%
# Three clusters, and one row in six from anywhere:

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture, StudentMixture

rng = np.random.default_rng(0)
centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
y = rng.integers(0, 3, 300)
clusters = centres[y] + rng.normal(size=(300, 2))
X = np.vstack([clusters, 20 * rng.standard_cauchy((60, 2))])

gaussian = GaussianMixture(3, random_state=0).fit(X)
student = StudentMixture(3, random_state=0).fit(X)
for mixture in (gaussian, student):
    score = adjusted_rand_score(y, mixture.predict(clusters))
    print(f"{type(mixture).__name__:16} adjusted Rand index {score:.2f}")

# %%
# The rows that are drawn are those near the clusters. The most remote one is
# much farther away:

print(f"{np.abs(X).max():.0f}")

figure, axes = plt.subplots(
    1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained"
)
for panel, mixture in zip(axes, (gaussian, student), strict=True):
    panel.scatter(*X.T, s=8, c=mixture.predict(X), cmap="Dark2")
    panel.scatter(*mixture.means_.T, marker="x", color="black")
    panel.set(title=type(mixture).__name__, xlim=(-15, 20), ylim=(-15, 20))
plt.show()

# %%
# Degrees of freedom
# ------------------
#
# Each component's are estimated. One component has taken on the outliers by its tails,
# and stands where its cluster is; the others are as good as Gaussian.

print(student.df_.round(1))

# %%
# With ``df="common"`` all share the outliers. The summary has one parameter for ν in
# place of three, and BIC says which description is the better one:

common = StudentMixture(3, df="common", random_state=0).fit(X)
print(common.df_.round(2))
for mixture in (gaussian, student, common):
    print(f"{type(mixture).__name__:16} BIC {mixture.bic(X):.0f}")

# %%
# How far is too far?
# -------------------
#
# One value that is wrong by any number of digits changes nothing to speak of:

wrong = np.vstack([clusters, [[1e160, -1e8]]])
clean = StudentMixture(3, random_state=0).fit(clusters)
robust = StudentMixture(3, random_state=0).fit(wrong)
for mixture in (clean, robust):
    print(mixture.means_[np.lexsort(mixture.means_.round().T)].round(2).tolist())
