"""What a mixture with parameters does: score, label, sample, and judge itself."""

from __future__ import annotations

import os

from skem._fitted.criteria import Criteria
from skem._fitted.regions import Regions
from skem._fitted.reporting import Reporting
from skem._saving.files import save_mixture


class FittedMixture(Regions, Criteria, Reporting):
    """The methods of a mixture that need its parameters, and not how it was fitted."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted mixture to a file, for `skem.load`.

        The file is JSON: the class, the parameters of the estimator and the fitted
        attributes, in full precision. It holds no code, and no data but the parameters.
        It is written as a whole or not at all.

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if it is there.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.

        NotImplementedError
            If the class is none of those that :func:`skem.load` knows, or if a
            parameter cannot be written, such as a `RandomState`.

        OSError
            If the file cannot be written.

        See Also
        --------
        skem.load : Read the file.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import skem
        >>> mixture = skem.GaussianMixture.from_parameters(
        ...     [0.3, 0.7], [[-2.0], [0.5]], [0.25, 1.0], covariance_type="spherical"
        ... )
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = pathlib.Path(directory) / "mixture.json"
        ...     mixture.save(path)
        ...     skem.load(path).weights_
        array([0.3, 0.7])
        """
        save_mixture(self, path)
