"""What a user gets wrong: each marked line, and no other, is an error to checkers."""

import numpy as np

from skem import (
    BayesianGaussianMixture,
    ConvergenceDisplay,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureOutlierDetector,
)

X = np.zeros((10, 2))
mixture = GaussianMixture(2).fit(X)
GaussianMixture(2, covariance_type="ful")  # wrong
GaussianMixture(2, algorithm="newton")  # wrong
GaussianMixture(2, init_params="k-mean")  # wrong
GaussianMixture(2, n_init="many")  # wrong
GaussianMixture(2, reg_covar="none")  # wrong
GaussianMixture(2, components=3)  # wrong
mixture.standard_errors(X, method="exact")  # wrong
mixture.means_.predict(X)  # wrong
mixture.bic()  # wrong
n: str = mixture.n_iter_  # wrong
BayesianGaussianMixture(2, covariance_type="VVE")  # wrong
BayesianGaussianMixture(2, weight_concentration_prior_type="process")  # wrong
GaussianMixtureIC(covariance_type=["full", "round"])  # wrong
GaussianMixtureIC(criterion="dic")  # wrong
GaussianMixtureIC().fit(X).bic()  # wrong
GaussianMixtureRegressor("some")  # wrong
GaussianMixtureImputer(covariance_type="automatic")  # wrong
MixtureDiscriminantAnalysis(covariance_type={0: "fully"})  # wrong
MixtureOutlierDetector(covariance_type=1)  # wrong
ConvergenceDisplay.from_estimator(mixture, X, algorithms=["emm"])  # wrong
