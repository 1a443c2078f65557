"""A run again, and whether two runs are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from morphoscope.errors import InputError
from morphoscope.io.tables import table_hash
from morphoscope.pipeline.classifying import KIND as CLASSIFY
from morphoscope.pipeline.classifying import classify
from morphoscope.pipeline.folder import Run, open_run
from morphoscope.pipeline.orienting import KIND as ORIENT
from morphoscope.pipeline.orienting import orient
from morphoscope.pipeline.run import analyze
from morphoscope.pipeline.scoring import KIND as SCORE
from morphoscope.pipeline.scoring import score
from morphoscope.pipeline.stages import Finder
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, parse_recipe

TABLES = ("objects", "frames", "tracks", "quantities")
OF_KIND = {SCORE: ("scores", "quantities"), CLASSIFY: ("images", "quantities"), ORIENT: ("orientation", "quantities")}
WHERE = ("run", "frame", "object_id", "track_id", "name")


def analyze_again(
    run: Run,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    detector: Finder | None = None,
    progress: Progress | None = None,
) -> Run:
    """Analyse the inputs of a run with its recipe; the options are those of `analyze`.

    Raises:
        InputError: an input is no longer where it was, or is another file now.
    """
    source = run.runs[0] if run.runs else run
    recipe = parse_recipe(source.info["recipe"], str(source.path / "run.json"))
    paths = [Path(item["path"]) for item in run.info["inputs"]]
    for path in paths:
        if not path.exists():
            raise InputError(
                f"{path}, the input of {run.path}, is no longer there; analyse it where it is with {source.path / 'recipe.toml'}"
            )
    if source.info.get("kind") == SCORE:
        told = _conditions(source, recipe)
        again = score(paths, recipe, output, conditions=told, overwrite=overwrite, resume=resume, progress=progress)
    elif source.info.get("kind") == CLASSIFY:
        again = classify(paths, recipe, output, overwrite=overwrite, resume=resume, progress=progress)
    elif source.info.get("kind") == ORIENT:
        again = orient(paths, recipe, output, overwrite=overwrite, resume=resume, progress=progress)
    else:
        again = analyze(paths, recipe, output, overwrite=overwrite, resume=resume, detector=detector, progress=progress)
    _check_inputs(run, again)
    return again


def _conditions(run: Run, recipe: Recipe) -> pd.DataFrame | None:
    """The conditions of a run that were given as a table, from its scores; None where its recipe names a file, or without any."""
    told = run.info.get("conditions")
    if told is None or recipe.score.conditions is not None:
        return None
    keys = [name for name in ("file", "frame") if name in run.scores]
    return run.scores[keys + list(told["columns"])].dropna(subset=list(told["columns"]), how="all")


def _check_inputs(run: Run, again: Run) -> None:
    for old, new in zip(run.runs or (run,), again.runs or (again,), strict=True):
        before, now = (r.info["inputs"][0] for r in (old, new))
        if before["sha256"] != now["sha256"]:
            raise InputError(
                f"{now['path']} has changed since {old.path} was made; the new run in {new.path} is of the file as it is now"
            )


def differences(first: Run, second: Run) -> list[str]:
    """Where the tables of two runs differ, in words; empty where they are the same."""
    one, two = (str(run.info.get("kind") or "analyze") for run in (first, second))
    if one != two:
        return [f"one is a run of `{one}`, the other of `{two}`"]
    said: list[str] = []
    for name in OF_KIND.get(one, TABLES):
        before, after = getattr(first, name), getattr(second, name)
        if table_hash(before) != table_hash(after):
            said += [f"{name}: {line}" for line in _compare(before, after)]
    if said:
        said += _compare_settings(open_run(first.path), open_run(second.path))
    return said


def _compare(one: pd.DataFrame, two: pd.DataFrame) -> list[str]:
    columns = [c for c in one.columns if c in two.columns]
    only = [f"column {c} is only in the {'first' if c in one else 'second'}" for c in {*one.columns} ^ {*two.columns}]
    if len(one) != len(two):
        return [*sorted(only), f"{len(one)} rows against {len(two)}"]
    keys = [c for c in WHERE if c in columns] or [c for c in ("file",) if c in columns]
    one, two = (t.sort_values(keys, kind="stable").reset_index(drop=True) if keys else t for t in (one, two))
    said = sorted(only)
    for column in columns:
        a, b = one[column], two[column]
        differ = ~((a == b).fillna(False).to_numpy(bool) | (a.isna() & b.isna()).to_numpy(bool))
        if differ.any():
            at = int(np.flatnonzero(differ)[0])
            place = ", ".join(f"{k} {one[k][at]}" for k in keys)
            said.append(f"{column} differs in {differ.sum()} of {len(one)} rows, first at {place}: {a[at]} against {b[at]}")
    return said or ["the same values in another type or order"]


def _compare_settings(first: Run, second: Run) -> list[str]:
    said = []
    for what in ("recipe", "model", "provider", "precision", "versions", "calibration"):
        one, two = first.info.get(what), second.info.get(what)
        if one == two:
            continue
        if isinstance(one, dict) and isinstance(two, dict):
            said += [f"{what}.{k}: {one.get(k)} against {two.get(k)}" for k in {**one, **two} if one.get(k) != two.get(k)]
        else:
            said.append(f"{what}: {one} against {two}")
    return said
