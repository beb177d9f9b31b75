"""``python -m skem``: what it prints and writes, and how it refuses."""

import csv
import io
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

import skem
from skem import GaussianMixture, GaussianMixtureIC, MixtureDisplay
from skem.__main__ import main
from skem._cli import commands
from skem._cli import files as files_module
from skem._report.text import count
from skem._saving import whole
from skem.core.gaussian.covariance import FOURTEEN, STRUCTURES
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

FEATURES = ("eruptions", "waiting")
FULL = ["--covariance", "full"]
FAST = ["--components", "1,2", *FULL]
ONE = ["--components", "1", *FULL]
# Two groups of rows, far apart in the first column.
GROUPS = np.array(
    [[0.0, 5.1], [0.2, 4.9], [0.1, 5.3], [0.3, 4.8], [9.0, 5.0], [9.2, 5.2], [9.1, 4.7]]
)
LINES = [",".join(map(str, row)) for row in GROUPS]
PLAIN = "\n".join(["left,right", *LINES, ""])


def section(out, title):
    """Return the rows below a title as lists of words, the header first."""
    _, _, rest = out.partition(f"\n{title}")
    assert rest, f"no section {title!r} in:\n{out}"
    table = rest.split("\n\n")[1]
    return [line.split() for line in table.splitlines()]


def one_line(text):
    return " ".join(text.split())


def by_number(rows):
    """Return candidates in the order of their numbers of components."""
    return sorted(rows, key=lambda row: int(row[0]))


def headline(out):
    """Return the first paragraph, on one line."""
    return one_line(out.split("\n\n")[0])


def numbers(rows):
    return np.array([[float(cell) for cell in row] for row in rows])


def selected(X, n_components, covariance_type="full"):
    """Return the fit that the command is about to make."""
    return GaussianMixtureIC(
        n_components, covariance_type=covariance_type, random_state=0
    ).fit(X)


@pytest.fixture
def let_options_be(monkeypatch):
    """Change options of the selection that the command does not have."""
    return lambda **options: monkeypatch.setattr(
        commands, "GaussianMixtureIC", partial(GaussianMixtureIC, **options)
    )


def without_time(out):
    return re.sub(r"fitted in \S+ s", "fitted in ... s", out)


# The summary


def test_old_faithful_has_two_components_by_bic(succeed):
    out = succeed("--components", "1-3", *FULL)
    assert out.startswith("Old Faithful: 272 rows, 2 columns (eruptions, waiting)\n")
    assert "Best: 2 components, full covariances" in out
    header, *rows = section(out, "Candidates")
    assert header == ["K", "log-likelihood", "parameters", "BIC", "corrected"]
    assert [row[5:] for row in rows] == [["<-", "best"], [], []]
    rows = by_number(rows)

    X = load_faithful().data
    results = selected(X, range(1, 4)).results_
    for K, row in enumerate(rows, start=1):
        mixture = GaussianMixture(K, n_init=5, random_state=0).fit(X)
        assert row[:4] == [
            str(K),
            f"{results['log_likelihood'][K - 1]:.2f}",
            str(mixture.n_parameters_),
            f"{results['bic'][K - 1]:.2f}",
        ]
        assert row[4] == f"{results['criterion'][K - 1]:.2f}"
        # The first is far behind the best one, and may lack a nat; the others lack
        # 0.01 nats by an estimate that may be off by several times that.
        assert abs(float(row[3]) - mixture.bic(X)) < (2 if K == 1 else 0.2)


def test_default_range_is_one_to_nine(succeed):
    out = succeed("--columns", "eruptions", *FULL, "--all")
    _, *rows = section(out, "Candidates")
    assert [row[0] for row in by_number(rows)] == list("123456789")


def test_chosen_model_is_described(succeed):
    out = succeed(*FAST)
    X = load_faithful().data
    mixture = selected(X, (1, 2)).best_estimator_
    deviations = np.sqrt(np.diagonal(mixture.covariances_, axis1=1, axis2=2))

    # Half a unit in the last digit printed, which differs between columns.
    header, *rows = section(out, "Best")
    assert header == ["component", "weight", "size", "effective", "size"]
    np.testing.assert_allclose(numbers(rows)[:, 1], mixture.weights_, atol=5.1e-5)
    labels = mixture.predict(X)
    assert [row[2] for row in rows] == list(map(str, np.bincount(labels)))
    sizes = mixture.predict_proba(X).sum(axis=0)
    np.testing.assert_allclose(numbers(rows)[:, 3], sizes, atol=0.051)

    for title, expected in [
        ("Means", mixture.means_),
        ("Standard deviations", deviations),
    ]:
        header, *rows = section(out, title)
        assert header == ["component", "eruptions", "waiting"]
        assert [row[0] for row in rows] == ["0", "1"]
        error = np.abs(numbers(rows)[:, 1:] - expected).max(axis=0)
        assert (error <= [0.00051, 0.0051]).all()

    _, *rows = section(out, "Correlations")
    expected = mixture.covariances_[:, 0, 1] / deviations.prod(axis=1)
    assert [row[:3] for row in rows] == [
        ["0", "eruptions,", "waiting"],
        ["1", "eruptions,", "waiting"],
    ]
    printed = [float(row[3]) for row in rows]
    np.testing.assert_allclose(printed, expected, atol=0.0051)

    # The report has the summary's own text, but for the names.
    assert str(replace(mixture.summary(X), feature_names=FEATURES)) in out

    effort = one_line(out.split("\n\n")[-1])
    assert effort.startswith("2 models fitted in ")
    passes = f"last run of the best one took {mixture.n_iter_ + 1} passes over the data"
    assert passes in effort


