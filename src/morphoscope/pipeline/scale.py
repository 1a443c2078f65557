"""The scale a run uses: what file and recipe state, checked against the scale bar in the picture."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.models.scale_bar import ScaleBar, find_scale_bar, stated_length

CLOSE = 0.02  # header and scale bar that differ by less than this, and the doubt about the bar's length, agree


class Scale(NamedTuple):
    """The calibration to use, and what is to be said about it."""

    calibration: Calibration
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def settle_scale(known: Calibration, picture: NDArray[Any], wanted: str) -> Scale:
    """The calibration with what the scale bar of a picture (height, width) says.

    Args:
        known: of file and recipe.
        picture: a frame, its info bar with it.
        wanted: `off`; `check`: compare, never use; `read`: use what the bar's text says where nothing else is known; or the
            length the bar stands for, such as `200 nm`, which wins over the file.

    Raises:
        UsageError: `wanted` is none of these.
        InputError: a bar's scale was asked for and there is no bar, or its text cannot be read.
    """
    if wanted == "off":
        return Scale(known)
    length = None if wanted in ("check", "read") else stated_length(wanted)
    bar = find_scale_bar(picture)
    if wanted == "check" or (wanted == "read" and known.has_scale):
        return check_scale(known, bar)
    return _used(known, bar, length)


def _used(known: Calibration, bar: ScaleBar | None, length_nm: float | None) -> Scale:
    if bar is None or (length_nm is None and bar.length_nm is None):
        what = "no scale bar was found in the picture" if bar is None else f"the picture has {bar}"
        raise InputError(
            f"the scale was to come from the scale bar, but {what}; state calibration.pixel_size_nm (--scale) instead"
        )
    given = length_nm is not None
    nm = length_nm if length_nm is not None else float(bar.length_nm or 0)
    size = nm / bar.length_px
    source = f"scale bar ({nm:g} nm {'as stated' if given else 'as read'} over {bar.length_px:.1f} px)"
    warnings, notes = (
        [],
        [f"Pixels are taken for square: the scale bar measures x only ({bar.error_px / bar.length_px:.1%} doubt)."],
    )
    if not given:
        warnings.append(f"The scale was read from the picture: {bar}, {size:.4g} nm per px. Look whether that is right.")
    if given and bar.length_nm is not None and bar.length_nm != nm:
        warnings.append(f"The scale bar was stated to be {nm:g} nm, but the picture has {bar}. The stated length is used.")
    if known.pixel_size_nm is not None and not _agree(known.pixel_size_nm[1], size, bar):
        warnings.append(_differ(known, size, bar, used=source))
    return Scale(known.updated(source, pixel_size_nm=(size, size)), tuple(warnings), tuple(notes))


def check_scale(known: Calibration, bar: ScaleBar | None) -> Scale:
    """The known calibration, with what is to be said about a scale bar beside it."""
    if bar is None or bar.pixel_size_nm is None:
        return Scale(known)
    if known.pixel_size_nm is None:
        said = (
            f"The picture has {bar}, {bar.pixel_size_nm:.4g} nm per px; it is not used: --scale-bar read takes it for the scale."
        )
        return Scale(known, (said,))
    source = known.provenance.get("pixel_size_nm", "recipe")
    if _agree(known.pixel_size_nm[1], bar.pixel_size_nm, bar):
        return Scale(known, (), (f"The scale from the {source} agrees with the picture, which has {bar}.",))
    return Scale(known, (_differ(known, bar.pixel_size_nm, bar, used=source),))


def _agree(header: float, measured: float, bar: ScaleBar) -> bool:
    return abs(header - measured) <= (CLOSE + bar.error_px / bar.length_px) * max(header, measured)


def _differ(known: Calibration, measured: float, bar: ScaleBar, *, used: str) -> str:
    stated = known.pixel_size_nm or (0.0, 0.0)
    source = known.provenance.get("pixel_size_nm", "recipe")
    return (
        f"Two scales disagree: the {source} states {stated[1]:.4g} nm per px, the picture has {bar}, which gives {measured:.4g} "
        f"(a factor {max(stated[1], measured) / min(stated[1], measured):.3g}). Used: the {used}."
    )
