"""What the command reads: files as people and programs write them."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from skem._cli import CommandError
from skem._cli.columns import DATES, TEXT, _some, _text
from skem._cli.header import _labels, _stands_out
from skem._cli.numbers import decimal_marks, number
from skem._cli.options import parse
from skem._cli.sources import _cell
from skem._cli.table import load_table

X = np.array([[3.5, 1200.25], [1.25, 900.5], [-2.0, 15000.75], [7.75, 20.5]])
PLAIN = "größe,income\n" + "".join(f"{a},{b}\n" for a, b in X.tolist())


@pytest.fixture
def read(tmp_path):
    """Return the table of a file with the given content."""

    def read(content, *options, name="data.csv"):
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return load_table(parse([str(path), *options]))

    return read


@pytest.fixture
def refuse(read):
    def refuse(content, *options):
        with pytest.raises(CommandError) as caught:
            read(content, *options)
        return str(caught.value)

    return refuse


def note(table, text):
    """Return the one note that begins with a text."""
    (found,) = [each for each in table.notes if each.startswith(text)]
    return found


# Bytes


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_decompressed(compress, read):
    table = read(compress(PLAIN.encode()))
    np.testing.assert_array_equal(table.values, X)
    assert table.names == ("größe", "income")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_is_recognised(encoding, read):
    table = read(PLAIN.encode(encoding))
    np.testing.assert_array_equal(table.values, X)
    assert table.names == ("größe", "income")
    assert table.notes == []


def test_latin_1_is_read_with_a_word_about_it(read):
    table = read(PLAIN.encode("latin-1"))
    assert table.names == ("größe", "income")
    assert "read as Latin-1" in note(table, "The file is not in UTF-8")
    assert read(PLAIN.encode("latin-1"), "--encoding", "latin-1").notes == []


def test_other_encodings_are_told(read, refuse):
    text = "доход,b\n1.5,2\n3,4.5\n".encode("koi8-r")
    assert read(text, "--encoding", "koi8-r").names == ("доход", "b")
    assert "not a text file in ascii" in refuse(text, "--encoding", "ascii")
    with pytest.raises(CommandError, match="'nope' is no encoding; utf-8"):
        parse(["--encoding", "nope"])


def test_the_encoding_that_is_told_is_not_given_up(refuse):
    told = refuse(PLAIN.encode("latin-1"), "--encoding", "UTF8")
    assert "is not a text file in utf-8" in told


def test_standard_input_is_a_file(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(gzip.compress(PLAIN.encode())))
    monkeypatch.setattr(sys, "stdin", stream)
    table = load_table(parse(["-"]))
    assert table.title == "standard input"
    np.testing.assert_array_equal(table.values, X)


def test_parquet_is_read_in_full_precision(read):
    values = np.random.default_rng(0).normal(size=(5, 2)) / 3
    frame = pd.DataFrame(values, columns=["a", "b"])
    frame["when"] = pd.date_range("2020-01-01", periods=5)
    frame["sure"] = [True, False, None, True, True]
    frame["c"] = pd.array([3, None, 1, 7, 2], dtype="Int64")
    file = io.BytesIO()
    frame.to_parquet(file)
    table = read(file.getvalue(), name="data.parquet")
    assert table.names == ("a", "b", "c")
    np.testing.assert_array_equal(table.values[:, :2], values)
    np.testing.assert_array_equal(table.values[:, 2], [3, np.nan, 1, 7, 2])
    assert note(table, "Columns") == (
        "Columns left out: when (dates); sure (true or false). --columns selects "
        "columns."
    )
    assert table.sheet.lines == [1, 2, 3, 4, 5]


def test_excel_is_read_with_the_rows_of_its_sheet(read):
    pytest.importorskip("openpyxl")
    file = io.BytesIO()
    frame = pd.DataFrame(X, columns=["a", "b"])
    frame["when"] = pd.date_range("2020-01-01", periods=4)
    frame.to_excel(file, index=False)
    table = read(file.getvalue(), name="data.xlsx")
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.values, X)
    assert table.sheet.lines == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("start", "kind"), [(b"PAR1", "Parquet"), (b"PK\3\4", "Excel")]
)
def test_what_pandas_reads_needs_pandas(start, kind, refuse, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    err = refuse(start + b" and so on")
    assert f"a file of {kind}, install pandas: pip install 'skem[files]'" in err


# Lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("# made by hand\n# on Monday\na,b\n1.5,2\n# later\n3,5\n", [4, 6]),
        ("\na,b\n\n1.5,2\n\n\n3,5\n\n", [4, 7]),
        ('"a",b\n"1.5",2\n3,5\n', [2, 3]),
        ("# a,b\n1.5,2\n3,5\n", [2, 3]),
        ("sep=;\na;b\n1,5;2\n3;5\n", [3, 4]),
        ("a|b\n1.5|2\n3|5\n", [2, 3]),
        ("a b\n1.5  2\n3 5\n", [2, 3]),
        ("# a b\n 1.5e+00 2\n 3 5 \n", [2, 3]),
        ("a,b\n1.5,2,\n3,5,\n", [2, 3]),
    ],
    ids=[
        "comments",
        "blank lines",
        "quotes",
        "names in a comment",
        "a line for Excel",
        "bars",
        "spaces",
        "as NumPy writes it",
        "commas at the end",
    ],
)
def test_lines_that_are_no_rows_are_skipped(content, lines, read):
    table = read(content)
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.values, [[1.5, 2], [3, 5]])
    assert table.sheet.lines == lines


def test_rows_that_begin_with_a_number_sign_had_vanished_without_a_word(read):
    table = read("# ids\nid,a\n#1,2.5\n3,4\n#2,7\n# the end\n")
    assert table.sheet.lines == [4]
    assert note(table, "2 lines, the first of them line 3, begin with #") == (
        "2 lines, the first of them line 3, begin with # and were taken for comments, "
        "but have 2 cells as rows have. If they are rows, put their first cells in "
        "quotes."
    )
    assert note(table, "2 comment lines skipped.")
    table = read("id,a\n#1,2.5\n3,4\n")
    assert "If it is a row" in note(table, "Line 2 begins with # and was taken for a c")
    table = read('id,a\n"#1",2.5\n3,4\n', "--columns", "a")
    assert table.sheet.lines == [2, 3]
    assert not [each for each in table.notes if "#" in each or "comment" in each]
    # What names or delimiters were taken from, and a column of its own.
    for content in ("# a,b\n1,2\n3,5\n", "sep=;\na;b\n1;2\n3;5\n"):
        assert not [each for each in read(content).notes if "comment" in each]
    assert note(read("a\n1\n#2\n3\n"), "1 comment line skipped.")


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_rows_of_empty_cells_are_skipped_at_the_end_alone(delimiter, end, read):
    rows = ["a,b", "1.5,2", ",", "3.5,5", ",", "", " , "]
    table = read("\n".join(rows).replace(",", delimiter) + end)
    assert table.sheet.lines == [2, 3, 4]
    np.testing.assert_array_equal(table.values, [[1.5, 2], [np.nan] * 2, [3.5, 5]])
    assert not [each for each in table.notes if "blank" in each]
    assert note(table, "2 rows") == "2 rows of empty cells at the end skipped."
    rows = [*rows[:4], ","]
    table = read("\n".join(rows).replace(",", delimiter) + end)
    assert note(table, "1 row of empty cells at the end skipped.")


def test_rows_of_empty_cells_at_the_end_may_have_any_number_of_them(read):
    table = read("a,b\n1.5,2\n3.5,5\n,,,\n,\n")
    assert table.sheet.lines == [2, 3]


def test_quoted_cells_at_the_end_are_missing_values(read):
    # As pandas writes them in a single column.
    table = read('a\n1.5\n""\n')
    assert table.sheet.lines == [2, 3]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("#a,b\n#1,2\n", "is empty; 2 lines begin with # and were taken for comments"),
        ("# a\n", "is empty; 1 line begins with # and was taken for a comment"),
        (
            "a,b\n#1,2\n#2,3\n#3,4\n",
            "has a header but no rows; 3 lines begin with # and were taken for "
            "comments",
        ),
        ("a,b\n,\n,\n", "has a header but no rows; 2 rows of empty cells skipped"),
        (",\n", "is empty; 1 row of empty cells skipped"),
        ("sep=;\n", "data.csv is empty"),
    ],
)
def test_files_without_rows_are_told_what_was_skipped(content, told, refuse):
    assert refuse(content).endswith(told)


def test_remarks_had_been_taken_for_rows(read):
    table = read("t,v\n1,2\n# units: m,s\n3,5\n## a,b\n")
    assert note(table, "2 comment lines skipped.")
    assert not [each for each in table.notes if "begin" in each]


def test_formatted_rows_at_the_end_of_a_sheet_are_none(read):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    rows = [("a", "b"), (1.5, 2), (None, None), (3.5, 5)]
    for row in rows:
        book.active.append(row)
    book.active["A9"].font = openpyxl.styles.Font(bold=True)
    file = io.BytesIO()
    book.save(file)
    table = read(file.getvalue(), name="data.xlsx")
    assert table.sheet.lines == [2, 3, 4]
    np.testing.assert_array_equal(table.values[:, 0], [1.5, np.nan, 3.5])


@pytest.mark.parametrize(
    "content", [b"junk", b"PK\3\4", b"PK\3", b"\0\0\0\0", b"PK\5\6"]
)
@pytest.mark.parametrize("name", ["data.xlsx", "DATA.XLSX", "data.xls"])
def test_damaged_sheets_had_been_told_to_have_a_header(content, name, read):
    pytest.importorskip("openpyxl")
    with pytest.raises(CommandError, match=r"(?i)data\.xlsx? .* a file of Excel: "):
        read(content, name=name)


def test_an_archive_is_told_from_a_sheet(read):
    pytest.importorskip("openpyxl")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.csv", PLAIN)
    for name in ("data.zip", "data.xlsx"):
        with pytest.raises(CommandError, match=f"{name} is an archive, zip, .* unpack"):
            read(file.getvalue(), name=name)


@pytest.mark.parametrize(
    "content", ["{}", '{"a":\n[1, 2],\n"b": 3}', b"ARROW1\0\0\xff"]
)
@pytest.mark.parametrize("name", ["model.json", "data.feather"])
def test_files_of_other_kinds_had_been_told_to_lack_rows(content, name, read):
    with pytest.raises(CommandError, match="tables are files of CSV, Parquet or Excel"):
        read(content, name=name)


def test_text_may_have_the_name_of_a_sheet(read):
    for name in ("data.xls", "data.json"):
        np.testing.assert_array_equal(read(PLAIN, name=name).values, X)


def test_cells_of_several_lines_may_begin_like_comments(read):
    table = read('a,b\n1.5,"x\n# y"\n3,z\n# end\n4,"z"\n')
    assert table.sheet.lines == [2, 4, 6]
    assert table.sheet.rows[0] == ["1.5", "x\n# y"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('a,b\n1,ok\n2,"tall\n3,ok\n4,ok\n', 3),
        ('a,b\n1,ok\n2,"tall', 3),
        ('a,b\r\n1,"x\r\ny"\r\n2,"tall\r\n3,7" tube\r\n', 4),
        ('a,b,c\n1,"x\ny","tall\n3,ok,"ok"\n', 3),
        ('a;b\n"5" wide;1\n2;"tall\n' + "3;ok\n" * 40_000, 3),
        ('a b\n1 ok\n2 "tall\n3 ok\n', 3),
    ],
    ids=["one", "last", "two", "in a row", "long", "spaces"],
)
def test_a_stray_quote_had_swallowed_the_rows_below(content, line, refuse):
    assert f"line {line} opens a quote" in refuse(content)


@pytest.mark.parametrize("cell", ['"x\ny"', '"x\n""y"""', '"x,\n\n" ', '5" wide'])
def test_quotes_that_are_closed_swallow_nothing(cell, read):
    table = read(f"a,b,c\n1,{cell},3\n2, {cell},4\n3,z,{cell}\n", "--columns", "a")
    assert [row[0] for row in table.sheet.rows] == ["1", "2", "3"]
    assert table.sheet.rows[0][1] == table.sheet.rows[2][2]


