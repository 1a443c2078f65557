"""How scale bars and info bars are read: drawn ones with known truth, and 144 published pictures of particles.

`python -m benchmarks.scale_bars` prints every figure in docs/models/scale-text.md. The tables have file, length of the bar in px
and text for the pictures of emps-particles: texts read by eye, lengths checked by eye on an enlarged overlay (empty where that
was not possible). A file alone is a picture without a bar, `?` a bar without a text. The rules of the search were made while
looking at the first half and corrected after mistakes in the second; neither figure is one of pictures never looked at.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.data import OUT, data_folder
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.models.read_text import parse_length
from morphoscope.models.scale_bar import ScaleBar, find_scale_bar

CLOSE = 0.04  # lengths within this share of the one checked by eye are right
FIRST_HALF = """
00655d9628 73 200 nm|027f25010a  100 nm|032bd4a6b1 137 200 nm|03cd0b2741 82 100 nm|08549eb98f 88 50 nm
0a55e7c93f 56 200 um|0e41d62d5d 53 20 nm|10d85f70bd 99 25 nm|15a3ba1c51 178 1.0 um|1736c60650 273 2 um
19b0afdf81 229 50 nm|1b3c6536a3 67 10 um|1bed563906 65 100 nm|1cb46bfdd5 187 100 nm|1e011bd992|1ecd5c901c 63 50 nm
207bb15702 184 2.0 um|2242820128 75 1 um|22c776b059 143 500 nm|245e1a4826 105 1 um|25af264996 125 200 nm
2807b90ea9 150 100 nm|28d7e31165 85 ?|296a52bf09|2bc87a8698 100 1 um|2c6c108b4d 73 50 nm|2daa27a6df|2ee0518d7a
30da4fa249 50 100 nm|31f17306c8 248 200 nm|3430b20071 82 100 nm|36de69b2c0 122 100 nm|398ae34c19 176 1.0 um
39e18a8f4c 60 1 um|3a8af6d3f4  20 nm|404b0836f1 70 100 nm|406d70e411 270 500 nm|41ac55ed12 93 100 nm|41c25dca24 145 1 um
427ebc9e15  100 nm|43875c5b20 118 200 nm|441414704c 117 50 nm|4545280c2b 153 500 nm|47286679c2  100 nm
48f3a148f6 192 1 um|4cd9e65aae  100 nm|50a4901372 245 2 um|51f82fcb93 81 100 nm|555eb05b4c 269 500 nm
5737e0c2c7 132 200 nm|586dc6cc59 125 20 nm|58e8237dab 111 200 nm|5a6c23682b 219 200 nm|5c1cd79e2e|5c418c2eb0 88 200 nm
5e22377208|5fc8c5b53c|611b9564a4 84 100 nm|62223ab32f 241 200 nm|62a54f335d 132 100 nm|6360a823da  ?
63df66fb4d 78 0.5 um|66a6ddb34e|6752c27137|6a291d0bb4 116 50 nm|6d0f510327 129 100 nm|6db657d4f7 67 1 um
6e16b7dcb7 84 500 nm|736f1a3eb2 122 100 nm|73e0a09cd2 74 0.2 um|74ef917e76 245 2 um|763c317d5d 67 10 nm
"""
SECOND_HALF = """
7701ac03c1 109 300 nm|78847f96ee 156 1 um|78bda6c73b 70 50 nm|7988097925 177 1.0 um|7ab1f4b7ba|7d54a1c5b3
7e85b64066 92 2 um|7ecd3c2ab9 95 100 nm|7f50b86c4b 142 200 nm|7fabcfe23f 48 100 nm|80719af02f|82b9b9c2af 145 100 nm
82e8007547 57 50 nm|848b740671 89 100 nm|85743c45d1|85dedcfd30|864a2a6ccf 104 100 nm|891f96f60d 282 ?
89e4044418 125 100 nm|8b7ce99d43 110 200 nm|8d7fc4c578 158 1.00 um|8e50748a7b|8fde53b05f|9318f3ce70
93ed483d79 147 100 nm|9797ed1000 122 200 nm|9928dad0ac 128 20 nm|9c4905d020 111 1 um|9c9d1af243 79 50 nm
9d2e813224 123 500 nm|9dc60257e5 279 500 nm|9fa90de188 283 ?|a027b64ae9 63 2 um|a1dada3898 156 10.0 um
a4027c076c 63 1 um|a492171fa8 139 200 nm|a59bcf3f13|a8851978de 42 500 nm|aa309f6cec  20 nm|ab82fe7827 139 100 nm
ae001af29f 170 10 um|af124a45d9 246 200 nm|af674cfe7e|b16f4f83a4 61 200 nm|b23c478d84  2.0 um|b392e4784f 57 500 nm
b452204939 193 1 mm|b616ffa779 142 100 nm|b78f5fdc22|bb3d8c922b|bc5529f7ca 88 100 um|bf57480a38|bf901d32a3  1 um
c1bfc4308b  1 um|c3d3764a5a|c812c93fbd 282 4 um|c88cae3e95 109 1 um|ca780314cd 146 500 nm|cd22803960
ce6d981687 158 500 nm|d29d644539 160 3.0 um|d3ed612a2d 143 1 um|d6613c4ec5 97 30 nm|d7da1a24ad 231 200 nm
d8eff0e0bd 95 100 nm|d933f429cc 226 5 um|dc25ff5266 41 200 nm|de1d3f1409 198 50 nm|dfeaa0d54b 211 500 nm
e111fb569d 61 200 nm|e211d9d7ac 192 1 um|e4065c11e4 115 1 um
"""


def truth(table: str) -> dict[str, tuple[str, float]]:
    """Names, texts and lengths (px, nan where not known) of one of the tables above."""
    cells = [cell.split(" ", 2) for line in table.strip().splitlines() for cell in line.split("|")]
    return {name: (rest[1], float(rest[0] or "nan")) if rest else ("", float("nan")) for name, *rest in cells}


def judge(text: str, length_px: float, found: ScaleBar | None) -> str:
    """What was right or wrong about one picture."""
    if not text:
        return "none, right" if found is None else "invented length" if found.length_nm else "invented bar"
    if found is None:
        return "missed"
    if found.length_nm is None:
        return "bar only"
    if found.length_nm != parse_length(text):
        return "misread"
    return "wrong length" if abs(found.length_px - length_px) > CLOSE * length_px else "read"


def published(table: dict[str, tuple[str, float]]) -> pd.DataFrame:
    """One row per picture: file, true text, what was read, length in px, verdict."""
    rows = []
    for name, (text, length_px) in table.items():
        picture = cv2.imread(str(data_folder("emps-particles") / "image" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        start = time.perf_counter()
        found = find_scale_bar(picture)
        rows.append(
            {
                "file": name,
                "truth": text,
                "text": found.text if found else None,
                "length_px": found.length_px if found else None,
                "confidence": found.confidence if found else None,
                "verdict": judge(text, length_px, found),
                "seconds": time.perf_counter() - start,
                "info_bar": find_info_bar(picture),
                "box": found.box if found else None,
            }
        )
    return pd.DataFrame(rows)


def figures(table: pd.DataFrame) -> dict[str, float]:
    """Counts and shares of one table of verdicts."""
    counts = table["verdict"].value_counts()
    with_text = int((~table["truth"].isin(["", "?"])).sum())
    told = int(table["text"].notna().sum())
    return {
        "pictures": len(table),
        "with a bar and its text": with_text,
        **{str(verdict): int(count) for verdict, count in counts.items()},
        "share read": round(float(counts.get("read", 0)) / with_text, 3),
        "share of told lengths that are right": round(float(counts.get("read", 0)) / max(told, 1), 3),
        "mean seconds": round(float(table["seconds"].mean()), 3),
    }


def overlay(table: pd.DataFrame, path: Path) -> None:
    """The pictures with what was found, to look at."""
    cells = []
    for row in table.itertuples():
        picture = cv2.imread(str(data_folder("emps-particles") / "image" / f"{row.file}.png"))
        if row.box is not None:
            x0, y0, x1, y1 = row.box
            cv2.rectangle(picture, (x0 - 2, y0 - 2), (x1 + 1, y1 + 1), (0, 0, 255), 1)
        zoom = 330 / max(picture.shape)
        small = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        cell = np.zeros((350, 332, 3), np.uint8)
        cell[18 : 18 + small.shape[0], : small.shape[1]] = small
        said = f"{row.verdict}: {row.text or '-'} {row.length_px or 0:.1f}px {row.confidence or 0:.2f}".replace("µ", "u")
        cv2.putText(cell, said, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
        cells.append(cell)
    cells += [np.zeros_like(cells[0])] * (-len(cells) % 6)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack([np.hstack(cells[k : k + 6]) for k in range(0, len(cells), 6)]))


if __name__ == "__main__":
    for half, listed in (("first half", FIRST_HALF), ("second half", SECOND_HALF)):
        found = published(truth(listed))
        print(half, json.dumps(figures(found), indent=2))
        wrong = found[~found["verdict"].isin(["read", "none, right"])]
        print(wrong[["file", "truth", "text", "length_px", "confidence", "verdict"]].to_string())
        overlay(found, OUT / "scale-bars" / f"{half}.png")
