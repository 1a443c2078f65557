"""One writer for a run folder: a second run that is started there meanwhile is refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from morphoscope.errors import RunExistsError


@contextmanager
def single_writer(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, made where it is missing, for as long as this lasts; a kill frees it.

    The folder itself is locked (flock(2)), so nothing is left in it. Where the system or the disk knows no such locks, none is
    kept out.

    Raises:
        RunExistsError: another run is writing there.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunExistsError(f"another run is writing into {folder}; wait for its end, or choose another -o") from None
        except OSError:  # network disks
            pass
        yield
    finally:
        os.close(handle)
        if not there and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
