"""Write memberships to a CSV file."""

from __future__ import annotations

import csv

import numpy as np

from skem._cli.files import written


def write_labels(path: str, resp: np.ndarray) -> None:
    """Write row number, label and membership probabilities, to full precision."""
    header = ["row", "label", *(f"p{k}" for k in range(resp.shape[1]))]
    with written(path, encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row, probabilities in enumerate(resp):
            label = int(probabilities.argmax())
            writer.writerow([row, label, *probabilities.tolist()])
