"""Labelled images of a classifier: read once, seen by the backbone, copies found; what cannot be learnt is said."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.colour import read_colour
from morphoscope.io.label_formats.project import recognises
from morphoscope.io.score_data import ScoreData, read_score_data
from morphoscope.io.score_project import with_project
from morphoscope.models.image_view import standard_view
from morphoscope.models.runtime import load_session
from morphoscope.train.backbones import Backbone
from morphoscope.train.class_views import more_views, ways
from morphoscope.train.export import export_backbone

READERS = 2  # threads that read ahead
AHEAD = 8  # images
Array = NDArray[np.float32]
Progress = Callable[[str, int, float], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """An image as a network sees it (3, h, w), or why it cannot be used, and a digest of its values as stored."""

    view: Array | None
    digest: str
    error: str = ""


@dataclass(frozen=True)
class Look:
    """How a backbone looks at images: `view_px` of the shorter side; in how many more `ways` (none: by their number).

    `upright`: images have an up and a down; `keep`: what it saw is kept; `threads` that it may use, none for all.
    """

    view_px: int
    ways: int | None = None
    upright: bool = False
    keep: bool = False
    threads: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class ClassImages:
    """Labelled images that can be used, and what the backbone makes of them.

    `features` (n, d) are raw, `more` (n, v, d) those of each image seen in v other ways; `digest` names the values as stored;
    `views` (1 or 3, h, w) in half precision are kept where the network itself will learn.
    """

    data: ScoreData
    features: Array
    more: Array
    digest: tuple[str, ...]
    views: tuple[NDArray[np.float16], ...] = ()

    @property
    def targets(self) -> Array:
        """(n, k) 1 at the class of each image."""
        return np.stack([one.target for one in self.data.examples if one.target is not None])

    @property
    def truth(self) -> NDArray[np.int64]:
        """Number (n,) of the class of each image."""
        return np.asarray(self.targets.argmax(axis=1))

    @property
    def groups(self) -> list[str]:
        """The group of each image."""
        return [one.group for one in self.data.examples]

    def some(self, numbers: Sequence[int]) -> ClassImages:
        """Some of the images."""
        return ClassImages(
            replace(self.data, examples=tuple(self.data.examples[k] for k in numbers)),
            self.features[list(numbers)],
            self.more[list(numbers)],
            tuple(self.digest[k] for k in numbers),
            tuple(self.views[k] for k in numbers) if self.views else (),
        )


def silent(stage: str, step: int, loss: float) -> None:
    """A progress that is not shown."""


@dataclass(frozen=True)
class Source:
    """What a classifier learns: labelled images, those that a person labelled in a project, or both; a folder without labels."""

    data: Path | None
    project: Path | None = None
    unlabelled: Path | None = None

    @property
    def people(self) -> Path | None:
        """The project with the words of people, which may be all there is to learn."""
        if self.project is None and self.data is not None and self.data.is_file() and recognises(self.data):
            return self.data
        return self.project


def read_source(source: Source) -> ScoreData:
    """The labelled images of both; where both have an image, the project's word holds. See `read_classes` for the errors.

    Raises:
        UsageError: there is neither.
    """
    if source.data is None and source.project is None:
        raise UsageError("wanted labelled images to learn from: name them, or a project with --from-project")
    if source.data is None or source.project is None:
        return read_classes(source.data or source.project or Path())
    return with_project(read_classes(source.data), source.project)


def with_classes(data: ScoreData, wanted: Sequence[str]) -> ScoreData:
    """The images of some classes, under these names; spaces, `_`, `-` and case may differ in the data. Others are left out.

    Raises:
        InputError: a class is not in the data.
    """
    own = {_plain(name): k for k, name in enumerate(data.classes)}
    absent = [name for name in wanted if _plain(name) not in own]
    if absent:
        raise InputError(
            f"train.classes names {', '.join(absent)}, the data have {', '.join(data.classes)}; name the folders so, or change "
            "train.classes"
        )
    kept = [own[_plain(name)] for name in wanted]
    targets = [(one, one.target[kept]) for one in data.examples if one.target is not None]
    examples = tuple(replace(one, target=target) for one, target in targets if target.any())
    left = len(data.examples) - len(examples)
    notes = (f"{left} images of other categories than train.classes are not learnt",) if left else ()
    return replace(data, classes=tuple(wanted), examples=examples, notes=(*data.notes, *notes))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def read_classes(path: Path) -> ScoreData:
    """Images with one category each, in a layout of `io.score_data.read_score_data`.

    Raises:
        InputError: nothing there, no such layout, or classes marked inside images.
        UsageError: scores instead of categories.
    """
    data = read_score_data(path, answer="exclusive")
    if data.marked:
        raise InputError(f"wanted images with one category each, {path} marks classes inside images: that is for `train score`")
    return data


def look_at(data: ScoreData, backbone: Backbone, look: Look, *, progress: Progress) -> ClassImages:
    """What a backbone makes of labelled images; those that cannot be read are among `skipped` of the data.

    Args:
        data: the images.
        backbone: what sees them.
        look: how.
        progress: called with (stage, images done, nan).
    """
    used, features, more, digests, views, skipped = [], [], [], [], [], list(data.skipped)
    others, rng = ways(len(data.examples)) if look.ways is None else look.ways, np.random.default_rng(look.seed)
    with FeatureReader(backbone, threads=look.threads) as reader:
        shown = read_ahead(data.examples, lambda one: see(one.image, view_px=look.view_px))
        for k, (example, seen) in enumerate(zip(data.examples, shown, strict=True)):
            progress("images", k + 1, float("nan"))
            if seen.view is None:
                skipped.append(f"{example.name}: {seen.error}")
                continue
            used.append(example)
            features.append(reader.features(seen.view))
            changed = more_views(seen.view, others, rng, upright=look.upright)
            more.append(np.array([reader.features(one) for one in changed], np.float32).reshape(others, backbone.features))
            digests.append(seen.digest)
            if look.keep:
                views.append(compact(seen.view))
    left = replace(data, examples=tuple(used), skipped=tuple(skipped))
    if not used:
        nothing = np.zeros((0, backbone.features), np.float32)
        return ClassImages(left, nothing, nothing[:, None], ())
    return ClassImages(left, np.stack(features), np.stack(more), tuple(digests), tuple(views))


def look_at_files(
    paths: Sequence[Path], backbone: Backbone, look: Look, *, progress: Progress
) -> tuple[Array, list[str], list[str]]:
    """Features (n, d) of image files without labels, digests of their values, and why others were skipped."""
    features, digests, skipped = [], [], []
    with FeatureReader(backbone, threads=look.threads) as reader:
        shown = read_ahead(paths, lambda path: see(lambda: read_colour(path), view_px=look.view_px))
        for k, (path, seen) in enumerate(zip(paths, shown, strict=True)):
            progress("images without a label", k + 1, float("nan"))
            if seen.view is None:
                skipped.append(f"{path.name}: {seen.error}")
                continue
            digests.append(seen.digest)
            features.append(reader.features(seen.view))
    return np.stack(features) if features else np.zeros((0, backbone.features), np.float32), digests, skipped


class FeatureReader:
    """A backbone in the runtime that will run it later: quicker than where it is trained. A context manager."""

    def __init__(self, backbone: Backbone, *, threads: int | None = None) -> None:
        self._scratch = TemporaryDirectory()
        path = Path(self._scratch.name) / "backbone.onnx"
        export_backbone(backbone, path)
        self._session = load_session(path, threads=threads)

    def __enter__(self) -> FeatureReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def features(self, view: Array) -> Array:
        """Raw features (d,) of an image (3, h, w)."""
        return np.asarray(self._session.run(view[None])[0][0])


def see(read: Callable[[], NDArray[Any]], *, view_px: int) -> Seen:
    """An image as a network sees it, read here."""
    try:
        image = read()
        view = standard_view(image, view_px=view_px)
    except InputError as error:
        return Seen(None, "", str(error))
    digest = hashlib.sha1(repr((image.shape, image.dtype.str)).encode(), usedforsecurity=False)
    digest.update(np.ascontiguousarray(image).data)
    return Seen(view, digest.hexdigest())


def read_ahead(items: Sequence[T], read: Callable[[T], Seen]) -> Iterator[Seen]:
    """What `read` gives for each, in order, a few of them read ahead in threads."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[Future[Seen]] = deque()
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def compact(view: Array) -> NDArray[np.float16]:
    """A view in half precision, one channel of it where all are alike."""
    alike = bool((view[0] == view[1]).all() and (view[0] == view[2]).all())
    return (view[:1] if alike else view).astype(np.float16)