def test_a_single_column_may_have_decimal_commas(read):
    table = read("speed\n1,5\n2,25\n-4,5\n")
    np.testing.assert_array_equal(table.values.ravel(), [1.5, 2.25, -4.5])


def test_names_of_rows_without_a_name_are_no_reason_to_stop(read):
    # As R's write.table has it.
    table = read('"a" "b"\n"Mazda" 21 6.5\n"Fiat" 32.4 4\n"Ford" 15.8 8\n')
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.values[0], [21, 6.5])


# Names


@pytest.mark.parametrize(
    "content",
    [
        "2019,2020,2021\n3.5,4.2,1\n2.5,1.5,7\n",
        "2021,2020,2019\n35,42,1\n25,15,7\n",
        "0,1,2\n3.5,4.2,1\n2.5,1.5,7\n",
        ",0,1\n0,3.5,4.2\n1,2.5,1.5\n2,7.5,1\n",
        "country,2019,2020\nFrance,3,4\nChad,2,6\n",
        "1,x\n3,4\n2,5\n",
        "2019\n3.5\n2.5\n",
    ],
)
def test_names_may_be_numbers(content, read):
    table = read(content)
    first = content.splitlines()[0].split(",")
    assert set(table.names) <= set(first)
    assert len(table.values) == content.count("\n") - 1
    assert "was read as the names of the columns" in note(table, "The first row")


