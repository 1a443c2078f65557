"""Images filed into folders by decision and category.

`sorted/accept/CLASS`, `sorted/review/CLASS`, `sorted/foreign` and `sorted/reject` hold the images of a run, as copies or links.
`sorted/manifest.json` says where each was put, so that moving a file is a correction that can be read back.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from morphoscope.errors import InputError, RunExistsError
from morphoscope.io.films import FilmFile
from morphoscope.pipeline.class_project import Key, Said
from morphoscope.pipeline.classify_results import ACCEPT, DECISIONS, FOREIGN, REJECT, REVIEW

FOLDER, MANIFEST = "sorted", "manifest.json"
UNFIT = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
VERSION = 1


@dataclass(frozen=True)
class Filed:
    """An image as it was filed: `place` below the folder, where it came from, what was decided of it."""

    place: str
    sha256: str
    source: str
    decision: str
    label: str
    frames: tuple[int, ...] = (0,)
    seen: tuple[int, ...] = (0,)  # versions of a person's word on each frame when it was filed, 0 for none


@dataclass(frozen=True)
class Manifest:
    """All that was filed, and the folder of each category."""

    folders: dict[str, str]
    files: tuple[Filed, ...]

    def write(self, folder: Path) -> None:
        """Write it into a sorted folder in one step."""
        values = {"version": VERSION, "folders": self.folders, "files": [asdict(one) for one in self.files]}
        part = folder / f".{MANIFEST}.part"
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a sorted folder.

    Raises:
        InputError: there is none, it is damaged, or of a newer version.
    """
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = int(values["version"])
        if version > VERSION:
            raise InputError(f"{path} has version {version}, this morphoscope knows {VERSION}; update morphoscope to read it")
        files = tuple(Filed(**{**one, "frames": tuple(one["frames"]), "seen": tuple(one["seen"])}) for one in values["files"])
        return Manifest(dict(values["folders"]), files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read {path}, by which moved images are found: {error}") from error


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """A folder's name for each category: its own, without signs that file systems refuse; different for different ones."""
    names: dict[str, str] = {}
    for one in classes:
        plain = UNFIT.sub("_", one).strip(" .") or "_"
        taken = {name.lower() for name in names.values()}
        tried = (plain if k == 1 else f"{plain} {k}" for k in range(1, len(classes) + 2))
        names[one] = next(name for name in tried if name.lower() not in taken)
    return names


def sort_images(
    images: pd.DataFrame,
    files: Sequence[FilmFile],
    output: Path,
    classes: Sequence[str],
    *,
    how: Literal["copy", "link"],
    said: Mapping[Key, Said],
) -> list[str]:
    """File the images of a run below `output`/sorted; what is to be said of it.

    A stack is one file: it is filed where all its frames belong, else under review with the category of most of them. Files of
    one name from several folders get the folder's name in front. What `remove_sorted` kept stays where it is.

    Raises:
        OSError: the disk is full, or links are not possible there.
    """
    folder = output / FOLDER
    names = folder_names([*dict.fromkeys([*classes, *images["label"].dropna()])])
    for below in (*(f"{first}/{name}" for first in (ACCEPT, REVIEW) for name in names.values()), FOREIGN, REJECT):
        (folder / below).mkdir(parents=True, exist_ok=True)
    paths = {one.name: one.path for one in files}
    called = _file_names(list(dict.fromkeys(images["file"])))
    kept = read_manifest(folder).files if (folder / MANIFEST).is_file() else ()
    filed, sources, mixed = list[Filed](), list[Path](), 0
    for file, rows in images.groupby("file", sort=False):
        decision, label, several = _of_file(rows)
        mixed += several
        folders = PurePosixPath(decision, *([names[label]] if decision in (ACCEPT, REVIEW) else []))
        place = _free(folder, folders / called[str(file)])
        source = paths[str(file)]
        sources.append(source)
        frames = tuple(int(n) for n in rows["frame"]) if "frame" in rows else (0,)
        digest = str(rows["sha256"].iloc[0])
        seen = tuple(said[digest, k].version if (digest, k) in said else 0 for k in frames)
        filed.append(Filed(str(place), digest, str(source), decision, label, frames, seen))
    Manifest(names, (*kept, *filed)).write(folder)  # first, so that what a kill leaves is known as a run's
    for one, source in zip(filed, sources, strict=True):
        _put(source, folder / one.place, how)
    return [f"{mixed} stacks hold images of several kinds: they are filed under {REVIEW}."] if mixed else []


def _of_file(rows: pd.DataFrame) -> tuple[str, str, bool]:
    """Decision and category of a file by its images, and whether these differ."""
    kinds = Counter(zip(rows["decision"], rows["label"], strict=True))
    (decision, label), _ = kinds.most_common(1)[0]
    return (decision, label, False) if len(kinds) == 1 else (REVIEW, Counter(rows["label"]).most_common(1)[0][0], True)


def _file_names(files: Sequence[str]) -> dict[str, str]:
    """What each file is called in a flat folder: its own name, where several share it with the folders before it."""
    shared = Counter(PurePosixPath(file).name.lower() for file in files)
    return {
        file: UNFIT.sub("_", "__".join(path.parts) if shared[path.name.lower()] > 1 else path.name)
        for file, path in ((file, PurePosixPath(file)) for file in files)
    }


def _free(folder: Path, place: PurePosixPath) -> PurePosixPath:
    """The place, or one beside it where a file that is not a run's has that name."""
    tried = (place.with_stem(f"{place.stem} {k}") if k > 1 else place for k in count(1))
    return next(one for one in tried if not os.path.lexists(folder / one))


def _put(source: Path, target: Path, how: Literal["copy", "link"]) -> None:
    if how == "copy":
        part = target.with_name(f".{target.name}.part")
        shutil.copy2(source, part)
        os.replace(part, target)
        return
    target.symlink_to(source.resolve())  # a whole path, so that the link may be moved to a folder of another depth


def refuse_moved(output: Path) -> None:
    """Make sure that nothing is lost when the sorted images of a run are replaced.

    Raises:
        RunExistsError: a person has moved some that were not read back.
    """
    folder = output / FOLDER
    if not (folder / MANIFEST).is_file():
        if folder.exists() and any(folder.iterdir()):
            raise RunExistsError(f"{folder} is there and no run has written it; move it, or choose another -o")
        return
    known = {one.place for one in read_manifest(folder).files}
    moved = [place for place in places_of(folder) if place not in known]
    if moved:
        raise RunExistsError(
            f"{folder} holds {len(moved)} images that were moved there by hand, such as {moved[0]}: read them back first "
            "(`morphoscope labels take`), or move the folder away"
        )


def remove_sorted(output: Path) -> None:
    """Remove the sorted images of a run, where they were put; others stay, and so does what is not a run's.

    A file that lies nowhere else stays and is still known: somebody put it there, or the image it was copied from is gone.
    """
    folder = output / FOLDER
    if not (folder / MANIFEST).is_file():
        return
    manifest, kept = read_manifest(folder), list[Filed]()
    for one in manifest.files:
        path, source = folder / one.place, Path(one.source)
        if path.is_symlink() or (source.is_file() and path.is_file() and not path.samefile(source)):
            path.unlink()
        elif path.is_file():
            kept.append(one)
    if kept:
        Manifest(manifest.folders, tuple(kept)).write(folder)
    else:
        (folder / MANIFEST).unlink()
    for name, _, _ in os.walk(folder, topdown=False):
        if not any(Path(name).iterdir()):
            Path(name).rmdir()


def places_of(folder: Path) -> Iterator[str]:
    """Where images lie in a sorted folder, links whose image is gone among them."""
    for first in DECISIONS:
        for path in sorted((folder / first).rglob("*")):
            if (path.is_file() or path.is_symlink()) and not path.name.startswith("."):
                yield path.relative_to(folder).as_posix()
