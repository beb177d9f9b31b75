"""What watches a fit: printed lines, and scikit-learn's callbacks."""

import re

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skem import BayesianGaussianMixture, GaussianMixture, StudentMixture

pytestmark = pytest.mark.usefixtures("short_search")


@pytest.fixture
def X(rng):
    labels = rng.integers(3, size=300)
    return 2.0 * labels[:, None] + rng.normal(size=(300, 2))


def test_lines_tell_pass_likelihood_gap_and_step(X, capsys):
    mixture = GaussianMixture(
        3, n_init=2, random_state=0, verbose=1, verbose_interval=1
    ).fit(X)
    printed = capsys.readouterr().out
    assert printed.count("Initialization on 300 samples\n") == 2
    pattern = r"  Iteration (\d+)\t mean log-likelihood (\S+)\t nats to go (\S+)\t (.+)"
    lines = re.findall(pattern, printed)
    assert len(lines) == printed.count("\n") - 2
    assert {step for *_, step in lines} == {"em", "l-bfgs"}
    assert lines[0][2] == "unknown" and float(lines[-1][2]) <= mixture.tol
    likelihoods = [float(value) for _, value, *_ in lines]
    # Six decimals are printed.
    assert max(likelihoods) == pytest.approx(mixture.lower_bound_, abs=1e-6)


def test_lines_of_a_posterior_are_of_its_bound_per_row(X, capsys):
    mixture = BayesianGaussianMixture(
        3, n_init=1, random_state=0, verbose=1, verbose_interval=1
    ).fit(X)
    printed = capsys.readouterr().out
    assert "log-likelihood" not in printed
    bounds = [float(each) for each in re.findall(r"lower bound per row (\S+)", printed)]
    assert len(bounds) >= mixture.n_iter_
    assert bounds[-1] == pytest.approx(mixture.lower_bound_ / 300, abs=1e-6)


@pytest.mark.parametrize(
    "kind", [GaussianMixture, StudentMixture, BayesianGaussianMixture]
)
def test_lines_of_a_stream_are_per_row_as_those_of_a_fit(kind, X, capsys):
    mixture = kind(3, random_state=0, learning_decay=1).fit(X)
    mixture.set_params(verbose=1, verbose_interval=1).partial_fit(X)
    name, value = re.fullmatch(
        r"  Iteration \d+\t (.+) (\S+)\n", capsys.readouterr().out
    ).groups()
    posterior = kind is BayesianGaussianMixture
    assert name == ("lower bound per row" if posterior else "mean log-likelihood")
    # With that decay the posterior is of all 600 rows.
    mean = mixture.lower_bound_ / (600 if posterior else 1)
    assert float(value) == pytest.approx(mean, abs=1e-6)


class Recorder:
    """A callback that keeps what it is told, and may stop a run."""

    def __init__(self, stop_after=None):
        self.events = []
        self.scores = []
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "pass" and fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X))
            return len(self.scores) == self.stop_after
        return False


@pytest.fixture
def sklearn_callback():
    return pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")


@pytest.mark.usefixtures("sklearn_callback")
@pytest.mark.parametrize("n_init", [1, 2, "auto"])
def test_callbacks_see_runs_and_passes(X, n_init):
    recorder = Recorder()
    mixture = GaussianMixture(3, n_init=n_init, random_state=0)
    mixture.set_callbacks(recorder).fit(X)
    events = recorder.events
    assert events[:3] == ["setup", "begin fit", "begin run"]
    assert events[-3:] == ["end run", "end fit", "teardown"]
    for task in ("fit", "run", "pass"):
        assert events.count(f"begin {task}") == events.count(f"end {task}")
    runs = events.count("end run")
    assert runs == n_init if n_init != "auto" else runs >= 1
    assert len(recorder.scores) >= mixture.n_iter_
    # The same sums in another order.
    assert np.isclose(recorder.scores, mixture.lower_bound_, atol=1e-12).any()


@pytest.mark.usefixtures("sklearn_callback")
def test_callbacks_change_nothing(X):
    plain = GaussianMixture(3, random_state=0).fit(X)
    watched = GaussianMixture(3, random_state=0).set_callbacks(Recorder()).fit(X)
    # Steps that are watched are taken one by one, the others in one call.
    np.testing.assert_allclose(plain.means_, watched.means_, rtol=1e-6)
    np.testing.assert_allclose(plain.lower_bounds_, watched.lower_bounds_, rtol=1e-9)


@pytest.mark.usefixtures("sklearn_callback")
def test_callbacks_see_the_structure_of_the_present_fit(X):
    mixture = GaussianMixture(3, random_state=0).fit(X)
    recorder = Recorder()
    mixture.set_params(covariance_type="diag").set_callbacks(recorder).fit(X)
    assert np.isclose(recorder.scores, mixture.lower_bound_, atol=1e-12).any()


@pytest.mark.usefixtures("sklearn_callback")
def test_callback_stops_a_run(X):
    mixture = GaussianMixture(3, n_init=1, random_state=0)
    mixture.set_callbacks(Recorder(stop_after=2))
    with pytest.warns(ConvergenceWarning, match="nats"):
        mixture.fit(X)
    assert mixture.n_iter_ == 2
    assert not mixture.converged_


@pytest.mark.usefixtures("sklearn_callback")
def test_failed_fit_ends_the_callbacks(X):
    recorder = Recorder()
    mixture = GaussianMixture(300, reg_covar=0.0, random_state=0)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        mixture.set_callbacks(recorder).fit(np.ones((300, 2)))
    assert recorder.events[-1] == "teardown"
    assert not hasattr(mixture, "means_")


def test_progress_bar_shows_runs_and_passes(X, sklearn_callback, capsys):
    pytest.importorskip("rich")
    mixture = GaussianMixture(3, n_init=2, random_state=0)
    mixture.set_callbacks(sklearn_callback.ProgressBar()).fit(X)
    printed = capsys.readouterr().out
    assert "GaussianMixture - fit" in printed
    assert printed.count("run") >= 2