def test_numbers_above_numbers_are_data_if_they_are_told_to_be(read):
    table = read("2019,2020\n3.5,4\n2,1.5\n", "--no-header")
    np.testing.assert_array_equal(table.values[0], [2019, 2020])


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        ("1,2,3\n5,4,7\n6,9,8\n", True),
        ("2019,2020\n2018,2024\n2022,2010\n", False),
        ("0,1\n1,0\n0,1\n", False),
        ("1,2\n3,4\n1,2\n", False),
        ("79,80\n54,62\n74,85\n", False),
        ("3.5,2\n1,2.5\n", False),
        ("5.1,3.5,setosa\n4.9,3.1,setosa\n", False),
    ],
)
def test_data_are_no_names_and_doubts_are_told(content, asked, read):
    table = read(content)
    assert len(table.values) == content.count("\n")
    found = [each for each in table.notes if each.startswith("The first row")]
    assert len(found) == asked
    if asked:
        assert "say --header" in found[0]
        assert len(read(content, "--header").values) == len(table.values) - 1


def test_a_comment_names_no_single_column_and_none_that_are_told_of(read):
    assert read("# minutes\n1.5\n2.5\n4\n").names == ("column 1",)
    assert read("# a, b\n1,2\n3,4\n").names == ("a", "b")
    assert read("# a, b\n1,2\n3,4\n", "--header").names == ("1", "2")


