"""What is true of square patches of marked images."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Target = Literal["fraction", "centre", "any"]


def patch_targets(
    masks: NDArray[np.bool_], x: ArrayLike, y: ArrayLike, side: float, target: Target = "fraction"
) -> NDArray[np.float32]:
    """What is true of patches (n,) of masks (k, h, w): (n, k), 0 to 1.

    Patches are taken to whole pixels and cut at the image's edge.

    Args:
        masks: where each class is.
        x, y: centres of the patches, px (pixel centres at integers).
        side: of a patch, px.
        target: `fraction` is the marked share of a patch's area, `any` whether anything in it is marked, `centre` whether the
            pixel at its centre is.
    """
    centres, sizes = (np.asarray(y, float), np.asarray(x, float)), masks.shape[1:]
    if target == "centre":
        row, column = (np.clip(np.rint(c).astype(int), 0, n - 1) for c, n in zip(centres, sizes, strict=True))
        return masks[:, row, column].T.astype(np.float32)
    first, last = (
        [np.clip(np.rint(c + 0.5 + half).astype(int), 0, n) for c, n in zip(centres, sizes, strict=True)]
        for half in (-side / 2, side / 2)
    )
    share = np.empty((len(centres[0]), len(masks)), np.float32)
    for k, (y0, x0, y1, x1) in enumerate(zip(*first, *last, strict=True)):
        share[k] = masks[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].mean(axis=(1, 2))
    return (share > 0).astype(np.float32) if target == "any" else share
