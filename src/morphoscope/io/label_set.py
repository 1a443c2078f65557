"""Labels of a set of images, as every label format is read into and written from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from morphoscope.errors import InputError
from morphoscope.io.shapes import Shape
from morphoscope.recipe import Region


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled object.

    `file` is the image's path relative to the label file's folder, with forward slashes; `frame` counts from 0 inside a stack
    or video. `label` is the class. What is unknown is None.
    """

    file: str
    label: str
    shape: Shape
    frame: int = 0
    object_id: str | None = None
    score: float | None = None
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a label file says of an image: size in px, number of frames, pixel size (y, x) in nm, time between frames in s.

    None where it does not say.
    """

    width: int | None = None
    height: int | None = None
    frames: int = 1
    pixel_size_nm: tuple[float, float] | None = None
    frame_interval_s: float | None = None


@dataclass(frozen=True)
class LabelSet:
    """Images, those without any object among them, their labels, and the classes in order.

    `root` is the folder that `file` is relative to. Outside `complete_region` nothing is said about what is there (None: labels
    are complete everywhere). `notes` say what the reader left out or assumed; `skipped` names records too damaged to be read,
    each with its place in the file.
    """

    images: dict[str, ImageFacts]
    labels: tuple[Label, ...] = ()
    classes: tuple[str, ...] = ()
    root: Path = field(default=Path(), compare=False)
    complete_region: Region | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    skipped: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        strangers = {label.file for label in self.labels} - set(self.images)
        if strangers:
            raise InputError(f"labels name images that are not in the set, such as {min(strangers)}")
        found = dict.fromkeys([*self.classes, *(label.label for label in self.labels)])
        object.__setattr__(self, "classes", tuple(found))

    def of(self, file: str) -> tuple[Label, ...]:
        """Labels of one image, in order."""
        return tuple(label for label in self.labels if label.file == file)

    def by_image(self) -> Iterator[tuple[str, ImageFacts, list[Label]]]:
        """Each image's name, facts and labels, images in order."""
        found: dict[str, list[Label]] = {file: [] for file in self.images}
        for label in self.labels:
            found[label.file].append(label)
        for file, facts in self.images.items():
            yield file, facts, found[file]

    def counts(self) -> dict[str, int]:
        """Number of objects of each class."""
        found = Counter(label.label for label in self.labels)
        return {name: found[name] for name in self.classes}

    def with_sizes(self) -> LabelSet:
        """A copy in which image sizes that are unknown are read from the image files.

        Raises:
            InputError: an image is not there or cannot be read, so that its size stays unknown.
        """
        facts = {file: one if one.width else _measured(self.root / file, one) for file, one in self.images.items()}
        return replace(self, images=facts)


def _measured(path: Path, facts: ImageFacts) -> ImageFacts:
    from morphoscope.io.open import open_frames

    path = path if path.is_file() else Path(os.path.normpath(path))  # a/../b also where there is no a yet
    if not path.is_file():
        raise InputError(
            f"the size of {path} is needed for this label format, and there is no such file; put the images beside it"
        )
    with open_frames(path) as frames:
        return replace(facts, width=frames.shape[1], height=frames.shape[0], frames=len(frames))
