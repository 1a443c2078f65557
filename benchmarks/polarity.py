"""Whether Otsu's threshold takes the right side for the particles: `python -m benchmarks.polarity`.

Drawn pictures (lattices of discs and hexagons, discs, rods and squares at random, which overlap; 2 to 70 % covered, dark and
bright, 6 seeds) and the pictures of emps-particles on which the two sides differ by more than 0.1 in IoU with the masks of its
authors; beside the rule that the ground is what touches more of the rim.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.data import data_folder
from morphoscope.measure.polarity import UNCLEAR, bright_side
from morphoscope.measure.threshold import ThresholdSettings, foreground

Inside = NDArray[np.bool_]
COVERED = (0.02, 0.1, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
KINDS = ("lattice", "hexagons", "discs", "rods", "squares")
SIDE, FINE = 300, 2  # px; drawn finer
BRIGHT = ThresholdSettings(polarity="bright")


def drawn(kind: str, covered: float, seed: int) -> tuple[NDArray[np.uint8], Inside]:
    """A picture (h, w) of bright (odd seeds) or dark particles of 8 or 16 px radius, and where they are."""
    rng = np.random.default_rng(seed)
    radius = 8.0 * (1 + seed // 2 % 2)
    mask = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    if kind in ("lattice", "hexagons"):
        apart = radius * np.sqrt(np.pi / covered / (np.sqrt(3) / 2))
        at = [((i + j % 2 / 2) * apart, j * apart * 3**0.5 / 2) for i in range(-2, 60) for j in range(-2, 60)]
        at = list(np.array(at) - rng.uniform(0, apart, 2))
    else:
        at = list(rng.uniform(-radius, SIDE + radius, (3000, 2)))
    corners = 64 if kind in ("lattice", "discs", "rods") else 6 if kind == "hexagons" else 4
    for place in at:
        if kind not in ("lattice", "hexagons") and (mask > 0).mean() >= covered:
            break
        turn = 0.0 if kind == "hexagons" else rng.uniform(0, np.pi)
        angle = 2 * np.pi * np.arange(corners) / corners
        shape = radius * np.stack(
            [np.cos(angle) * (1.8 if kind == "rods" else 1), np.sin(angle) * (0.6 if kind == "rods" else 1)], 1
        )
        points = place + shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        cv2.fillPoly(mask, [np.round(points * FINE * 16).astype(np.int32)], 255, shift=4)
    soft = cv2.GaussianBlur(mask.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3)).astype(np.float32), (0, 0), 1)
    grey = 128 + (1 if seed % 2 else -1) * 0.4 * (soft - 128) + rng.normal(0, 6, soft.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), soft > 127


def judged(image: NDArray[Any], truth: Inside) -> dict[str, Any]:
    """Whether the side is right by both rules, and how much it matters; `truth` (h, w)."""
    bright = foreground(image, "otsu", BRIGHT)
    overlap = [float((side & truth).sum() / max((side | truth).sum(), 1)) for side in (bright, ~bright)]
    rim = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]]).mean()
    speaks = bright_side(bright)
    wanted = overlap[0] > overlap[1]
    return {
        "matters": abs(overlap[0] - overlap[1]),
        "rim_rule": bool(rim <= 0.5) == wanted,
        "package": (speaks > 0) == wanted,
        "unclear": abs(speaks) < UNCLEAR,
    }


def told(rows: pd.DataFrame) -> pd.Series:
    """Shares of pictures with the right side, of unclear ones, and of right ones among those that are clear."""
    clear = rows[~rows["unclear"]]
    values = {"n": len(rows), **rows[["rim_rule", "package", "unclear"]].mean(), "right_if_clear": clear["package"].mean()}
    return pd.Series(values, dtype=float).round(3)


def main() -> None:
    """Print both tables."""
    rows = [
        {"kind": kind, "covered": share, **judged(*drawn(kind, share, seed))}
        for kind in KINDS
        for share in COVERED
        for seed in range(6)
    ]
    table = pd.DataFrame(rows)
    for by in ("kind", "covered"):
        print(pd.DataFrame({key: told(own) for key, own in table.groupby(by)}).T.to_string(), end="\n\n")
    folder, real = data_folder("emps-particles"), []
    for path in sorted((folder / "image").iterdir()):
        masks = cv2.imread(str(folder / "instances" / path.name), cv2.IMREAD_UNCHANGED)
        inside = masks > 0 if masks.ndim == 2 else masks.any(axis=2)
        real.append(judged(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), inside))
    frame = pd.DataFrame(real)
    print(told(frame[frame["matters"] > 0.1]).to_string())


if __name__ == "__main__":
    main()
