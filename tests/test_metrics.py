"""Clusters by the names of classes."""

from itertools import permutations

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from skem.metrics import (
    bch_weights,
    class_error,
    classification_errors,
    matched_labels,
)


@pytest.mark.parametrize("lowest_class", [0, -1, -3])
@pytest.mark.parametrize("n_clusters", [2, 4, 5])
def test_error_is_the_lowest_of_all_ways_to_match(rng, n_clusters, lowest_class):
    """A cluster without a class was taken for class −1, which is that of noise."""
    truth = rng.integers(4, size=60)
    found = np.where(rng.uniform(size=60) < 0.5, truth, rng.integers(9, size=60))
    found = found % n_clusters
    weight = rng.uniform(size=60)
    # Names for clusters; what is beyond the classes is no class.
    lowest = min(
        weight @ (np.array(names)[found] != truth) / weight.sum()
        for names in permutations(range(max(4, n_clusters)), n_clusters)
    )
    truth = truth + lowest_class
    assert class_error(truth, found, weight) == pytest.approx(lowest)
    matched = matched_labels(truth, found, weight)
    accuracy = accuracy_score(truth, matched, sample_weight=weight)
    assert 1 - accuracy == pytest.approx(lowest)
    assert (matched < lowest_class).any() == (n_clusters > 4)


def test_renamed_partitions_agree(rng):
    truth = np.array(["one", "two", "three"])[rng.integers(3, size=30)]
    renamed = np.unique(truth, return_inverse=True)[1] * 10 - 7
    np.testing.assert_array_equal(matched_labels(truth, renamed), truth)
    assert class_error(truth, renamed) == 0
    assert matched_labels([True, False], ["x", "y"]).tolist() == [1, 0]


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        matched_labels([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="y_true should be integers or strings"):
        class_error([0.5, 1.5], [0, 1])
    with pytest.raises(ValueError, match="y_true should be integers or strings"):
        class_error(np.array(["a", 1], dtype=object), [0, 1])
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        class_error([0, 1], [0, 1], [1.0, -1.0])
    assert class_error([0, 1], [0, 0], 2.0) == 0.5


def test_a_class_without_a_name_is_a_class():
    truth = ["", "", "", "", "a", "a", "a"]
    found = [0, 0, 1, 1, 2, 2, 2]
    assert class_error(truth, found) == pytest.approx(2 / 7)
    matched = matched_labels(truth, found).tolist()
    assert sorted(set(matched)) == ["", "(no class)", "a"]
    assert matched.count("(no class)") == 2


@pytest.mark.parametrize("kind", ["str", "string", "category", "object", "bytes"])
def test_classes_of_pandas(kind):
    pd = pytest.importorskip("pandas")
    names = ["a", "a", "b", "b"]
    y = np.array(names, "S") if kind == "bytes" else pd.Series(names).astype(kind)
    assert class_error(y, [1, 1, 0, 2]) == 0.25
    assert matched_labels(y, y).tolist() == names


@pytest.mark.parametrize("kind", ["Int64", "boolean", "uint8", "object", "category"])
def test_integers_of_pandas(kind):
    pd = pytest.importorskip("pandas")
    y = pd.Series([1, 1, 0, 0]).astype(kind)
    assert class_error(y, pd.Series([1, 1, 0, 2], dtype="Int64")) == 0.25
    assert matched_labels(y, [5, 5, 7, 8]).tolist() in ([1, 1, 0, -1], [1, 1, -1, 0])


def soft(rng, n=3000, apart=1.5):
    """Probabilities of two groups that overlap, the groups, and a covariate of them."""
    z = rng.normal(size=n)
    group = (rng.random(n) < expit(z - 0.3)).astype(int)
    x = rng.normal(apart * group, 1)[:, None]
    laws = np.column_stack([norm.logpdf(x[:, 0]), norm.logpdf(x[:, 0], apart)])
    share = group.mean()
    return softmax(laws + np.log([1 - share, share]), axis=1), group, z


def test_errors_of_labels_are_those_of_the_truth(rng):
    proba, group, _ = soft(rng)
    label = proba.argmax(axis=1)
    truth = np.array(
        [[np.mean(label[group == k] == s) for s in (0, 1)] for k in (0, 1)]
    )
    errors = classification_errors(proba)
    np.testing.assert_allclose(errors, truth, atol=0.03)
    np.testing.assert_allclose(errors.sum(axis=1), 1)
    weight = rng.integers(3, size=len(proba))
    np.testing.assert_allclose(
        classification_errors(proba, weight),
        classification_errors(np.repeat(proba, weight, axis=0)),
    )


def test_weights_make_up_for_wrong_labels(rng):
    """Means and slopes by label are drawn to each other; by weights they are right."""
    proba, group, z = soft(rng, n=20_000)
    label, weights = proba.argmax(axis=1), bch_weights(proba)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights.min() < 0
    y = rng.normal(5.0 * group, 1)
    assert y[label == 1].mean() < 4.3
    found = weights.T @ y / weights.sum(axis=0)
    np.testing.assert_allclose(found, [0, 5], atol=0.15)
    slope = LogisticRegression(C=np.inf).fit(z[:, None], label).coef_[0, 0]
    assert slope < 0.75
    corrected = LogisticRegression(C=np.inf).fit(
        np.repeat(z, 2)[:, None], np.tile([0, 1], len(z)), weights.ravel()
    )
    assert corrected.coef_[0, 0] == pytest.approx(1, abs=0.1)
    twice = bch_weights(proba, np.full(len(proba), 2.0))
    np.testing.assert_allclose(twice, 2 * weights)


def test_labels_that_are_sure_need_no_weights():
    proba = np.eye(3)[[0, 1, 2, 2, 1]]
    np.testing.assert_array_equal(classification_errors(proba), np.eye(3))
    np.testing.assert_array_equal(bch_weights(proba), proba)
    np.testing.assert_allclose(bch_weights(proba.astype(np.float32)), proba)


def test_what_are_no_probabilities_is_refused():
    for wrong in ([[0.5, 0.6]], [[1.5, -0.5]]):
        with pytest.raises(ValueError, match="add up to 1 in each row"):
            classification_errors(wrong)
    with pytest.raises(ValueError, match="Component 1 has no probability in any row"):
        classification_errors([[1.0, 0.0]])
    with pytest.raises(ValueError, match="Labels do not tell the components apart"):
        bch_weights([[0.6, 0.4], [0.6, 0.4]])
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        bch_weights([[0.6, 0.4]], [-1.0])
