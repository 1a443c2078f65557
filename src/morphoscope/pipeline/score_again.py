"""A finished run of `score` told against another table of conditions: its scores stay, what follows from both is made again."""

from __future__ import annotations

from typing import Any

import pandas as pd

from morphoscope.errors import UsageError
from morphoscope.io.conditions import Conditions
from morphoscope.pipeline.folder import Run, write_json
from morphoscope.pipeline.image_parts import ERROR, SAID
from morphoscope.pipeline.provenance import text_hash
from morphoscope.recipe import Recipe

AFTER = ("conditions", "time", "x", "y")  # of [score]: what scores are told against
FOLLOWS = (
    *("trends.csv", "response.csv", "next.csv"),
    *(f"figures/{name}.{ending}" for name in ("time_series", "response_surface") for ending in ("png", "svg")),
)


def conditions_facts(told: tuple[Conditions, list[str]] | None) -> dict[str, Any] | None:
    """What run.json says of the conditions: where they came from, what they hold, what was said of them."""
    if told is None:
        return None
    own, said = told
    return {"source": own.source, "columns": own.names, "sha256": text_hash(own.table.to_csv(index=False)), "said": said}


def told_before(run: Run, recipe: Recipe) -> Recipe:
    """A recipe, but for what the scores of a run were told against: that of the run."""
    old = run.info["recipe"]["score"]
    score = recipe.score.model_copy(update={name: old[name] for name in AFTER})
    return recipe.model_copy(update={"score": score})


def told_alike(run: Run, told: tuple[Conditions, list[str]], recipe: Recipe) -> bool:
    """Whether the scores of a run were told against these conditions, by the same columns."""
    old, new = run.info["conditions"] or {}, conditions_facts(told) or {}
    return old.get("sha256") == new["sha256"] and recipe == told_before(run, recipe)


def refuse_half_told(run: Run) -> Run:
    """A finished run, if it was not broken off while it was told against other conditions.

    Raises:
        UsageError: it was.
    """
    old = run.info["conditions"]
    if old is not None and old["sha256"] is None:
        raise UsageError(
            f"{run.path} was broken off while told against conditions ({', '.join(old['columns'])}): give --conditions again"
        )
    return run


def forget(run: Run, told: tuple[Conditions, list[str]]) -> tuple[pd.DataFrame, list[str]]:
    """Take what followed from conditions out of a finished run; the rows its parts had, and what was said of its images.

    From here on run.json names the new conditions beside the old, and no hash of either: after a kill they are told again.

    Raises:
        UsageError: the old conditions stood in for times that are in no file any more.
    """
    old = run.info.get("conditions") or {"source": told[0].source, "columns": [], "said": []}
    if "frame" in run.scores and "time_s" in old["columns"]:
        raise UsageError(
            f"{run.path}: the conditions of this run had a column time_s, which took the place of the stacks' own times; "
            "--overwrite scores them again"
        )
    columns = list(dict.fromkeys([*old["columns"], *told[0].names]))
    failed = pd.DataFrame([{"file": one["file"], ERROR: one["reason"]} for one in run.info["failed"]], columns=["file", ERROR])
    good = run.scores.drop(columns=columns, errors="ignore").assign(**{ERROR: None, SAID: "[]"})
    known = {f"Left out: {reason}" for reason in failed[ERROR]} | set(old.get("said", ()))
    write_json(run.path / "run.json", {**run.info, "conditions": {**old, "columns": columns, "sha256": None}})
    for name in FOLLOWS:
        (run.path / name).unlink(missing_ok=True)
    figures = run.path / "figures"
    if figures.is_dir() and not any(figures.iterdir()):
        figures.rmdir()
    rows = pd.concat([good, failed.assign(**{SAID: "[]"})], ignore_index=True) if len(failed) else good
    return rows, [line for line in run.warnings if line not in known]
