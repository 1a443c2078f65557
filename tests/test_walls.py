"""The walls between the parts: what imports what, and that the base installation runs without the extras."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile

import morphoscope

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "morphoscope"
ABSENT = ("torch", "onnx", "onnxscript", "dask", "openvino", "trackpy", "skimage", "pytest", "hypothesis")

WITHOUT = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {ABSENT} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from morphoscope.cli.main import main
main(sys.argv[1:])
"""


def base(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in a fresh interpreter that has nothing but the base installation's packages."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def contracts() -> list[dict]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["importlinter"]["contracts"]


def test_the_contracts_hold() -> None:
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    if linter is None:
        pytest.skip("import-linter is not installed; it comes with the extra dev")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_contracts_name_every_part() -> None:
    parts = {f"morphoscope.{path.stem}" for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    parts -= {"morphoscope.__init__", "morphoscope.__main__"}
    named = {contract["name"]: set(contract["source_modules"]) for contract in contracts()}
    assert parts - named["PyTorch and onnx in training only"] == {"morphoscope.train"}
    assert parts - named["nothing below imports the command line"] == {"morphoscope.cli"}
    assert parts - named["ONNX Runtime and OpenVINO in models.runtime only"] == {"morphoscope.models"}
    models = {f"morphoscope.models.{path.stem}" for path in (PACKAGE / "models").glob("*.py") if path.stem != "__init__"}
    assert models - named["ONNX Runtime and OpenVINO in models.runtime only"] == {"morphoscope.models.runtime"}


def test_the_public_names_load_and_are_all_declared() -> None:
    for name in morphoscope.__all__:
        assert getattr(morphoscope, name) is not None
    assert set(morphoscope.__all__) <= set(dir(morphoscope))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        morphoscope.nonsense  # noqa: B018


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import sys, morphoscope; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "pydantic", "cv2", "av", "onnxruntime", "torch", "matplotlib"} & set(loaded)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["init"], ["models"], ["doctor"], ["info", "stack.tif"], ["info", "stack.tif", "--json"]]
)
def test_base_commands_run_without_the_extras(tmp_path: Path, arguments: list[str]) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 20, 30), np.uint8))
    result = base(*arguments, folder=tmp_path)
    assert result.returncode == 0, result.stderr + result.stdout
    assert result.stdout.strip()
    assert result.stderr == ""


def test_the_main_job_runs_without_the_extras(tmp_path: Path) -> None:
    drawn = base("synth", "loops", "-o", "film", "--frames", "4", "--size", "192x160", folder=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    result = base("analyze", "film/video.mp4", "--recipe", "film/recipe.toml", "-o", "run", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "report.html").is_file()


def test_training_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("file,label,x0,y0,x1,y1\n", encoding="utf-8")
    result = base("train", "detect", "boxes.csv", "-o", "m.onnx", folder=tmp_path)
    assert result.returncode == 2
    assert "morphoscope[train]" in result.stderr
    assert "Traceback" not in result.stderr
