"""What a person moved in a sorted folder since its images were filed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from morphoscope.errors import UsageError
from morphoscope.pipeline.classify_results import ACCEPT, REVIEW
from morphoscope.pipeline.sorting import Filed, Manifest, places_of, read_manifest
from morphoscope.project.places import sha256_of


@dataclass(frozen=True)
class Found:
    """A file of a sorted folder: where it lies, what its folder says, and what it was filed as (None: it is new there)."""

    path: Path
    sha256: str
    decision: str
    label: str | None
    was: Filed | None

    @property
    def moved(self) -> bool:
        """Whether its folder says something else than what was decided."""
        return self.was is None or self.decision != self.was.decision or self.label not in (None, self.was.label)


def find_sorted(folder: Path) -> list[Found]:
    """All images of a sorted folder as they lie now; known by their content.

    Raises:
        InputError: it has no manifest, or a file cannot be read.
        UsageError: an image lies directly in accept or review, where its folder is to be its category.
    """
    manifest = read_manifest(folder)
    classes = {name: one for one, name in manifest.folders.items()}
    by_place, by_content = {one.place: one for one in manifest.files}, {one.sha256: one for one in manifest.files}
    found = []
    for place in places_of(folder):
        decision, *below = PurePosixPath(place).parts
        label = None
        if decision in (ACCEPT, REVIEW):
            if len(below) < 2:
                raise UsageError(f"{folder / place} lies in no category; move it into a folder of {folder / decision}")
            label = classes.get(below[0], below[0])
        digest = sha256_of(folder / place)
        was = by_place.get(place)
        if was is None or was.sha256 != digest:
            was = by_content.get(digest)
        found.append(Found(folder / place, digest, decision, label, was))
    return found


def settle(folder: Path, found: Sequence[Found], versions: Mapping[str, tuple[int, ...]]) -> None:
    """Write down where images lie now, so that they count as read back.

    `versions`, by SHA-256, are those of a person's word on the frames of images that were read back; others stay as they are.
    """
    manifest = read_manifest(folder)
    now = {one.sha256: one for one in found if one.sha256 in versions}
    kept = [one for one in manifest.files if one.sha256 not in now]
    for one in now.values():
        place = one.path.relative_to(folder).as_posix()
        was = one.was or Filed(place, one.sha256, str(one.path), one.decision, one.label or "")
        label = was.label if one.label is None else one.label
        kept.append(replace(was, place=place, decision=one.decision, label=label, seen=versions[one.sha256]))
    Manifest(manifest.folders, tuple(kept)).write(folder)