def test_tables_are_aligned(succeed):
    for block in succeed(*FAST).split("\n\n"):
        if block.startswith("  component"):
            assert len({len(line) for line in block.splitlines()}) == 1


def test_all_shapes_are_compared(succeed):
    out = succeed("--components", "1,3", "--all")
    header, *rows = section(out, "Candidates")
    assert header[:2] == ["K", "covariance"]
    assert sorted(row[:2] for row in rows) == [
        [K, shape] for K in "13" for shape in sorted(STRUCTURES)
    ]
    # mclust's best model of these data, too: three components, one covariance.
    assert "Best: 3 components, tied covariances" in out
    (mark,) = [row[:2] for row in rows if row[-1] == "best"]
    assert mark == ["3", "tied"]
    _, row = section(out, "Correlations")
    assert row[:3] == ["all", "eruptions,", "waiting"]


def test_all_fourteen_shapes_are_compared(succeed, write):
    path = write("\n".join(["left,right", *LINES * 3, ""]))
    out = succeed(path, "--components", "2", "--covariance", "all", "--all")
    _, *rows = section(out, "Candidates")
    assert sorted(row[1] for row in rows) == sorted(FOURTEEN)
    assert len(rows) == 14


def test_shapes_are_a_list(succeed):
    out = succeed("--components", "1,2", "--covariance", "tied, full,tied")
    _, *rows = section(out, "Candidates")
    assert sorted(row[1] for row in rows) == ["full", "full", "tied", "tied"]


def test_shapes_that_coincide_in_one_dimension_are_fitted_once(succeed):
    out = succeed(*FAST, "--columns", "waiting", "--covariance", "all")
    _, *rows = section(out, "Candidates")
    assert sorted(row[1] for row in rows) == ["full", "full", "tied", "tied"]
    said = one_line(out)
    assert "diag, spherical, VEI, VEE, VVE and VEV are the same as full" in said
    assert "EII, EEI, EVI, EVE, EEV and EVV are the same as tied" in said
    some = succeed(*FAST, "--columns", "waiting", "--covariance", "spherical,diag")
    assert "Best: 2 components, spherical covariances" in some
    assert "With one column, diag is the same as spherical." in some
    one = succeed(*FAST, "--columns", "waiting", "--covariance", "diag")
    assert "same as" not in one
    assert "Correlations" not in out


@pytest.mark.parametrize("shape", ["diag", "spherical"])
def test_without_correlations_there_is_no_table_of_them(shape, succeed):
    out = succeed("--components", "2", "--covariance", shape)
    assert f"Best: 2 components, {shape} covariances" in out
    assert "Correlations" not in out


def test_spherical_components_have_one_deviation(succeed, write):
    out = succeed(write(PLAIN), "--components", "2", "--covariance", "spherical")
    _, *rows = section(out, "Standard deviations")
    assert all(left == right for _, left, right in rows)


@pytest.fixture
def correlated(rng):
    """Return rows (50, d) with all kinds of correlations."""
    return lambda d: rng.standard_normal((50, d)) @ rng.standard_normal((d, d))


def csv_text(X, names):
    return "\n".join(
        [",".join(names), *(",".join(map(repr, row)) for row in X.tolist())]
    )


@pytest.mark.parametrize("shape", ["full", "tied"])
def test_few_features_have_correlation_matrices(shape, succeed, write, correlated):
    X = correlated(4)
    path = write(csv_text(X, "abcd"))
    out = succeed(path, "--components", "1", "--covariance", shape)
    owner = {"full": "component 0", "tied": "all components"}[shape]
    header, *rows = section(out, f"Correlations, {owner}")
    assert header == list("abcd")
    assert [row[0] for row in rows] == list("abcd")
    # One component is the empirical covariance; two digits are printed.
    expected = np.corrcoef(X.T)
    for i, row in enumerate(rows):
        np.testing.assert_allclose(
            [float(cell) for cell in row[1:]], expected[i, : i + 1], atol=0.0051
        )


