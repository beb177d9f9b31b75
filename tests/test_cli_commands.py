"""``skem`` beyond the fit: saved mixtures, output for programs, progress."""

import csv
import io
import json
import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import skem
from skem import BayesianGaussianMixture, GaussianMixture, GaussianMixtureIC
from skem.__main__ import main
from skem._cli import CommandError, options
from skem._cli import progress as progress_module
from skem._cli.commands import _numbers_of_components, _with_rows_of_file
from skem._cli.options import parse
from skem._cli.progress import progress
from skem._cli.table import load_table
from skem.core.gaussian.covariance import SHAPES, STRUCTURES
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

FAST = ["--components", "2", "--covariance", "full"]


@pytest.fixture(scope="module")
def X():
    return load_faithful().data


@pytest.fixture(scope="module")
def chosen(X):
    selection = GaussianMixtureIC(2, covariance_type="full", random_state=0)
    return selection.fit(X).best_estimator_


@pytest.fixture
def model(chosen, tmp_path):
    """Return the file of a mixture with names."""
    path = tmp_path / "model.json"
    chosen.feature_names_in_ = np.array(["eruptions", "waiting"], dtype=object)
    chosen.save(path)
    del chosen.feature_names_in_
    return path


@pytest.fixture
def faithful(X, write):
    """Return the data in another order of columns, and among others."""
    rows = [f"{i},day {i},{b},{a}" for i, (a, b) in enumerate(X.tolist())]
    return write("\n".join([",when,waiting,eruptions", *rows]), "faithful.csv")


def one_line(text):
    return " ".join(text.split())


