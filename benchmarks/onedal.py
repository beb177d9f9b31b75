"""EM passes of Intel's oneDAL, timed in an interpreter of its own.

daal4py wants older versions of NumPy than skem may have, so `benchmarks.em_pass` starts
this file with the Python of another environment::

    python -m venv onedal && onedal/bin/pip install "daal4py==2024.7.0" packaging \
        "numpy<2" "scikit-learn<1.5"
    python -m benchmarks.em_pass --onedal onedal/bin/python

The file imports neither skem nor another benchmark.
"""

from __future__ import annotations

import sys
import time


def serve(path: str, covariance_type: str, least: float) -> None:
    """Print the seconds of a pass for each line that is read."""
    import daal4py
    import numpy as np

    daal4py.daalinit()
    given = np.load(path)
    X, weights, means = given["X"], given["weights"], given["means"]
    d = X.shape[1]
    unit = np.eye(d) if covariance_type == "full" else np.ones((1, d))
    covariances = [unit.astype(X.dtype)] * len(means)

    def run(n_passes: int) -> tuple[float, int]:
        algorithm = daal4py.em_gmm(
            nComponents=len(means),
            fptype="float" if X.dtype == np.float32 else "double",
            maxIterations=n_passes,
            accuracyThreshold=0.0,
            covarianceStorage="full" if covariance_type == "full" else "diagonal",
        )
        begin = time.perf_counter()
        result = algorithm.compute(X, weights[None], means, covariances)
        return time.perf_counter() - begin, int(np.ravel(result.nIterations)[0])

    for _ in sys.stdin:
        passes, elapsed = 0, 0.0
        while elapsed < least or passes == 0:
            # What a run costs besides its passes falls out of the difference.
            (short, few), (long, many) = run(1), run(6)
            passes += many - few
            elapsed += long - short
        print(elapsed / passes, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]))
