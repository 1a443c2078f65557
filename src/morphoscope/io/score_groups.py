"""Groups of labelled images in a `groups.csv` beside them: images of one sample are never split between learning and testing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from morphoscope.errors import InputError
from morphoscope.io.score_data import ScoreData

GROUPS = "groups.csv"


def with_groups(data: ScoreData, root: Path) -> ScoreData:
    """The data with the groups that `groups.csv` in their folder gives, if there is one; else as they are.

    Its columns are `file`, relative to the folder (of marked images also to `image/`), and `group`. Images that it does not list
    are groups of their own, and the notes say so.

    Raises:
        InputError: it cannot be read, names a file twice or one that is not there, or the labels have groups already.
    """
    path = root / GROUPS
    if not path.is_file():
        return data
    if any(one.group != one.name for one in data.examples):
        raise InputError(f"there are groups in the labels and in {path}; keep one of the two")
    group = _read(path)
    names = {one.name for one in data.examples}
    known = {name if name in names else name.removeprefix("image/"): name for name in group}
    strange = [name for name in known.values() if name not in names and not (root / name).is_file()]
    if strange:
        raise InputError(f"{path} lists {len(strange)} files that are not among the labelled images, the first {strange[0]}")
    found = tuple(replace(one, group=group[known[one.name]]) if one.name in known else one for one in data.examples)
    alone = sum(one.name not in known for one in data.examples)
    note = (f"{alone} images are not in {GROUPS}: each is a group of its own",) if alone else ()
    return replace(data, examples=found, notes=(*data.notes, *note))


def _read(path: Path) -> dict[str, str]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the groups {path}: {error}") from error
    table.columns = [str(name).strip() for name in table.columns]
    if not {"file", "group"} <= set(table.columns):
        raise InputError(f"wanted the columns file and group in {path}, got {', '.join(table.columns)}")
    files, groups = (table[name].str.strip() for name in ("file", "group"))
    empty = (files == "") | (groups == "")
    if empty.any():
        raise InputError(f"wanted a file and a group in each row of {path}, line {int(empty.to_numpy().argmax()) + 2} lacks one")
    if files.duplicated().any():
        raise InputError(f"{path} lists {files[files.duplicated()].iloc[0]} more than once; keep one row for each image")
    return dict(zip(files, groups, strict=True))
