"""The frame of the report page: its style sheet, its one script and small pieces of markup."""

from __future__ import annotations

import html
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

CSS = """
:root { --ink: #1d2329; --soft: #5c6670; --line: #e1e5ea; --paper: #ffffff; --wash: #f5f7f9; --blue: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 32px 64px; background: var(--paper); min-height: 100vh;
  box-shadow: 0 0 0 1px var(--line); }
header { border-bottom: 2px solid var(--ink); padding-bottom: 14px; margin-bottom: 22px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 8px 0; }
.soft { color: var(--soft); }
nav { font-size: 13px; margin-top: 10px; }
nav a { margin-right: 16px; }
a { color: var(--blue); text-decoration: none; }
a:hover { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(225px, 1fr)); gap: 12px; }
.card { border: 1px solid var(--line); border-top: 3px solid var(--blue); border-radius: 4px; padding: 11px 14px 10px; }
.card .what { font-size: 13px; color: var(--soft); line-height: 1.35; }
.card .value { font-size: 23px; font-weight: 650; letter-spacing: -0.01em; margin: 3px 0 1px; }
.card .value small { font-size: 14px; font-weight: 500; color: var(--soft); }
.card .range { font-size: 12.5px; color: var(--soft); }
.box { border-radius: 4px; padding: 11px 16px; margin: 14px 0; border: 1px solid; border-left-width: 5px; }
.box strong { display: block; }
.box ul { margin: 4px 0 0; padding-left: 19px; }
.warn { background: #fff6e0; border-color: #e69f00; }
.note { background: #eaf4fb; border-color: #56b4e9; }
.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px 28px; align-items: start; }
figure { margin: 0; }
figure.wide { grid-column: 1 / -1; }
figure img { width: 100%; height: auto; display: block; }
figcaption { font-size: 13px; color: #39424b; margin-top: 7px; line-height: 1.45; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); border-bottom: 1.5px solid #b9c0c7; }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-right: 18px; }
code { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: 12px; overflow-wrap: anywhere; }
blockquote { margin: 0; padding: 14px 18px; background: var(--wash); border-left: 4px solid #b9c0c7; }
ol.cite { padding-left: 20px; margin: 6px 0; }
ol.cite li { margin: 4px 0; overflow-wrap: anywhere; }
button { font: inherit; font-size: 13px; padding: 4px 12px; margin-top: 8px; border: 1px solid #b9c0c7; border-radius: 4px;
  background: var(--paper); cursor: pointer; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--blue); }
pre { background: var(--wash); padding: 12px 14px; overflow-x: auto; font-size: 12px; line-height: 1.45; }
.bar { display: inline-block; height: 9px; background: var(--blue); border-radius: 1px; min-width: 1px; }
.sheet { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 10px; margin: 6px 0 18px; }
.tile { border: 1px solid var(--line); border-top: 3px solid #b9c0c7; padding: 5px; font-size: 11px; line-height: 1.3;
  display: flex; flex-direction: column; break-inside: avoid; overflow-wrap: anywhere; }
.tile img { width: 100%; height: 108px; object-fit: contain; background: #eceff2; display: block; margin-bottom: 4px; }
.tile b { font-weight: 600; } .tile span { color: var(--soft); }
.tile.accept { border-top-color: #009e73; } .tile.review { border-top-color: #e69f00; }
.tile.foreign { border-top-color: #d55e00; }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line); font-size: 12.5px; color: var(--soft); }
@media (max-width: 720px) { main { padding: 18px; } .figures { grid-template-columns: 1fr; } }
@media print { body { background: white; font-size: 11pt; } main { box-shadow: none; max-width: none; padding: 0; }
  nav, button { display: none; } figure, .card, .box, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""

SCRIPT = """
document.querySelectorAll("button[data-copy]").forEach(function (button) {
  button.addEventListener("click", function () {
    var area = document.createElement("textarea");
    area.value = document.getElementById(button.dataset.copy).innerText;
    document.body.appendChild(area); area.select(); document.execCommand("copy"); area.remove();
    button.textContent = "Copied";
    setTimeout(function () { button.textContent = "Copy"; }, 1500);
  });
});
"""

# the browser itself refuses every request that would leave the page
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

SUPERSCRIPT = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def text(value: Any) -> str:
    """`value` escaped for HTML, quotes included."""
    return html.escape(str(value), quote=True)


def plain(name: Any) -> str:
    """A name for reading: `track_growth` as `Track growth`; symbols such as `S_crack` stay."""
    said = re.sub(r"(?<!\bS)_", " ", str(name)).strip()
    return said[:1].upper() + said[1:]


def page(title: str, body: str) -> str:
    """A whole HTML document around `body`, which is markup already."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def write_page(path: Path, title: str, body: str) -> Path:
    """Write such a document in one step: readers see the old one or the new one; its path."""
    part = path.with_suffix(".html.part")
    part.write_text(page(title, body), encoding="utf-8")
    os.replace(part, path)
    return path


def number(value: Any, digits: int = 3) -> str:
    """A number for reading, as markup: `23.1`, `2.31 x 10^16` with a raised exponent, a dash where there is none."""
    try:
        real = float(value)
    except (TypeError, ValueError):
        return "&ndash;"
    if not math.isfinite(real):
        return "&ndash;"
    if real == int(real) and abs(real) < 100_000:
        return f"{int(real)}".replace("-", "\u2212")
    mantissa, _, power = f"{real:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -4 <= exponent < 5:
        decimals = max(0, digits - 1 - exponent)
        return f"{real:.{decimals}f}".replace("-", "\u2212")
    mantissa = mantissa.replace("-", "\u2212")
    return f"{mantissa}&nbsp;&times;&nbsp;10{str(exponent).translate(SUPERSCRIPT)}"


def span(low: Any, high: Any) -> str:
    """`6.90 to 7.70`, a common power of ten said once; empty where an end is unknown."""
    first, last = number(low), number(high)
    if "&ndash;" in (first, last):
        return ""
    head, _, power = first.partition("&nbsp;&times;&nbsp;")
    same = power and last.endswith(f"&nbsp;&times;&nbsp;{power}")
    return f"{head} to {last}" if same else f"{first} to {last}"


def unit(value: Any) -> str:
    """A unit as markup: `cm^-3` and `nm2/s` with raised powers, `um` with a micro sign."""
    said = "" if value is None or value != value else str(value)
    said = re.sub(r"\bum", "\u00b5m", said)
    said = re.sub(r"\^(-?\d+)", lambda m: m.group(1).translate(SUPERSCRIPT), said)
    said = re.sub(r"(?<=[a-z])([23])(?=$|[/ ])", lambda m: m.group(1).translate(SUPERSCRIPT), said)
    return text(said)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """A table whose cells are markup already; columns in `numeric` are set right."""

    def cell(tag: str, i: int, content: str) -> str:
        kind = ' class="num"' if i in numeric else ""
        return f"<{tag}{kind}>{content}</{tag}>"

    lines = ["<tr>" + "".join(cell("th", i, text(h)) for i, h in enumerate(head)) + "</tr>"] if head else []
    lines += ["<tr>" + "".join(cell("td", i, c) for i, c in enumerate(row)) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def box(kind: str, title: str, lines: Sequence[str]) -> str:
    """A box (`warn` or `note`) with a list of plain texts; nothing where the list is empty."""
    if not lines:
        return ""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<div class="box {kind}" role="note"><strong>{text(title)}</strong><ul>{items}</ul></div>'
