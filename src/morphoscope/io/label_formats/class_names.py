"""Class names beside YOLO-like label files: the small part of YAML that data.yaml files use, and lists with a name per line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from morphoscope.errors import InputError

_ENTRY = re.compile(r"""^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s:'"\[\]{}-][^:]*?|-?\d+)\s*:(?:\s+(.*))?$""")


def read_data_yaml(path: Path) -> dict[str, Any]:
    """Top-level entries of a data.yaml: texts, and lists or numbered tables of texts; what is nested otherwise is left out.

    Raises:
        InputError: it cannot be read, or a line of it cannot be understood.
    """
    found: dict[str, Any] = {}
    key = ""
    for number, line in enumerate(_lines(path), start=1):
        content = _without_comment(line)
        if not content.strip() or content.strip() in ("---", "..."):
            continue
        nested = content[0] in " \t" or content.lstrip().startswith("- ")
        try:
            if not nested:
                key, value = _pair(content.strip())
                found[key] = _value(value) if value else {}
            elif key and isinstance(found[key], dict):
                _nest(found[key], content.strip())
        except (ValueError, KeyError) as error:
            raise InputError(f"{path}: line {number} cannot be understood: {line.strip()!r:.80} ({error})") from error
    return found


def names_of(value: Any, path: Path) -> list[str]:
    """Class names in order from the `names` of a data.yaml.

    Raises:
        InputError: neither a list nor a table numbered from 0 without gaps.
    """
    if isinstance(value, list):
        return [str(name) for name in value]
    try:
        if not isinstance(value, dict):
            raise ValueError("no list and no table")
        numbered = {int(k): str(name) for k, name in value.items()}
        return [numbered[k] for k in range(len(numbered))]
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: `names` must be a list, or a table numbered 0, 1, 2 ..., got {value!r:.80}") from error


def read_name_list(path: Path) -> list[str]:
    """Class names of a text file with a name per line; empty lines at the end do not count."""
    lines = [line.strip() for line in _lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def data_yaml(names: Iterable[str], **entries: str) -> str:
    """The text of a data.yaml."""
    head = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    table = [f"  {k}: {json.dumps(name, ensure_ascii=False)}" for k, name in enumerate(names)]
    return "\n".join([*head, "names:" if table else "names: []", *table]) + "\n"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from error


def _without_comment(line: str) -> str:
    """The line up to a # that stands at the start or after a space, and not within quotes."""
    quote = ""
    for k, character in enumerate(line):
        if quote:
            quote = "" if character == quote and (quote == "'" or line[k - 1] != "\\") else quote
        elif character in "\"'" and (k == 0 or line[k - 1] in " [,{:"):
            quote = character
        elif character == "#" and (k == 0 or line[k - 1] in " \t"):
            return line[:k].rstrip()
    return line.rstrip()


def _pair(content: str) -> tuple[str, str]:
    found = _ENTRY.match(content)
    if not found:
        raise ValueError("wanted `key: value`")
    return str(_scalar(found[1])), (found[2] or "").strip()


def _nest(table: dict[Any, Any], content: str) -> None:
    if content.startswith("- "):
        table[len(table)] = _scalar(content[2:].strip())
    else:
        key, value = _pair(content)
        table[key] = _scalar(value)


def _value(value: str) -> Any:
    if value.startswith("["):
        return [_scalar(part) for part in _parts(value, "]")]
    if value.startswith("{"):
        return dict(_pair_of(part) for part in _parts(value, "}"))
    return _scalar(value)


def _pair_of(part: str) -> tuple[str, str]:
    key, value = _pair(part if ": " in part else part.replace(":", ": ", 1))
    return key, _scalar(value)


def _parts(value: str, end: str) -> list[str]:
    """What stands between commas, which may be within quotes."""
    if not value.endswith(end):
        raise ValueError(f"wanted {end} on the same line")
    found = re.findall(r"""\s*((?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,"'])+)\s*(?:,|$)""", value[1:-1])
    return [part.strip() for part in found if part.strip()]


def _scalar(value: str) -> str:
    if value.startswith('"'):
        return str(json.loads(value))
    if value.startswith("'") and value.endswith("'") and len(value) > 1:
        return value[1:-1].replace("''", "'")
    return value
