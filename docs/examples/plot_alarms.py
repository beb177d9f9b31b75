"""
An outlier detector that keeps its rate
=======================================

A threshold for one false alarm in a hundred, on rows to come. The region of 99 % of the
*fitted* mixture has more of them, as the fit is to its own rows.
"""

# %%
# Forty samples of 300 rows, 5 features, two components. Each detector is tried on
# 20 000 new rows of the same law:

import matplotlib.pyplot as plt
import numpy as np

from skem import MixtureOutlierDetector


def sampler(rng):
    means = 2 * rng.normal(size=(2, 5))
    shapes = np.eye(5) + 0.3 * rng.normal(size=(2, 5, 5))

    def draw(n):
        labels = rng.integers(2, size=n)
        noise = rng.normal(size=(n, 5))
        return means[labels] + np.einsum("nij,nj->ni", shapes[labels], noise)

    return draw


calibrated, plain = [], []
for seed in range(40):
    draw = sampler(np.random.default_rng(seed))
    detector = MixtureOutlierDetector(2, false_alarm_rate=0.01, random_state=0)
    detector.fit(draw(300))
    scores = detector.score_samples(draw(20_000))
    calibrated.append(np.mean(scores < detector.offset_))
    level = detector.mixture_.hdr_level(0.99, random_state=0)
    plain.append(np.mean(scores < level))

# %%
# The calibrated threshold has its rate on average. What is left is the chance of the
# 300 rows, which no threshold knows of:

print(f"mean rate: {np.mean(calibrated):.2%} calibrated, {np.mean(plain):.2%} plain")
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for y, rates in enumerate([plain, calibrated]):
    jitter = np.linspace(-0.2, 0.2, 40)
    axes.scatter(100 * np.array(rates), y + jitter, s=14)
    axes.plot([100 * np.mean(rates)] * 2, [y - 0.3, y + 0.3], color="0.2")
axes.axvline(1, color="tab:red", linewidth=0.8)
axes.set_yticks([0, 1], ["region of 99 %", "detector"])
axes.set(xlabel="false alarms among new rows, %", ylim=(-0.6, 1.6))
plt.show()

# %%
# A row with missing values is judged by what it has, at a threshold of the same mass:

row = draw(1)
row[0, 1:3] = np.nan
print(detector.decision_function(row).round(1), detector.predict(row))
