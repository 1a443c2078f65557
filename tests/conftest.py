"""What several tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is no part of the project: MORPHOSCOPE_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("MORPHOSCOPE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data are not here: no folder {folder}; MORPHOSCOPE_DATA may name another")
    return folder


@pytest.fixture(scope="session")
def loops_stem(shared_data: Path) -> Path:
    """The in-situ STEM video of dislocation loops with its labelled frames."""
    folder = shared_data / "loops-stem"
    if not (folder / "video.mp4").is_file():
        pytest.skip(f"the real data are not here: no {folder / 'video.mp4'}")
    return folder
