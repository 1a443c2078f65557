"""The long part of a run of `classify`: files read ahead in threads, a part per chunk of files on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from morphoscope.errors import MorphoscopeError
from morphoscope.io.films import FilmFile
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.models.runtime import available_cores
from morphoscope.pipeline.classify_images import ImageClassifier, Looker, Shot
from morphoscope.pipeline.image_inputs import FileHashes
from morphoscope.pipeline.image_parts import SAID, Row, failed_row, part_paths, reason_of, run_parts, tell, wanted_frames
from morphoscope.pipeline.stream import Clock, Progress
from morphoscope.recipe import Recipe

PARTS = "answers"
FEATURES = "features"  # column of the parts: float16 of each image, as bytes
READERS, AHEAD = 4, 8  # threads that read, and files that may be ready before their turn
AT_ONCE = 8  # images that the model is given at once


@dataclass
class ClassifyJob:
    """Files on their way to parts: chunk `i` is `answers-<i>.parquet`."""

    files: Sequence[FilmFile]
    classifier: ImageClassifier
    recipe: Recipe
    output: Path
    progress: Progress | None = None
    chunk: int = 64
    clock: Clock = field(default_factory=Clock)
    hashes: FileHashes = field(default_factory=FileHashes)

    def __post_init__(self) -> None:
        self.looker = Looker(self.files, self.classifier, self.recipe, Sidecars())

    def run(self) -> pd.DataFrame:
        """Classify all files that have not been, see `image_parts.run_parts`; the rows without features."""
        return run_parts(self, PARTS, self._rows, "classified", read=_without_features)

    def features(self, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """Features (n, d) of the rows of these numbers, which rise; memory for these and one part."""
        found, first = [], 0
        for path in part_paths(self, PARTS):
            count = pq.read_metadata(path).num_rows
            inside = wanted[(wanted >= first) & (wanted < first + count)] - first
            if len(inside):
                column = pd.read_parquet(path, columns=[FEATURES])[FEATURES].iloc[inside]
                found += [np.frombuffer(packed, np.float16).astype(np.float32) for packed in column]
            first += count
        return np.stack(found) if found else np.zeros((0, 0), np.float32)

    def _rows(self, numbers: range) -> Iterator[Row]:
        for shots in _batches(self._shots(numbers), AT_ONCE):
            yield from self._answered(shots)
            tell(self, shots[-1].number)

    def _answered(self, shots: Sequence[Shot]) -> list[Row]:
        """A row per image, and one for each that could not be read."""
        prepared = [shot.prepared for shot in shots if shot.prepared is not None]
        with self.clock.stage("classify"):
            found = self.classifier.answers(prepared) if prepared else None
        rows, k = [], 0
        for shot in shots:
            file = self.files[shot.number]
            if shot.prepared is None or found is None:
                rows.append(failed_row(file, shot.error))
                continue
            chances = {f"prob_{one}": float(p) for one, p in zip(self.classifier.card.classes, found.probability[k], strict=True)}
            packed = found.features[k].astype(np.float16).tobytes()
            row: Row = {"file": file.name, **shot.facts, **chances}
            rows.append(row | {"foreign": float(found.foreign[k]), FEATURES: packed, SAID: shot.said})
            k += 1
        return rows

    def _shots(self, numbers: range) -> Iterator[Shot]:
        """All images of files in order, read ahead; a damaged stack ends with one that says why."""
        with ThreadPoolExecutor(min(READERS, available_cores())) as pool:
            waiting: deque[Future[Shot | None]] = deque()
            left = iter(numbers)
            waiting.extend(pool.submit(self._single, number) for number in islice(left, AHEAD))
            for number in numbers:
                shot = waiting.popleft().result()
                waiting.extend(pool.submit(self._single, following) for following in islice(left, 1))
                if shot is not None:
                    yield shot
                else:
                    yield from self._frames(number)

    def _single(self, number: int) -> Shot | None:
        """The image of a file that holds one; None for a stack."""
        with self.clock.stage("read, in threads"):
            try:
                with self.looker.open(number) as film:
                    if film.count > 1:
                        return None
                    return self.looker.look(number, film, 0, self.hashes.of(self.files[number].path))
            except (MorphoscopeError, OSError) as error:
                return Shot(number, error=reason_of(error))

    def _frames(self, number: int) -> Iterator[Shot]:
        """The images of a stack or video, one after the other until one is damaged."""
        try:
            with self.looker.open(number) as film:
                digest = self.hashes.of(self.files[number].path)
                for frame in wanted_frames(film, self.recipe):
                    with self.clock.stage("read, in threads"):
                        shot = self.looker.look(number, film, frame, digest)
                    yield shot
                    if shot.error:
                        return
        except (MorphoscopeError, OSError) as error:
            yield Shot(number, error=reason_of(error))


def _batches(shots: Iterable[Shot], size: int) -> Iterator[list[Shot]]:
    left = iter(shots)
    while batch := list(islice(left, size)):
        yield batch


def _without_features(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path, columns=[name for name in pq.read_schema(path).names if name != FEATURES])
