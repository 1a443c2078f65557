"""What a classifier said of labelled images that the network judging them had not learnt: what honest answers rest on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morphoscope.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Answers of a classifier to labelled images, each by a network that had not learnt the image or another of its group.

    All are (n,), one entry per image; lists are taken and made arrays.

    Attributes:
        truth_probability: calibrated probability of the true class, 0 to 1.
        top: that of the most probable class.
        right: the most probable class is the true one.
        group: number of the image's group. Images of one group are near-copies or views of one sample; images of which nothing of
            the kind is known have a group each. Groups, not images, are taken to be independent draws.
        foreign: the image was farther from what that network had learnt than images are that are not called foreign, so that its
            answer would not be accepted whatever its probability. None of them where it is left out.

    Raises:
        InputError: entries of different number, none, or not probabilities.
    """

    truth_probability: Array
    top: Array
    right: NDArray[np.bool_]
    group: NDArray[np.int64]
    foreign: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        truth, top = (np.asarray(x, float).ravel() for x in (self.truth_probability, self.top))
        right = np.asarray(self.right, bool).ravel()
        if not len(truth) == len(top) == len(right) == np.size(self.group) > 0:
            sizes = ", ".join(str(np.size(x)) for x in (self.truth_probability, self.top, self.right, self.group))
            raise InputError(f"held-out answers want one entry per image, at least one, in all four arrays; got {sizes}")
        for name, values in (("truth_probability", truth), ("top", top)):
            if not ((values >= 0) & (values <= 1 + 1e-6)).all():
                raise InputError(f"{name} of held-out answers wants probabilities, 0 to 1; train the model again")
        foreign = np.asarray(self.foreign, bool).ravel() if np.size(self.foreign) else np.zeros(len(top), bool)
        if len(foreign) != len(top):
            raise InputError(f"held-out answers want foreign for each of their {len(top)} images or none, got {len(foreign)}")
        group = np.unique(np.asarray(self.group).ravel(), return_inverse=True)[1].astype(np.int64)
        arrays = {"truth_probability": truth, "top": top, "right": right, "group": group, "foreign": foreign}
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, probability: ArrayLike, truth: ArrayLike, group: ArrayLike | None = None) -> HeldOut:
        """From probabilities (n, k), numbers of the true classes (n,) and groups (n,); none: each image for itself.

        Where several classes are equally probable the first is the answer.
        """
        p, true = np.atleast_2d(np.asarray(probability, float)), np.asarray(truth, int)
        rows = np.arange(len(p))
        return cls(p[rows, true], p.max(axis=1), p.argmax(axis=1) == true, rows if group is None else np.asarray(group))

    def __len__(self) -> int:
        return len(self.top)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1

    @property
    def weight(self) -> Array:
        """The share (n,) of its group that each image is: a group counts as one."""
        return group_weights(self.group)


def group_weights(group: ArrayLike) -> Array:
    """One over the size of its group, for each of (n,): groups count as one each, whatever their size."""
    _, number = np.unique(np.asarray(group), return_inverse=True)
    return np.asarray(1 / np.bincount(number)[number])
