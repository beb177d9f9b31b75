"""
Tight clusters, zeros, and one bad row
======================================

Three kinds of data on which a mixture can go wrong with the best of likelihoods, and
what a default fit makes of them.
"""

# %%
# **Tight clusters far apart.** Somebody's positions on a map: three places, 20, 30 and
# 200 metres wide, kilometres from each other.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture, GaussianMixtureIC
from skem.datasets import load_faithful

rng = np.random.default_rng(0)
place = rng.choice(3, 2000, p=[0.5, 0.3, 0.2])
centres = np.array([[500, 5200], [512, 5207], [1100, 5900]])  # km
width = np.array([0.02, 0.03, 0.2])[place][:, None]
X = centres[place] + width * rng.normal(size=(2000, 2))

mixture = GaussianMixture(3, random_state=0).fit(X)
order = np.argsort(mixture.means_[:, 0])
found = np.sqrt(np.einsum("kii->ki", mixture.covariances_[order]))
print("metres, east and north:", *(1000 * found).round(1), sep="\n")

# %%
# What keeps covariances from collapsing are a few pseudo-observations: 2/√N of them in
# each component. If they are as wide as the *data*, they spoil the easiest clusters
# there are. Left: the first place, with the covariance that it would then have. Right:
# the fit, whose pseudo-observations are as wide as *clusters* are.

N, n = len(X), np.bincount(place)[0]
epsilon = 2 / np.sqrt(N)
rows = 1000 * (X[place == 0] - centres[0])  # m
wide = (n * np.cov(rows.T) + epsilon * np.cov(1000 * X.T) / 3) / (n + epsilon)
figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for axes, title, covariance in [
    (panels[0], "as wide as the data", wide),
    (panels[1], "as wide as clusters", 1e6 * mixture.covariances_[order[0]]),
]:
    variances, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    axes.scatter(*rows.T, s=4, color="0.5")
    for k in (1, 2):
        size = 2 * k * np.sqrt(variances[::-1])
        axes.add_patch(Ellipse(rows.mean(axis=0), *size, angle=angle, fill=False))
    axes.autoscale()
    axes.set(title=title, xlabel="east, m", aspect="equal")
panels[0].set_ylabel("north, m")
plt.show()

# %%
# **A column in which half of the values are zero**, beside three clear clusters. Zero
# is not a narrow cluster. It is a value that many rows share, and tells of no density.
# With scikit-learn's constant in place of that, a thorough search finds the zeros.

label = rng.integers(0, 3, 600)
rows = np.array([[0, 0], [6, 0], [0, 6]])[label] + rng.normal(size=(600, 2))
zeros = np.where(rng.random(600) < 0.5, 0, rng.lognormal(0, 0.5, 600))
X = np.column_stack([rows, zeros])
fits = {
    "values are points": GaussianMixture(3, reg_covar=1e-6, random_state=0).fit(X),
    "shared values have a width": GaussianMixture(3, random_state=0).fit(X),
}
figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
for axes, (title, fit) in zip(panels, fits.items(), strict=True):
    axes.scatter(*rows.T, c=fit.predict(X), s=8, cmap="viridis")
    agreement = adjusted_rand_score(label, fit.predict(X))
    axes.set(title=f"{title}: agreement {agreement:.2f}", aspect="equal")
plt.show()

# %%
# **One bad row.** A typing error among the eruptions of Old Faithful, 790 minutes for
# 79. A component of its own would be right for this row, but a covariance cannot be
# estimated from it. Where all components share one, a mean is all that is needed, and
# that model is chosen, with one component for the error. If only other models are
# allowed, a warning tells what was passed over, and why.

X = np.vstack([load_faithful().data, [3.5, 790.0]])
chosen = GaussianMixtureIC(range(1, 6), random_state=0).fit(X)
print(chosen.covariance_type_, chosen.best_estimator_.summary(X).sizes)

import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    GaussianMixtureIC(range(1, 6), covariance_type="full", random_state=0).fit(X)
for warning in caught:
    print(f"{warning.category.__name__}: {warning.message}")
