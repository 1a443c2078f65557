"""From which probability on answers can be accepted unseen so that a named share of them is right, and with what confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from morphoscope.errors import UsageError
from morphoscope.measure.honest_held import HeldOut

Array = NDArray[np.float64]
BEGINNINGS = ((0, 0.4), (2, 0.3), (8, 0.3))  # tests begin where so many mistakes are allowed, with this share of the risk
STEP = 1 / 40  # share of all groups from test to test
TINY = 1e-9


@dataclass(frozen=True)
class Acceptance:
    """From which top probability on answers are accepted, and what that promises.

    Attributes:
        threshold: the lowest probability that is accepted; infinity where the target cannot be promised, and nothing is.
        share: of the held-out images (groups counting as one) that reach it and are not foreign.
        accuracy: the share of right answers among these; nan of none.
        low: lower bound of it, of this threshold; at least the target. Nan of none.
        target: the accuracy that was named, and which is promised.
        confidence: of the promise: in this share of such models the accepted are as right as named, or more.
        promised: the greatest accuracy that these images can promise at all (of some share of them), with the same confidence.
        groups: how many independent groups were held out.
        needed: how many accepted groups a promise of this target takes even if all are right.
    """

    threshold: float
    share: float
    accuracy: float
    low: float
    target: float
    confidence: float
    promised: float
    groups: int
    needed: int

    @property
    def possible(self) -> bool:
        """The target can be promised."""
        return math.isfinite(self.threshold)

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        sure = f"{_percent(self.confidence)} % confidence"
        if self.possible:
            return (
                f"accepted from a probability of {self.threshold:.4g} on: {_percent(self.share)} % of held-out images, of which "
                f"{_percent(self.accuracy)} % are right, with {sure} at least {_percent(self.target)} %"
            )
        if self.groups < self.needed:
            why = f"that takes {self.needed} groups of images held out even if all are right, and there are {self.groups}"
        else:
            why = f"too many answers to the {self.groups} groups of images held out are wrong, or too few are certain"
        return (
            f"{_percent(self.target)} % right cannot be promised with {sure}: {why}; nothing is accepted. The most that can be "
            f"promised is {_percent(math.floor(self.promised * 1000) / 1000)} %: name that, or label more images"
        )


def accept_threshold(held_out: HeldOut, *, accuracy: float, confidence: float = 0.95) -> Acceptance:
    """The lowest threshold of the top probability for which the accepted are right in the named share of images, or more.

    At each of a series of thresholds, from strict to lax, the exact binomial test (Clopper & Pearson, Biometrika 26 (1934) 404)
    asks whether the accepted are that accurate; the lowest threshold of an unbroken series of passed tests is taken. As the
    series is laid out by how many are accepted, before any answer is known, choosing the threshold does not spoil the promise
    (selective classification, Geifman & El-Yaniv, NeurIPS 2017; fixed sequence and fallback tests, Angelopoulos et al., Learn
    then test, Ann. Appl. Stat. 19 (2025) 1641; Wiens, Pharm. Stat. 2 (2003) 207). The series begins where a promise is possible
    if no answer is wrong. As one mistake among the most certain answers would end it, it begins anew where two and where eight
    mistakes are allowed, if so many are held out; each beginning has a share of the risk, and passed tests hand theirs on.

    Each group counts as one image, its images with equal shares of it. That is exact for images without groups; else it takes
    the images of a group to be right or wrong together, the most careful assumption, as a few mistakes do not tell how they
    cluster. Foreign images are not accepted, among those held out neither. The promise is for images that come as those held
    out did, and takes it that the more certain are not less often right.

    Args:
        held_out: answers to images that were not learnt, their probabilities calibrated.
        accuracy: the share of accepted answers that shall be right, between 0 and 1.
        confidence: of the promise.

    Raises:
        UsageError: accuracy or confidence of another size.
    """
    for name, value in (("accuracy", accuracy), ("confidence", confidence)):
        if not 0 < value < 1:
            raise UsageError(f"{name} wants a share between 0 and 1, such as 0.99, got {value:g}; no model can promise 1")
    top, accepted, wrong = _by_threshold(held_out)
    risk = 1 - confidence
    best = _lowest(accepted, betainc(accepted - wrong, wrong + 1, accuracy), accuracy, risk)
    found = best is not None
    k = best[0] if best else 0
    share = float(accepted[k] / held_out.groups) if found else 0.0
    return Acceptance(
        threshold=float(top[k]) if found else math.inf,
        share=share,
        accuracy=float(1 - wrong[k] / accepted[k]) if found else math.nan,
        low=lower_bound(accepted[k], wrong[k], best[1]) if best else math.nan,
        target=accuracy,
        confidence=confidence,
        promised=_promised(accepted, wrong, risk),
        groups=held_out.groups,
        needed=math.ceil(math.log(risk) / math.log(accuracy)),
    )


def lower_bound(accepted: float, wrong: float, risk: float) -> float:
    """The accuracy that is exceeded except with this risk, of `wrong` answers among `accepted` (Clopper & Pearson).

    Both may be sums of shares of groups.
    """
    right = accepted - wrong
    return float(betaincinv(right, wrong + 1, risk)) if right > TINY else 0.0


def _by_threshold(held_out: HeldOut) -> tuple[Array, Array, Array]:
    """The different top probabilities from high to low; how many groups reach each, and how many of these are wrong.

    Foreign images reach none.
    """
    order = np.argsort(-held_out.top, kind="stable")
    order = order[~held_out.foreign[order]]
    top, weight = held_out.top[order], held_out.weight[order]
    last = np.flatnonzero(np.diff(top, append=-1.0))
    return top[last], np.cumsum(weight)[last], np.cumsum(weight * ~held_out.right[order])[last]


def _lowest(accepted: Array, p_value: Array, accuracy: float, risk: float) -> tuple[int, float] | None:
    """The last threshold of an unbroken series of passed tests, and the risk it was tested at."""
    if not len(accepted):
        return None
    gained = _beginnings(accepted, accuracy, risk)
    steps = np.arange(STEP, 1 + STEP / 2, STEP) * accepted[-1]
    tests = np.union1d(list(gained), np.searchsorted(accepted, steps - TINY))
    best, handed = None, 0.0
    for k in tests[tests < len(accepted)].astype(int).tolist():
        handed += gained.get(k, 0.0)
        if p_value[k] > handed:
            handed = 0.0
        elif handed:
            best = k, handed
    return best


def _beginnings(accepted: Array, accuracy: float, risk: float) -> dict[int, float]:
    """The thresholds (numbers) where tests begin, with the risk that each brings; the first has what others cannot use."""
    found, spare = dict[int, float](), 0.0
    for allowed, share in reversed(BEGINNINGS):
        own = (share + (spare if allowed == 0 else 0.0)) * risk
        enough = np.flatnonzero(betainc(np.maximum(accepted - allowed, TINY), allowed + 1, accuracy) <= own * (1 + TINY))
        if len(enough):
            found[int(enough[0])] = found.get(int(enough[0]), 0.0) + own
        else:
            spare += share
    return found


def _promised(accepted: Array, wrong: Array, risk: float) -> float:
    """The greatest accuracy that passes at one of the beginnings.

    The more accurate, the more groups a beginning takes, and the mistakes among these only grow: a fixed sequence for each
    beginning, all of which together keep the risk.
    """
    best = 0.0
    for allowed, share in BEGINNINGS:
        within = int(np.searchsorted(wrong, allowed + TINY, side="right"))
        if within:
            best = max(best, lower_bound(accepted[within - 1], allowed, share * risk))
    return math.floor(best * 10_000) / 10_000


def _percent(share: float) -> str:
    """A share in percent, rounded down where it is all but one, so that 99.997 does not become 100."""
    decimals = 1 if share <= 0.999 or share == 1 else 2
    shown = math.floor(share * 10_000) / 100 if decimals == 2 else 100 * share
    return f"{shown:.{decimals}f}".removesuffix(".0")
