"""The log: silent but for errors until asked for, then on the terminal and in the file, and nowhere else."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rowsmith.errors import ConfigError
from rowsmith.logs import FILE_BACKUPS, FILE_BYTES, configure_logger, show_errors_when_alone

LOG = logging.getLogger("rowsmith.somewhere.deep")
SAY_ALL = "log = logging.getLogger('rowsmith.x'); [log.log(n, 'at %s', n) for n in (10, 20, 30, 40)]"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("rowsmith")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    for handler in set(logger.handlers) - set(handlers):
        handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


def run(code: str, **env: str) -> str:
    """What a fresh interpreter prints on its standard error stream."""
    done = subprocess.run(
        [sys.executable, "-c", f"import logging, rowsmith\n{code}"],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **env},
    )
    return done.stderr


def run_on_a_terminal(code: str, **env: str) -> str:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", code], stderr=theirs, check=True, env={**os.environ, "TERM": "xterm", **env}
        )
        return os.read(ours, 65536).decode()
    finally:
        os.close(theirs)
        os.close(ours)


def test_a_host_that_configures_nothing_sees_errors_and_nothing_less() -> None:
    lines = run(SAY_ALL).splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("ERROR    at 40")


def test_a_host_that_logs_gets_every_record_once_and_in_its_own_form() -> None:
    assert run(f"logging.basicConfig(format='host %(message)s', level=20)\n{SAY_ALL}").splitlines() == [
        "host at 20",
        "host at 30",
        "host at 40",
    ]


def test_a_host_that_listens_to_rowsmith_alone_hears_it_once() -> None:
    code = "h = logging.StreamHandler(); logging.getLogger('rowsmith').addHandler(h)\n" + SAY_ALL
    assert run(code).splitlines() == ["at 30", "at 40"]


def test_a_configured_log_is_printed_once_even_where_the_host_logs_too() -> None:
    lines = run(f"logging.basicConfig(level=10)\nrowsmith.configure_logger()\n{SAY_ALL}").splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ["INFO     at 20", "WARNING  at 30", "ERROR    at 40"]


def test_the_hosts_loggers_are_left_alone() -> None:
    root, other = logging.getLogger(), logging.getLogger("host")
    before = (root.level, list(root.handlers), other.level, list(other.handlers), other.propagate)
    configure_logger("DEBUG")
    assert (root.level, list(root.handlers), other.level, list(other.handlers), other.propagate) == before


def test_a_second_call_replaces_the_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    configure_logger("DEBUG", tmp_path / "first.log")
    configure_logger("WARNING", tmp_path / "second.log")
    LOG.info("quiet")
    LOG.warning("loud")
    assert capsys.readouterr().err.count("loud") == 1
    assert (tmp_path / "first.log").read_text() == ""
    assert (tmp_path / "second.log").read_text().count("loud") == 1
    assert "quiet" not in (tmp_path / "second.log").read_text()


def test_a_handler_that_the_host_added_stays() -> None:
    own = logging.NullHandler()
    logging.getLogger("rowsmith").addHandler(own)
    configure_logger()
    configure_logger()
    assert own in logging.getLogger("rowsmith").handlers
    assert len(logging.getLogger("rowsmith").handlers) == 2


def test_the_quiet_start_does_not_come_back_after_configuring() -> None:
    configure_logger()
    before = list(logging.getLogger("rowsmith").handlers)
    show_errors_when_alone()
    assert logging.getLogger("rowsmith").handlers == before


def test_a_terminal_gets_colours_a_pipe_gets_none() -> None:
    code = "import logging, rowsmith; rowsmith.configure_logger(); logging.getLogger('rowsmith').warning('hot')"
    plain = {"NO_COLOR": ""}
    assert "\x1b[33mWARNING\x1b[0m  hot" in run_on_a_terminal(code, **plain)
    assert "\x1b" not in run_on_a_terminal(code, NO_COLOR="1")
    assert "\x1b" not in run_on_a_terminal(code, **plain, TERM="dumb")
    assert "\x1b" not in run(code, **plain)


def test_a_message_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logger()
    LOG.warning("answer: %s", "\x1b[2Jgone\x9b\r")
    assert capsys.readouterr().err.endswith("answer: \\x1b[2Jgone\\x9b\\x0d\n")


def test_the_file_has_date_level_logger_and_message_and_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.log"
    configure_logger(log_file=path)
    LOG.info("é %d", 7)
    line = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO     rowsmith\.somewhere\.deep: é 7\n", line)


def test_the_file_is_renamed_at_its_size_and_five_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    configure_logger(log_file=path)
    terminal, file = logging.getLogger("rowsmith").handlers
    logging.getLogger("rowsmith").removeHandler(terminal)
    half = "x" * (FILE_BYTES // 2)
    for _ in range(2 * (FILE_BACKUPS + 3)):
        LOG.info(half)
    file.close()
    assert {p.name for p in tmp_path.iterdir()} == {"run.log", *(f"run.log.{n}" for n in range(1, FILE_BACKUPS + 1))}
    assert all(p.stat().st_size <= FILE_BYTES for p in tmp_path.iterdir())


@pytest.mark.parametrize("level", ["debug", " Info ", "WARNING", logging.ERROR, 15])
def test_a_level_is_a_name_in_any_case_or_a_number(level: str | int) -> None:
    configure_logger(level)
    expected = level if isinstance(level, int) else logging.getLevelNamesMapping()[level.strip().upper()]
    assert logging.getLogger("rowsmith").level == expected


@pytest.mark.parametrize(
    ("level", "hint"),
    [
        ("INFOO", "Did you mean 'INFO'?"),
        ("loud", "Known: CRITICAL, DEBUG, ERROR, INFO, WARNING."),
        (-1, "-1"),
        (True, "True"),
    ],
)
def test_a_wrong_level_names_the_right_ones_and_changes_nothing(level: str | int, hint: str) -> None:
    before = list(logging.getLogger("rowsmith").handlers)
    with pytest.raises(ConfigError, match=re.escape(hint)):
        configure_logger(level)
    assert logging.getLogger("rowsmith").handlers == before


def test_a_file_that_cannot_be_written_is_a_config_error_and_changes_nothing(tmp_path: Path) -> None:
    before = list(logging.getLogger("rowsmith").handlers)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        configure_logger(log_file=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="log_file cannot be written"):
        configure_logger(log_file=tmp_path / "file" / "run.log")
    assert logging.getLogger("rowsmith").handlers == before
