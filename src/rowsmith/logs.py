"""Where Rowsmith's log goes.

All of Rowsmith logs to the logger `rowsmith` and its children. No other logger is ever touched.

Until `configure_logger` is called, records go where the host program's logging says, as any library's do; where the
host has said nothing, errors (and nothing less) appear on the standard error stream. After it, they go to the terminal
and the file that it was told, and no further: a host that logs too would print each line a second time.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from rowsmith.errors import ConfigError, did_you_mean

ROOT = "rowsmith"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FILE_BYTES = 10_000_000
"""Size at which a log file is renamed to `.1` and begun anew."""
FILE_BACKUPS = 5
"""Renamed log files that are kept."""

_COLOURS = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_TERMINAL = "rowsmith:terminal"
_FILE = "rowsmith:file"
_ALONE = "rowsmith:alone"
# A model's words may stand in a message; a terminal must not obey what is in them.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def configure_logger(level: str | int = "INFO", log_file: str | os.PathLike[str] | None = None) -> None:
    """Show Rowsmith's log on the standard error stream, and keep it in a file if one is named.

    Calling it again replaces what the last call set. A terminal gets colours unless `NO_COLOR` is set.

    Args:
        level: the least severe level to show: DEBUG, INFO, WARNING, ERROR or CRITICAL, or logging's number for it.
        log_file: a file to append to; its folder is made. At 10 MB it is renamed, and five such files are kept.

    Raises:
        ConfigError: no such level, or the file cannot be written.
    """
    number = _level(level)
    handlers: list[logging.Handler] = [_StderrHandler()]
    handlers[0].set_name(_TERMINAL)
    handlers[0].setFormatter(_TerminalFormatter())
    if log_file is not None:
        handlers.append(_file_handler(Path(log_file)))

    logger = logging.getLogger(ROOT)
    _remove_ours(logger)
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(number)
    logger.propagate = False


def show_errors_when_alone() -> None:
    """Print errors of Rowsmith, and nothing less, for as long as neither host nor user has configured logging."""
    logger = logging.getLogger(ROOT)
    if logger.handlers:
        return
    handler = _StderrHandler(logging.ERROR)
    handler.set_name(_ALONE)
    handler.setFormatter(_TerminalFormatter())
    handler.addFilter(_nobody_else_listens)
    logger.addHandler(handler)


def _level(level: str | int) -> int:
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    name = str(level).strip().upper()
    if name not in LEVELS:
        raise ConfigError(f"no such log level: {level!r}. {did_you_mean(name, LEVELS)}")
    return int(getattr(logging, name))


def _file_handler(path: Path) -> logging.Handler:
    from logging.handlers import RotatingFileHandler  # loads sockets and pickle, which few need

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILE_BACKUPS, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"log_file cannot be written: {str(path)!r} ({error.strerror or error})") from error
    handler.set_name(_FILE)
    handler.setFormatter(_PlainFormatter("{asctime} {levelname:<8} {name}: {message}", style="{"))
    return handler


def _remove_ours(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        if handler.name in (_TERMINAL, _FILE, _ALONE):
            logger.removeHandler(handler)
            handler.close()


def _nobody_else_listens(_record: logging.LogRecord) -> bool:
    others = [handler for handler in logging.getLogger(ROOT).handlers if handler.name != _ALONE]
    return not others and not logging.getLogger().handlers


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is now: a progress bar puts itself in its place while it runs."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        logging.Handler.__init__(self, level)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute in the base class; logging.lastResort does so too
        return sys.stderr


class _PlainFormatter(logging.Formatter):
    """Makes control characters visible, so that a message cannot drive a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return super().formatMessage(record).translate(_VISIBLE)


class _TerminalFormatter(_PlainFormatter):
    """Time, level and message on one line; the level in colour where a person looks."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<8} {message}", datefmt="%H:%M:%S", style="{")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not _in_colour(sys.stderr):
            return text
        level = record.levelname
        return text.replace(level, f"\x1b[{_COLOURS.get(level, '0')}m{level}\x1b[0m", 1)


def _in_colour(stream: TextIO) -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()
