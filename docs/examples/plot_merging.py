"""
Clusters that are not Gaussian
==============================

Components that overlap are merged, until a cluster may be a cross.
"""

# %%
# Six components, four clusters
# -----------------------------
#
# Two crosses and two discs. BIC asks for six Gaussians, one for each arm of a cross.

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixtureIC, MixtureDisplay, merge_components

rng = np.random.default_rng(0)
arms = [[3, 0.3], [0.3, 3]]
X = np.vstack(
    [rng.normal([0, 0], arm, (100, 2)) for arm in arms]
    + [rng.normal([15, 0], arm, (100, 2)) for arm in arms]
    + [rng.normal(center, 1, (60, 2)) for center in ([0, 12], [15, 12])]
)
search = GaussianMixtureIC(range(3, 9), covariance_type="diag", random_state=0).fit(X)
print(search.n_components_, "components")

# %%
# The entropy
# -----------
#
# Each merger lowers the entropy of the memberships. Those within a cross lower it much;
# from four clusters on nothing is gained.

mixture = search.best_estimator_
merged = merge_components(mixture, X)
print(merged)

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
merged.plot(ax=axes[0])
MixtureDisplay.from_estimator(mixture, X, labels=merged.labels_, ax=axes[1])
axes[1].set_title("rows in the colours of clusters")
plt.show()

# %%
# Sure of the cluster, not of the component
# -----------------------------------------
#
# Where the arms of a cross meet, the component is uncertain. Between clusters, not.

MixtureDisplay.from_estimator(mixture, X, kind="uncertainty")
plt.show()
