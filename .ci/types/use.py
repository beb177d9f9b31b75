"""What a user may write: `mypy --strict` and pyright find nothing wrong with it."""

from typing import Any, assert_type

import numpy as np

from skem import (
    BayesianGaussianMixture,
    BootstrapLRT,
    ConvergenceDisplay,
    CriterionDisplay,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureDisplay,
    MixtureOutlierDetector,
    StandardErrors,
    bootstrap_lrt,
    show_versions,
)

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
X: Array = np.random.default_rng(0).normal(size=(100, 2))
y: Array = X[:, 0] > 0

mixture = GaussianMixture(
    2, covariance_type="tied", reg_covar=1e-6, n_init="auto", init_params="random"
).fit(X, sample_weight=np.ones(100))
assert_type(mixture, GaussianMixture)
assert_type(mixture.weights_, Array)
assert_type(mixture.means_, Array)
assert_type(mixture.covariances_, Array)
assert_type(mixture.precisions_, Array)
assert_type(mixture.precisions_cholesky_, Array)
assert_type(mixture.degenerate_components_, Array)
assert_type(mixture.n_features_in_, int)
assert_type(mixture.feature_names_in_, Array)
assert_type(mixture.n_parameters_, int)
assert_type(mixture.converged_, bool)
assert_type(mixture.n_iter_, int)
assert_type(mixture.lower_bound_, float)
assert_type(mixture.lower_bounds_, list[float])
assert_type(mixture.predict(X), Array)
assert_type(mixture.bic(X), float)
assert_type(mixture.sample(3), tuple[Array, Array])
assert_type(mixture.summary(X).feature_names, tuple[str, ...])
assert_type(mixture.marginal([0]).means_, Array)
errors = mixture.standard_errors(X, method="hessian")
assert_type(errors, StandardErrors)
assert_type(errors.confidence_interval().means.lower, Array)
GaussianMixture(covariance_type=mixture.covariance_type)
GaussianMixture(3, covariance_type="VVE")
GaussianMixtureIC(covariance_type="all")

bayesian = BayesianGaussianMixture(
    3, weight_concentration_prior_type="dirichlet_distribution"
).partial_fit(X)
assert_type(bayesian, BayesianGaussianMixture)
assert_type(bayesian.n_effective_components_, int)
assert_type(bayesian.mean_prior_, Array)

selection = GaussianMixtureIC(
    range(1, 4), covariance_type=["full", "diag"], criterion="icl"
).fit(X)
assert_type(selection.best_estimator_, GaussianMixture)
assert_type(selection.results_, dict[str, Array])
assert_type(selection.criterion_, float)
assert_type(selection.means_, Array)
assert_type(selection.lower_bound_, float)
assert_type(selection.predict(X), Array)
assert_type(selection.score(X, sample_weight=np.ones(100)), float)
assert_type(selection.summary(X).means, Array)
GaussianMixture(selection.n_components_, covariance_type=selection.covariance_type_)

regressor = GaussianMixtureRegressor("auto", covariance_type="auto").fit(X, y)
assert_type(regressor.predict(X), Array)
mean, deviation = regressor.predict(X, return_std=True)
assert_type(regressor.n_targets_, int)

imputer = GaussianMixtureImputer(missing_values=-1).fit(X)
assert_type(imputer.transform(X), Array)
assert_type(imputer.mixture_, GaussianMixture)

classifier = MixtureDiscriminantAnalysis({0: 1, 1: "auto"}, covariance_type="diag")
assert_type(classifier.fit(X, y).classes_, Array)
assert_type(classifier.mixtures_, list[GaussianMixture])

detector = MixtureOutlierDetector(false_alarm_rate=0.02).fit(X)
assert_type(detector.predict(X), Array)
assert_type(detector.offset_, float)

MixtureDisplay.from_estimator(mixture, X).figure_.savefig("mixture.png")
CriterionDisplay.from_estimator(selection).ax_.set_title("BIC")
displayed = ConvergenceDisplay.from_estimator(mixture, X, algorithms=("em", "lbfgs"))
displayed.lines_[0].set_linewidth(2)

test = bootstrap_lrt(mixture, X, 1, 2)
assert_type(test, BootstrapLRT)
assert_type(test.p_value, float)
show_versions()
