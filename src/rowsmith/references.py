"""Things of the user's own code that are named as text: `module:name`, or `path/to/file.py:name`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from hashlib import blake2b
from inspect import getsource
from pathlib import Path
from types import ModuleType
from typing import Any

from rowsmith.errors import ConfigError, did_you_mean


def load(reference: str) -> Any:
    """What a reference names.

    A module is looked for where Python looks, and in the current folder. A file is run once, under a name of its own.

    Raises:
        ConfigError: it is no reference, there is no such module or file, running it fails, or it lacks the name.
    """
    where, colon, name = reference.rpartition(":")
    if not colon or not where.strip() or not name.strip():
        raise ConfigError(f"{reference!r} names nothing: write 'module:name', or 'path/to/file.py:name'")
    module = _of_file(Path(where)) if where.endswith(".py") else _of_name(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [one for one in dir(found) if not one.startswith("_")]
            raise ConfigError(f"{where} has no {name!r}. {did_you_mean(part, known)}")
        found = getattr(found, part)
    return found


def source_of(thing: Any) -> str:
    """The text of a function or class, or an empty text where Python does not know it (typed in at a prompt)."""
    try:
        return getsource(thing)
    except (OSError, TypeError):
        return ""


def _of_file(path: Path) -> ModuleType:
    path = path.expanduser()
    if not path.is_file():
        near = [str(found) for found in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ConfigError(f"there is no file {str(path)!r}. {did_you_mean(str(path), near)}")
    # By the whole path, so that two files of one name are two modules, and by the text, so that an edited one is read.
    text = path.read_bytes()
    digest = blake2b(str(path.resolve()).encode() + text, digest_size=8).hexdigest()
    name = f"rowsmith_file_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py file always has one
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Pydantic looks for the names in annotations there
    try:
        # Not by the loader: Python tells a stale .pyc by the second and the length, so that an edit can go unseen.
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102  # the user's own file
    except Exception as exc:
        del sys.modules[name]
        raise ConfigError(f"{path} cannot be run: {type(exc).__name__}: {exc}") from exc
    return module


def _of_name(name: str) -> ModuleType:
    here = str(Path.cwd())
    # The command's own path begins with the folder of the program; `python -m` and scripts have one of these two.
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            raise ConfigError(
                f"there is no module {name!r}: it is looked for where Python looks, and in {here}. "
                "A file is named by its path, such as 'models.py:Ticket'"
            ) from None
        raise ConfigError(f"{name} cannot be imported: {exc}") from exc
    except Exception as exc:
        raise ConfigError(f"{name} cannot be imported: {type(exc).__name__}: {exc}") from exc
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
