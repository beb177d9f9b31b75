"""Write the columns of a file together with labels and memberships."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from skem._cli.table import NumberTable


def write_labels(file: IO[Any], data: NumberTable, mixture: Any) -> None:
    """Write the row in the file, its cells, its label and probabilities, as CSV.

    Rows that were left out have no label.
    """
    labels, resp = mixture.predict(data.values), mixture.predict_proba(data.values)
    names = [f"p{k}" for k in range(len(mixture.means_))]
    if resp.shape[1] > len(names):
        names.append("noise")
    rows = _rows(data, labels, resp, names)
    csv.writer(file, lineterminator="\n").writerows(rows)


def _rows(
    data: NumberTable, labels: np.ndarray, resp: np.ndarray, names: list[str]
) -> Iterator[list[Any]]:
    sheet = data.sheet
    own = ["row", "label", *names]
    row, *others = [_free(name, sheet.names) for name in own]
    yield [row, *sheet.names, *others]
    found = dict(zip(data.kept.tolist(), range(len(labels)), strict=True))
    for i, (line, cells) in enumerate(zip(sheet.lines, sheet.rows, strict=True)):
        if (j := found.get(i)) is None:
            yield [line, *cells, *[""] * (len(names) + 1)]
        else:
            shown = (f"{p:.6f}" for p in resp[j].tolist())
            yield [line, *cells, int(labels[j]), *shown]


def _free(name: str, taken: tuple[str, ...]) -> str:
    """Return a name that no column of the file has."""
    while name in taken:
        name += "_"
    return name