def test_many_features_have_their_largest_correlations(succeed, write, correlated):
    X = correlated(8)
    names = [f"x{j}" for j in range(8)]
    out = succeed(write(csv_text(X, names)), "--components", "1")
    _, *rows = section(out, "Largest correlations, 5 of 28")
    i, j = np.triu_indices(8, 1)
    every = np.corrcoef(X.T)[i, j]
    order = np.argsort(-abs(every))[:5]
    assert [row[1:3] for row in rows] == [
        [f"{names[i[pair]]},", names[j[pair]]] for pair in order
    ]
    printed = [float(row[3]) for row in rows]
    np.testing.assert_allclose(printed, every[order], atol=0.0051)


def test_wide_tables_continue_below_within_eighty_columns(
    succeed, write, correlated, tmp_path, monkeypatch
):
    names = [f"a rather long name of a feature, number {j}" for j in range(12)]
    write(csv_text(correlated(12), [f'"{name}"' for name in names]))
    monkeypatch.chdir(tmp_path)
    out = succeed("data.csv", "--components", "1")
    assert max(map(len, out.splitlines())) <= 80
    # Shortened names can still be told apart.
    means = out.partition("\nMeans")[2].partition("\nStandard")[0]
    assert re.findall(r"a rather \.\.\.\w* (\d+)", means) == list(map(str, range(12)))


def test_long_paths_stay_in_one_piece(succeed, write):
    path = write(PLAIN, "x" * 100 + ".csv")
    assert str(path) in succeed(path, "--components", "1")


@pytest.mark.parametrize("exponent", [-150, -6, 0, 6, 150])
def test_digits_follow_the_scale_of_the_data(exponent, succeed, write):
    X = GROUPS * 10.0**exponent
    out = succeed(write(csv_text(X, ["left", "right"])), "--components", "1")
    for title, expected in [("Means", X.mean(axis=0)), ("Standard", X.std(axis=0))]:
        _, row = section(out, title)
        # Three digits of the smaller number, the standard deviation.
        error = np.abs(numbers([row])[0, 1:] - expected)
        assert (error <= 0.0051 * X.std(axis=0)).all()


def test_missing_cells_are_no_rows_that_are_left_out(succeed, write, tmp_path):
    text = "a,b\n" + "1,2\n,3\n4,NA\n2,nan\n5,1\n?,n/a\n" * 2
    path, labels = write(text), tmp_path / "labels.csv"
    out = succeed(path, *FAST, "--labels", labels, "--plot", tmp_path / "plot.png")
    said = " ".join(out.split())
    assert "data.csv: 12 rows, 2 columns (a, b), 10 missing values" in said
    assert not re.search(r"\bnan\b", out)
    assert len(labels.read_text().splitlines()) == 13


def test_identical_rows_can_be_summarised(succeed, write):
    out = succeed(write("a,b\n" + "1,2\n" * 8), *FAST)
    for word in ["nan", "inf"]:
        assert not re.search(rf"\b{word}\b", out)


def test_same_seed_gives_the_same_summary(succeed):
    arguments = ["--components", "3", *FULL, "--random-state", "7"]
    assert without_time(succeed(*arguments)) == without_time(succeed(*arguments))


def test_seed_and_shape_reach_the_estimator(succeed, monkeypatch):
    seen = []

    class Spy(GaussianMixtureIC):
        def fit(self, X, y=None, sample_weight=None):
            seen.append((self.n_components, self.covariance_type, self.random_state))
            return super().fit(X, y, sample_weight)

    monkeypatch.setattr(commands, "GaussianMixtureIC", Spy)
    succeed("--components", "2", "--covariance", "diag", "--random-state", "42")
    assert seen == [([2], ["diag"], 42)]


def test_fits_that_did_not_converge_are_a_note_not_a_warning(succeed, let_options_be):
    let_options_be(max_iter=1)
    out = one_line(succeed("--components", "3,4", *FULL))
    assert (
        "Not converged in 1 step, so the likelihood may still rise: 3 components, full "
        "covariances; 4 components, full covariances." in out
    )


def test_candidates_that_are_not_eligible_are_marked_and_told_why_once(succeed, write):
    # More components than distinct rows, of which some then coincide.
    path = write("a,b\n" + "0,0\n1,2\n5,1\n" * 10)
    out = succeed(path, "--components", "1-6", *FULL, "--all")
    _, *rows = section(out, "Candidates")
    marks = [" ".join(row[5:]) for row in rows]
    assert marks == ["<- best", "", "", *["not eligible"] * 3]
    assert "Best: 3 components, full covariances" in out
    below = one_line(out.split("\n\n")[3])
    assert below.startswith("Not eligible, whatever the BIC: Some components rest on")
    assert one_line(out).count("rest on fewer samples") == 1


