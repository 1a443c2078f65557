"""The long part of a run: decode, detect, measure and register, overlapping in three threads, a part per chunk on disk.

A reader thread decodes ahead into a bounded queue, the calling thread runs the model, a worker thread measures and
registers. Each frame's rows depend on that frame and its predecessor alone, so neither the chunk size nor the timing of
the threads can change them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import NamedTuple

import pandas as pd

from morphoscope.errors import TruncatedError
from morphoscope.io.frames import Frames
from morphoscope.pipeline.folder import Parts
from morphoscope.pipeline.stages import Finder, Image, Plan, detect_frame, measure_frame
from morphoscope.schema import OBJECTS, conform
from morphoscope.track.drift import Registrar

BLOCK_BYTES = 16_000_000
AHEAD = 3  # blocks the reader may be ahead, and twice that many frames the worker may lag
Progress = Callable[[int, int], None]


class Clock:
    """Seconds spent in each stage. A stage belongs to one thread, so no lock is needed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
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
    shift: tuple[float, float, float, bool]


@dataclass
class Job:
    """One input on its way to parts."""

    frames: Frames
    detector: Finder
    plan: Plan
    chunks: Chunks
    parts: Parts
    register: bool = True
    progress: Progress | None = None
    clock: Clock = field(default_factory=Clock)

    def run(self) -> TruncatedError | None:
        """Make all chunks that are not on disk yet; the error of an input that ended early, after its good frames."""
        done = 0
        missing: list[int] = []
        for chunk in range(len(self.chunks)):
            if self.parts.has(chunk):
                done += len(self.chunks.frames(chunk))
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
        before = wanted.start - self.chunks.numbers.step
        lead = self.register and before in self.chunks.numbers
        source = range(before, wanted.stop, wanted.step) if lead else wanted
        registrar = Registrar((self.plan.region.y1 - self.plan.region.y0, self.plan.region.x1 - self.plan.region.x0))
        previous: Image | None = None
        pending: deque[Future[_Rows]] = deque()
        writer = _Writer(self, wanted)
        with _Reader(self.frames, source, self.clock) as reader, ThreadPoolExecutor(1) as pool:
            try:
                for number, image in reader:
                    if number not in wanted:
                        previous = image
                        continue
                    with self.clock.stage("detect"):
                        found = detect_frame(image, self.detector, self.plan)
                    last = previous if self.register else None
                    pending.append(pool.submit(self._finish_frame, number, image, last, found, registrar))
                    previous = image
                    while len(pending) > 2 * AHEAD:
                        self._tell(done + writer.add(pending.popleft().result()))
            except TruncatedError as error:
                self._drain(pending, writer, done)
                writer.flush()
                return error
            except BaseException:
                for future in pending:
                    future.cancel()
                raise
            self._drain(pending, writer, done)
        return None

    def _drain(self, pending: deque[Future[_Rows]], writer: _Writer, done: int) -> None:
        while pending:
            self._tell(done + writer.add(pending.popleft().result()))

    def _finish_frame(
        self, number: int, image: Image, previous: Image | None, found: pd.DataFrame, registrar: Registrar
    ) -> _Rows:
        with self.clock.stage("measure"):
            objects = measure_frame(image, found, self.plan)
        if previous is None:
            return _Rows(number, objects, (0.0, 0.0, 1.0, False))
        with self.clock.stage("register"):
            shift = registrar.shift(self.plan.crop(previous), self.plan.crop(image))
        return _Rows(number, objects, (float(shift.dx), float(shift.dy), float(shift.quality), bool(shift.jump)))

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, len(self.chunks.numbers))


class _Writer:
    """Collects frames in order and writes a chunk when its last frame has come."""

    def __init__(self, job: Job, wanted: range) -> None:
        self._job, self._wanted = job, wanted
        self._rows: list[_Rows] = []
        self._added = 0

    def add(self, rows: _Rows) -> int:
        """Take the next frame; the number taken so far."""
        self._rows.append(rows)
        self._added += 1
        if len(self._rows) == self._job.chunks.size or rows.number == self._wanted[-1]:
            self.flush()
        return self._added

    def flush(self) -> None:
        """Write what was collected."""
        if not self._rows:
            return
        with self._job.clock.stage("write parts"):
            chunk = self._job.chunks.numbers.index(self._rows[0].number) // self._job.chunks.size
            self._job.parts.write(chunk, self._objects(), self._frames())
        self._rows = []

    def _objects(self) -> pd.DataFrame:
        name = self._job.frames.name
        tables = [r.objects.assign(frame=r.number, file=name(r.number)) for r in self._rows]
        filled = [table for table in tables if len(table)] or tables[:1]
        return conform(pd.concat(filled, ignore_index=True), OBJECTS)

    def _frames(self) -> pd.DataFrame:
        numbers = [r.number for r in self._rows]
        shifts = pd.DataFrame([r.shift for r in self._rows], columns=["dx", "dy", "quality", "jump"])
        return shifts.assign(frame=numbers, file=[self._job.frames.name(n) for n in numbers])


class _Reader:
    """Decodes frames ahead in a thread; iterate over (number, image)."""

    def __init__(self, frames: Frames, numbers: range, clock: Clock) -> None:
        self._frames, self._numbers, self._clock = frames, numbers, clock
        self._queue: Queue[tuple[int, Image] | BaseException | None] = Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        while True:
            item = self._next()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            first, block = item
            for i, image in enumerate(block):
                if first + i in self._numbers:
                    yield first + i, image

    def _next(self) -> tuple[int, Image] | BaseException | None:
        while True:  # a wait without a time limit could not be interrupted on all platforms
            try:
                return self._queue.get(timeout=0.5)
            except Empty:
                continue

    def _read(self) -> None:
        height, width = self._frames.shape
        size = max(1, min(8, BLOCK_BYTES // (height * width * self._frames.dtype.itemsize)))
        blocks = self._frames.blocks(self._numbers[0], self._numbers[-1] + 1, size)
        try:
            while not self._stop.is_set():
                with self._clock.stage("read"):
                    block = next(blocks, None)
                self._put(block)
                if block is None:
                    return
        except BaseException as error:  # handed to the thread that waits for frames
            self._put(error)
        finally:
            close = getattr(blocks, "close", None)
            if close is not None:
                close()

    def _put(self, item: tuple[int, Image] | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=0.5)
            except Full:
                continue


def _spans(chunks: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken stretch."""
    spans: list[tuple[int, int]] = []
    for chunk in chunks:
        if spans and chunk == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], chunk)
        else:
            spans.append((chunk, chunk))
    return spans
