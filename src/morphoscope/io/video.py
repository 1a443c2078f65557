"""Videos (MP4, AVI, MOV and what else FFmpeg reads) through PyAV: exact frames in any order, and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image


@dataclass(frozen=True)
class _Index:
    """Where frames are. `times` are their presentation times in display order, None where the container has no true ones."""

    times: tuple[int, ...] | None
    keys: tuple[int, ...]
    stated: int
    good: int

    def key_before(self, frame: int) -> int:
        return self.keys[max(int(np.searchsorted(self.keys, frame, side="right")) - 1, 0)]


class VideoFrames(Reader):
    """Grey frames of a video: 8-bit, or 16-bit where more than 8 bits are stored; black is 0 and white the dtype's highest.

    All packets are listed once at opening, so the number of frames is exact and any frame can be had by decoding from the
    keyframe before it. Reading in order never seeks. The playback rate is not taken for the frame interval.

    Raises:
        InputError: the file is missing or is not a video.
        TruncatedError: it holds no frame that can be read.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._single: _Decoder | None = None
        with _open(self.path) as container:
            stream = container.streams.video[0]
            pixels = stream.codec_context.format
            if pixels is None or not stream.width or not stream.height:
                raise InputError(f"{path}: the video's size or pixel format is not stated; convert it to H.264 in MP4")
            bits, rate = pixels.components[0].bits, stream.average_rate
            self._index = _list_packets(container, stream)
        if not self._index.good:
            raise TruncatedError(f"{path}: no frame can be read, the file is cut short or damaged; copy it again from its source")
        self.shape = (stream.height, stream.width)
        self.dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        notes = [f"plays at {float(rate):g} frames/s; that is no frame interval of the experiment"] if rate else []
        if 8 < bits < 16:
            notes.append(f"{bits}-bit grey values are scaled to 16 bits")
        if self._index.good < self._index.stated:
            notes.append(f"ends early: {self._index.good} of {self._index.stated} frames can be read")
        self.notes = tuple(notes)

    def __repr__(self) -> str:
        return f"VideoFrames({str(self.path)!r})"

    def __len__(self) -> int:
        return self._index.stated

    def name(self, index: int) -> str:
        """The video's file name."""
        return self.path.name

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        if self._single is not None:
            self._single.close()
            self._single = None

    def _read(self, index: int) -> Image:
        if self._single is None:
            self._single = _Decoder(self.path, self._index, self.dtype)
        return self._single.read(index)

    @contextmanager
    def _sequence(self) -> Iterator[Callable[[int], Image]]:
        decoder = _Decoder(self.path, self._index, self.dtype)
        try:
            yield decoder.read
        finally:
            decoder.close()


class _Decoder:
    """A container with a position in it; decodes on, or from a keyframe where that is nearer."""

    def __init__(self, path: Path, index: _Index, dtype: np.dtype[Any]) -> None:
        self._path, self._index, self._format = path, index, "gray" if dtype == np.uint8 else "gray16le"
        self._container: Any = _open(path)
        self._stream: Any = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._numbers = {time: k for k, time in enumerate(index.times or ())}
        self._frames = self._container.decode(self._stream)
        self._next = 0
        self._last: tuple[int, Image] | None = None

    def close(self) -> None:
        self._frames.close()
        self._container.close()

    def read(self, index: int) -> Image:
        if self._last is not None and self._last[0] == index:
            return self._last[1].copy()
        if index >= self._index.good:
            stated, good = self._index.stated, self._index.good
            raise TruncatedError(f"{self._path} ends early: it should hold {stated} frames, {good} can be read.", good)
        key = self._index.key_before(index)
        if index < self._next or key > self._next:
            self._seek(key)
        number, frame = self._advance(index)
        if number > index and key:  # the seek came down behind the frame
            self._seek(0)
            number, frame = self._advance(index)
        if number != index:
            raise self._damaged(index)
        image = np.ascontiguousarray(frame.to_ndarray(format=self._format))
        self._last = (index, image)
        return image.copy()

    def _seek(self, key: int) -> None:
        self._frames.close()
        try:
            if key and self._index.times is not None:
                self._container.seek(self._index.times[key], stream=self._stream)
            else:
                self._restart()
        except av.FFmpegError:  # no index to seek by
            self._restart()
            key = 0
        self._frames = self._container.decode(self._stream)
        self._next = key

    def _restart(self) -> None:
        """Go to the start, which some containers cannot seek to."""
        self._container.close()
        self._container = _open(self._path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def _advance(self, index: int) -> tuple[int, av.VideoFrame]:
        """The first frame from here on with a number of at least `index`."""
        try:
            for frame in self._frames:
                number = self._next if self._index.times is None else self._numbers.get(frame.pts, -1)
                if number < 0:
                    continue
                self._next = number + 1
                if number >= index:
                    if frame.is_corrupt:
                        raise self._damaged(number)
                    return number, frame
        except av.FFmpegError as error:
            raise self._damaged(index) from error
        raise self._damaged(index)

    def _damaged(self, index: int) -> TruncatedError:
        self._next = self._index.stated + 1  # the decoder's state is unknown: the next read seeks
        return TruncatedError(f"{self._path}: frame {index} is damaged and cannot be decoded.", index)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"wanted a video file, there is no {path}")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} cannot be opened as a video: {_reason(path, error)}") from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{path} holds no video stream")
    return container


