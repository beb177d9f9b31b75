"""
EM by hand, then with skem
==========================

Expectation-maximisation needs three short functions. This page writes them down, lets
them run on a mixture of two Gaussians, looks at two mistakes that are easily made, and
then does the same with :class:`skem.GaussianMixture`.
"""

# %%
# The data
# --------
#
# 2 000 points on a line: 30 % from N(−2, 0.5²) and 70 % from N(0.5, 1). The points come
# without labels; the weights, means and standard deviations are to be found.

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)
x = np.concatenate([rng.normal(-2.0, 0.5, 600), rng.normal(0.5, 1.0, 1400)])

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.hist(x, bins=60, density=True, color="0.8")
axes.set(xlabel="x", ylabel="density")
plt.show()

# %%
# Three functions
# ---------------
#
# The density of one component:


def gauss(x, mean, sd):
    return np.exp(-((x - mean) ** 2) / (2 * sd**2)) / (np.sqrt(2 * np.pi) * sd)


# %%
# The E-step asks of each point how much of it each component would claim. These
# *responsibilities* are weight × density, normalised over the components:


def e_step(x, weights, means, sds):
    joint = weights[:, None] * gauss(x, means[:, None], sds[:, None])
    return joint / joint.sum(axis=0)


# %%
# The M-step gives each component the mean and the variance of what it claims, and the
# share of it as its weight:


def m_step(x, resp):
    counts = resp.sum(axis=1)
    means = resp @ x / counts
    variances = (resp * (x - means[:, None]) ** 2).sum(axis=1) / counts
    return counts / len(x), means, np.sqrt(variances)


# %%
# One E-step followed by one M-step never lowers the likelihood (Dempster, Laird & Rubin
# 1977). So: start anywhere, and repeat.

start = np.array([0.5, 0.5]), np.array([0.0, 1.0]), np.array([1.0, 1.0])


def log_likelihood(x, weights, means, sds):
    joint = weights[:, None] * gauss(x, means[:, None], sds[:, None])
    return np.log(joint.sum(axis=0)).sum()


def em(x, e_step, m_step, steps=100):
    path = [start]
    for _ in range(steps):
        path.append(m_step(x, e_step(x, *path[-1])))
    return path


def show(path, steps):
    print("step     weights          means         deviations    log-likelihood")
    for step in steps:
        numbers = np.concatenate(path[step])
        print(f"{step:4d}", *(f"{value:7.3f}" for value in numbers), end="")
        print(f"{log_likelihood(x, *path[step]):14.3f}")


path = em(x, e_step, m_step)
show(path, [0, 1, 10, 20, 50, 90, 100])

# %%
# The weights go to 0.3 and 0.7, the means to −2 and 0.5, the deviations to 0.5 and 1.
# The path is long: the components overlap, and EM is slow where points do not tell
# which component they are from.
#
# Two mistakes
# ------------
#
# **Dividing the density by σ² in place of σ.** The algorithm still runs, still settles,
# and gives plausible numbers:


def e_step_by_variance(x, weights, means, sds):
    joint = weights[:, None] * gauss(x, means[:, None], sds[:, None])
    joint /= sds[:, None]
    return joint / joint.sum(axis=0)


wrong = em(x, e_step_by_variance, m_step)
show(wrong, [0, 10, 100])

# %%
# Each component's claim is multiplied by 1/σ, and so the narrow one gets too much: its
# weight is too large, its mean has moved towards its neighbour, and its deviation has
# grown. More steps do not help. The wrong map has a fixed point of its own; its
# likelihood is lower, and nothing in the program looked at the likelihood.
#
# **Taking the variance about the old mean.** If the variances are computed before the
# means are updated, they are second moments about a point that is no longer the mean:


def m_step_about(old_means):
    def m_step_stale(x, resp):
        counts = resp.sum(axis=1)
        variances = (resp * (x - old_means[:, None]) ** 2).sum(axis=1) / counts
        return counts / len(x), resp @ x / counts, np.sqrt(variances)

    return m_step_stale


