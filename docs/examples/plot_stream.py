"""
A stream that drifts
====================

`partial_fit` reads each row once and keeps none. With a window it follows a change, and
its own score says when there is one.
"""

# %%
# Batches of 500 rows from two clusters. After 60 of them, one cluster begins to move.

import matplotlib.pyplot as plt
import numpy as np

from skem import GaussianMixture


def batches(rng):
    for step in range(160):
        moving = 4.0 + 3.0 * np.clip((step - 60) / 60, 0, 1)
        centres = rng.choice([0.0, moving], size=(500, 1), p=[0.6, 0.4])
        yield step, moving, centres + rng.normal(size=(500, 1))


# %%
# Two mixtures read them. One remembers all, with a weight that falls slowly; the other
# forgets a row by a factor e after 5 000 more.

readers = {
    "all rows": GaussianMixture(2, random_state=0),
    "a window of 5 000": GaussianMixture(2, learning_window=5000, random_state=0),
}
paths = {name: [] for name in readers}
truth = []
for _, moving, batch in batches(np.random.default_rng(0)):
    truth.append(moving)
    for name, mixture in readers.items():
        paths[name].append(mixture.partial_fit(batch).means_.max())

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.plot(truth, "k--", linewidth=1, label="truth")
for name, path in paths.items():
    axes.plot(path, label=name)
axes.set(xlabel="batch", ylabel="mean of the moving cluster")
axes.legend()
plt.show()

# %%
# Which window is right? `lower_bound_` is the running mean of each batch's
# log-likelihood *before* the batch was learned, so that it can be compared like a
# held-out score:

for name, mixture in readers.items():
    print(f"{name}: {mixture.lower_bound_:.3f} nats per row")

# %%
# The stream's result can be saved, sampled, asked, and fitted on from, like any other
# mixture:

print(readers["a window of 5 000"].predict([[0.0], [7.0]]))
