"""Tables on disk: Parquet and CSV written so that a kill never leaves half a file, and a hash that ignores row order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa

from morphoscope.errors import InputError


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write Parquet under a temporary name and put it in place; the index is not kept."""
    with replacing(path) as part:
        table.to_parquet(part, index=False, engine="pyarrow")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write CSV (UTF-8, no index, numbers that read back the same) under a temporary name and put it in place."""
    with replacing(path) as part:
        table.to_csv(part, index=False, encoding="utf-8", lineterminator="\n")


def read_table(path: str | Path) -> pd.DataFrame:
    """The table in a Parquet or, by its suffix, a CSV file.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    path = Path(path)
    reader = cast(Callable[[Path], pd.DataFrame], pd.read_csv if path.suffix.lower() == ".csv" else pd.read_parquet)
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise InputError(f"there is no table {path}") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"cannot read the table {path}, it may be damaged: {error}") from error


def table_hash(table: pd.DataFrame) -> str:
    """sha256 of a table's columns, dtypes and rows; the order of rows, of columns and the index do not count."""
    ordered = table[sorted(table.columns, key=str)]
    digest = hashlib.sha256(repr([(str(c), str(d)) for c, d in ordered.dtypes.items()]).encode())
    columns = [_row_codes(ordered.iloc[:, k]) for k in range(ordered.shape[1])]
    rows = np.stack(columns, axis=1) if columns else np.empty((len(table), 0), np.uint64)
    order = np.lexsort(rows.T[::-1]) if columns else np.arange(len(table))
    digest.update(str(len(table)).encode())
    digest.update(np.ascontiguousarray(rows[order]).tobytes())
    return digest.hexdigest()


def _row_codes(column: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    missing = column.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        kind = np.float64 if pd.api.types.is_float_dtype(column.dtype) else np.int64
        values = np.ascontiguousarray(column.fillna(0).to_numpy(kind) + kind(0)).view(np.uint64)
    else:
        words = [hashlib.sha256(str(v).encode()).digest()[:8] for v in column]
        values = np.frombuffer(b"".join(words), np.uint64)
    return np.where(missing, np.uint64(0xFFFF_FFFF_FFFF_FFFF), values)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and is removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
