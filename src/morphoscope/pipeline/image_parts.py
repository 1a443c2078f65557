"""Files of independent images on their way to rows: their frames, parts on disk for each chunk of files, what cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from morphoscope.errors import InputError, MorphoscopeError
from morphoscope.io.films import Film, FilmFile
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.tables import read_table, write_table
from morphoscope.pipeline.folder import remove_run
from morphoscope.pipeline.stream import Clock, Progress
from morphoscope.recipe import Recipe

SAID = "own_warnings"  # columns that parts have and the tables of a run have not
ERROR = "error"
LISTED = 10
CHECKED = 3  # files whose scale is compared with a scale bar in the picture, which takes its time

Row = dict[str, Any]


class ImageJob(Protocol):
    """A run over files of independent images, of which `chunk` files make a part."""

    chunk: int

    @property
    def files(self) -> Sequence[FilmFile]:
        """All of them."""
        ...

    @property
    def recipe(self) -> Recipe:
        """The settings."""
        ...

    @property
    def output(self) -> Path:
        """The run folder."""
        ...

    @property
    def progress(self) -> Progress | None:
        """Called with (files done, files in all)."""
        ...

    @property
    def clock(self) -> Clock:
        """Seconds of each stage."""
        ...


def run_parts(
    job: ImageJob,
    name: str,
    rows_of: Callable[[range], Iterable[Row]],
    done: str,
    *,
    read: Callable[[Path], pd.DataFrame] = read_table,
) -> pd.DataFrame:
    """Make the parts that are missing; the rows of all, those of files that cannot be used with `ERROR`.

    Args:
        job: the run.
        name: of the parts: chunk `i` is `<name>-<i>.parquet`.
        rows_of: gives the rows of files by their numbers; `SAID` holds what is to be said of an image.
        done: what was to be done with the files, such as `scored`.
        read: reads a part.

    Raises:
        InputError: no file could be used; the folder is left as it was.
    """
    paths = part_paths(job, name)
    for i, path in enumerate(paths):
        numbers = range(i * job.chunk, min((i + 1) * job.chunk, len(job.files)))
        if not path.is_file():
            rows = list(rows_of(numbers))
            with job.clock.stage("write parts"):
                write_table(path, _as_part(rows))
        tell(job, numbers.stop)
    table = pd.concat([read(path) for path in paths], ignore_index=True)
    if table[ERROR].notna().all():
        _give_up(job, table, done)
    return table


def part_paths(job: ImageJob, name: str) -> list[Path]:
    """The parts of a run, one for each chunk of files."""
    return [job.output / "parts" / f"{name}-{i:06d}.parquet" for i in range(-(-len(job.files) // job.chunk))]


def tell(job: ImageJob, done: int) -> None:
    """Say how many files are done."""
    if job.progress is not None:
        job.progress(done, len(job.files))


def _as_part(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame([{**row, SAID: json.dumps(row.get(SAID, ())), ERROR: row.get(ERROR)} for row in rows])


def _give_up(job: ImageJob, table: pd.DataFrame, done: str) -> None:
    remove_run(job.output)
    if not any(job.output.iterdir()):
        job.output.rmdir()
    reasons = [one["reason"] for one in failures(table)]
    more = f"\n  and {len(reasons) - LISTED} more" if len(reasons) > LISTED else ""
    listed = "\n".join(f"  {reason}" for reason in reasons[:LISTED])
    raise InputError(f"none of the {len(job.files)} files could be {done}:\n{listed}{more}")


def open_film(file: FilmFile, recipe: Recipe, sidecars: Sidecars) -> Film:
    """A file, opened as the recipe says."""
    return Film(file.path, recipe.frames.part, recipe.frames.channel, sidecars)


def wanted_frames(film: Film, recipe: Recipe) -> range:
    """The frames of a stack that the recipe wants; the one image of another file.

    Raises:
        InputError: a stack has none of them.
    """
    wanted = recipe.frames
    if film.count == 1:
        return range(1)
    found = range(wanted.start, min(wanted.stop or film.count, film.count), wanted.step)
    if not found:
        raise InputError(f"it has {film.count} frames, none of them from {wanted.start} on is wanted")
    return found


def frame_and_time(film: Film, frame: int, recipe: Recipe) -> Row:
    """Number and time of an image of a stack: by the interval that was given, else as the file states; nothing of one image."""
    if film.count == 1:
        return {}
    interval, times = recipe.calibrate(film.calibration).frame_interval_s, film.times_s
    if times is not None and recipe.calibration.frame_interval_s is None:
        return {"frame": frame, "time_s": times[frame]}
    return {"frame": frame, "time_s": None if interval is None else frame * interval}


def reason_of(error: MorphoscopeError | OSError) -> str:
    """Why a file cannot be used."""
    return str(error) if isinstance(error, MorphoscopeError) else error.strerror or str(error)


def failed_row(file: FilmFile, why: str) -> Row:
    """The row of a file that cannot be used."""
    return {"file": file.name, ERROR: why if file.path.name in why else f"{file.name}: {why}"}


def failures(rows: pd.DataFrame) -> list[dict[str, str]]:
    """`file` and `reason` of what could not be used."""
    wrong = rows[rows[ERROR].notna()]
    return [{"file": str(file), "reason": str(error)} for file, error in zip(wrong["file"], wrong[ERROR], strict=True)]


def good_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of images that could be used."""
    return rows[rows[ERROR].isna()].reset_index(drop=True)


def said_of_images(rows: pd.DataFrame, *, but: Collection[str] = ()) -> list[str]:
    """What is said of single images, each sentence once, with the first image it is about; rows are those of `good_rows`."""
    found: dict[str, list[str]] = {}
    for file, texts in zip(rows["file"], rows[SAID], strict=True):
        for text in dict.fromkeys(json.loads(texts)):
            if text not in but:
                found.setdefault(text, []).append(str(file))
    return [f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}: {text}" for text, files in found.items()]