def test_the_largest_number_that_was_tried_is_a_note_not_a_warning(succeed, write):
    rng = np.random.default_rng(0)
    x = rng.normal(10 * (np.arange(120) % 3))
    path = write("x\n" + "\n".join(map(str, x)) + "\n")
    text = (
        "3 components were chosen, the most that were tried: with more the BIC may be"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = succeed(path, "--components", "1-3", *FULL)
        more = succeed(path, "--components", "1-4", *FULL)
    assert one_line(out).count(text) == 1
    assert "most that were tried" not in one_line(more)


def test_no_word_of_eligibility_if_all_are_eligible(succeed):
    assert "eligible" not in succeed(*FAST)


def test_if_none_is_eligible_the_best_is_shown_without_a_warning(succeed, write):
    # Three rows are too few for one covariance matrix of three features.
    out = succeed(write("0,1,4\n1,0,2\n3,2,8\n"), *FULL)
    _, *rows = section(out, "Candidates")
    marks = sorted(" ".join(row[4:]) for row in rows)
    assert marks == ["<- best, not eligible", "not eligible", "not eligible"]
    assert "No candidate is eligible, and the best of them is shown: " in one_line(out)


def test_candidates_that_failed_are_told_apart_from_those_still_climbing(
    succeed, write, let_options_be
):
    let_options_be(reg_covar=0.0)
    path = write("a,b\n" + "0,0\n1,2\n5,1\n4,4\n" * 10)
    out = succeed(path, "--components", "1,4", *FULL)
    _, *rows = section(out, "Candidates")
    assert rows[0][4:] == ["<-", "best"]
    assert rows[1][1:] == ["nan", "0", "nan", "not", "eligible"]
    assert "ill-defined empirical covariance" in one_line(out)
    assert "Not converged" not in out


def test_fits_that_all_fail_are_refused(refuse, write, let_options_be):
    let_options_be(reg_covar=0.0)
    err = refuse(write("a,b\n" + "1,2\n" * 8), *FAST)
    assert "ill-defined empirical covariance" in err


def test_less_thorough_fits_are_admitted(succeed):
    remark = "Models more than 20 BIC above the best were searched less thoroughly"
    # One component is 285 above two, and three are 4 above them.
    assert remark in one_line(succeed("--components", "1,2", *FULL))
    assert remark not in one_line(succeed("--components", "2,3", *FULL))


# Numbers of components


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", "3"), ("1-3", "123"), ("4,1,2", "124"), ("1-2,2,4", "124"), ("2-2", "2")],
)
def test_components_are_lists_and_ranges(text, expected, succeed, write):
    path = write(PLAIN)
    _, *rows = section(succeed(path, "--components", text, *FULL), "Candidates")
    assert [row[0] for row in by_number(rows)] == list(expected)


def test_default_range_ends_at_the_number_of_rows(succeed, write):
    out = succeed(write("1\n2\n4\n9\n"), *FULL)
    _, *rows = section(out, "Candidates")
    assert [row[0] for row in by_number(rows)] == list("1234")
    assert "No more than 4 components, as there are only 4 rows." in out


def test_more_components_than_rows_are_refused_if_asked_for(refuse, write):
    path = write(PLAIN)
    assert "8 components need as many rows" in refuse(path, "--components", "2,8")
    # A range that is never expanded.
    assert "999999999 components" in refuse(path, "--components", "1-999999999")


@pytest.mark.parametrize(
    "text", ["", "0", "0-3", "3-1", "a", "1,,2", "-2", "1-", "1.5", "1-2-3", "9" * 5000]
)
def test_bad_components_are_refused(text, refuse):
    assert "--components" in refuse(f"--components={text}")


@pytest.mark.parametrize("seed", ["-1", "a", "1.5", "", str(2**32)])
def test_bad_seeds_are_refused(seed, refuse):
    assert "--random-state" in refuse(f"--random-state={seed}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--covariance", "round"], "'round' is none of full, tied, diag"),
        (["--covariance", "E"], "'E' and 'V', of one feature, are 'tied' and 'full'"),
        (["--covariance", "full,"], "'' is none of full, tied, diag"),
        (["--covariance", "full,all"], "'all' is none of full, tied, diag"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--components"], "expected one argument"),
        (["one.csv", "two.csv"], "unrecognized arguments: two.csv"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message, refuse):
    assert message in refuse(*arguments)


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--help", "usage: skem"), ("--version", f"skem {skem.__version__}\n")],
)
def test_information_is_printed_and_is_no_error(option, expected, capsys):
    with pytest.raises(SystemExit) as caught:
        main([option])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(expected)


# What a CSV file may look like


