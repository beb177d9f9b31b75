"""Pictures of the mixtures of tables."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skem import GaussianMixture, MixtureIC, MixtureModel, TableDisplay

pytestmark = pytest.mark.usefixtures("short_search")


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=200)
    table = pd.DataFrame(
        {
            "plan": np.where(z, "pro", "free"),
            "member": rng.random(200) < 0.2 + 0.5 * z,
            "visits": rng.poisson(2 + 8 * z),
            "age": rng.normal(30 + 20 * z, 4),
            "spend": rng.gamma(2 + 3 * z),
        }
    )
    families = {"visits": "poisson", "spend": "gamma", "member": "bernoulli"}
    return MixtureModel(2, families=families, random_state=0).fit(table)


def test_each_column_has_its_panel(model):
    display = TableDisplay.from_estimator(model)
    assert [panel[0] for panel in display.panels.values()] == [
        "bars",
        "bars",
        "counts",
        "density",
        "density",
    ]
    heights = [patch.get_height() for patch in display.axes_["plan"].patches]
    np.testing.assert_allclose(
        heights, model.parameters_["plan"]["proportions"].ravel()
    )
    p = model.parameters_["member"]["probability"]
    np.testing.assert_allclose(display.panels["member"][2], np.column_stack([1 - p, p]))
    _, counts, probabilities = display.panels["visits"]
    rates = model.parameters_["visits"]["rate"][:, None]
    np.testing.assert_allclose(probabilities, stats.poisson(rates).pmf(counts))
    _, ages, densities = display.panels["age"]
    law = model.parameters_["age"]
    expected = stats.norm(law["mean"][:, None], law["standard_deviation"][:, None])
    np.testing.assert_allclose(densities, expected.pdf(ages), rtol=1e-8)
    assert min(display.panels["spend"][1]) >= 0


def test_columns_are_chosen_by_name(model):
    display = TableDisplay.from_estimator(model, features=["age", 0])
    assert list(display.axes_) == ["age", "plan"]
    assert len(display.figure_.axes) == 2
    with pytest.raises(ValueError, match="nobody"):
        TableDisplay.from_estimator(model, features=["nobody"])


def test_the_mixture_that_a_search_has_chosen_is_drawn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    search = MixtureIC([1], covariance_type="diag", random_state=0).fit(X)
    display = TableDisplay.from_estimator(search)
    kind, x, density = display.panels["x1"]
    law = search.parameters_["x1"]
    expected = stats.norm(law["mean"][0], law["standard_deviation"][0]).pdf(x)
    assert kind == "density"
    np.testing.assert_allclose(density[0], expected, rtol=1e-8)


def test_a_mixture_without_families_is_told():
    mixture = GaussianMixture().fit([[0.0], [1.0], [3.0]])
    message = "MixtureModel, but got GaussianMixture, .* MixtureDisplay draws Gaussian"
    with pytest.raises(TypeError, match=message):
        TableDisplay.from_estimator(mixture)


def test_data_are_drawn_beside_the_mixture():
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=400)
    table = pd.DataFrame(
        {
            "plan": np.where(rng.random(400) < 0.2 + 0.5 * z, "pro", "free"),
            "visits": rng.poisson(2 + 8 * z) + 0.0,
            "age": rng.normal(30 + 20 * z, 4),
            "spend": (rng.random(400) < 0.6) * rng.gamma(2, 1 + z),
        }
    )
    table.loc[::7, "visits"] = np.nan
    families = {"visits": "poisson", "spend": "hurdle_gamma"}
    model = MixtureModel(2, families=families, random_state=0).fit(table)
    weight = rng.integers(3, size=400)
    display = TableDisplay.from_estimator(model, table, sample_weight=weight)
    repeated = table.loc[np.repeat(table.index, weight)]
    shares = repeated["plan"].value_counts(normalize=True)[["free", "pro"]]
    np.testing.assert_allclose(display.data["plan"][1], shares)
    counts, found = display.data["visits"]
    expected = [(repeated["visits"].dropna() == count).mean() for count in counts]
    np.testing.assert_allclose(found, expected)
    edges, heights = display.data["age"][:2]
    inside = repeated["age"].between(edges[0], edges[-1]).mean()
    assert heights @ np.diff(edges) == pytest.approx(inside)
    edges, heights, zeros = display.data["spend"]
    assert zeros == pytest.approx((repeated["spend"] == 0).mean())
    inside = (repeated["spend"].between(edges[0], edges[-1])).mean()
    assert heights @ np.diff(edges) == pytest.approx(inside)
    # The mixture's density has the weights of the components.
    densities = display.panels["age"][2]
    (line,) = [i for i in display.axes_["age"].lines if i.get_label() == "mixture"]
    np.testing.assert_allclose(line.get_ydata(), model.weights_ @ densities)
    assert (display.axes_["spend"].get_xticks() >= 0).all()
    entries = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert {"data", "mixture"} < set(entries)
    few = TableDisplay.from_estimator(model, table, features="plan")
    assert list(few.data) == ["plan"]


def test_names_of_many_categories_had_covered_each_other():
    rng = np.random.default_rng(0)
    names = {
        "few": ["yes", "no", "don't know"],
        "long": [f"quite a long name, {i}" for i in range(8)],
        "many": [f"{i:03}" for i in range(60)],
    }
    table = pd.DataFrame({name: rng.choice(own, 400) for name, own in names.items()})
    model = MixtureModel(1).fit(table)
    display = TableDisplay.from_estimator(model, table)
    display.figure_.draw_without_rendering()
    for name, ax in display.axes_.items():
        labels = ax.get_xticklabels()
        step = {"few": 1, "long": 1, "many": 3}[name]
        assert len(labels) == len(range(0, len(names[name]), step))
        boxes = [label.get_window_extent() for label in labels]
        # Their boxes may touch.
        assert all(b.x0 - a.x1 > -1.5 for a, b in pairwise(boxes)), name
    assert [text.get_text() for text in labels[:2]] == ["000", "003"]