def em_stale(x, steps=100):
    path = [start]
    for _ in range(steps):
        resp = e_step(x, *path[-1])
        path.append(m_step_about(path[-1][1])(x, resp))
    return path


stale = em_stale(x)
show(stale, [0, 1, 10, 100])

# %%
# Every variance is too large by the square of the step that the mean makes. That is
# wrong on the way, and right in the end: where the means stop moving, the old mean is
# the new one. This mistake costs steps and the guarantee of ascent; the first one costs
# the answer. Only the log-likelihood tells them apart:

runs = {
    "right": path,
    "density divided by σ²": wrong,
    "variance about the old mean": stale,
}
best = max(log_likelihood(x, *point) for point in em(x, e_step, m_step, 2000))

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for label, points in runs.items():
    gap = [best - log_likelihood(x, *point) for point in points]
    axes.semilogy(gap, label=label)
axes.set(xlabel="step", ylabel="nats below the maximum", ylim=(1e-4, None))
axes.legend()
plt.show()

# %%
# With skem
# ---------
#
# The same start, the same algorithm:

import warnings

from sklearn.exceptions import ConvergenceWarning

from skem import GaussianMixture

X = x[:, None]
weights, means, sds = start
mixture = GaussianMixture(
    2,
    algorithm="em",
    reg_covar=0,
    tol=0,
    max_iter=100,
    weights_init=weights,
    means_init=means[:, None],
    precisions_init=1 / sds[:, None, None] ** 2,
)

with warnings.catch_warnings():
    # With tol=0 all steps are done, and none of them is called the last.
    warnings.simplefilter("ignore", ConvergenceWarning)
    mixture.fit(X)

print("by hand:", *(value.round(6) for value in path[100]))
print(
    "skem:   ",
    mixture.weights_.round(6),
    mixture.means_.ravel().round(6),
    np.sqrt(mixture.covariances_.ravel()).round(6),
)

# %%
# That is what ``algorithm="em"`` with ``reg_covar=0`` and ``tol=0`` is for: to be
# compared with. Left to its defaults, skem looks for a start, accelerates the steps and
# stops where it estimates that less than 0.01 nats are left to be gained:

mixture = GaussianMixture(2, random_state=0).fit(X)
order = np.argsort(mixture.means_.ravel())
print("weights    ", mixture.weights_[order].round(3))
print("means      ", mixture.means_.ravel()[order].round(3))
print("deviations ", np.sqrt(mixture.covariances_.ravel())[order].round(3))
print("nats left  ", round(best - mixture.score(X) * len(X), 4))

# %%
# scikit-learn stops where one step gains less than 0.001 in the mean, which on slow
# ground is far from the top:

from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

theirs = SklearnGaussianMixture(2, random_state=0).fit(X)
order = np.argsort(theirs.means_.ravel())
print("weights    ", theirs.weights_[order].round(3))
print("means      ", theirs.means_.ravel()[order].round(3))
print("deviations ", np.sqrt(theirs.covariances_.ravel())[order].round(3))
print("nats left  ", round(best - theirs.score(X) * len(X), 4))

# %%
# The densities, with the histogram:


def density(mixture, grid):
    return np.exp(mixture.score_samples(grid[:, None]))


grid = np.linspace(x.min(), x.max(), 400)
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.hist(x, bins=60, density=True, color="0.85")
axes.plot(grid, density(mixture, grid), label="skem")
axes.plot(grid, density(theirs, grid), "--", label="scikit-learn")
w, m, s = wrong[-1]
axes.plot(
    grid,
    (w[:, None] * gauss(grid, m[:, None], s[:, None])).sum(axis=0),
    ":",
    label="density divided by σ²",
)
axes.set(xlabel="x", ylabel="density")
axes.legend()
plt.show()
