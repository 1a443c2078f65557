"""What a person moved in a sorted folder since its images were filed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from morphoscope.errors import UsageError
from morphoscope.pipeline.classify_results import ACCEPT, REVIEW
from morphoscope.pipeline.sorting import Filed, Manifest, places_of, read_manifest
from morphoscope.project.places import sha256_of


@dataclass(frozen=True)
class Found:
    """A file of a sorted folder: where it lies, what its folder says, and what it was filed as (None: it is new there).

    `copied`: what was filed lies where it was, or was moved elsewhere; this is one more of the same content.
    """

    path: Path
    sha256: str
    decision: str
    label: str | None
    was: Filed | None
    copied: bool = False

    @property
    def moved(self) -> bool:
        """Whether its folder says something else than what was decided."""
        return self.was is None or self.decision != self.was.decision or self.label not in (None, self.was.label)

    @property
    def silent(self) -> bool:
        """Whether it is new there and says nothing: one more copy in the same folder, or a new image without a category."""
        return self.decision != ACCEPT if self.was is None else self.copied and not self.moved


def find_sorted(folder: Path) -> list[Found]:
    """All images of a sorted folder as they lie now: a file that is not where it was filed is known by its content.

    Raises:
        InputError: it has no manifest, or a file cannot be read.
        UsageError: an image lies directly in accept or review, where its folder is to be its category.
    """
    manifest = read_manifest(folder)
    classes = {name: one for one, name in manifest.folders.items()}
    read = list[tuple[str, str, str | None, str]]()
    for place in places_of(folder):
        if not (folder / place).exists():
            continue
        decision, *below = PurePosixPath(place).parts
        label = None
        if decision in (ACCEPT, REVIEW):
            if len(below) < 2:
                raise UsageError(f"{folder / place} lies in no category; move it into a folder of {folder / decision}")
            label = classes.get(below[0], below[0])
        read.append((place, decision, label, sha256_of(folder / place)))
    was = _matched({place: digest for place, _, _, digest in read}, manifest.files)
    by_content = {one.sha256: one for one in manifest.files}
    return [
        Found(folder / place, digest, decision, label, was.get(place, by_content.get(digest)), copied=place not in was)
        for place, decision, label, digest in read
    ]


def lost_links(folder: Path) -> list[str]:
    """Links of a sorted folder that were moved and whose image is not there: what they say cannot be known."""
    filed = {one.place for one in read_manifest(folder).files}
    return [place for place in places_of(folder) if place not in filed and not (folder / place).exists()]


def _matched(digests: Mapping[str, str], filed: Sequence[Filed]) -> dict[str, Filed]:
    """What files, content by place, were filed as: those in place first, then others of their content, of their name first."""
    known = {one.place: one for one in filed}
    matched = {place: known[place] for place, digest in digests.items() if place in known and known[place].sha256 == digest}
    left = dict[str, list[Filed]]()
    for one in filed:
        if one.place not in matched:
            left.setdefault(one.sha256, []).append(one)
    moved = [place for place, digest in digests.items() if place not in matched and digest in left]
    for same_name in (True, False):
        for place in moved:
            among = [one for one in left[digests[place]] if not same_name or _name(one.place) == _name(place)]
            if place not in matched and among:
                matched[place] = among[0]
                left[digests[place]].remove(among[0])
    return matched


def _name(place: str) -> str:
    return PurePosixPath(place).name


def settle(folder: Path, found: Sequence[Found], versions: Mapping[str, tuple[int, ...]]) -> None:
    """Write down where images lie now, so that they count as read back.

    `versions`, by SHA-256, are those of a person's word on the frames of images that were read back. Others stay as they are;
    what is new and says nothing is known from now on.
    """
    manifest = read_manifest(folder)
    now = [one for one in found if one.sha256 in versions or one.silent]
    entries = {one.place: one for one in manifest.files}
    for one in now:
        if one.was is not None and not one.copied:
            del entries[one.was.place]
    for one in now:
        place = one.path.relative_to(folder).as_posix()
        was = one.was or Filed(place, one.sha256, os.path.abspath(one.path), one.decision, one.label or "")
        label = was.label if one.label is None else one.label
        entries[place] = replace(was, place=place, decision=one.decision, label=label, seen=versions.get(one.sha256, was.seen))
    Manifest(manifest.folders, tuple(entries.values())).write(folder)