@pytest.fixture
def plain(succeed, write):
    """Return the summary of GROUPS from the plainest of files."""
    return without_time(succeed(write(PLAIN), *ONE))


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN + "\n\n \n",
        PLAIN.replace(",", ", "),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";").replace(".", ","),
        re.sub(r"[^,\n]+", r'"\g<0>"', PLAIN),
        re.sub(r"[^,\n]+", r'"\g<0>"', PLAIN).replace(",", ";"),
    ],
    ids=[
        "Windows line ends",
        "old Macintosh line ends",
        "byte order mark",
        "no newline at the end",
        "blank lines at the end",
        "spaces after commas",
        "semicolons",
        "tabs",
        "semicolons with decimal commas",
        "quotes",
        "quotes and semicolons",
    ],
)
def test_other_ways_to_write_a_file_make_no_difference(content, succeed, write, plain):
    assert without_time(succeed(write(content), *ONE)) == plain


def test_rows_of_empty_cells_at_the_end_do_not_change_the_choice(succeed, write, plain):
    out = without_time(succeed(write(PLAIN + ",\n" * 200), *ONE))
    told = "200 rows of empty cells at the end skipped."
    assert told in out
    assert section(out, "Candidates") == section(plain, "Candidates")


def test_without_a_header_columns_are_numbered(succeed, write, plain):
    out = succeed(write("\n".join(LINES)), *ONE)
    assert "7 rows, 2 columns (column 1, column 2)" in headline(out)
    assert section(out, "Candidates") == section(plain, "Candidates")


def test_single_column_needs_no_delimiter(succeed, write):
    content = "speed\n" + "\n".join(str(row[0]) for row in GROUPS)
    out = succeed(write(content), *FAST)
    assert "7 rows, 1 column (speed)" in headline(out)
    assert section(out, "Means")[0] == ["component", "speed"]


def test_quoted_names_may_contain_the_delimiter_and_line_ends(succeed, write):
    content = '"a, b","c\nd"\n' + "\n".join(LINES)
    out = succeed(write(content), *FAST)
    assert "2 columns (a, b, c d)" in headline(out)


