"""Opening a project file: told apart from other files, migrated, read-only where it must be, its errors in plain words.

The file keeps SQLite's rollback journal. Write-ahead logging is faster but needs memory shared by all its users, which
network shares do not offer, and labs keep such files there. Nothing here opens the file other than through SQLite:
closing any other handle of it would drop the locks this process holds on it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from morphoscope.errors import InputError, UsageError
from morphoscope.project.migrations import APPLICATION_ID, VERSION, migrate, version_of

BUSY_S = 60.0


class Opened(NamedTuple):
    """A connection in autocommit mode, and why nothing can be written through it ('' where it can)."""

    connection: sqlite3.Connection
    readonly: str


def connect(path: Path, *, create: bool, readonly: bool) -> Opened:
    """Open or create a project file of the present version.

    Raises:
        InputError: the file is missing and `create` is false, is no project, damaged, or of a newer version.
    """
    if not path.exists() and (readonly or not create):
        raise InputError(f"there is no project {path}")
    if not path.parent.is_dir():
        raise InputError(f"cannot create the project {path}: there is no folder {path.parent}")
    if path.exists():
        _refuse_others(path)
    reason = "it was opened that way" if readonly else _unwritable(path)
    with reported(path):
        connection = _connection(path, "ro" if reason else "rwc")
        try:
            return Opened(_up_to_date(connection, path, bool(reason)), reason)
        except BaseException:
            connection.close()
            raise


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into those of this package, with the file's name and what to do."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" in str(error):
            raise UsageError(f"the project {path} is closed; open it again") from error
        raise
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the low byte is the kind of error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise UsageError(
                f"another program has kept the project {path} locked for {BUSY_S:.0f} s; nothing was written, try again"
            ) from error
        if code == sqlite3.SQLITE_READONLY:
            raise UsageError(f"the project {path} can only be read here: {error}; nothing was written") from error
        raise InputError(f"cannot use the project {path}: {error}") from error
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise InputError(f"cannot use the project {path}, it may be damaged: {error}; a backup may lie beside it") from error


def _connection(path: Path, mode: str, extra: str = "") -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}{extra}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _refuse_others(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} is no file; a project is one SQLite file")
    if path.stat().st_size == 0:
        return
    try:
        with closing(_connection(path, "ro", "&immutable=1")) as probe:
            found = int(probe.execute("PRAGMA application_id").fetchone()[0])
    except sqlite3.Error as error:
        raise InputError(f"{path} is no morphoscope project ({error}); it was left as it is") from error
    if found != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file of another application (id {found:#x}); it was left as it is")


def _unwritable(path: Path) -> str:
    if path.exists() and not os.access(path, os.W_OK):
        return "the file is write-protected"
    return "" if os.access(path.parent, os.W_OK) else f"the folder {path.parent} is write-protected"


def _up_to_date(connection: sqlite3.Connection, path: Path, readonly: bool) -> sqlite3.Connection:
    version = version_of(connection)
    if version > VERSION:
        raise InputError(
            f"the project {path} has version {version}, this morphoscope knows versions up to {VERSION}; "
            "update morphoscope to open it"
        )
    if version == VERSION:
        return connection
    if readonly:
        return _migrated_copy(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)  # another process may have migrated it since
        if 0 < version < VERSION:
            _back_up(path, version)
        if version < VERSION:
            migrate(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return connection


def _migrated_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.backup(copy)
    connection.close()
    migrate(copy)
    return copy


def _back_up(path: Path, version: int) -> None:
    """A copy as `NAME.vN.backup` beside the file (`NAME.vN.2.backup`, ... where that exists), taken under the write lock."""
    names = (f"{path.name}.v{version}{'' if k == 1 else f'.{k}'}.backup" for k in range(1, 1_000_000))
    target = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    with closing(_connection(path, "ro")) as source, closing(sqlite3.connect(part)) as copy:
        source.backup(copy)
    os.replace(part, target)