def test_years_and_counts_are_names_where_they_stand_out():
    assert _stands_out("1990", ["5", "7"])
    assert not _stands_out("1990", ["1980", "2000"])
    assert not _stands_out("1990", ["", "NA"])
    assert _labels(["0", "1", "2"]) == _labels(["1", "2"]) == "counts"
    assert _labels(["2", "3"]) == ""


def test_header_is_what_it_is_told_to_be(read, refuse):
    content = "a,b\n1.5,2\n3,5\n"
    assert read(content, "--header").names == ("a", "b")
    assert "'a' is not a number" in refuse(content, "--no-header")
    assert read("7,8.5\n1,2\n4,9\n", "--header").names == ("7", "8.5")


# Numbers


@pytest.mark.parametrize(
    ("cell", "decimal", "expected"),
    [
        ("1.5", ".", 1.5),
        ("1,234", ".", 1234.0),
        ("1,234,567.5", ".", 1234567.5),
        ("1 234 567", ".", 1234567.0),
        ("1\u202f234,5", ",", 1234.5),
        ("1'234.5", ".", 1234.5),
        ("1.234,5", ",", 1234.5),
        ("1.234", ",", 1234.0),
        ("1.5", ",", 1.5),
        ("1,5", ",", 1.5),
        ("1,5e-3", ",", 0.0015),
        ("−2", ".", -2.0),
        ("$1,234.50", ".", 1234.5),
        ("1.234,50 €", ",", 1234.5),
        ("$", ".", None),
        ("12.5%", ".", 12.5),
        ("12,5 %", ",", 12.5),
        ("-1,234.5%", ".", -1234.5),
        ("n/a", ".", np.nan),
        ("-", ".", np.nan),
        ("1,5", ".", None),
        ("1,23,456", ".", None),
        ("1,234 567", ".", None),
        ("1_000", ".", None),
        ("12 kg", ".", None),
        ("%", ".", None),
    ],
)
def test_numbers_are_those_that_people_write(cell, decimal, expected):
    np.testing.assert_equal(number(cell, decimal), expected)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,234"], set()),
        (["1,234", "0,5"], {","}),
        (["1.234,5"], {","}),
        (["1,234,567"], {"."}),
        (["1234,567"], {","}),
        (["0.125"], {"."}),
        (["-1,25 %"], {","}),
        (["1,5", "1.5"], {",", "."}),
        (["text, more", "12"], set()),
    ],
)
def test_decimal_marks_are_told_where_they_are_evident(cells, expected):
    assert decimal_marks(cells) == expected


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n"1,234.5","2%"\n"12,000","30%"\n',
        "a\tb\n1,234.5\t2%\n12,000\t30%\n",
        "a;b\n1.234,5;2%\n12.000;30%\n",
        'a,b\n"1.234,5",2%\n"12.000",30%\n',
        "a;b\n1234.5;2 %\n12000;30 %\n",
    ],
)
def test_thousands_and_percent_are_read(content, read):
    table = read(content)
    np.testing.assert_array_equal(table.values, [[1234.5, 2], [12000, 30]])
    assert note(table, "In percent") == "In percent, so that 50% is 50: b."


