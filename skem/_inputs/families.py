"""Which family each column has: from what users say, and else from its values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from typing import Any

import numpy as np

from skem._inputs.callers import users_level
from skem._inputs.dask_tables import DaskRows
from skem._inputs.table_files import DaskValues, FileValues
from skem._inputs.tables import (
    CATEGORIES,
    ROWS_IN_BLOCKS,
    Column,
    Table,
    check_known,
    encoded,
    finite,
    parts,
)
from skem.families.family import Kind
from skem.families.gaussian import Gaussian
from skem.families.model import Look
from skem.families.product import Product
from skem.families.registry import FAMILIES

MOSTLY = 0.95
"""Share of cells that read as numbers from which others are thought to be errors."""
MOST_CATEGORIES = 20
"""Categories that may be more than half as many as cells, at most."""
TAKEN = "is taken for"
MOST_CODES = 10
"""Whole numbers from 0 or 1 that may be codes of categories, at most."""
ROWS_OF_A_CODE = 10
"""Rows for each of them, at least."""
LEAST_CODED = 3
"""Columns of latent classes, at least."""
MOST_CHOICES = 64
"""Choices of families that a search tries, at most."""
EXACT_IN_SINGLE = 2**24
"""Whole numbers below it are exact in float32."""
Group = tuple[Kind, list[int]]
"""A family, and the columns that it is of."""


def resolve(families: Any, covariance_type: str, table: Table) -> list[Group]:
    """Return the families, each with its columns, in the order of the columns."""
    names = [column.name for column in table.columns]
    chosen: list[Group] = []
    apart: list[Group] = []
    if isinstance(families, Mapping):
        pairs: Iterable[tuple[Any, Any]] = [(f, [c]) for c, f in families.items()]
    elif isinstance(families, str | Kind):
        pairs = [] if families == "auto" else [(families, range(len(names)))]
    else:
        pairs = _pairs(families)
    for family, columns in pairs:
        places = [place_of(column, names, "families") for column in _listed(columns)]
        found = _grouped(_kind(family, covariance_type), places)
        if isinstance(families, str | Kind | Mapping):
            chosen += found
        else:
            apart += found
    taken = [place for _, places in chosen + apart for place in places]
    for place in set(taken):
        if taken.count(place) > 1:
            raise ValueError(f"Column {names[place]!r} has more than one family.")
    rest = [j for j in range(len(names)) if j not in taken]
    for j in rest:
        column = table.columns[j]
        family = "gaussian" if column.kind != CATEGORIES else "categorical"
        _warn_of_odd_categories(column)
        chosen += _grouped(_kind(family, covariance_type), [j])
    return sorted(_merged(chosen) + apart, key=lambda group: group[1][0])


def alternatives(families: Any) -> list[tuple[Any, str]]:
    """Return what a search is to try: families of the columns, and what tells them.

    In a mapping, columns may have several families to choose from. Without these there
    is one choice, which nothing tells from others.
    """
    if not isinstance(families, Mapping):
        return [(families, "")]
    each = {
        column: list(family) if isinstance(family, list | tuple) else [family]
        for column, family in families.items()
    }
    empty = [column for column, own in each.items() if not own]
    if empty:
        raise ValueError(f"families has no family for column {empty[0]!r}.")
    for column, own in each.items():
        if len({_kind(family, "full").discrete for family in own}) > 1:
            raise ValueError(
                f"Families of column {column!r}, {[_named(f) for f in own]}, have "
                "densities and probabilities, which cannot be compared."
            )
    n = math.prod(map(len, each.values()))
    if n > MOST_CHOICES:
        raise ValueError(
            f"families has {n} choices of alternatives, and at most {MOST_CHOICES} are "
            "tried. Give alternatives for fewer columns."
        )
    found = []
    for chosen in product(*each.values()):
        choice = dict(zip(each, chosen, strict=True))
        told = (
            f"{column}: {_named(family)}"
            for column, family in choice.items()
            if len(each[column]) > 1
        )
        found.append((choice, ", ".join(told)))
    return found


def _named(family: Any) -> str:
    return str(getattr(family, "name", family))


def warn_of_codes(families: Any, table: Table, weight: np.ndarray) -> bool:
    """Warn if all columns are taken for numbers that may be codes of categories.

    One such column beside others is more often a number, or an indicator. Rows without
    weight have no say. Return whether there was a warning.
    """
    if not isinstance(families, str) or families != "auto" or table.file is not None:
        return False
    d = len(table.columns)
    if d < LEAST_CODED or not all(_is_coded(each, weight) for each in table.columns):
        return False
    warnings.warn(
        f"All {d} columns have few different whole numbers, such as 1, 2 and 3, and "
        "are fitted as Gaussian. If these are codes, take families='categorical'; if "
        "counts, 'poisson'; if numbers, 'gaussian', which ends this warning.",
        UserWarning,
        stacklevel=users_level(),
    )
    return True


def _is_coded(column: Column, weight: np.ndarray) -> bool:
    if column.numbers is None:
        return False
    counts = np.zeros(MOST_CODES + 1, dtype=int)
    for rows in parts(len(column.numbers)):
        x = column.numbers[rows]
        x = x[~np.isnan(x) & (weight[rows] > 0)]
        if ((x < 0) | (x > MOST_CODES) | (x != np.floor(x))).any():
            return False
        counts += np.bincount(x.astype(int), minlength=len(counts))
    codes = np.flatnonzero(counts)
    enough = len(codes) <= MOST_CODES and counts.sum() >= ROWS_OF_A_CODE * len(codes)
    return len(codes) > 1 and codes[0] <= 1 and bool(enough)


def _warn_of_odd_categories(column: Column) -> None:
    """Warn of categories that are numbers but for a few cells, or names of rows."""
    n_numbers, n = column.counted()
    seen = np.empty(0) if column.codes is None else column.codes[column.codes >= 0]
    n_categories = len(np.unique(seen))
    if MOSTLY * n <= n_numbers < n:
        odd = (
            f"{n_numbers} of its {n} cells read as numbers, and others do not"
            f"{column.example()}. Mend these cells, and turn the column into numbers "
            "by pandas.to_numeric"
        )
    elif n_categories > MOST_CATEGORIES and 2 * n_categories > len(seen):
        odd = (
            f"its {len(seen)} cells are of {n_categories} categories. So many hide the "
            "clusters of other columns. Leave it out, or group its categories"
        )
    else:
        return
    warnings.warn(
        f"Column {column.name!r} {TAKEN} categories: {odd}; or name the family "
        "'categorical' for it.",
        UserWarning,
        stacklevel=users_level(),
    )


def _pairs(families: Any) -> Iterable[tuple[Any, Any]]:
    try:
        return [(family, columns) for family, columns in families]
    except (TypeError, ValueError):
        raise ValueError(
            "families must be 'auto', the name of a family, a mapping from columns to "
            "families, or a list of pairs (family, columns); got "
            f"{families!r}."
        ) from None


def _listed(columns: Any) -> list[Any]:
    several = isinstance(columns, Iterable) and not isinstance(columns, str)
    return list(columns) if several else [columns]


def place_of(column: Any, names: list[str], what: str) -> int:
    """Return the place of a column that a parameter names."""
    if isinstance(column, str):
        if column not in names:
            raise ValueError(f"{what} names {column!r}, which is no column of X.")
        return names.index(column)
    if isinstance(column, bool) or not isinstance(column, int | np.integer):
        raise ValueError(
            f"{what} names {column!r}, where the name or the place of one column is "
            "expected. For families of several columns take a list of pairs (family, "
            "columns), as [('gaussian', ['a', 'b'])]."
        )
    if not -len(names) <= column < len(names):
        raise ValueError(
            f"{what} names column {column}, but X has {len(names)} columns."
        )
    return int(column) % len(names)


def _kind(family: Any, covariance_type: str) -> Kind:
    if isinstance(family, Kind):
        return family
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(
            f"Unknown family {family!r}: a family is one of {sorted(FAMILIES)}, or an "
            "instance of skem.Family."
        )
    made = FAMILIES[family]()
    if isinstance(made, Gaussian):
        made = type(made)(covariance_type)
    return made


def _grouped(kind: Kind, places: list[int]) -> list[Group]:
    if kind.multivariate:
        return [(kind, places)]
    return [(kind, [place]) for place in places]


def _merged(chosen: list[Group]) -> list[Group]:
    """Join the columns of one Gaussian: those that were called the same."""
    groups: list[Group] = []
    for kind, places in chosen:
        for other, joined in groups:
            if kind.multivariate and _same(kind, other):
                joined.extend(places)
                break
        else:
            groups.append((kind, list(places)))
    return [(kind, sorted(places)) for kind, places in groups]


def _same(kind: Kind, other: Kind) -> bool:
    """Whether two are one family of one structure."""
    return type(kind) is type(other) and vars(kind) == vars(other)


@dataclass(frozen=True)
class Columns:
    """How columns become rows of numbers: families, and labels of categories."""

    names: tuple[str, ...]
    groups: tuple[tuple[Kind, tuple[int, ...]], ...]
    labels: dict[int, tuple[Any, ...]]

    @classmethod
    def of(cls, table: Table, groups: list[Group], weight: np.ndarray) -> Columns:
        """Check that columns suit their families.

        Categories are those of rows that have weight.
        """
        labels = {}
        for kind, places in groups:
            for j in places:
                column = table.columns[j]
                if kind.categorical:
                    labels[j] = _labels(kind, column, weight)
                elif column.kind == CATEGORIES:
                    raise ValueError(
                        f"Column {column.name!r} has categories"
                        f"{column.example(weight)}, which the family {kind.name!r} "
                        "cannot take."
                    )
        names = tuple(column.name for column in table.columns)
        kept = tuple((kind, tuple(places)) for kind, places in groups)
        return cls(names, kept, labels)

    def read(
        self, table: Table, handle_unknown: str, weight: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        """Return numbers and codes (d, n), and what stands for them in `Product.of`.

        NaN is missing. Of a file both are read block by block. Unknown categories of
        rows without weight are missing, too, and so is what a family refuses there.
        """
        if handle_unknown == "error" and weight is not None and not weight.all():
            for j, labels in self.labels.items():
                column = table.columns[j]
                check_known(column.name, column.labels_of(weight), labels)
            handle_unknown = "missing"
        if table.file is None:
            values = self._values(table, handle_unknown, weight)
            return values, values
        kind_of = DaskValues if isinstance(table.file, DaskRows) else FileValues
        found = kind_of(self.names, table.file, self.labels, handle_unknown)
        discrete = [j for j, kind in self._kinds.items() if kind.discrete]
        numbers = [j for j in discrete if j not in self.labels]
        try:
            return found, found.checked(self.check, numbers)
        except ValueError:
            if weight is None or weight.all():
                raise
        for _ in found.sweep(self._check_seen, weight):
            pass
        lenient_of = LenientDask if isinstance(table.file, DaskRows) else LenientFile
        lenient = lenient_of(
            found.names, found.X, found.labels, found.handle_unknown, self
        )
        return lenient, lenient.checked(self.check, numbers)

    def with_another(self, table: Table, weight: np.ndarray) -> Columns:
        """Add the other category that a batch has, where a pair has had one so far."""
        labels = dict(self.labels)
        for j, known in self.labels.items():
            column = table.columns[j]
            pair = self._kinds[j].name == "bernoulli"
            if not pair or len(known) > 1 or column.kind != CATEGORIES:
                continue
            own = column.labels_of(weight)
            new = [label for label in own if label not in known]
            if len(new) == 1:
                labels[j] = (*known, *new)
        return self if labels == self.labels else replace(self, labels=labels)

    def _check_seen(self, values: np.ndarray, weight: np.ndarray) -> None:
        """Check a block (d, b) of rows that have weight."""
        seen = values[:, weight > 0]
        for j, x in enumerate(seen):
            finite(self.names[j], values[j])
            self.check(j, x[~np.isnan(x)])

    def forgiven(self, values: np.ndarray) -> np.ndarray:
        """Return values (d, b) with gaps in place of what families refuse."""
        values = values.copy()
        for j, kind in self._kinds.items():
            if j not in self.labels:
                values[j, _refused(kind, values[j])] = np.nan
        return values

    @cached_property
    def _kinds(self) -> dict[int, Kind]:
        """The family of each column."""
        return {j: kind for kind, places in self.groups for j in places}

    def check(self, j: int, x: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Raise `ValueError` if values are out of the range of a column's family.

        The first of these is named, with its row if `rows` has those of all values.
        """
        if j in self.labels:
            return
        kind = self._kinds[j]
        finite(self.names[j], x)
        try:
            kind.check(x)
        except ValueError as error:
            i = _first_refused(kind, x)
            example = "" if i is None else _example(x, i, rows)
            text = (
                f"Column {self.names[j]!r} {error}{example}, which the family "
                f"{kind.name!r} cannot take."
            )
            if i is not None and x[i] == 0:
                other = f"hurdle_{kind.name}"
                text += (
                    f" The family {other!r} takes zeros, too."
                    if other in FAMILIES
                    else " Say in another column whether it is zero, and leave a gap "
                    "here if it is."
                )
            raise ValueError(text) from None

    def _values(
        self, table: Table, handle_unknown: str, weight: np.ndarray | None
    ) -> np.ndarray:
        shape = (len(self.names), table.n_rows)
        values: np.ndarray = np.empty(shape, self._dtype(table))
        for j in self._kinds:
            column = table.columns[j]
            if j in self.labels:
                values[j] = encoded(column, self.labels[j], handle_unknown)
                continue
            if column.numbers is None:
                raise ValueError(
                    f"Column {column.name!r} has categories{column.example()}; the fit "
                    "has seen numbers there."
                )
            values[j] = column.numbers
            there = ~np.isnan(values[j])
            if weight is not None and not weight.all():
                finite(column.name, values[j])
                left_out = np.flatnonzero(there & (weight == 0))
                refused = _refused(self._kinds[j], values[j][left_out])
                values[j, left_out[refused]] = np.nan
                there &= weight > 0
            rows = np.flatnonzero(there)
            self.check(j, values[j][rows], rows)
        return values

    def _dtype(self, table: Table) -> type:
        """float32 if all numbers are of that; blocks are computed in float64."""
        numbers = [column.numbers for column in table.columns]
        single = {x.dtype == np.float32 for x in numbers if x is not None}
        few = all(len(own) < EXACT_IN_SINGLE for own in self.labels.values())
        return np.float32 if few and single == {True} else float

    def product(
        self, values: Any, weight: np.ndarray, K: int, epsilon: float | None
    ) -> Product:
        """Let every family look at its columns.

        Of many rows they see some, evenly spaced, and all of the categories.
        """
        total = float(weight.sum())
        first = self._first_rows(values, weight)
        n = len(weight)
        many = n > ROWS_IN_BLOCKS
        own, own_weight = values, weight
        if many:
            rows = np.union1d(np.arange(ROWS_IN_BLOCKS) * n // ROWS_IN_BLOCKS, first)
            own, own_weight = values[:, rows], weight[rows]
        models, places = [], []
        for kind, columns in self.groups:
            place = np.array(columns)
            n_categories = len(self.labels.get(columns[0], ()))
            x, v = own[place].astype(float, copy=False), own_weight
            if many and kind.categorical:
                x = np.arange(n_categories, dtype=float)[None]
                v = _counts(values, weight, columns[0], n_categories)
            look = Look(
                x,
                v,
                K,
                2 / np.sqrt(total) if epsilon is None else epsilon,
                many or epsilon is not None,
                n_categories,
            )
            models.append(kind.look(look))
            places.append(place)
        return Product(tuple(models), tuple(places))

    def _first_rows(self, values: Any, weight: np.ndarray) -> np.ndarray:
        """Return the first row that has a value, of each column."""
        found = np.full(len(self.names), -1)
        for part in parts(len(weight)):
            there = ~np.isnan(values[:, part]) & (weight[part] > 0)
            new = (found < 0) & there.any(axis=1)
            found[new] = part.start + there[new].argmax(axis=1)
            if (found >= 0).all():
                return found
        j = int(np.flatnonzero(found < 0)[0])
        raise ValueError(
            f"Feature {j} ({self.names[j]!r}) of X has no value at all: it is missing "
            "in every row. Leave it out."
        )

    @property
    def n_cells(self) -> int | None:
        """Number of different rows there may be, if all columns have categories."""
        if len(self.labels) < len(self.names):
            return None
        return math.prod(map(len, self.labels.values()))

    @property
    def discrete(self) -> bool:
        """Whether all columns are of few values."""
        return all(kind.discrete for kind, _ in self.groups)


@dataclass(frozen=True)
class _Lenient(FileValues):
    """Values in which those that families refuse are gaps."""

    columns: Columns

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        columns, rows = key
        return self.columns.forgiven(super().__getitem__((slice(None), rows)))[columns]


class LenientFile(_Lenient):
    """Those of a file."""


class LenientDask(_Lenient, DaskValues):
    """Those of Dask."""

    def _of_chunk(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return super()._of_chunk(partial(_of_forgiven, self.columns, function))


def _of_forgiven(
    columns: Columns, function: Callable[..., Any], values: np.ndarray, *arrays: Any
) -> Any:
    return function(columns.forgiven(values), *arrays)


def _refused(kind: Kind, x: np.ndarray) -> np.ndarray:
    """Mask of the values that a family refuses by themselves."""
    values = np.unique(x[~np.isnan(x)])
    found: list[np.ndarray] = []
    parts = [values]
    while parts:
        part = parts.pop()
        if not len(part) or not refuses(kind, part):
            continue
        if len(part) == 1:
            found.append(part)
            continue
        middle = len(part) // 2
        parts += [part[:middle], part[middle:]]
    return np.isin(x, np.concatenate(found)) if found else np.zeros(len(x), bool)


def _first_refused(kind: Kind, x: np.ndarray) -> int | None:
    """Return the place of the first value that a family refuses by itself."""
    low, high = 0, len(x)
    while high - low > 1:
        middle = (low + high) // 2
        if refuses(kind, x[low:middle]):
            high = middle
        else:
            low = middle
    return low if refuses(kind, x[low:high]) else None


def refuses(kind: Kind, x: np.ndarray) -> bool:
    """Whether values are out of the range of a family."""
    try:
        kind.check(x)
    except ValueError:
        return True
    return False


def _example(x: np.ndarray, i: int, rows: np.ndarray | None) -> str:
    where = "" if rows is None else f" in row {rows[i]}"
    return f", such as {str(x[i]).removesuffix('.0')}{where}"


def _labels(kind: Kind, column: Column, weight: np.ndarray) -> tuple[Any, ...]:
    labels = column.labels_of(weight)
    if kind.name != "bernoulli":
        return labels
    if column.kind != CATEGORIES:
        if not set(labels) <= {0, 1}:
            other = np.array([label for label in labels if label not in (0, 1)])
            # Of Dask collections the rows would have to be looked for.
            local = isinstance(column.numbers, np.ndarray)
            rows = np.flatnonzero(column.numbers == other[0]) if local else None
            raise ValueError(
                f"Column {column.name!r} has numbers other than 0 and 1"
                f"{_example(other, 0, rows)}, which the family 'bernoulli' cannot "
                "take. The family 'categorical' takes any numbers for categories."
            )
        return (0, 1)
    if len(labels) > 2:
        raise ValueError(
            f"Column {column.name!r} has {len(labels)} categories; the family "
            "'bernoulli' takes two."
        )
    if set(labels) <= {False, True}:
        return (False, True)
    return labels


def _counts(values: Any, weight: np.ndarray, j: int, size: int) -> np.ndarray:
    """Weights of the categories of a column."""
    if isinstance(values, np.ndarray):
        return _counted(j, size, values, weight)
    return sum(values.sweep(partial(_counted, j, size), weight), np.zeros(size))


def _counted(j: int, size: int, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Add up weights of a block (d, b)."""
    x = values[j]
    seen = ~np.isnan(x)
    return np.bincount(x[seen].astype(int), weight[seen], size)


def distinct(
    values: np.ndarray, weight: np.ndarray, known: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the first row of each kind, and its weight; None if there is no gain.

    Of whole numbers, NaN among them.
    """
    rows = values if known is None else np.vstack([values, known])
    key = np.zeros(rows.shape[1], dtype=np.int64)
    size = 1
    for each in rows:
        # Differences of large counts are exact in float64 only.
        row = each.astype(float)
        missing = np.isnan(row)
        low, high = np.nanmin(row, initial=0.0), np.nanmax(row, initial=0.0)
        if size * (high - low + 2) > 2**62:
            return None
        radix = int(high - low) + 2
        size *= radix
        key = key * radix + np.where(missing, 0, row - low + 1).astype(np.int64)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    if len(first) > 0.7 * len(key):
        return None
    return first, np.bincount(inverse.ravel(), weight, len(first))
