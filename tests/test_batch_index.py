"""The page over the runs of several inputs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from morphoscope.pipeline.batch import _write_index


def test_runs_may_count_different_things(tmp_path: Path) -> None:
    """One picture has particles and a structure, the other has none: its cell stays empty."""
    runs = {"a": SimpleNamespace(info={"counts": {"objects": 41, "frames with structure": 1}})}
    runs["b"] = SimpleNamespace(info={"counts": {"objects": 7, "particles sized": 5}})
    for order in (("a", "b"), ("b", "a")):
        _write_index(tmp_path, {name: runs[name] for name in order}, {"warnings": []})
        table = pd.read_csv(tmp_path / "runs.csv").set_index("run")
        assert table.loc["a", "frames with structure"] == 1 and pd.isna(table.loc["b", "frames with structure"])
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert all(f"{name}<" in page.lower() for name in ("objects", "frames with structure", "particles sized", "41", "5"))
