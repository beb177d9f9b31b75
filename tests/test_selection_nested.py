"""A selection among shapes, one of which includes the other."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from skem import GaussianMixtureIC
from skem._selection import nested
from skem._selection.grid import Candidate
from skem._selection.walk import Settled
from skem.core.gaussian.covariance import SHAPES
from skem.core.mixture.em import EMMap
from skem.datasets import load_faithful


def test_a_shape_is_no_less_likely_than_one_that_it_includes():
    # From where VEI ends, steps of VEE lead to a lower likelihood: its penalty pays.
    model = GaussianMixtureIC([6], covariance_type=["VEI", "VEE"], random_state=0)
    model.fit(load_faithful().data)
    assert model.results_["eligible"].all()
    # Waiting times are whole minutes: the likelihood that candidates are compared by.
    results = model.results_
    smaller, larger = results["log_likelihood"] - results["excess"]
    assert larger >= smaller - 0.01


def candidate(K, name, height, excess=0.0, warning=""):
    """Return a candidate of such a log-likelihood; of None if it has failed."""
    if height is None:
        return Candidate(K, name, warning="failed")
    mixture = SimpleNamespace(n_parameters_=1)
    return Candidate(K, name, mixture, 9.0, height, 0.0, excess, warning)


def test_what_a_structure_takes_over_is_the_most_likely_that_it_includes(monkeypatch):
    names = ["VEE", "EII", "VEI"]
    # By the number of components: what each structure has, in the order of the names.
    known = {
        1: [(10.0,), (15.0,), (12.0,)],
        2: [(10.0,), (12.0,), (15.0,)],
        # By shared values alone it is more likely, or within rounding.
        3: [(10.0,), (4.0,), (20.0, 15.0)],
        4: [(10.0,), (10.005,), (10.001,)],
        # What has failed is neither taken over nor improved.
        5: [(10.0,), (None,), (None,)],
        6: [(None,), (12.0,), (12.0,)],
        # What is not eligible is taken over by what is not so itself.
        7: [(10.0,), (5.0,), (20.0, 0.0, "few rows")],
        8: [(10.0, 0.0, "few rows"), (5.0,), (20.0, 0.0, "few rows")],
        9: [(10.0, 0.0, "few rows"), (15.0, 0.0, "few rows"), (12.0,)],
    }
    settled = [
        Settled(None, [candidate(K, name, *each[i]) for K, each in known.items()], {})
        for i, name in enumerate(names)
    ]
    taken = {}

    def continued(problem, structure, own, better):
        taken[structure.name] = {
            K: (smaller.name, other.covariance_type)
            for K, (smaller, other) in better.items()
        }
        higher = {
            K: (candidate(K, structure.name, other.log_likelihood + 1), None)
            for K, (_, other) in better.items()
        }
        return own.updated(higher)

    monkeypatch.setattr(nested, "_continued", continued)
    structures = [SHAPES[name] for name in names]
    found = nested.nested(None, structures, settled)
    assert found[1] is settled[1]
    eii, vei = ("EII", "EII"), ("VEI", "VEI")
    # VEI has gone on from where EII was, and VEE goes on from there.
    assert taken == {"VEI": {1: eii}, "VEE": {1: vei, 2: vei, 8: vei, 9: eii}}


@pytest.mark.parametrize(
    ("before", "ends", "kept"),
    [
        (("",), [(12.0, ""), (12.0, "")], 0),
        # It may lead to where it is less likely, or to what is not eligible.
        (("",), [(11.9, ""), (12.0, "")], 1),
        (("",), [(13.0, "few rows"), (12.0, "")], 1),
        (("few rows",), [(13.0, "few rows"), (12.0, "")], 0),
        (("",), [(11.9, ""), (12.0, "few rows")], None),
        (("",), [(12.0, "")], 0),
    ],
)
def test_the_end_is_kept_or_else_the_start_if_it_is_no_worse(
    before, ends, kept, monkeypatch
):
    names = ["VEE", "VEI"]
    own, other = (
        candidate(2, name, height, 0.0, *warning)
        for name, height, warning in zip(names, (10.0, 12.0), (before, ()), strict=True)
    )
    own, walked = replace(own, seconds=5.0), SimpleNamespace(quick_fits={})
    solutions = [
        SimpleNamespace(evaluation=SimpleNamespace(parameters=place))
        for place in range(len(ends))
    ]

    def candidate_of(problem, structure, K, solution, seconds):
        height, warning = ends[solution.evaluation.parameters]
        found = candidate(K, structure.name, height, 0.0, warning)
        return replace(found, seconds=seconds)

    monkeypatch.setattr(nested, "_adopted", lambda *_: None)
    monkeypatch.setattr(nested, "_ends", lambda *_: iter(solutions))
    monkeypatch.setattr(nested, "candidate_of", candidate_of)
    ticks = SimpleNamespace(perf_counter=count().__next__)
    monkeypatch.setattr(nested, "time", ticks)
    stages = [SimpleNamespace(for_components=lambda K: None)]
    problem = SimpleNamespace(stages=lambda *_: nullcontext(stages))
    settled, better = Settled(walked, [own], {2: "own"}), {2: (SHAPES["VEI"], other)}
    found = nested._continued(problem, SHAPES["VEE"], settled, better)
    if kept is None:
        assert found.candidates == [own] and found.parameters == {2: "own"}
    else:
        height, warning = ends[kept]
        (one,) = found.candidates
        assert (one.log_likelihood, one.warning) == (height, warning)
        assert found.parameters == {2: kept}
        # A second for each end that was looked at.
        assert one.seconds == 5 + 1 + kept
    # On many rows all stays as it is.
    stages.insert(0, stages[0])
    assert nested._continued(problem, SHAPES["VEE"], settled, better) is settled


def test_where_a_start_leads_comes_before_the_start(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), SHAPES["VEE"], 1, "auto").for_components(2)
    one = em.maximise(em.total)
    start = replace(
        one,
        weights=np.full(2, 0.5),
        means=np.array([[-1.0, 0.0], [1.0, 0.0]]),
        precisions_cholesky=np.repeat(one.precisions_cholesky[:1], 2, axis=0),
    )
    options = {"algorithm": "auto", "tol": 1e-2, "max_iter": 100}
    end, stay = nested._ends(SimpleNamespace(options=options), em, start)
    assert stay.evaluation.parameters is start
    assert end.evaluation.objective > stay.evaluation.objective + 1
