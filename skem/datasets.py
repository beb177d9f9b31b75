"""Small classic data sets for mixtures, loaded as in `sklearn.datasets`.

None of them has a target. As `sklearn.datasets.fetch_openml` does for data without
one, the loaders then give None in its place, so that ``X, y = load_...(...)`` and
``estimator.fit(X, y)`` work as they do everywhere else.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_acidity", "load_faithful", "load_galaxies"]

DATA_MODULE = "skem.data"

FAITHFUL = """\
Eruptions of the Old Faithful geyser
------------------------------------

Yellowstone National Park, Wyoming.

:Number of samples: 272
:Features:
    - eruptions: how long the eruption lasted, in minutes
    - waiting: time to the next eruption, in minutes
:Missing values: none

Two clusters: short eruptions are followed by short waits.

This is the version of Härdle (1991), which R has as `faithful`; the one of Azzalini &
Bowman (1990) has 299 rows, some of them durations noted as short, medium or long.

.. rubric:: References

- A. Azzalini and A. W. Bowman (1990). A look at some data on the Old Faithful geyser.
  Applied Statistics 39(3), 357-365.
- W. Härdle (1991). Smoothing Techniques with Implementation in S. Springer.
"""

GALAXIES = """\
Velocities of galaxies in the Corona Borealis region
----------------------------------------------------

Six well-separated conic sections of the sky.

:Number of samples: 82
:Features:
    - velocity: velocity away from our own galaxy, in km/s, in ascending order
:Missing values: none

Clusters in velocity are clusters in space, with voids between them. How many there
are has been debated ever since.

Value 78 is 26690 here, as in the usual distribution (R has it in MASS); in the table
of Postman, Huchra & Geller (1986) it is 26960. That table also has an 83rd velocity,
5607 km/s, which Roeder (1990) left out.

.. rubric:: References

- M. Postman, J. P. Huchra and M. J. Geller (1986). Probes of large-scale structure in
  the Corona Borealis region. Astronomical Journal 92, 1238-1247.
- K. Roeder (1990). Density estimation with confidence sets exemplified by
  superclusters and voids in the galaxies. JASA 85(411), 617-624.
"""

ACIDITY = """\
Acidity of lakes
----------------

:Number of samples: 155
:Features:
    - acidity: log(ANC + 50), with ANC the acid-neutralising capacity of the lake
:Missing values: none

Low values are lakes that cannot absorb acid. Two overlapping groups are evident; some
analyses find a third.

.. rubric:: References

- S. L. Crawford (1994). An application of the Laplace method to finite mixture
  distributions. JASA 89(425), 259-267.
- S. L. Crawford, M. H. DeGroot, J. B. Kadane and M. J. Small (1992). Modeling
  lake-chemistry distributions: approximate Bayesian methods for estimating a
  finite-mixture model. Technometrics 34(4), 441-453.
"""


def _as_frame(data: np.ndarray, columns: list[str], caller: str) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{caller} with as_frame=True requires pandas, which is not installed."
        ) from error
    return pd.DataFrame(data, columns=columns)


def _load(name: str, description: str, return_X_y: bool, as_frame: bool) -> Any:
    filename = f"{name}.csv"
    path = resources.files(DATA_MODULE) / filename
    with path.open(encoding="utf-8") as file:
        feature_names = file.readline().strip().split(",")
        data = np.loadtxt(file, delimiter=",", ndmin=2)
    frame = _as_frame(data, feature_names, f"load_{name}") if as_frame else None
    X = data if frame is None else frame
    if return_X_y:
        return X, None
    return Bunch(
        data=X,
        target=None,
        frame=frame,
        feature_names=feature_names,
        DESCR=description,
        filename=filename,
        data_module=DATA_MODULE,
    )


def load_faithful(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the eruptions of the Old Faithful geyser.

    272 eruptions with two features, in minutes: how long they lasted, and the time
    to the next one [1]_.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, None)``: there is no target.

    as_frame : bool, default=False
        If True, the data are a pandas DataFrame.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : {ndarray, DataFrame} of shape (272, 2)
            The data, float64.
        target : None
            There is none.
        frame : DataFrame of shape (272, 2) or None
            The data, if `as_frame` is True.
        feature_names : list of str
            Names of the columns.
        DESCR : str
            Description of the data set, with its sources.
        filename : str
            Name of the CSV file in the package.
        data_module : str
            Where that file lives, for :func:`importlib.resources.files`.

    (data, target) : tuple if `return_X_y` is True
        The data, and None.

    Raises
    ------
    ImportError
        If `as_frame` is True and pandas is not installed.

    References
    ----------
    .. [1] A. Azzalini and A. W. Bowman (1990). A look at some data on the Old Faithful
       geyser. Applied Statistics 39(3), 357-365.

    Examples
    --------
    >>> from skem.datasets import load_faithful
    >>> faithful = load_faithful()
    >>> faithful.data.shape
    (272, 2)
    >>> faithful.feature_names
    ['eruptions', 'waiting']
    """
    return _load("faithful", FAITHFUL, return_X_y, as_frame)


def load_galaxies(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the velocities of galaxies in the Corona Borealis region.

    82 velocities in km/s [1]_ [2]_. Value 78 is 26690, as in the usual distribution of
    these data; the original table has 26960.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, None)``: there is no target.

    as_frame : bool, default=False
        If True, the data are a pandas DataFrame.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes that `load_faithful` lists; `data`
        is of shape (82, 1).

    (data, target) : tuple if `return_X_y` is True
        The data, and None.

    Raises
    ------
    ImportError
        If `as_frame` is True and pandas is not installed.

    References
    ----------
    .. [1] M. Postman, J. P. Huchra and M. J. Geller (1986). Probes of large-scale
       structure in the Corona Borealis region. Astronomical Journal 92, 1238-1247.
    .. [2] K. Roeder (1990). Density estimation with confidence sets exemplified by
       superclusters and voids in the galaxies. JASA 85(411), 617-624.

    Examples
    --------
    >>> from skem.datasets import load_galaxies
    >>> X, _ = load_galaxies(return_X_y=True)
    >>> X.shape
    (82, 1)
    >>> float(X[77, 0])
    26690.0
    """
    return _load("galaxies", GALAXIES, return_X_y, as_frame)


def load_acidity(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the acidity of lakes.

    The log acidity index of 155 lakes [1]_.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, None)``: there is no target.

    as_frame : bool, default=False
        If True, the data are a pandas DataFrame.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes that `load_faithful` lists; `data`
        is of shape (155, 1).

    (data, target) : tuple if `return_X_y` is True
        The data, and None.

    Raises
    ------
    ImportError
        If `as_frame` is True and pandas is not installed.

    References
    ----------
    .. [1] S. L. Crawford (1994). An application of the Laplace method to finite mixture
       distributions. JASA 89(425), 259-267.

    Examples
    --------
    >>> from skem.datasets import load_acidity
    >>> acidity = load_acidity()
    >>> acidity.data.shape
    (155, 1)
    >>> acidity.feature_names
    ['acidity']
    """
    return _load("acidity", ACIDITY, return_X_y, as_frame)