# Columns


def test_columns_that_are_no_measurements_are_left_out_and_named(read):
    rows = [
        "0,2024-01-05,Anna,1007,007,3.5,20240105,yes,",
        "1,2024-02-07,Ben,1003,010,1.5,20240207,no,",
        "2,2024-03-09,Cleo,1001,123,2.5,20240309,no,NA",
        "3,2024-04-01,Dora,1009,001,9.5,20240401,yes,",
    ]
    head = ",date,name,customer_id,code,speed,day,member,nothing"
    table = read("\n".join([head, *rows]))
    assert table.names == ("speed",)
    assert note(table, "Columns left out") == (
        "Columns left out: column 1 (the number of the row); date and day (dates); "
        "name (text); customer_id and code (ids); member (true or false); nothing (no "
        "values). --columns selects columns."
    )
    # What is asked for is used.
    chosen = read("\n".join([head, *rows]), "--columns", "1,customer_id,speed")
    np.testing.assert_array_equal(chosen.values[0], [0, 1007, 3.5])
    assert chosen.notes == []


@pytest.mark.parametrize(
    "cell",
    [
        *("2024-01-05", "2024-01-05T12:30:00Z", "2024-01-05 12:30", "2024/01"),
        *("05.01.2024", "1/5/24", "5 Jan 2024", "5-Mar-24", "Jan 5, 2024"),
        *("12:30", "9:05 pm"),
    ],
)
def test_dates_are_recognised(cell, read):
    table = read("when;speed\n" + f"{cell};1.5\n" * 3)
    assert "when (dates)" in note(table, "Column left out")