def table_of(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


# fit


def test_fit_is_the_default(succeed):
    explicit = succeed("fit", *FAST, "--json")
    implicit = succeed(*FAST, "--json")
    explicit, implicit = json.loads(explicit), json.loads(implicit)
    assert explicit["best"] == implicit["best"]


def test_saved_mixtures_are_those_that_were_chosen(succeed, chosen, tmp_path):
    path = tmp_path / "model.json"
    assert "Best: 2 components" in succeed(*FAST, "--save", path)
    loaded = skem.load(path)
    assert loaded.feature_names_in_.tolist() == ["eruptions", "waiting"]
    np.testing.assert_array_equal(loaded.means_, chosen.means_)
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_mixtures_are_checked_before_the_fit(refuse, write, monkeypatch):
    def fit(self, X, y=None, sample_weight=None):
        raise AssertionError("fitted before the path was checked")

    monkeypatch.setattr(GaussianMixtureIC, "fit", fit)
    data = write("a,b\n1.5,2\n3,5\n")
    assert "it is the data file" in refuse(data, "--save", data)
    out = data.with_name("out")
    err = refuse(data, "--labels", out, "--save", out)
    assert "it is the file of labels" in err
    assert "is not a directory" in refuse(data, "--save", out / "model.json")


def test_mixtures_that_cannot_be_written_are_told(refuse, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skem._saving.files.os.replace", fail)
    path = tmp_path / "model.json"
    err = refuse(*FAST, "--save", path)
    assert err == f"skem: error: cannot write {path}: No space left on device\n"


def test_json_has_the_numbers_in_full(succeed, X):
    arguments = ["--components", "1,2", "--covariance", "tied,full"]
    out = json.loads(succeed(*arguments, "--json"))
    selection = GaussianMixtureIC(
        (1, 2), covariance_type=("tied", "full"), random_state=0
    ).fit(X)
    assert out["skem"] == skem.__version__
    assert out["data"] == {
        "source": "Old Faithful",
        "n_samples": 272,
        "features": ["eruptions", "waiting"],
        "n_missing": 0,
    }
    candidates = out["candidates"]
    assert len(candidates) == len(selection.results_["rank"])
    assert [each["rank"] for each in candidates] == list(range(1, len(candidates) + 1))
    assert candidates[0]["criterion"] == selection.criterion_
    assert candidates[0]["bic"] == selection.results_["bic"][selection.best_index_]
    assert candidates[0]["covariance_type"] == selection.covariance_type_
    best = out["best"]
    assert best["n_components"] == selection.n_components_
    assert best["means"] == selection.best_estimator_.means_.tolist()
    assert best["bic"] == selection.best_estimator_.bic(X)


def test_json_has_no_nan_and_keeps_the_notes(succeed, write):
    path = write("name,x\n" + "a,1.5\nb,1.5\nc,4\n" * 5)
    out = succeed(path, "--components", "1-4", "--json")
    parsed = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert parsed["notes"][0].startswith("Column left out: name (text)")
    assert any(each.startswith("With one column") for each in parsed["notes"])


def test_quiet_prints_nothing(succeed, tmp_path):
    path = tmp_path / "labels.csv"
    assert succeed(*FAST, "--quiet", "--labels", path) == ""
    assert path.exists()
    assert json.loads(succeed(*FAST, "--quiet", "--json"))["criterion"] == "bic"


@pytest.mark.parametrize("criterion", ["aic", "icl"])
def test_other_criteria_choose(criterion, succeed, X):
    out = succeed(
        "--components", "1,2", "--covariance", "full", "--criterion", criterion
    )
    selection = GaussianMixtureIC(
        (1, 2), covariance_type="full", criterion=criterion, random_state=0
    ).fit(X)
    name = criterion.upper()
    assert f"Candidates by {name} corrected for values that rows share, the" in out
    assert f"Best: {selection.n_components_} component" in out
    first = out.split(f"{name}  corrected\n")[1].splitlines()[0]
    raw = selection.results_[criterion][selection.best_index_]
    assert first.split()[3:5] == [f"{raw:.2f}", f"{selection.criterion_:.2f}"]
    assert "BIC" not in out.split("Best:")[0]


def test_candidates_are_in_the_order_of_the_number_that_they_are_judged_by(
    succeed, write
):
    rng = np.random.default_rng(3)
    numbers = np.repeat([0, 6, 12], 50) + rng.normal(size=150)
    rows = zip(numbers, *rng.integers(0, 2, (2, 150)), strict=True)
    path = write("\n".join(["x,a,b", *(f"{x:.15f},{a},{b}" for x, a, b in rows)]))
    out = succeed(path, "--components", "1-4", "--covariance", "diag,tied", "--all")
    assert "BIC corrected for values that rows share, the lowest first" in out
    header, *lines = out.split("Candidates")[1].split("\n\n")[1].splitlines()
    assert header.split()[-2:] == ["BIC", "corrected"]
    lines = [line.split() for line in lines if "not eligible" not in line]
    raw, used = (np.array([line[i] for line in lines], float) for i in (4, 5))
    assert (np.diff(used) >= 0).all() and lines[0][-1] == "best"
    assert not (np.diff(raw) >= 0).all()


def test_the_five_best_are_shown_and_all_if_asked_for(succeed):
    arguments = ["--components", "1-3", "--columns", "waiting"]
    arguments += ["--covariance", ",".join(list(STRUCTURES)[:2])]
    short, full = succeed(*arguments), succeed(*arguments, "--all")

    def shown(out):
        return out.split("Candidates")[1].split("\n\n")[1].splitlines()[1:]

    assert "5 of 6 (--all shows all)" in " ".join(short.split())
    assert "--all" not in full
    assert shown(full)[:5] == shown(short)
    values = [float(line.split()[5]) for line in shown(full)]
    assert values == sorted(values)
    assert len(values) == 6
    assert shown(short)[0].endswith("<- best")


def test_rows_that_were_dropped_have_no_label(succeed, write, tmp_path):
    rows = [f"{i % 2 * 50 + i * i % 7},{i * i % 11}.5,kind {i}" for i in range(20)]
    rows[3] = ",4.5,kind 3"
    data, path = write("\n".join(["x,y,label", *rows])), tmp_path / "out.csv"
    out = succeed(data, *FAST, "--missing", "drop", "--labels", path)
    assert "data.csv: 19 rows, 2 columns (x, y)" in one_line(out)
    assert "1 row of 20 left out, for missing values" in out
    header, found = table_of(path.read_text("utf-8"))
    # The file has a column of that name.
    assert header == ["row", "x", "y", "label", "label_", "p0", "p1"]
    assert [row[0] for row in found] == [str(i + 2) for i in range(20)]
    assert [",".join(row[1:4]) for row in found] == rows
    assert found[3][4:] == ["", "", ""]
    assert all(row[4] in "01" and row[4] for i, row in enumerate(found) if i != 3)


def test_rows_in_messages_are_those_of_the_file(write):
    path = write("# a comment\nx\n1.5\nNA\n2\n\n7\n8\n9\n" + "3\n" * 12)
    data = load_table(parse([str(path), "--missing", "drop"]))
    of_file = [
        _with_rows_of_file(text, data)
        for text in (
            "component 0 rests on row 0 alone; component 1 rests on rows 1 and 3.",
            "component 2 rests on rows 2, 3, 4, 5, 6 and 13 more. 12 rows are fine",
        )
    ]
    assert of_file == [
        "component 0 rests on row 3 alone; component 1 rests on rows 5 and 8.",
        "component 2 rests on rows 7, 8, 9, 10, 11 and 13 more. 12 rows are fine",
    ]


# predict


def test_predict_labels_by_name(succeed, model, faithful, chosen, X):
    status_out = succeed("predict", model, faithful, "--quiet")
    header, rows = table_of(status_out)
    assert header == [
        "row",
        "column 1",
        "when",
        "waiting",
        "eruptions",
        "label",
        "p0",
        "p1",
    ]
    assert [row[0] for row in rows] == [str(i + 2) for i in range(len(X))]
    assert [int(row[5]) for row in rows] == chosen.predict(X).tolist()
    resp = np.array([[float(cell) for cell in row[6:]] for row in rows])
    np.testing.assert_allclose(resp, chosen.predict_proba(X), rtol=0, atol=5.1e-7)


def test_predict_skips_rows_of_empty_cells_at_the_end_with_a_word(run, model, write):
    path = write("waiting,eruptions\n79,3.6\n,\n54,1.8\n,\n,\n")
    status, out, err = run("predict", model, path)
    assert [row[0] for row in table_of(out)[1]] == ["2", "3", "4"]
    assert (status, err) == (0, "skem: 2 rows of empty cells at the end skipped.\n")


def test_predict_writes_a_file(succeed, model, faithful, tmp_path, refuse):
    path = tmp_path / "out.csv"
    assert succeed("predict", model, faithful, "--output", path) == ""
    printed = succeed("predict", model, faithful)
    assert path.read_text("utf-8") == printed
    assert "it is the data" in refuse("predict", model, faithful, "--output", faithful)
    err = refuse("predict", model, faithful, "--output", model)
    assert "it is the file of the mixture" in err


def test_predict_takes_columns_in_order_if_there_are_no_names(
    succeed, refuse, run, model, write, chosen
):
    path = write("3.6,79\n1.8,54\n3,75.5\n")
    _, rows = table_of(succeed("predict", model, path))
    expected = chosen.predict([[3.6, 79], [1.8, 54], [3, 75.5]])
    assert [int(row[3]) for row in rows] == expected.tolist()
    path = write("x;n;y\na;79;3.6\nb;54;1.8\nc;75.5;3\n", "named.csv")
    err = refuse("predict", model, path)
    assert "has no columns 'eruptions', 'waiting', which the model needs" in err
    assert "there are: x, n, y" in err
    _, rows = table_of(succeed("predict", model, path, "--columns", "y,n"))
    assert [int(row[4]) for row in rows] == expected.tolist()
    assert "the model has 2 features" in refuse(
        "predict", model, path, "--columns", "y"
    )
    status, _, err = run("predict", model, write("a,3.6,79\nb,1.8,54\n", "text.csv"))
    assert (status, err) == (
        0,
        "skem: Column left out: column 1 (text). --columns selects columns.\n",
    )
    err = refuse("predict", model, write("1,2,3\n4,5,7\n", "three.csv"))
    assert "the model has 2 features, but" in err


def test_columns_of_one_name_are_taken_in_order(succeed, refuse, write, tmp_path, X):
    """A file that had been fitted had no columns of the names that it had."""
    rows = [f"{a},{b},{a * b}" for a, b in X.tolist()]
    file, saved = write("\n".join(["x,y,x", *rows])), tmp_path / "two.json"
    labels = tmp_path / "labels.csv"
    succeed(file, *FAST, "--save", saved, "--labels", labels, "--quiet")
    fitted = [row["label"] for row in csv.DictReader(io.StringIO(labels.read_text()))]
    found = csv.DictReader(io.StringIO(succeed("predict", saved, file)))
    assert [row["label"] for row in found] == fitted
    thrice = write("\n".join(["x,x,x,y", "1,2,3,4"]), "thrice.csv")
    err = one_line(refuse("predict", saved, thrice))
    assert "has 3 columns named 'x', and the model needs 2" in err


def test_predict_knows_missing_values(succeed, model, write, chosen):
    path = write("eruptions,waiting\n,79\n,\n,54\n")
    _, rows = table_of(succeed("predict", model, path))
    expected = chosen.predict([[np.nan, 79], [np.nan, np.nan], [np.nan, 54]])
    assert [int(row[3]) for row in rows] == expected.tolist()


def test_predict_takes_any_saved_mixture(succeed, write, tmp_path):
    mixture = BayesianGaussianMixture(2, random_state=0).fit(
        [[1.0], [1.2], [5.0], [5.1], [0.9], [5.3]]
    )
    mixture.save(tmp_path / "bayes.json")
    path = write("speed\n1.1\n5.2\n")
    _, rows = table_of(succeed("predict", tmp_path / "bayes.json", path))
    assert [int(row[2]) for row in rows] == mixture.predict([[1.1], [5.2]]).tolist()


def test_predict_tells_noise(succeed, X, write, tmp_path):
    rows = np.concatenate([X, np.random.default_rng(0).uniform(0, 100, (40, 2))])
    mixture = GaussianMixture(2, noise=True, random_state=0).fit(rows)
    mixture.save(tmp_path / "noise.json")
    path = write("3.6,79\n50.5,3\n2,55\n")
    header, found = table_of(succeed("predict", tmp_path / "noise.json", path))
    assert header[-4:] == ["label", "p0", "p1", "noise"]
    expected = mixture.predict([[3.6, 79], [50.5, 3], [2, 55]]).tolist()
    assert [int(row[3]) for row in found] == expected
    assert expected[1] == -1


@pytest.mark.parametrize("command", ["predict", "summary", "sample"])
def test_files_that_are_no_mixtures_are_refused(command, refuse, write, tmp_path):
    data = write("a\n1.5\n2\n")
    more = [data] if command == "predict" else []
    assert "is not a saved mixture" in refuse(command, data, *more)
    assert "cannot read" in refuse(command, tmp_path / "missing.json", *more)
    table = tmp_path / "table.json"
    skem.MixtureModel(families="poisson").fit([[1], [2]]).save(table)
    assert "has a MixtureModel, which" in refuse(command, table, *more)


# sample


def test_sample_draws_from_the_mixture(succeed, model, chosen):
    out = succeed("sample", model, "-n", "7", "--random-state", "3")
    header, rows = table_of(out)
    assert header == ["eruptions", "waiting", "component"]
    X, labels = chosen.sample(7, random_state=3)
    found = np.array([[float(cell) for cell in row] for row in rows])
    np.testing.assert_array_equal(found[:, :2], X)
    np.testing.assert_array_equal(found[:, 2], labels)


def test_sample_draws_as_many_as_it_is_asked_for(
    succeed, refuse, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("skem._cli.commands.DRAWN", 30)
    path = tmp_path / "out.csv"
    assert succeed("sample", model, "--output", path) == ""
    _, rows = table_of(path.read_text("utf-8"))
    assert len(rows) == 100
    assert len({tuple(row) for row in rows}) == 100
    for number in ["0", "-1", "many"]:
        assert "-n" in refuse("sample", model, f"-n={number}")


# summary


def test_sample_has_the_seed_of_the_fit_and_keeps_the_mixture(succeed, model, refuse):
    default = succeed("sample", model, "-n", "3")
    assert default == succeed("sample", model, "-n", "3", "--random-state", "0")
    assert "it is the file of the mixture" in refuse("sample", model, "--output", model)


def test_numbers_of_components_are_those_that_the_rows_allow():
    data = SimpleNamespace(title="data", values=np.zeros((9, 1)))
    notes = []
    assert list(_numbers_of_components(data, None, notes)) == list(range(1, 10))
    assert notes == []
    asked = [range(3, 5), range(9, 10), range(1, 4)]
    assert _numbers_of_components(data, asked, notes) == [1, 2, 3, 4, 9]
    with pytest.raises(CommandError, match="10 components need as many rows"):
        _numbers_of_components(data, [range(2, 11)], notes)
    data.values = data.values[:8]
    assert list(_numbers_of_components(data, None, notes)) == list(range(1, 9))
    assert notes == ["No more than 8 components, as there are only 8 rows."]


def test_summary_is_that_of_the_mixture(succeed, run, model, faithful, chosen, X):
    out = succeed("summary", model)
    assert out.startswith("2 components, full covariances\n")
    assert "eruptions" in out
    assert "BIC" not in out
    with_data = succeed("summary", model, faithful)
    title = f"{faithful}: 272 rows, 2 columns (eruptions, waiting)"
    assert one_line(with_data).startswith(title)
    assert f"{chosen.bic(X):.2f}" in with_data
    found = json.loads(succeed("summary", model, faithful, "--json"))
    assert found["bic"] == chosen.bic(X)
    assert found["feature_names"] == ["eruptions", "waiting"]


# Help, mistakes, progress


@pytest.mark.parametrize("command", ["fit", "predict", "sample", "summary"])
def test_every_command_has_its_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: skem")
    assert max(map(len, out.splitlines())) <= 80


def test_names_of_structures_are_all_that_there_are():
    assert {*options.SKLEARN, *options.MCLUST} == set(SHAPES)
    assert options.SKLEARN == tuple(GaussianMixtureIC().covariance_type)


@pytest.mark.parametrize("word", ["", "fit", "predict", "sample", "summary"])
def test_help_is_a_command_too(word, capsys):
    with pytest.raises(SystemExit) as caught:
        options.parse(["help", word] if word else ["help"])
    assert caught.value.code == 0
    name = "skem" if word == "fit" else f"skem {word}".rstrip()
    assert capsys.readouterr().out.startswith(f"usage: {name} [-h]")


def test_criteria_may_be_in_capitals():
    assert options.parse(["--criterion", "BIC"]).criterion == "bic"


def test_mistyped_commands_are_told(refuse):
    err = refuse("pedict", "model.json", "data.csv")
    assert "there is no file and no command 'pedict'; did you mean 'predict'?" in err
    assert "(see skem predict --help)" in refuse("predict", "model.json")
    assert "(see skem --help)" in refuse("--componets", "3")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_takes_long_says_so(stream, monkeypatch):
    monkeypatch.setattr(progress_module, "SILENCE", 0.01)
    monkeypatch.setattr(sys, "stderr", stream())
    with progress("fitting 3 mixtures", False):
        time.sleep(0.2)
    text = sys.stderr.getvalue()
    assert "skem: fitting 3 mixtures, 0 s" in text
    if stream is Terminal:
        # The line is taken away when it is done.
        assert text.endswith("\r\x1b[K")
    else:
        # Each wait is as long as all before.
        assert 1 <= text.count("\n") <= 6


def test_what_is_quick_or_quiet_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress("reading", False):
        pass
    monkeypatch.setattr(progress_module, "SILENCE", 0.0)
    with progress("reading", True):
        time.sleep(0.02)
    assert sys.stderr.getvalue() == ""


def test_reports_are_piped(model, monkeypatch, capfd):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["sample", str(model)]) == 1
    assert capfd.readouterr().err == ""


def test_names_of_a_mixture_without_any_are_numbers(succeed, tmp_path):
    mixture = GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [[[1, 0], [0, 1]]])
    mixture.save(tmp_path / "model.json")
    header, _ = table_of(succeed("sample", tmp_path / "model.json", "-n", "2"))
    assert header == ["column 1", "column 2", "component"]
