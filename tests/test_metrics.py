"""Clusters by the names of classes."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from skem.metrics import class_error, matched_labels


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