@pytest.mark.parametrize(
    ("head", "values", "kept"),
    [
        ("x", [1, 2, 3, 4], False),
        ("x", [7, 8, 9, 10], False),
        ("x", [1, 2, 4, 5], True),
        ("", [1, 2, 4, 5], False),
        ("Unnamed: 0", [1, 2, 4, 5], False),
        ("", [4, 2, 1, 5], True),
        ("x", [4, 3, 2, 1], True),
        ("userId", [4, 2, 2, 1], False),
        ("id", [4, 2, 2, 1], False),
        ("humid", [4, 2, 2, 1], True),
        ("id", [4.5, 2, 2, 1], True),
        ("year", [2004, 2002, 2003, 2001], True),
    ],
)
def test_columns_that_count_or_name_rows_are_left_out(head, values, kept, read):
    other = [3.5, 1.5, 9.5, 2.5]
    rows = [f"{a},{b}" for a, b in zip(values, other, strict=True)]
    name = "Unnamed: 0" if head == "Unnamed: 0" else head
    table = read("\n".join([f"{name},speed", *rows]))
    assert len(table.names) == 1 + kept


def test_what_counts_rows_is_used_if_there_is_nothing_else(read):
    table = read("1\n2\n3\n4\n")
    np.testing.assert_array_equal(table.values.ravel(), [1, 2, 3, 4])


def test_a_mistake_in_a_column_of_numbers_is_named(refuse, read):
    rows = [f"{i * 1.5},{i * i}" for i in range(20)]
    rows[7] = "1.5o,49"
    content = "\n".join(["a,b", *rows])
    err = refuse(content)
    assert "data.csv, line 9, a: '1.5o' is not a number, unlike the rest" in err
    assert read(content, "--exclude", "a").names == ("b",)


def test_what_is_no_number_is_a_mistake_or_what_most_cells_are():
    assert _text([*"ab", *map(str, range(28))], 2) == ""
    assert _text([*"abcd", *map(str, range(26))], 4) == TEXT
    assert _text(["2020-01-31", *"abcd"], 5) == TEXT
    assert _text(["2020-01-31"] * 10, 10) == DATES


def test_six_names_are_listed_and_of_more_the_first_five():
    assert _some([*"abcdef"]) == "a, b, c, d, e and f"
    assert _some([*"abcdefg"]) == "a, b, c, d, e and 2 more"


@pytest.mark.parametrize("value", [None, np.nan, pd.NaT, pd.NA])
def test_cells_without_a_value_are_empty(value):
    assert _cell(value) == ""


def test_columns_are_excluded_by_name_and_number(read, refuse):
    content = "a,b,c,d\n1.5,2,3,4\n5,6.5,7,8\n"
    assert read(content, "--exclude", "b,4").names == ("a", "c")
    assert read(content, "--exclude", "1-2").names == ("c", "d")
    assert read(content, "--columns", "1-3", "--exclude", "b").names == ("a", "c")
    assert "--exclude leaves out all" in refuse(
        content, "--columns", "a", "--exclude", "1"
    )
    assert "has no column of numbers" in refuse(content, "--exclude", "1-4")
    assert "no column 'z'" in refuse(content, "--exclude", "z")
    assert "--exclude has 'a' twice" in refuse(content, "--exclude", "a,a")


def test_a_name_goes_before_a_number(read):
    content = "a,2,1\n2.5,3.5,4\n4,2.5,6\n"
    np.testing.assert_array_equal(
        read(content, "--columns", "1").values.ravel(), [4, 6]
    )


# Missing values


def test_rows_with_missing_values_are_used_or_dropped(read, refuse):
    content = "a,b\n1.5,2\n,3\n4,n/a\n2,5\n"
    assert np.isnan(read(content).values).sum() == 2
    table = read(content, "--missing", "drop")
    np.testing.assert_array_equal(table.values, [[1.5, 2], [2, 5]])
    assert table.kept.tolist() == [0, 3]
    assert note(table, "2 rows of 4 left out") == (
        "2 rows of 4 left out, for missing values; --missing em uses them."
    )
    assert "no row is complete" in refuse("a,b\n1.5,\n,2\n", "--missing", "drop")
