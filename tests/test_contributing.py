"""The worked examples of CONTRIBUTING.md: a structure like the others, and a kernel."""

import importlib.util
import inspect
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import geom, norm
from sklearn.utils._param_validation import StrOptions

from skem import GaussianMixture, MixtureModel
from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian import constraint, covariance, matrices
from skem.core.gaussian.coordinates import Coordinates
from skem.core.passes import fused
from skem.families.registry import FAMILIES
from skem.kernels import native

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"
K, d = 3, 2


@pytest.fixture
def structure(monkeypatch):
    """Return the example's structure, registered as the guide says."""
    found = example("TiedDiag")()
    register(monkeypatch, found)
    return found


@pytest.fixture
def proportional(monkeypatch):
    """Return the example's constraint, as a structure of another name."""
    found = covariance.ShapedDiagonals(example("Proportional")())
    found.name = "proportional"
    register(monkeypatch, found)
    return found


def example(name):
    """Return a class of the guide."""
    sources = re.findall("```python\n(class .*?)```", GUIDE.read_text("utf-8"), re.S)
    (source,) = (each for each in sources if each.startswith(f"class {name}("))
    namespace = vars(matrices) | vars(constraint) | vars(covariance)
    exec(source, namespace)
    return namespace[name]


def module_of(path):
    """Return a module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def register(monkeypatch, structure):
    monkeypatch.setitem(covariance.SHAPES, structure.name, structure)
    monkeypatch.setitem(
        GaussianMixture._parameter_constraints,
        "covariance_type",
        [StrOptions(set(covariance.SHAPES))],
    )


@pytest.fixture
def X(rng):
    means = np.array([[0, 0], [3, 9], [6, 0]])
    return means[rng.integers(K, size=200)] + rng.normal(0, [1, 3], (200, d))


@pytest.mark.parametrize("algorithm", ["em", "squarem", "lbfgs"])
def test_example_fits_a_shared_diagonal(structure, X, algorithm):
    mixture = GaussianMixture(
        K,
        covariance_type=structure.name,
        reg_covar=0.0,
        algorithm=algorithm,
        tol=1e-10,
        random_state=0,
    ).fit(X)
    assert mixture.covariances_.shape == structure.shape(K, d) == (d,)
    assert mixture.n_parameters_ == K * d + K - 1 + d

    sd = np.sqrt(mixture.covariances_)
    log_joint = np.log(mixture.weights_) + norm.logpdf(
        X[:, None], mixture.means_, sd
    ).sum(axis=2)
    log_density = logsumexp(log_joint, axis=1)
    np.testing.assert_allclose(mixture.score_samples(X), log_density, rtol=1e-11)

    # At the optimum it is the variance within components; 1e-10 nats below it,
    # parameters are within about 1e-5 standard errors.
    resp = np.exp(log_joint - log_density[:, None])
    squares = np.square(X[:, None] - mixture.means_)
    within = np.einsum("nk,nkd->d", resp, squares) / len(X)
    np.testing.assert_allclose(mixture.covariances_, within, rtol=1e-5)


@pytest.mark.parametrize("algorithm", ["em", "lbfgs"])
def test_example_of_a_constraint_is_the_shape_it_says(proportional, X, algorithm):
    options = {"algorithm": algorithm, "tol": 1e-8, "random_state": 0}
    found, expected = (
        GaussianMixture(K, covariance_type=name, **options).fit(X)
        for name in (proportional.name, "VEI")
    )
    assert found.n_parameters_ == expected.n_parameters_ == K * d + K - 1 + K + d - 1
    np.testing.assert_allclose(found.covariances_, expected.covariances_, rtol=1e-4)
    for errors, others in zip(
        found.standard_errors(X), expected.standard_errors(X), strict=True
    ):
        np.testing.assert_allclose(errors, others, rtol=1e-3)


def test_example_flags_what_is_not_positive(structure):
    _, failed = structure.factor(np.array([1.0, 0.0]))
    assert failed.shape == ()
    assert failed


def test_example_has_a_summary_and_standard_errors(structure, X):
    mixture = GaussianMixture(
        K, covariance_type=structure.name, random_state=0, tol=1e-6
    ).fit(X)
    errors = mixture.standard_errors(X, method="hessian")
    assert errors.covariances.shape == (d,)
    # Of a pooled variance, √(2/n) of it, and more as components overlap.
    expected = mixture.covariances_ * np.sqrt(2 / len(X))
    np.testing.assert_allclose(errors.covariances, expected, rtol=0.25)
    summary = mixture.summary(X)
    np.testing.assert_allclose(
        summary.standard_deviations[0] ** 2, mixture.covariances_, rtol=1e-12
    )
    assert summary.correlations.shape == (0, d, d)


def geometric():
    """Return the example's family."""
    (source,) = re.findall(
        "```python\n(import numpy.*?)```", GUIDE.read_text("utf-8"), re.S
    )
    namespace = {}
    exec(source, namespace)
    return namespace["Geometric"]


