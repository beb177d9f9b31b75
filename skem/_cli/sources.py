"""Read a source: text in any encoding, compressed or not, Parquet and Excel."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from skem._cli import CommandError

STDIN = "-"
_DECOMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; those of UTF-32 begin like those of UTF-16."""
_PARQUET = b"PAR1"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_EXCEL = b"PK\x03\x04", _OLD_EXCEL
_ENDINGS = {"xlsx": "Excel", "xlsm": "Excel", "xls": "Excel", "parquet": "Parquet"}
_NOT_READ = frozenset("json jsonl feather arrow npy npz pkl rds dta sav".split())
"""Endings of files of other kinds."""
_NOT_TEXT = frozenset(range(32)) - set(b"\t\n\r\f\x1b")
INSTALL = "pip install 'skem[files]'"


def title_of(path: str) -> str:
    """Name the source in messages."""
    return "standard input" if path == STDIN else path


def read_bytes(path: str) -> bytes:
    """Return what is in a file, or comes by standard input, decompressed."""
    title = title_of(path)
    try:
        if path == STDIN:
            if sys.stdin is None:
                raise CommandError("cannot read standard input: it is closed")
            content = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except OSError as error:
        raise CommandError(f"cannot read {title}: {error.strerror}") from None
    for start, decompress in _DECOMPRESS.items():
        if content.startswith(start):
            try:
                return decompress(content)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise CommandError(f"cannot decompress {title}: {error}") from None
    return content


def decode(content: bytes, encoding: str | None, title: str, notes: list[str]) -> str:
    """Return the text: in the given encoding, else in UTF-8, UTF-16 or Latin-1."""
    if encoding is None:
        marked = (name for mark, name in _MARKS.items() if content.startswith(mark))
        encoding = next(marked, None) or _wide(content) or "utf-8"
    elif encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8" or _NOT_TEXT.intersection(content):
            name = "UTF-8" if encoding == "utf-8" else encoding
            raise CommandError(
                f"{title} is not a text file in {name} (--encoding tells another)"
            ) from None
        text = content.decode("cp1252", "replace")
        notes.append(
            "The file is not in UTF-8, and was read as Latin-1 (Windows-1252); "
            "--encoding tells another."
        )
    if "\0" in text:
        raise CommandError(f"{title} is not a text file (--encoding tells an encoding)")
    return text.removeprefix("\ufeff")


def _wide(content: bytes) -> str | None:
    """Return UTF-16 if every other byte of the beginning is zero."""
    start = content[:200]
    even, odd = start[::2], start[1::2]
    if len(start) < 4 or not start.count(0):
        return None
    if odd.count(0) > 0.7 * len(odd) and not even.count(0):
        return "utf-16-le"
    if even.count(0) > 0.7 * len(even) and not odd.count(0):
        return "utf-16-be"
    return None


def read_frame(content: bytes, title: str) -> tuple[list[str] | None, list[list[str]]]:
    """Return the names, of Parquet, and the cells of a file that pandas reads."""
    parquet = content.startswith(_PARQUET)
    kind, engine = ("Parquet", "pyarrow") if parquet else ("Excel", "openpyxl")
    if content.startswith(_OLD_EXCEL):
        engine = "xlrd"
    elif not parquet and _is_archive(content):
        raise CommandError(
            f"{title} is an archive, zip, and no file of Excel: unpack it, or compress "
            "the table by gzip"
        )
    try:
        import pandas as pd

        file = io.BytesIO(content)
        if parquet:
            frame = pd.read_parquet(file)
        else:
            frame = pd.read_excel(file, header=None, dtype=object)
    except ImportError as error:
        missing = error.name if error.name == "pandas" else f"pandas and {engine}"
        raise CommandError(
            f"to read {title}, a file of {kind}, install {missing}: {INSTALL}"
        ) from None
    except Exception as error:
        raise CommandError(f"{title} is not a file of {kind}: {error}") from None
    rows = [[_cell(value) for value in row] for row in _values(frame)]
    return ([str(name) for name in frame.columns] if parquet else None), rows


def _is_archive(content: bytes) -> bool:
    """Whether it is a zip file of something else than sheets."""
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except zipfile.BadZipFile:
        return False
    return "[Content_Types].xml" not in names


def is_frame(content: bytes) -> bool:
    """Whether it is for pandas to read."""
    return content.startswith((_PARQUET, *_EXCEL))


def check_named_type(path: str, content: bytes, title: str) -> None:
    """Refuse what is named as a file of Excel or Parquet, and is neither."""
    ending = path.lower().rpartition(".")[2]
    kind = _ENDINGS.get(ending)
    if kind is not None and not is_frame(content):
        raise CommandError(
            f"{title} cannot be read as a file of {kind}: it does not begin as one"
        )


def check_kind(path: str, title: str) -> None:
    """Refuse what is named as a file of a kind that is not read."""
    if path.lower().rpartition(".")[2] in _NOT_READ:
        raise CommandError(
            f"{title} cannot be read: tables are files of CSV, Parquet or Excel"
        )


def _values(frame: Any) -> Any:
    columns = [frame.iloc[:, j].tolist() for j in range(frame.shape[1])]
    return zip(*columns, strict=True)


def _cell(value: Any) -> str:
    """Return a value as text, in full precision; what is missing is empty."""
    text = str(value).strip()
    return "" if text in ("None", "nan", "NaT", "<NA>") else text
