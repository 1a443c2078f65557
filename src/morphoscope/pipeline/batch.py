"""A run over several inputs: a run each in subfolders, those that fail listed and skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from morphoscope.errors import InputError, MorphoscopeError, PartialError, RunExistsError, UsageError
from morphoscope.pipeline.folder import Run, refuse_other_kind, refuse_strangers, remove_run, write_json
from morphoscope.pipeline.provenance import now, versions
from morphoscope.report.page import box, page, table, text

RunOne = Callable[[Path, Path], Run]


def analyze_many(paths: Sequence[Path], output: Path, one: RunOne, *, overwrite: bool, resume: bool) -> Run:
    """Analyse each input into its own subfolder of `output`; a bad one does not stop the others.

    Raises:
        InputError: all inputs are bad.
        UsageError: the settings fit no input, or the folder is in use.
    """
    folders = _subfolders(paths)
    _claim(output, overwrite=overwrite, resume=resume)
    runs: dict[str, Run] = {}
    failed: list[tuple[Path, MorphoscopeError]] = []
    for path, name in zip(paths, folders, strict=True):
        try:
            runs[name] = one(path, output / name)
        except MorphoscopeError as error:
            failed.append((path, error))
        except PermissionError as error:
            failed.append((path, InputError(f"{error.strerror}: {error.filename}")))
    if not runs:
        listed = "\n".join(f"  {path}: {error}" for path, error in failed)
        kind = UsageError if all(isinstance(error, UsageError) for _, error in failed) else InputError
        raise kind(f"none of the {len(paths)} inputs could be analysed:\n{listed}")
    info = _summary(runs, failed, dict(zip(folders, paths, strict=True)))
    write_json(output / "run.json", info)  # first, as it says that the others are a run's
    _write_index(output, runs, info)
    return Run(output)


def _subfolders(paths: Sequence[Path]) -> list[str]:
    """A folder name for each input: its stem, numbered where two are the same."""
    names: list[str] = []
    for path in paths:
        stem = path.resolve().stem or "input"
        name, count = stem, 2
        while name.lower() in {n.lower() for n in names}:
            name, count = f"{stem}-{count}", count + 1
        names.append(name)
    return names


def _claim(output: Path, *, overwrite: bool, resume: bool) -> None:
    refuse_strangers(output)
    if overwrite:
        remove_run(output)
    elif resume:
        refuse_other_kind(output, several=True)
    elif output.is_dir() and any(output.iterdir()):
        raise RunExistsError(f"{output} is not empty; --overwrite replaces the run in it, --resume goes on, another -o keeps it")
    output.mkdir(parents=True, exist_ok=True)


def _summary(runs: dict[str, Run], failed: list[tuple[Path, MorphoscopeError]], paths: dict[str, Path]) -> dict[str, Any]:
    warnings = [f"{path} could not be analysed: {error}" for path, error in failed]
    warnings += [f"{name}: {warning}" for name, run in runs.items() for warning in run.warnings]
    partial = bool(failed) or any(run.exit_code for run in runs.values())
    return {
        "created": now(),
        "runs": list(runs),
        "inputs": [{"path": str(paths[name].resolve()), "folder": name} for name in runs],
        "failed": [{"path": str(path), "reason": str(error)} for path, error in failed],
        "versions": versions(),
        "warnings": warnings,
        "exit_code": PartialError.exit_code if partial else 0,
    }


def _write_index(output: Path, runs: dict[str, Run], info: dict[str, Any]) -> None:
    rows = [{"run": name, **run.info["counts"]} for name, run in runs.items()]
    pd.DataFrame(rows).to_csv(output / "runs.csv", index=False)
    counts = list(dict.fromkeys(name for row in rows for name in row if name != "run"))  # runs may count different things
    cells = [
        [f'<a href="{text(quote(str(row["run"])))}/report.html">{text(row["run"])}</a>', *(text(row.get(c, "")) for c in counts)]
        for row in rows
    ]
    body = f"<header><h1>{len(runs)} runs</h1></header>{box('warn', 'Read this before using the numbers', info['warnings'])}"
    body += table(["run", *counts], cells, numeric=tuple(range(1, len(counts) + 1)))
    (output / "report.html").write_text(page(f"{len(runs)} runs", body), encoding="utf-8")