def test_example_of_a_family(monkeypatch):
    family = geometric()
    monkeypatch.setitem(FAMILIES, family.name, family)
    rng = np.random.default_rng(0)
    x = np.r_[rng.geometric(0.5, 300), rng.geometric(0.02, 300)].astype(float)
    x[::10] = np.nan
    model = MixtureModel(2, families=family.name, random_state=0, tol=1e-6)
    model.fit(x[:, None])
    p = model.parameters_["x0"]["probability"]
    joint = np.log(model.weights_) + geom.logpmf(x[1:9, None], p)
    expected = logsumexp(joint, axis=1)
    np.testing.assert_allclose(model.score_samples(x[1:9, None]), expected, rtol=1e-9)
    # About 270 rows each.
    np.testing.assert_allclose(np.sort(p), [0.02, 0.5], rtol=0.2)
    y, _ = model.sample(2000, random_state=0)
    assert y.mean() == pytest.approx(model.weights_ @ (1 / p), rel=0.1)
    with pytest.raises(ValueError, match="'x0' has values that are not whole"):
        model.fit([[0.5], [2.0]])


@pytest.mark.parametrize("gaps", [False, True])
def test_example_of_a_family_has_the_properties_of_all(
    monkeypatch, rng, climbing, gaps
):
    # The recipe: the registry, how to draw it, and its law in scipy.
    monkeypatch.setitem(FAMILIES, "geometric", geometric())
    tests = module_of(GUIDE.parent / "tests" / "families" / "test_families.py")
    monkeypatch.setattr(
        tests, "draws", lambda name, rng, z: rng.geometric(0.6 - 0.25 * z).astype(float)
    )
    monkeypatch.setattr(
        tests, "law_of", lambda name, laws, k: geom(laws["probability"][k])
    )
    z = rng.integers(tests.K, size=tests.n)
    problem = tests.problem_of("geometric", rng, z, gaps=gaps)
    given = {"name": "geometric", "problem": problem, "rng": rng, "climbing": climbing}
    done = 0
    for name, test in vars(tests).items():
        asked = name.startswith("test_") and set(inspect.signature(test).parameters)
        if asked and asked & {"name", "problem"} and asked <= set(given):
            test(**{key: given[key] for key in asked})
            done += 1
    assert done > 5


@pytest.fixture(scope="module")
def bands(tmp_path_factory):
    """Return the example of a quadratic part, and the library that knows it."""
    pytest.importorskip("hatchling")
    root = GUIDE.parent
    hatch_build = module_of(root / "hatch_build.py")
    if hatch_build.compiler() is None:
        pytest.skip("there is no C++ compiler")

    guide = GUIDE.read_text("utf-8")
    (twin,) = re.findall("```python\n(@dataclass.*?)```", guide, re.S)
    kind, case = re.findall("```cpp\n(.*?)```", guide, re.S)
    source = (root / hatch_build.SOURCE).read_text("utf-8")
    source, n_kinds = re.subn("enum Kind : .*\n", kind, source)
    of_products = "products(const Model &m, int64_t i) {\n    switch (m.kind) {\n"
    assert (n_kinds, source.count(of_products)) == (1, 1)
    folder = tmp_path_factory.mktemp("kernel")
    changed = folder / hatch_build.SOURCE
    changed.parent.mkdir(parents=True)
    changed.write_text(source.replace(of_products, of_products + case), "utf-8")

    level, flags = next(iter(hatch_build.targets().items()))
    with pytest.MonkeyPatch.context() as patch:
        # The lowest one, and quickly.
        patch.setattr(hatch_build, "targets", lambda: {level: flags})
        patch.setenv("CXXFLAGS", os.environ.get("CXXFLAGS", "") + " -O0")
        (path,) = hatch_build.compile_all(folder, folder)
        patch.setattr(native, "path", lambda level: path)
        library = native.load(level)
    namespace = {"dataclass": dataclass, "np": np}
    exec(twin, namespace)
    (number,) = re.findall(r"add `Bands: (\d)` to `QUADRATICS`", guide)
    return namespace["Bands"], int(number), library


@pytest.mark.slow
@pytest.mark.parametrize("n_features", [1, 2, 7])
def test_example_of_a_kernel_computes_what_its_twin_does(
    bands, n_features, rng, monkeypatch
):
    kind, number, library = bands
    z = rng.normal(size=(n_features, 150))
    weight = rng.uniform(size=150)
    expanded = np.empty((kind().size(n_features), 150))
    kind().expand(z, expanded)
    rows = np.vstack([np.ones(150), z, expanded])

    monkeypatch.setitem(fused.QUADRATICS, kind, number)
    monkeypatch.setattr(native, "library", lambda: library)
    here = Coordinates(np.zeros(n_features), np.ones(n_features))
    block = Block(0, 150, z, weight)
    found = fused.totals(block, here, kind(), Workspace())
    np.testing.assert_allclose(found[0], rows @ weight, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        found[0, 1 + n_features :], kind().weighted_sum(z, weight), atol=1e-12
    )

    theta = rng.normal(size=(3, len(rows)))
    nothing = np.zeros(n_features)
    model = native.Model(
        8, False, number, False, False, n_features, 3, 1, nothing, nothing + 1,
        theta, None, None, None, None, None, np.inf, 0.0,
    )  # fmt: skip
    log_norm = np.empty(150)
    lost = fused.Pass(library, model).run(block, None, Workspace(), log_norm=log_norm)
    assert len(lost) == 0
    expected = logsumexp(theta @ rows, axis=0)
    np.testing.assert_allclose(log_norm, expected, rtol=1e-12, atol=1e-12)
