"""Tables come back as written, whole or not at all; the hash ignores order and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError
from morphoscope.io.tables import read_table, table_hash, write_csv, write_table


def example() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "frame": np.array([0, 0, 1], np.int32),
            "file": ["a.png", "a.png", "b.png"],
            "x_px": [1.25, np.nan, 0.1 + 0.2],
            "on_edge": [True, False, True],
            "track_id": pd.array([1, None, 2], dtype="Int64"),
        }
    )


def test_parquet_and_csv_come_back(tmp_path):
    write_table(tmp_path / "new" / "t.parquet", example())
    pd.testing.assert_frame_equal(read_table(tmp_path / "new" / "t.parquet"), example())
    write_csv(tmp_path / "t.csv", example())
    assert read_table(tmp_path / "t.csv")["x_px"].tolist()[2] == 0.1 + 0.2


@pytest.mark.parametrize("write", [write_table, write_csv])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, write):
    path = tmp_path / "t.parquet"
    write(path, example())
    before = path.read_bytes()

    def fail(self, part, **_):
        part.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write(path, example())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no table .*gone\.parquet"):
        read_table(tmp_path / "gone.parquet")
    write_table(tmp_path / "t.parquet", example())
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"t\.parquet"):
        read_table(tmp_path / "t.parquet")


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(3)), columns=st.permutations(list(example().columns)))
def test_hash_ignores_the_order_of_rows_and_columns(order, columns):
    shuffled = example().iloc[order][columns]
    assert table_hash(shuffled) == table_hash(example())


@pytest.mark.parametrize(
    ("column", "value"), [("x_px", 1.25 + 2**-50), ("file", "c.png"), ("frame", 7), ("on_edge", False), ("x_px", np.nan)]
)
def test_hash_sees_one_changed_cell(column, value):
    changed = example()
    changed.loc[0, column] = value
    assert changed.dtypes[column] == example().dtypes[column]
    assert table_hash(changed) != table_hash(example())


def test_hash_sees_dtypes_names_and_repeated_rows():
    table = example()
    hashes = {
        table_hash(t)
        for t in (
            table,
            table.astype({"frame": "int64"}),
            table.rename(columns={"x_px": "y_px"}),
            pd.concat([table, table]),
            table[:0],
            table[["frame"]],
            pd.DataFrame(),
            table.assign(track_id=pd.array([1, 0, 2], dtype="Int64")),
        )
    }
    assert len(hashes) == 8


def test_hash_is_that_of_the_file_read_back(tmp_path):
    write_table(tmp_path / "t.parquet", example())
    assert table_hash(read_table(tmp_path / "t.parquet")) == table_hash(example())