def test_names_that_the_terminal_does_not_have_are_escaped(write, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main([str(write("größe\n1\n2\n")), "--components", "1"]) == 0
    assert rb"gr\xf6\xdfe" in stream.buffer.getvalue()


def test_control_characters_do_not_reach_the_terminal(succeed, write):
    out = succeed(write("\x1b[31mred\n1\n2\n"), "--components", "1")
    assert "\x1b" not in out
    assert "?[31mred" in out


@pytest.mark.parametrize(
    ("columns", "expected"),
    [("1-2", "ab"), ("2-4", "bcd"), ("4, 1-2", "dab"), ("3-3", "c")],
)
def test_columns_may_be_ranges(columns, expected, succeed, write):
    X = np.random.default_rng(0).normal(size=(8, 5))
    path = write(csv_text(X, [*"abcd", "2-3"]))
    out = succeed(path, "--components", "1", *FULL, "--columns", columns)
    assert f"({', '.join(expected)})" in headline(out)
    # A name is a name, whatever else it looks like.
    out = succeed(path, "--components", "1", *FULL, "--columns", "2-3")
    assert "(2-3)" in headline(out)


@pytest.mark.parametrize("columns", ["x,y", "1,3", "x,3", " x , y "])
def test_columns_are_chosen_by_name_or_number(columns, succeed, write, plain):
    lines = [f"{line.replace(',', ',text,')}" for line in LINES]
    path = write("\n".join(["x,kind,y", *lines]))
    out = succeed(path, *ONE, "--columns", columns)
    assert "2 columns (x, y)" in headline(out)
    assert section(out, "Candidates") == section(plain, "Candidates")


def test_columns_keep_the_order_asked_for(succeed):
    out = succeed("--components", "1", "--columns", "waiting,eruptions")
    assert section(out, "Means")[0] == ["component", "waiting", "eruptions"]


def test_columns_without_header_are_chosen_by_number(succeed, write):
    path = write("1,a\n2,b\n4,c\n")
    out = succeed(path, "--components", "1", "--columns", "1")
    assert "1 column (column 1)" in headline(out)


def test_nameless_columns_are_chosen_by_number(succeed, write):
    path = write(",a\n0,3\n1,4\n2,7\n")
    assert "(a)" in headline(succeed(path, "--components", "1", "--columns", "2"))
    both = succeed(path, "--components", "1", "--columns", "1-2")
    assert "(column 1, a)" in headline(both)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("z", "no column 'z'; there are: x, y, y"),
        ("0", "no column '0'"),
        ("4", "no column '4'"),
        ("", "no column ''"),
        ("x,", "no column ''"),
        ("x,x", "'x' twice"),
        ("x,1", "'1' twice"),
        ("1,1-2", "'1-2' twice"),
        ("3-1", "'3-1' should count upwards"),
        ("1-4", "no column '4'"),
        ("0-2", "no column '0'"),
        ("1-", "no column '1-'"),
        ("y", "more than one column is named 'y': choose by number (2, 3)"),
    ],
)
def test_bad_columns_are_refused(columns, message, refuse, write):
    path = write("x,y,y\n1,2,3\n4,5,7\n")
    assert message in refuse(path, "--columns", columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "data.csv is empty"),
        ("\n \n\r\n", "data.csv is empty"),
        ("\ufeff", "data.csv is empty"),
        ("a,b\n", "data.csv has a header but no rows"),
        ("a,b\n1,2\n", "data.csv has 1 row; at least 2 are needed"),
        ("a,b\n1,2\n3,x\n", "line 3, b: 'x' is not a number"),
        ("x,setosa\ny,virginica\n", "no column of numbers to use: x and setosa (text)"),
        ("a,b\n1,2\n3,1_000\n", "line 3, b: '1_000' is not a number"),
        ("a;b\n1;2\n3;1,00.5\n", "line 3, b: '1,00.5' is not a number"),
        ("a,b\n1,2 3\n3,4\n", "line 2, b: '2 3' is not a number, unlike the rest"),
        ("a\n1\n" + "9x" * 500, "x9x9x' is not a number"),
        ("a,b\n,NA\nNA,\n", "no column of numbers to use: a and b (no values)"),
        ("a,b\n1,2\n3,-inf\n", "line 3, b: -inf is not a finite number"),
        ("a,b\n1,2\n3,1e999\n", "line 3, b: 1e999 is not a finite number"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cell, but line 1 has 2"),
        ("a,b\n1,2,3\n4,5,6\n7,8\n", "line 2 has 3 cells, but line 1 has 2"),
        ('a,b\n5,6\n1,"2\n3,4"\n', r"line 3, b: '2\n3,4' is not a number"),
        ('a,b\n5,6\n1,"2\n3,4\n', "data.csv, line 3 opens a quote"),
        (b"\x89PNG\r\n\x1a\n", "is not a text file in UTF-8"),
        (b"a\x00b\n1\n2\n", "is not a text file"),
        (b"\x1f\x8b\x08 and so on", "cannot decompress"),
        (b"PAR1 and so on", "is not a file of Parquet"),
        ("a\n" + "1" * 200_000, "is not a CSV file: field larger than field limit"),
    ],
)
def test_bad_files_are_refused(content, message, refuse, write, tmp_path):
    path = write(content)
    assert message in refuse(path, "--labels", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == [path]


def test_missing_files_and_directories_are_refused(refuse, tmp_path):
    assert "No such file or directory" in refuse(tmp_path / "missing.csv")
    assert "cannot read" in refuse(tmp_path)
    # Line ends in a name must not make two lines of it.
    assert "two lines.csv" in refuse(tmp_path / "two\nlines.csv")


# Labels


def read_labels(path):
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def test_labels_and_probabilities_are_written(succeed, tmp_path):
    path = tmp_path / "out.csv"
    succeed("--components", "2", "--labels", path)
    header, rows = read_labels(path)
    assert header == ["row", "eruptions", "waiting", "label", "p0", "p1"]

    X = load_faithful().data
    mixture = selected(X, 2, tuple(STRUCTURES)).best_estimator_
    assert [int(row[0]) for row in rows] == list(range(1, 273))
    assert [int(row[3]) for row in rows] == mixture.predict(X).tolist()
    np.testing.assert_array_equal(numbers(rows)[:, 1:3], X)
    assert all(re.fullmatch(r"[01]\.\d{6}", cell) for row in rows for cell in row[4:])
    np.testing.assert_allclose(
        numbers(rows)[:, 4:], mixture.predict_proba(X), rtol=0, atol=5.1e-7
    )
    assert list(tmp_path.iterdir()) == [path]


def test_labels_number_rows_as_in_the_file(succeed, write, tmp_path):
    path = tmp_path / "out.csv"
    succeed(write(PLAIN), "--components", "2", "--labels", path)
    _, rows = read_labels(path)
    labels = [row[3] for row in rows]
    assert [row[0] for row in rows] == list("2345678")
    assert len(set(labels[:4])) == len(set(labels[4:])) == 1
    assert labels[0] != labels[-1]


def test_labels_replace_an_earlier_file(succeed, write):
    path = write("old", "out.csv")
    succeed("--components", "1", "--labels", path)
    header, rows = read_labels(path)
    assert header[-2:] == ["label", "p0"]
    assert len(rows) == 272


def test_labels_are_as_readable_as_any_new_file(succeed, write, tmp_path):
    path = tmp_path / "out.csv"
    succeed("--components", "1", "--labels", path)
    assert path.stat().st_mode == write("new", "other.csv").stat().st_mode


def test_labels_follow_symbolic_links(succeed, write, tmp_path):
    target = write("old", "target.csv")
    link = tmp_path / "link.csv"
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")
    succeed("--components", "1", "--labels", link)
    assert link.is_symlink()
    assert read_labels(target)[0][-2:] == ["label", "p0"]


@pytest.fixture
def unfitted(monkeypatch):
    """Fail if anything is fitted."""

    def fit(self, X, y=None, sample_weight=None):
        raise AssertionError("fitted before the path was checked")

    monkeypatch.setattr(GaussianMixtureIC, "fit", fit)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.csv", "missing is not a directory"),
        ("file/out.csv", "file is not a directory"),
        ("directory", "it is not a regular file"),
        ("data.csv", "it is the data file"),
    ],
)
@pytest.mark.usefixtures("unfitted")
def test_paths_that_cannot_be_written_are_refused_at_once(
    name, reason, refuse, write, tmp_path
):
    write("a file", "file")
    (tmp_path / "directory").mkdir()
    data = write(PLAIN)
    before = sorted(tmp_path.rglob("*"))
    err = refuse(data, "--labels", tmp_path / name)
    assert err.startswith(f"skem: error: cannot write {tmp_path / name}: ")
    assert reason in err
    assert sorted(tmp_path.rglob("*")) == before
    assert data.read_text() == PLAIN


