"""Files of weights in llama.cpp's format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from rowsmith.errors import ConfigError

MAGIC = b"GGUF"

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_HEAD = 1 << 20
_SAMPLES = 64
_SAMPLE = 16 << 10


def part_names(name: str) -> list[str]:
    """The names of all files of a model by that of its first one: llama.cpp splits large ones and numbers the parts.

    Args:
        name: a file's name, or its path with slashes.

    Raises:
        ConfigError: it is a later part.
    """
    found = _PART.fullmatch(name)
    if found is None:
        return [name]
    if int(found["number"]) != 1:
        raise ConfigError(
            f"{name!r} is part {int(found['number'])} of a model in {int(found['count'])} files: name part 1."
        )
    return [f"{found['stem']}-{number:05d}-of-{found['count']}.gguf" for number in range(1, int(found["count"]) + 1)]


def check(path: Path) -> list[Path]:
    """All files of a model on this machine, by its first one.

    Raises:
        ConfigError: one is missing, cannot be read, or is no GGUF file.
    """
    paths = [path.with_name(name) for name in part_names(path.name)]
    for part in paths:
        try:
            with part.open("rb") as file:
                begins = file.read(len(MAGIC))
        except FileNotFoundError:
            raise ConfigError(
                f"There is no file {str(part)!r}: give the path of a GGUF file, or hf://owner/repo/file.gguf."
            ) from None
        except OSError as error:
            raise ConfigError(f"The model {str(part)!r} cannot be read: {error.strerror or error}.") from error
        if begins != MAGIC:
            raise ConfigError(
                f"{str(part)!r} is no GGUF file: it begins with {begins!r} and not {MAGIC!r}. Only weights in "
                "llama.cpp's format can be run; many models on the Hugging Face Hub have a variant in it, named …-GGUF."
            )
    return paths


def fingerprint(paths: list[Path]) -> str:
    """What tells weights from others wherever they lie: a hash of each file's size, its beginning and samples of it.

    The beginning holds a model's description and its vocabulary, which another training of the same model shares; the
    samples lie in its weights. A whole file of many gigabytes would take longer to read than to run a small plan.
    """
    digest = hashlib.sha256(b"rowsmith gguf 1\n")
    for path in paths:
        size = path.stat().st_size
        digest.update(b"%d\n" % size)
        with path.open("rb") as file:
            digest.update(file.read(_HEAD))
            for number in range(1, _SAMPLES + 1):
                file.seek(max(0, size * number // _SAMPLES - _SAMPLE))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:32]
