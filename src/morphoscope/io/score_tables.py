"""Tables of labelled images: `file,label[,group]`, or `file`, scores per class and maybe `group`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from morphoscope.errors import InputError, UsageError
from morphoscope.io.score_data import LEVELS, Answer, Array, ScoreData, ScoreExample, one_hot, settled

OWN = ("file", "label", "group")


def holds_boxes(path: Path) -> bool:
    """Whether a CSV lists boxes (it has a column `x0`) or has no column `file`."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        names = [name.strip() for name in file.readline().split(",")]
    return "x0" in names or "file" not in names


def read_score_table(path: Path, answer: str) -> ScoreData:
    """See `read_score_data`; images that are not there are skipped.

    Raises:
        InputError: no column of labels; an image twice; a label that is empty, no number or outside the scale.
        UsageError: as `read_score_data`.
    """
    table = _table(path)
    scores = [name for name in table.columns if name not in OWN]
    if "label" in table.columns:
        labels = table["label"].tolist()
        _refuse(path, "a label", [k for k, label in enumerate(labels) if label == ""], labels)
        classes = tuple(sorted(set(labels)))
        kind = settled(answer, "exclusive", ("exclusive", "multi-label"), "a column of labels")
        targets, notes = one_hot(labels, classes), tuple(f"the column {name} is not used" for name in scores)
    elif scores:
        classes = tuple(scores)
        targets, kind, notes = _scores(path, table[scores], answer)
    else:
        raise InputError(f"wanted a column `label` or columns of scores beside `file` in {path}, got {', '.join(table.columns)}")
    groups = table["group"] if "group" in table.columns else pd.Series([""] * len(table))
    rows = zip(table["file"], groups, targets, strict=True)
    examples = [ScoreExample(file, group or file, target, path.parent / file) for file, group, target in rows]
    there = tuple(one for one in examples if one.path is not None and one.path.is_file())
    found = {id(one) for one in there}
    absent = tuple(f"{one.name}: there is no such file in {path.parent}" for one in examples if id(one) not in found)
    return ScoreData(path.stem if path.stem != "labels" else path.parent.name, classes, kind, there, absent, notes)


def _table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the table {path}: {error}") from error
    table.columns = [str(name).strip() for name in table.columns]
    table = pd.DataFrame({name: table[name].str.strip() for name in table.columns})
    if table.empty:
        raise InputError(f"the table {path} has no row; wanted one per image")
    _refuse(path, "a file", [k for k, file in enumerate(table["file"]) if not file], table["file"].tolist())
    twice = table["file"][table["file"].duplicated()]
    if len(twice):
        raise InputError(f"{path} lists {len(twice)} images more than once, the first {twice.iloc[0]}; keep one row for each")
    return table


def _scores(path: Path, table: pd.DataFrame, answer: str) -> tuple[Array, Answer, tuple[str, ...]]:
    """Targets (n, k) 0 to 1, and what they are.

    Scores above 1 are levels 0 to 10, and learnt as such; one between two levels, such as 3.5 or the mean of several people, is
    taught as that (`train.score_loop.loss_of`) and makes shares of none. Scores up to 1 are shares, unless levels are asked for.
    """
    values = table.apply(lambda column: pd.to_numeric(column, errors="coerce")).to_numpy(float)
    wrong = ~((values >= 0) & (values <= LEVELS))
    if wrong.any():
        name = table.columns[int(np.nonzero(wrong)[1][0])]
        rows = np.flatnonzero(wrong.any(axis=1)).tolist()
        _refuse(path, f"a score 0 to 1, or 0 to {LEVELS},", rows, table[name].tolist(), column=str(name))
    between = values[values != np.rint(values)]
    above = bool(values.max() > 1)
    kind = settled(answer, "ordinal" if above else "multi-label", ("multi-label", "ordinal"), "columns of scores")
    if kind == "ordinal" and not above and len(between):
        raise UsageError(
            f"{path} holds scores of 0 to 1 such as {between[0]:g}, which are shares; ordinal labels are the levels 0 to {LEVELS}"
        )
    levels, notes = above or kind == "ordinal", tuple[str, ...]()
    if levels:
        notes = (f"scores up to {values.max():g} are taken for levels of 0 to {LEVELS}",)
        if len(between) and kind == "ordinal":
            said = (
                f"{len(between)} of {values.size} scores lie between two levels, such as {between[0]:g}, and are taught as that"
            )
            notes += (f'{said}; as shares of {LEVELS}, set train.answer = "multi-label"',)
    elif not len(between):
        notes = (f'scores of 0 and 1 only are taken for nothing and all; of levels 0 to {LEVELS}, set train.answer = "ordinal"',)
    return (values / (LEVELS if levels else 1)).astype(np.float32), kind, notes


def _refuse(path: Path, wanted: str, rows: list[int], values: list[str], *, column: str = "") -> None:
    if rows:
        where = f" in the column {column}" if column else ""
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise InputError(f"wanted {wanted} in each row of {path}, got {values[rows[0]]!r} in line {rows[0] + 2}{where}{more}")