@pytest.mark.parametrize("option", ["--labels", "--plot"])
@pytest.mark.usefixtures("unfitted")
def test_names_that_are_too_long_are_refused_at_once(option, refuse, tmp_path):
    path = tmp_path / ("x" * 300 + ".png")
    try:
        path.exists()
    except OSError as error:
        reason = error.strerror
    else:
        # Since Python 3.14 a file of such a name just does not exist.
        pytest.skip("a name that is too long is no error here")
    assert refuse(option, path) == f"skem: error: cannot write {path}: {reason}\n"


@pytest.mark.usefixtures("unfitted")
def test_read_only_files_are_not_replaced(refuse, write, monkeypatch):
    path = write("precious", "out.csv")
    # Not by its mode, which does not bind every user.
    monkeypatch.setattr(files_module.os, "access", lambda p, mode: p.name != path.name)
    assert "permission denied" in refuse("--labels", path)


@pytest.mark.parametrize("call", ["open", "replace"])
def test_failed_writes_leave_everything_as_it_was(
    call, refuse, write, tmp_path, monkeypatch
):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    path = write("precious", "out.csv")
    if call == "replace":
        monkeypatch.setattr(files_module.os, "replace", fail)
    else:
        monkeypatch.setattr(whole, "open", fail, raising=False)
    err = refuse("--components", "1", "--labels", path)
    assert err == f"skem: error: cannot write {path}: No space left on device\n"
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "precious"


def test_interrupted_writes_leave_everything_as_it_was(run, tmp_path, monkeypatch):
    def interrupt(*args):
        # The temporary file is complete by now.
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(files_module.os, "replace", interrupt)
    arguments = ["--components", "1", "--labels", tmp_path / "out.csv"]
    assert run(*arguments) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


# The picture


def picture(path):
    """Return the pixels, which are not all of one colour."""
    pixels = image.imread(path)[:, :, :3]
    assert np.ptp(pixels) > 0.5
    return pixels


@pytest.mark.parametrize(
    ("columns", "size"),
    [
        ("one", (4.5, 3.4)),
        pytest.param("one,two", (4.5, 3.4), marks=pytest.mark.slow),
        ("one,$two,three", (6.3, 4.5)),
    ],
)
def test_chosen_mixture_is_drawn_with_the_data(
    columns, size, succeed, write, tmp_path, monkeypatch
):
    drawn = []
    draw = MixtureDisplay.from_estimator
    monkeypatch.setattr(
        MixtureDisplay,
        "from_estimator",
        lambda *args, **kwargs: drawn.append((args, kwargs)) or draw(*args, **kwargs),
    )
    d = columns.count(",") + 1
    X = np.random.default_rng(0).normal(size=(40, d))
    lines = [columns, *(",".join(map(str, row)) for row in X)]
    path = tmp_path / "out.png"
    out = succeed(write("\n".join(lines)), *FAST, "--plot", path)
    assert f"40 rows, {count(d, 'column')}" in headline(out)
    height, width, _ = picture(path).shape
    assert (width / 200, height / 200) == pytest.approx(size, abs=0.01)
    ((mixture, data), options) = drawn[0]
    np.testing.assert_array_equal(data, X)
    assert f"Best: {count(len(mixture.weights_), 'component')}" in out
    assert [name.replace("\\", "") for name in options["feature_names"]] == (
        columns.split(",")
    )