def _reason(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        start = file.read(12)
    if not start:
        return "the file is empty"
    if start[4:8] in (b"ftyp", b"mdat", b"moov", b"wide"):
        return (
            "its index, which MP4 and MOV files mostly have at the end, is missing or damaged. The file was cut short (a broken "
            "copy or recording): copy it again, or repair it with a tool that rebuilds the index"
        )
    return str(getattr(error, "strerror", None) or error)


def _list_packets(container: Any, stream: Any) -> _Index:
    """List the packets up to the first that is damaged."""
    times: list[tuple[int | None, int | None, bool]] = []
    unseen, broken, limit = 0, False, None
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                unseen += packet.pts is not None or packet.is_discard
            elif packet.is_corrupt:
                broken, limit = True, packet.dts
                break
            else:
                times.append((packet.pts, packet.dts, packet.is_keyframe))
    except av.FFmpegError:
        broken = True
    found = len(times)
    stated = max((stream.frames or 0) - unseen, found + broken)
    ordered = sorted(pts for pts, _, _ in times if pts is not None)
    reordered = not all(key for _, _, key in times)
    if (container.format.name == "avi" and reordered) or len(set(ordered)) < found:
        # time stamps of AVI are guesses where frames may be reordered: frames are counted from the start
        return _Index(None, (0,), stated, found)
    rank = {time: k for k, time in enumerate(ordered)}
    keys = tuple(sorted(rank[pts] for pts, _, key in times if key and pts is not None)) or (0,)
    good = found
    if found < stated:  # a missing packet is shown after the time it would be decoded at: frames before that are all there
        last = times[-1][1] if times else None
        limit = limit if limit is not None else last
        good = found if limit is None else min(found, sum(time < limit for time in ordered) + (limit == last))
    return _Index(tuple(ordered), keys, stated, good)


class VideoWriter:
    """Writes 8-bit RGB frames of one size as H.264 (yuv420p, plays everywhere); use it as a context manager.

    Args:
        path: the file; its suffix names the container (.mp4, .mov, .avi, .mkv).
        rate: frames per second at playback.
        quality: constant rate factor, 0 (lossless, huge) to 51; 20 looks the same as the source.
    """

    def __init__(self, path: str | Path, *, rate: float = 15.0, quality: int = 20) -> None:
        self._path = Path(path)
        self._rate, self._quality = Fraction(rate).limit_denominator(1000), quality
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Append a frame (height, width, 3), uint8. Odd heights and widths are padded by a row or column at the end."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"wanted an RGB frame (height, width, 3) of uint8, got {rgb.shape} of {rgb.dtype}")
        if self._container is None:
            self._start(rgb.shape)
        if rgb.shape != self._shape:
            raise ValueError(f"all frames of a video have one size: wanted {self._shape}, got {rgb.shape}")
        odd = ((0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0))
        even = np.pad(rgb, odd, mode="edge") if rgb.shape[0] % 2 or rgb.shape[1] % 2 else np.ascontiguousarray(rgb)
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

    def close(self) -> None:
        """Finish the file; a second call does nothing. Without a frame no file is made."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
        finally:
            container.close()

    def _start(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._container = av.open(str(self._path), "w")
        options = {"crf": str(self._quality), "preset": "veryfast"}
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        self._stream.height, self._stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        self._stream.pix_fmt = "yuv420p"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
