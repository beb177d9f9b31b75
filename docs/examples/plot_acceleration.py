"""
Plain and accelerated EM
========================

Where components overlap, EM needs hundreds of steps for the last digits. Extrapolation
needs few of them, and each of its steps costs what an EM step costs: one pass over the
data.
"""

# %%
# Two components one and a half standard deviations apart, 2 000 rows: hardly any row
# tells which component it is from.

import matplotlib.pyplot as plt

from skem import ConvergenceDisplay, GaussianMixture

truth = GaussianMixture.from_parameters(
    [0.4, 0.6], [[0.0, 0.0], [1.5, 0.5]], [0.6, 1.2], covariance_type="spherical"
)
X, _ = truth.sample(2000, random_state=1)

# %%
# The same start for all; the nats that each still lacks to the best of them:

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
ConvergenceDisplay.from_estimator(
    GaussianMixture(2, random_state=0),
    X,
    algorithms=["em", "squarem", "lbfgs"],
    ax=axes,
)
plt.show()

# %%
# - ``"em"`` gains a fixed share of what is left in each step, and the share is small.
# - ``"squarem"`` (Varadhan & Roland 2008) makes a long step out of every two.
# - ``"lbfgs"``, the default, takes the EM step for a gradient and learns the curvature
#   (Jamshidian & Jennrich 1997).
#
# None of them accepts a step down, so each is as safe as EM.
#
# Where to stop
# -------------
#
# A step that gains little is not a sign of the top: EM gains little for a long time.
# skem asks how much is *left*, from how fast the steps shrink, and stops at 0.01 nats
# in total. scikit-learn stops where one step gains less than 0.001 in the mean:

from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

start = {"n_init": 1, "reg_covar": 0, "random_state": 0}
mixture = GaussianMixture(2, **start).fit(X)
top = GaussianMixture(2, tol=1e-8, **start).fit(X).score(X)
theirs = SklearnGaussianMixture(2, random_state=0).fit(X)
for name, fit in (("skem", mixture), ("scikit-learn", theirs)):
    print(f"{name}: {fit.n_iter_} steps, {len(X) * (top - fit.score(X)):.4f} nats left")
