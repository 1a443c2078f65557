"""The look all figures share, and the small things they are made of. No pyplot: figures are objects and need no display."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle

from morphoscope.calibration import Axis, Calibration

P = ParamSpec("P")

# Okabe and Ito's colours, told apart with any colour vision
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, GREY = "#CC79A7", "#56B4E9", "#F0E442", "#5F6368"
SINGLE, DOUBLE = 3.5, 7.0  # column widths in inches

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#333333",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelpad": 3,
    "grid.color": "#E4E6E9",
    "grid.linewidth": 0.6,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handlelength": 1.6,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "round",
    "mathtext.default": "regular",
    "svg.fonttype": "none",
    "svg.hashsalt": "morphoscope",
    "savefig.facecolor": "white",
}


def styled(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a figure function in the common style, leaving matplotlib's settings as they were."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, *, placed: bool = False) -> Figure:
    """An empty figure (inches) with an Agg canvas and constrained layout, or none where axes are placed by hand."""
    figure = Figure(figsize=(width, height), layout=None if placed else "constrained")
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the figure's upper left corner."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((x / wide, 1 - (y + height) / high, width / wide, height / high))


def save_figure(figure: Figure, folder: str | Path, name: str, svg: bool = False, *, dpi: int = 220) -> Path:
    """Write `<folder>/<name>.png`, and `.svg` on request; the PNG's path. The same figure gives the same bytes."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, dpi=dpi, bbox_inches="tight", pad_inches=0.04, metadata={"Software": None})
        if svg:
            figure.savefig(folder / f"{name}.svg", bbox_inches="tight", pad_inches=0.04, metadata={"Date": None})
    return path


def axis_for(calibration: Calibration, name: str | None) -> Axis:
    """The axis of that name, or the calibration's main one."""
    return calibration.axis(name) if name else calibration.main_axis


def even_labels(values: Any) -> list[str]:
    """Labels with as many decimals as tell the values apart, the same for all."""
    reach = max(float(np.ptp(values)), 0.01 * float(np.abs(values).max()), 1e-9)
    whole = bool(np.allclose(values, np.rint(values)))
    decimals = 0 if whole else int(np.clip(2 - np.floor(np.log10(reach)), 0, 6))
    return [f"{v:.{decimals}f}" for v in values]


def math_unit(unit: str) -> str:
    """`cm^-3` as mathtext; `um` as a micrometre sign."""
    text = unit.replace("um", "\N{MICRO SIGN}m")
    head, caret, power = text.partition("^")
    return f"{head}$^{{{power}}}$" if caret else text


def power_of_ten(values: Any) -> int:
    """An exponent to take out of large or small values so that an axis reads plainly; 0 for 0.01 to 10 000."""
    finite = np.abs(np.asarray(values, dtype=float))
    finite = finite[np.isfinite(finite) & (finite > 0)]
    if finite.size == 0:
        return 0
    top = float(finite.max())
    return 0 if 0.01 <= top < 10_000 else math.floor(math.log10(top))


def nice_length(limit: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `limit` (positive)."""
    base = 10.0 ** math.floor(math.log10(limit))
    return max(step * base for step in (1, 2, 5) if step * base <= limit * (1 + 1e-9))


def length_label(nm: float) -> str:
    """A length in nm or, from 1000 nm on, in micrometres."""
    return f"{nm / 1000:g} \N{MICRO SIGN}m" if nm >= 1000 else f"{nm:g} nm"


def scale_bar(ax: Axes, window: tuple[float, float, float, float], calibration: Calibration, *, share: float = 0.22) -> None:
    """A white bar on a black plate at the lower left of the shown `window` (x, y, width, height in px); none without a scale.

    The plate hides what a microscope has written into the picture there, so that the bar can be read.
    """
    if calibration.pixel_size_nm is None:
        return
    pixel = calibration.pixel_size_nm[1]
    nm = nice_length(share * window[2] * pixel)
    bar = AuxTransformBox(ax.transData)
    bar.add_artist(Rectangle((0, 0), nm / pixel, 0.013 * window[3], facecolor="white", linewidth=0))
    label = TextArea(length_label(nm), textprops={"color": "white", "fontsize": 8, "fontweight": "bold"})
    content = VPacker(children=[label, bar], align="center", pad=0, sep=2)
    plate = AnchoredOffsetbox("lower left", child=content, pad=0.35, borderpad=0.35, frameon=True, prop=FontProperties(size=8))
    plate.patch.set(facecolor="black", edgecolor="none", alpha=1.0)
    plate.set_zorder(8)
    ax.add_artist(plate)


def show_image(ax: Axes, image: Any) -> None:
    """A grey image between its 0.1 and 99.9 percentiles, without axes, pixel centres at integers."""
    array = np.asarray(image, dtype=float)
    finite = array[np.isfinite(array)]
    low, high = np.percentile(finite, (0.1, 99.9)) if finite.size else (0.0, 1.0)
    ax.imshow(array, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest")
    ax.set_axis_off()


def panel_letter(ax: Axes, letter: str) -> None:
    """A bold (a), (b) ... above the upper left corner."""
    ax.set_title(f"({letter})", loc="left")


def empty_note(figure: Figure, text: str) -> Figure:
    """A figure that says why there is nothing to draw; `nothing_drawn` gives the sentence back."""
    figure.set_label(text)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=9)
    return figure


def nothing_drawn(figure: Figure) -> str:
    """Why there is nothing to draw, as `empty_note` has it; empty where there is something."""
    return str(figure.get_label())
