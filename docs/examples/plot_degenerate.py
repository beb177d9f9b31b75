"""
When the likelihood has no maximum
==================================

A component that shrinks onto a few points raises the likelihood without limit. The more
starts are tried, the more surely such a fit is found, and it wins. This page shows it
happen on the irises, and what keeps it from happening.
"""

# %%
# Iris flowers: 150 rows, three species, four measurements to a millimetre.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture

X, species = load_iris(return_X_y=True)

# %%
# scikit-learn's remedy is a constant on the diagonal, 10⁻⁶ by default, in squared units
# of the data. skem does the same when told so. Forty starts, of which the highest
# likelihood is kept:

starts = {"n_init": 40, "init_params": "random_from_data", "random_state": 0}
ridge = GaussianMixture(3, reg_covar=1e-6, **starts).fit(X)
penalised = GaussianMixture(3, **starts).fit(X)

for name, mixture in (("reg_covar=1e-6", ridge), ("reg_covar='auto'", penalised)):
    smallest = min(np.linalg.eigvalsh(c)[0] for c in mixture.covariances_)
    agreement = adjusted_rand_score(species, mixture.predict(X))
    print(
        f"{name:17} log-likelihood {mixture.score(X) * len(X):7.1f}"
        f"   smallest variance {smallest:.1e}   agreement {agreement:.2f}"
    )

# %%
# The first has the higher likelihood by far, and is worthless: one component lies flat
# in a plane, where the rounding to millimetres put many flowers, and its variance
# across the plane is what `reg_covar` left of it. The likelihood of that fit is a
# property of 10⁻⁶, not of irises.

figure, panels = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True, layout="constrained")
for axes, (title, mixture) in zip(
    panels,
    {"reg_covar=1e-6": ridge, 'reg_covar="auto"': penalised}.items(),
    strict=True,
):
    axes.scatter(X[:, 2], X[:, 3], c=mixture.predict(X), s=12, cmap="viridis")
    axes.set(title=title, xlabel="petal length, cm")
panels[0].set_ylabel("petal width, cm")
plt.show()

# %%
# By default skem maximises a penalised likelihood (Chen & Tan 2009). Each covariance is
# estimated as if 2/√N more observations had been seen, as wide as clusters are. That is
# a fraction of one observation here, too little to move a sensible estimate, and enough
# that a covariance without scatter of its own cannot shrink:

print("pseudo-observations:", round(2 / np.sqrt(len(X)), 2))

# %%
# The penalty has no units. Metres or micrometres, sheared or shifted, the fit is the
# same fit:

shear = np.array([[1e-6, 0, 0, 0], [1, 1e3, 0, 0], [0, 0, 1, 5], [0, 2, 0, 1]])
moved = GaussianMixture(3, random_state=0).fit(X @ shear.T + 100.0)
still = GaussianMixture(3, random_state=0).fit(X)
same = adjusted_rand_score(moved.predict(X @ shear.T + 100.0), still.predict(X))
print("agreement of the labels:", same)

# %%
# It holds for as many components as one likes. Four of them on two distinct points:

import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    mixture = GaussianMixture(4, random_state=0).fit([[0.0], [0.0], [1.0], [1.0]])
print("weights:", mixture.weights_.round(3))
for warning in caught:
    print(f"{warning.category.__name__}: {warning.message}")

# %%
# The fit goes through, and says that two points are not four components.