@pytest.mark.parametrize(
    ("ending", "start"),
    [
        (".pdf", b"%PDF"),
        pytest.param(".svg", b"<?xml", marks=pytest.mark.slow),
        (".PNG", b"\x89PNG"),
        pytest.param(".eps", b"%!PS", marks=pytest.mark.slow),
    ],
)
def test_ending_tells_the_format_of_the_picture(ending, start, succeed, tmp_path):
    path = tmp_path / f"out{ending}"
    succeed("--components", "1", "--columns", "waiting", "--plot", path)
    assert path.read_bytes().startswith(start)


def test_letters_that_the_font_lacks_are_no_reason_to_complain(
    succeed, write, tmp_path
):
    data = write("間隔\n" + "\n".join(map(str, range(10))))
    succeed(data, "--components", "1", "--plot", tmp_path / "out.png")
    picture(tmp_path / "out.png")


@pytest.mark.usefixtures("unfitted")
def test_pictures_that_cannot_be_drawn_are_refused_at_once(
    refuse, write, tmp_path, monkeypatch
):
    assert "its ending should be one of ." in refuse("--plot", tmp_path / "out.txt")
    assert "its ending should be one of " in refuse("--plot", tmp_path / "png")
    missing = tmp_path / "missing" / "out.png"
    assert "missing is not a directory" in refuse("--plot", missing)
    same = tmp_path / "same.png"
    err = refuse("--plot", same, "--labels", same)
    assert "it is the file of labels" in err
    data = write(PLAIN, "data.png")
    assert "it is the data file" in refuse(data, "--plot", data)
    wide = write("\n".join([",".join("1" * 11)] * 3))
    assert "--plot draws 10 columns at most" in refuse(wide, "--plot", same)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    err = refuse("--plot", same)
    assert "--plot requires matplotlib. You can install matplotlib" in err
    assert not same.exists()


@pytest.mark.usefixtures("unfitted")
def test_formats_whose_program_is_missing_are_refused_at_once(
    refuse, tmp_path, monkeypatch
):
    def fail(self, file, **options):
        raise RuntimeError("'xelatex' not found;\ninstall it")

    monkeypatch.setattr(Figure, "savefig", fail)
    path = tmp_path / "out.pgf"
    err = refuse("--plot", path)
    assert err == f"skem: error: cannot write {path}: 'xelatex' not found; install it\n"


@pytest.mark.usefixtures("unfitted")
def test_backends_that_there_are_not_are_told_in_one_line(
    refuse, tmp_path, monkeypatch
):
    def fail(caller):
        raise ValueError("Key backend: 'bogus' is not a valid value for backend")

    # As the first import of matplotlib does under such an MPLBACKEND.
    monkeypatch.setattr("skem._cli.picture.check_matplotlib_support", fail)
    assert "'bogus' is not a valid value" in refuse("--plot", tmp_path / "out.png")


def test_failed_pictures_leave_everything_as_it_was(refuse, write, monkeypatch):
    draw = Figure.savefig

    def fail(self, file, **options):
        if isinstance(file, io.BytesIO):
            return draw(self, file, **options)
        file.write(b"half")
        raise OSError(28, "No space left on device")

    path = write("precious", "out.png")
    monkeypatch.setattr(Figure, "savefig", fail)
    err = refuse("--components", "1", "--plot", path)
    assert err == f"skem: error: cannot write {path}: No space left on device\n"
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "precious"


# Endings


def test_ctrl_c_ends_quietly(run, monkeypatch):
    def interrupt(self, X, y=None, sample_weight=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(GaussianMixtureIC, "fit", interrupt)
    assert run() == (130, "", "")


def test_broken_pipe_ends_quietly(capfd, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["--components", "1"]) == 1
    # Closing the stream flushed it once more, without an error.
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_device_is_an_error(capfd, monkeypatch):
    with open("/dev/full", "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["--components", "1"]) == 2
    err = capfd.readouterr().err
    assert err.startswith("skem: error: cannot write the results: ")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("unfitted")
def test_closed_output_is_an_error_at_once(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main([]) == 2
    err = capfd.readouterr().err
    assert err == "skem: error: cannot write the results: standard output is closed\n"


def run_program(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "skem", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(skem.__file__).parents[1])},
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_module_runs_as_a_program(tmp_path):
    done = run_program(tmp_path, "--components", "2", "--labels", "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Old Faithful: 272 rows")
    assert len(read_labels(tmp_path / "out.csv")[1]) == 272


def test_program_that_fails_says_so_by_its_status(tmp_path):
    done = run_program(tmp_path, "missing.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "skem: error: cannot read missing.csv: No such file or directory\n"
    )
