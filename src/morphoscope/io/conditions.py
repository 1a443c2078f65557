"""Tables of conditions: what each film was made of, how and when, to be told beside its scores."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from morphoscope.errors import InputError

FILE_NAMES = ("file", "filename", "file name", "file_name", "image", "path")
SEPARATORS = ("\t", ";", ",")
WANTED = "wanted a column `file` and at least one condition, such as file,time,ratio,anneal"
LISTED = 3


@dataclass(frozen=True)
class Conditions:
    """Conditions of files: `table` has `file`, maybe `frame` (of a stack or video), then the conditions, numbers as numbers."""

    table: pd.DataFrame
    source: str

    @property
    def names(self) -> list[str]:
        """The conditions."""
        return [str(name) for name in self.table.columns if name not in ("file", "frame")]


def read_conditions(source: str | Path | pd.DataFrame, *, taken: Collection[str] = ()) -> Conditions:
    """A table of conditions: CSV, TSV, what Excel exports (semicolons, decimal commas, UTF-16), or a DataFrame.

    Args:
        source: with a column `file` (names, or paths relative to the pictures' folder) and further ones.
        taken: names that conditions must not have.

    Raises:
        InputError: it cannot be read, has no column `file` or no other one, a line without a file, or a name that is taken.
    """
    table = source.copy() if isinstance(source, pd.DataFrame) else _read(Path(source))
    said = "the table of conditions" if isinstance(source, pd.DataFrame) else str(source)
    table.columns = [str(name).strip() for name in table.columns]
    table = table[[name for name in table.columns if name and not name.startswith("Unnamed:")]].dropna(how="all")
    doubled = sorted({name for name in table.columns if list(table.columns).count(name) > 1})
    file = next((name for known in FILE_NAMES for name in table.columns if name.lower() == known), None)
    if file is None or doubled or len(table.columns) < 2 or table.empty:
        what = f"twice the column {doubled[0]}" if doubled else f"{len(table)} lines of {', '.join(table.columns) or 'nothing'}"
        raise InputError(f"{said}: {WANTED}; got {what}")
    table = table.rename(columns={file: "file"})
    clash = [name for name in table.columns if name != "file" and name in taken]
    if clash:
        raise InputError(f"{said}: scores have columns {', '.join(clash)} of their own; give these conditions other names")
    empty = table["file"].isna() | (table["file"].astype("str").str.strip() == "")
    if empty.any():
        raise InputError(f"{said}: line {int(np.flatnonzero(empty)[0]) + 2} names no file")
    table = table.assign(file=table["file"].astype("str").str.strip()).reset_index(drop=True)
    others = [name for name in table.columns if name not in ("file", "frame")]
    return Conditions(table[["file", *(["frame"] if "frame" in table else []), *others]], said)


def _read(path: Path) -> pd.DataFrame:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the conditions {path}: {error.strerror}") from error
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InputError(f"{path} is a workbook, wanted a table as text: save it from Excel as CSV")
    text = _text(raw)
    head = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=head.count)
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype="str", skipinitialspace=True, skip_blank_lines=True)
    except ValueError as error:  # the parser's own errors are among them
        raise InputError(f"cannot read the conditions {path}: {error}; {WANTED}") from error
    return table.apply(lambda column: _numbers(column, commas=separator != ","))


def _text(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # letters of Windows
        return raw.decode("latin-1")


def _numbers(column: pd.Series, *, commas: bool) -> pd.Series:
    """Texts as numbers where all of them are, also with decimal commas."""
    plain = column.str.strip()
    for texts in (plain, plain.str.replace(",", ".", regex=False) if commas else plain):
        found = pd.to_numeric(texts, errors="coerce")
        if (found.notna() | plain.isna() | (plain == "")).all() and found.notna().any():
            return found
    return plain


def matched(conditions: Conditions, files: Sequence[str]) -> tuple[Conditions, list[str]]:
    """The lines that are about these files, with the files' own names, and what is to be said of others.

    A line names a file by its path, by the end of its path, or by either without the suffix; letters' case does not count.

    Args:
        conditions: as read.
        files: names in the input's folder, forward slashes.

    Raises:
        InputError: no line fits, one fits several files, or two are about the same.
    """
    known = _Names(files)
    found = [known.find(str(name), conditions.source) for name in conditions.table["file"]]
    table = conditions.table.assign(file=pd.Series(found, dtype="object")).dropna(subset="file")
    if table.empty:
        raise InputError(
            f"no line of {conditions.source} ({_listed(conditions.table['file'].tolist())}) names a file of the input "
            f"({_listed(list(files))}); give names, or paths relative to the input's folder"
        )
    keys = ["file", "frame"] if "frame" in table else ["file"]
    if table.duplicated(keys).any():
        raise InputError(
            f"{conditions.source} has two lines for {table.loc[table.duplicated(keys), 'file'].iloc[0]}; one is wanted"
        )
    without = [file for file in files if file not in set(table["file"])]
    strange = [str(name) for name, file in zip(conditions.table["file"], found, strict=True) if file is None]
    said = []
    if without:
        said.append(f"{len(without)} of {len(files)} files have no line in {conditions.source}: {_listed(without)}.")
    if strange:
        said.append(f"{len(strange)} lines of {conditions.source} name no file of the input: {_listed(strange)}.")
    return replace(conditions, table=table.astype({"file": "str"}).reset_index(drop=True)), said


class _Names:
    """Files by the names that a table may call them."""

    def __init__(self, files: Sequence[str]) -> None:
        self._exact = set(files)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in files:
            last = PurePosixPath(file.casefold())
            self._by_name.setdefault(last.name, []).append(file)
            self._by_stem.setdefault(last.stem, []).append(file)

    def find(self, name: str, source: str) -> str | None:
        path = PurePosixPath(name.replace("\\", "/").removeprefix("./"))
        if path.as_posix() in self._exact:
            return path.as_posix()
        last = path.name.casefold()
        for candidates in (self._by_name.get(last), self._by_stem.get(last), self._by_stem.get(PurePosixPath(last).stem)):
            fit = [file for file in candidates or () if _same_folders(path, PurePosixPath(file))]
            if len(fit) > 1:
                raise InputError(f"{source}: {name} fits several files ({_listed(fit)}); give their paths in the input's folder")
            if fit:
                return fit[0]
        return None


def _same_folders(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Whether two paths agree in the folders that both have, from the last one on."""
    pairs = zip(reversed(one.parts[:-1]), reversed(other.parts[:-1]), strict=False)
    return all(a.casefold() == b.casefold() for a, b in pairs)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:LISTED])) + (" and so on" if len(names) > LISTED else "")
