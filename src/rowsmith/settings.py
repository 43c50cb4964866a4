"""What the environment says: variables of the process, then a `.env` file in the current folder.

Nothing is remembered between two lookups and no value is ever logged: many of them are keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rowsmith.errors import ConfigError

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*(?P<value>.*)", re.DOTALL)
_QUOTED = re.compile(r"""'(?P<literal>[^']*)'|"(?P<escaped>(?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def lookup(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of a variable without surrounding blanks, or None where it is not set or empty.

    Args:
        name: the variable, such as `OPENAI_API_KEY`.
        environ: looked up instead of the process's variables and the `.env` file.

    Raises:
        ConfigError: the `.env` file of the current folder had to be read and cannot be.
    """
    if environ is not None:
        return environ.get(name, "").strip() or None
    return os.environ.get(name, "").strip() or read_env_file(Path(".env")).get(name, "").strip() or None


def source_of(name: str) -> str | None:
    """Where `lookup` has a variable's value from: `environment` or `.env`; None where it is not set or empty.

    Raises:
        ConfigError: the `.env` file of the current folder had to be read and cannot be.
    """
    if os.environ.get(name, "").strip():
        return "environment"
    return ".env" if lookup(name) else None


def read_env_file(path: Path) -> dict[str, str]:
    r"""The variables of a `.env` file; none where there is no such file.

    Read are lines `NAME=value`, with `export ` before them or not. A value in single quotes is taken as it is, one in
    double quotes may hold `\n`, `\t`, `\"` and `\\`, and without quotes it ends at ` #`. Nothing is substituted
    within values. A line of any other form is not ours to judge and is passed over.

    Raises:
        ConfigError: the file exists and cannot be read as UTF-8 text.
    """
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        # The decoding error carries the file's bytes, and those are keys: it is not chained.
        raise ConfigError(f"The file {str(path)!r} cannot be read: {reason}.") from None
    found = (_LINE.fullmatch(line) for line in text.split("\n"))
    return {match["name"]: _value(match["value"]) for match in found if match}


def _value(written: str) -> str:
    quoted = _QUOTED.match(written)
    if quoted is None:
        return re.split(r"(?:^|\s)#", written, maxsplit=1)[0].strip()
    if quoted["literal"] is not None:
        return quoted["literal"]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted["escaped"])
