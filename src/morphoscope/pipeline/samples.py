"""Which file belongs to which sample, as a CSV file says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from morphoscope.errors import InputError

WANTED = "wanted the columns file,sample: names in the input's folder, or patterns with *"


def name_samples(
    objects: pd.DataFrame, frames: pd.DataFrame, path: str | Path | None
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Both tables with the column `sample`, null for files that no line names; and what is to be said of these.

    Args:
        objects: with `file`.
        frames: with `file`.
        path: CSV `file,sample` (recipe `frames.samples`); None: the tables as they are.

    Raises:
        InputError: see `read_samples` and `samples_of`.
    """
    if path is None:
        return objects, frames, []
    found = samples_of(frames["file"], read_samples(path), str(path))
    unnamed = [file for file, sample in found.items() if sample is None]
    said = []
    if unnamed:
        listed = ", ".join(unnamed[:3]) + (" and so on" if len(unnamed) > 3 else "")
        said = [f"{len(unnamed)} of {len(found)} files belong to no sample of {path} and are in no comparison: {listed}."]

    def named(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(sample=table["file"].map(found).astype("str"))

    return named(objects), named(frames), said


def read_samples(path: str | Path) -> pd.DataFrame:
    """The lines `file`, `sample` of a CSV file, as texts.

    Raises:
        InputError: it cannot be read, lacks a column, or has a line without file or sample.
    """
    try:
        table = pd.read_csv(path, dtype="str", skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the samples {path} (frames.samples): {error}; {WANTED}") from error
    if not {"file", "sample"} <= set(table.columns):
        raise InputError(f"{path} (frames.samples): {WANTED}; got {','.join(map(str, table.columns))}")
    table = table[["file", "sample"]].apply(lambda column: column.str.strip())
    if table.empty or table.isna().to_numpy().any() or (table == "").to_numpy().any():
        raise InputError(f"{path} (frames.samples): every line wants a file and a sample")
    return table


def samples_of(files: pd.Series, lines: pd.DataFrame, source: str = "the samples") -> dict[str, str | None]:
    """The sample of each file: that of the line with its very name, else that of the patterns that fit it.

    Args:
        files: names in the input's folder; may come again.
        lines: `read_samples`; `*` stands for any letters.
        source: what errors call them.

    Raises:
        InputError: patterns give a file two samples, or no file has any.
    """
    rows = list(lines.itertuples(index=False, name=None))
    found: dict[str, str | None] = {}
    for file in pd.unique(files):
        named = {sample for name, sample in rows if name == file} or {sample for name, sample in rows if fnmatchcase(file, name)}
        if len(named) > 1:
            raise InputError(f"{source} puts {file} into the samples {' and '.join(sorted(named))}; a file belongs to one")
        found[file] = next(iter(named), None)
    if not any(sample is not None for sample in found.values()):
        listed = ", ".join(list(found)[:3])
        raise InputError(f"no file of the input ({listed} and so on) is named in {source}: {', '.join(lines['file'][:3])}")
    return found
