"""
Segments of customers, with gaps and new months
===============================================

A table of customers has amounts, counts, plans and empty cells. A mixture with a family
for each column finds segments by likelihood; batches of new customers keep it up to
date.
"""

# %%
# Customers of three kinds. Amounts are gamma or log-normal, counts of orders vary more
# than Poisson's, the time since the last visit is exponential, and age and distance are
# often not known.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import skem
from skem import MixtureModel, TableDisplay


def customers(n, rng, shares=(0.5, 0.3, 0.2)):
    """Draw customers, and the kind of each."""
    kind = rng.choice(3, size=n, p=shares)
    loyal = np.array([0.2, 0.5, 0.9])[kind]
    plans = np.where(rng.random(n) < loyal, "plus", "basic")
    table = pd.DataFrame(
        {
            "age": rng.normal(np.array([28, 41, 55])[kind], 7).round(),
            "distance": np.exp(rng.normal(np.array([1.0, 2.5, 0.5])[kind], 0.6)),
            "basket": rng.gamma(4, np.array([5, 12, 22])[kind]).round(2),
            "orders": rng.negative_binomial(2, 2 / (2 + np.array([2, 6, 15])[kind])),
            "days away": rng.exponential(np.array([90, 30, 10])[kind]).round(1) + 0.1,
            "plan": plans,
        }
    )
    gaps = rng.random((n, 2)) < [0.3, 0.15]
    table[["age", "distance"]] = table[["age", "distance"]].mask(gaps)
    return table, kind


rng = np.random.default_rng(0)
table, kind = customers(1500, rng)
table.head()

# %%
# A mapping names the families of columns. Those that are not named are Gaussian if they
# have numbers, and categorical if they have text.

families = {
    "distance": "lognormal",
    "basket": "gamma",
    "orders": "negative_binomial",
    "days away": "exponential",
}
model = MixtureModel(3, families=families, random_state=0).fit(table)
model.summary()

# %%
# Each column has a panel with its components:

TableDisplay.from_estimator(model)
plt.show()

# %%
# The segments are the kinds that the rows were drawn from, but for customers who could
# be of either:

labels = model.predict(table)
print(f"adjusted Rand index {adjusted_rand_score(kind, labels):.2f}")
certain = model.predict_proba(table).max(axis=1) > 0.9
print(f"of the {certain.mean():.0%} that are certain:", end=" ")
print(f"{adjusted_rand_score(kind[certain], labels[certain]):.2f}")

# %%
# An unknown age is completed by what the rest of the row says. Here is how far that is
# from the mean age of the customer's kind, and how far the mean of all ages is:

unknown = table.age.isna()
means = pd.Series([28, 41, 55])[kind[unknown]].to_numpy()
completed = model.impute(table).age[unknown]
for name, found in [("mixture", completed), ("overall mean", table.age.mean())]:
    print(f"{name}: {np.sqrt(np.mean((found - means) ** 2)):.1f} years")

# %%
# Each month brings customers, more and more of them of the third kind. `partial_fit`
# follows, with a memory of 2000 rows, without the earlier months. Here is the share of
# the component with the largest baskets:

model.set_params(learning_window=2000)
third = int(model.parameters_["basket"]["mean"].argmax())
true, share = [0.2], [model.weights_[third]]
for month in range(1, 25):
    now = 0.2 + 0.015 * month
    batch, _ = customers(
        500, rng, shares=(0.5 * (1 - now) / 0.8, 0.3 * (1 - now) / 0.8, now)
    )
    model.partial_fit(batch)
    true.append(now)
    share.append(model.weights_[third])

fig, ax = plt.subplots(layout="constrained")
ax.plot(true, color="0.5", linestyle="--", label="of the month's customers")
ax.plot(share, label="in the mixture")
ax.set(xlabel="Month", ylabel="Share of the third kind", ylim=(0, 0.65))
ax.legend()
plt.show()

# %%
# The mixture goes to where it is used as a file of JSON, without any customer in it:

with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / "segments.json"
    model.save(path)
    same = skem.load(path)
print((same.predict(table) == model.predict(table)).all())
