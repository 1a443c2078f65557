"""The long part of a run: decode, detect, measure and register, with a part per chunk on disk.

The calling thread decodes ahead of a few worker threads, each of which takes whole frames. A frame's rows depend on that
frame and on earlier ones fixed by its number alone, so neither the chunk size nor the timing of the threads can change them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphoscope.errors import InputError, MorphoscopeError, TruncatedError
from morphoscope.io.frames import Frames
from morphoscope.pipeline.finders import ObjectFinder
from morphoscope.pipeline.folder import Parts
from morphoscope.pipeline.register import UNMOVED, Registration, Row
from morphoscope.pipeline.stages import Image, Plan
from morphoscope.pipeline.views import Views
from morphoscope.schema import OBJECTS, SHAPES, conform

BLOCK_BYTES, BLOCK_FRAMES = 16_000_000, 8
WORKERS = 2
AHEAD = 2  # frames decoded for each worker beside the one it works on
Progress = Callable[[int, int], None]


class Clock:
    """Seconds of work in each stage, summed over the threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Chunks:
    """The analysed frame numbers, cut into chunks."""

    numbers: range
    size: int

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.size)

    def frames(self, chunk: int) -> range:
        """Frame numbers of a chunk."""
        return self.numbers[chunk * self.size : (chunk + 1) * self.size]


class _Rows(NamedTuple):
    number: int
    objects: pd.DataFrame
    shift: Row
    own: dict[str, Any]


