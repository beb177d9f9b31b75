"""
Latent classes of a survey, with gaps
=====================================

People answer a survey, and some answers are missing. Latent class analysis finds kinds
of people by the likelihood of what was answered: nothing is imputed first.
"""

# %%
# A survey of 800 people of three kinds, with a question of age and one of counts, and
# one answer in eight missing.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skem import MixtureIC, TableDisplay

rng = np.random.default_rng(3)
kind = rng.choice(3, 800, p=[0.5, 0.3, 0.2])


def answers(words, likely):
    """Draw answers: each kind has one that is likely."""
    other = rng.integers(len(words), size=len(kind))
    chosen = np.where(rng.random(len(kind)) < 0.7, np.array(likely)[kind], other)
    return np.array(words)[chosen]


survey = pd.DataFrame(
    {
        "reads": answers(["daily", "weekly", "never"], [2, 0, 1]),
        "trusts": answers(["yes", "no"], [1, 0, 0]),
        "votes": answers(["always", "often", "never"], [2, 1, 0]),
        "meetings": rng.poisson(np.array([0.3, 2, 9])[kind]),
        "age": rng.normal(np.array([34, 47, 63])[kind], 8).round(),
    }
)
survey = survey.mask(rng.random(survey.shape) < 1 / 8)
survey.head()

# %%
# The number of classes is chosen by the BIC. Counts are Poisson; text is categorical,
# and age Gaussian, by themselves.

selection = MixtureIC(range(1, 6), families={"meetings": "poisson"}, random_state=0)
selection.fit(survey)
pd.DataFrame(selection.results_)[["param_n_components", "bic", "log_likelihood"]].round(
    1
)

# %%
# What the classes are like, as such tables are reported:

model = selection.best_estimator_
model.summary()

# %%
# The same as a picture:

TableDisplay.from_estimator(model)
plt.show()

# %%
# Standard errors of the proportions, and rows completed by what the others say:

errors = model.standard_errors(survey)
print(errors.parameters["votes"]["proportions"].round(3))
model.impute(survey).head()

# %%
# The classes agree with the kinds that the answers were drawn from:

labels = model.predict(survey)
pd.crosstab(kind, labels, rownames=["kind"], colnames=["class"])