@dataclass
class Job:
    """One input on its way to parts; `workers` frames at once, of which the model takes one unless `parallel_model`.

    The label image of each frame is written beside the parts, where objects have masks.
    Of independent pictures (those with `views`) each has a plan of its own, and those that are damaged or do not fit are passed
    over and noted in `skipped`; a series ends there.
    """

    frames: Frames
    finder: ObjectFinder
    plan: Plan
    chunks: Chunks
    parts: Parts
    register: bool = True
    workers: int = WORKERS
    parallel_model: bool = False
    progress: Progress | None = None
    views: Views | None = None
    clock: Clock = field(default_factory=Clock)
    skipped: dict[int, MorphoscopeError] = field(default_factory=dict)
    _model_lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> TruncatedError | None:
        """Make all chunks that are not on disk yet; the error of an input that ended early, after its good frames."""
        done = 0
        missing: list[int] = []
        for chunk in range(len(self.chunks)):
            frames = self.chunks.frames(chunk)
            if self.parts.has_all(chunk, frames):
                done += len(frames)
            else:
                missing.append(chunk)
        self._tell(done)
        for first, last in _spans(missing):
            wanted = self.chunks.numbers[first * self.chunks.size : (last + 1) * self.chunks.size]
            ended = self._run_span(wanted, done)
            done += len(wanted)
            if ended is not None:
                return ended
        return None

    def _run_span(self, wanted: range, done: int) -> TruncatedError | None:
        region = self.plan.region
        registration = Registration((region.y1 - region.y0, region.x1 - region.x0), self.chunks.numbers)
        pending: deque[Future[_Rows | None]] = deque()
        writer = _Writer(self)
        ended: TruncatedError | None = None
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for number in registration.needed_before(wanted) if self.register else ():
                    registration.add(number, self.plan.crop(self._read(number)))
                for number, image in self._decode(wanted):
                    registered = registration.add(number, self.plan.crop(image)) if self.register else None
                    pending.append(pool.submit(self._work, number, image, registered))
                    while len(pending) > self.workers * (1 + AHEAD):
                        self._tell(done + writer.add(pending.popleft().result()))
            except TruncatedError as error:
                ended = error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            while pending:
                self._tell(done + writer.add(pending.popleft().result()))
        writer.flush()
        return ended

    def _decode(self, numbers: range) -> Iterator[tuple[int, Image]]:
        if self.views is not None:
            yield from self._decode_singly(numbers)
            return
        height, width = self.frames.shape
        size = max(1, min(BLOCK_FRAMES, BLOCK_BYTES // (height * width * self.frames.dtype.itemsize)))
        blocks = self.frames.blocks(numbers[0], numbers[-1] + 1, size)
        while True:
            with self.clock.stage("read"):
                block = next(blocks, None)
            if block is None:
                return
            first, images = block
            for number, image in enumerate(images, first):
                if number in numbers:
                    self._check(number, image)
                    yield number, image

    def _check(self, number: int, image: Image) -> None:
        """Make sure that a frame of a series can be used: it ends before one that cannot."""
        if image.dtype.kind != "f":
            return
        finite = np.isfinite(self.plan.crop(image))
        if self.finder.masks and not self.register:
            finite |= ~self.plan.valid_mask()
        if not finite.all():
            raise TruncatedError(f"frame {number} of {self.frames.name(number)} holds grey values that are not finite numbers.")

    def _decode_singly(self, numbers: range) -> Iterator[tuple[int, Image]]:
        for number in numbers:
            try:
                image = self._read(number)
            except TruncatedError as error:
                self.skipped[number] = error
            else:
                yield number, image

    def _read(self, number: int) -> Image:
        with self.clock.stage("read"):
            return self.frames[number]

    def _work(self, number: int, image: Image, registered: Callable[[], Row] | None) -> _Rows | None:
        if self.views is not None:
            return self._work_alone(number, image, self.views)
        objects, own = self._objects_of(number, image, self.plan)
        if registered is None:
            return _Rows(number, objects, UNMOVED, own)
        with self.clock.stage("register"):
            return _Rows(number, objects, registered(), own)

    def _work_alone(self, number: int, image: Image, views: Views) -> _Rows | None:
        """The rows of a picture that belongs to no other; None for one that cannot be used."""
        try:
            with self.clock.stage("scale"):
                plan = views.plan(number, image)
            objects, own = self._objects_of(number, image, plan)
            return _Rows(number, objects, UNMOVED, own | views.row(number, plan))
        except MorphoscopeError as error:
            self.skipped[number] = InputError(f"{self.frames.name(number)}: {error}")
            return None

    def _objects_of(self, number: int, image: Image, plan: Plan) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The objects of a frame, and what its row says beside its displacement."""
        with nullcontext() if self.parallel_model else self._model_lock, self.clock.stage("detect"):
            found = self.finder.find(number, image, plan)
        with self.clock.stage("measure"):
            measured = self.finder.measure(image, found, plan)
        if measured.labels is not None:
            with self.clock.stage("write masks"):
                self.parts.write_mask(number, measured.labels, plan.region, (image.shape[0], image.shape[1]))
        return measured.objects, {"magnified": np.nan if measured.magnified is None else measured.magnified}

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, len(self.chunks.numbers))


class _Writer:
    """Collects frames in order and writes a chunk when its last frame has come."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._rows: list[_Rows] = []
        self._added = 0

    def add(self, rows: _Rows | None) -> int:
        """Take the next frame, or none where it could not be used; the number taken so far."""
        self._added += 1
        if rows is None:
            return self._added
        if self._rows and self._chunk(rows) != self._chunk(self._rows[0]):
            self.flush()
        self._rows.append(rows)
        if len(self._rows) == self._job.chunks.size:
            self.flush()
        return self._added

    def _chunk(self, rows: _Rows) -> int:
        return self._job.chunks.numbers.index(rows.number) // self._job.chunks.size

    def flush(self) -> None:
        """Write what was collected."""
        if not self._rows:
            return
        with self._job.clock.stage("write parts"):
            self._job.parts.write(self._chunk(self._rows[0]), self._objects(), self._frames())
        self._rows = []

    def _objects(self) -> pd.DataFrame:
        name = self._job.frames.name
        tables = [r.objects.assign(frame=r.number, file=name(r.number)) for r in self._rows]
        filled = [table for table in tables if len(table)] or tables[:1]
        return conform(pd.concat(filled, ignore_index=True), OBJECTS | SHAPES)

    def _frames(self) -> pd.DataFrame:
        numbers = [r.number for r in self._rows]
        shifts = pd.DataFrame([{**r.shift, **r.own} for r in self._rows])
        return shifts.assign(frame=numbers, file=[self._job.frames.name(n) for n in numbers])


def _spans(chunks: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken stretch."""
    spans: list[tuple[int, int]] = []
    for chunk in chunks:
        if spans and chunk == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], chunk)
        else:
            spans.append((chunk, chunk))
    return spans
