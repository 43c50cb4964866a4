"""Prints, as constraints for pip, the lowest version that pyproject.toml allows for each dependency of the core."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

for requirement in tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]:
    bound = re.fullmatch(r"(?P<name>[\w.-]+)>=(?P<version>[\w.]+)", requirement)
    if bound is None:
        raise SystemExit(
            f"a dependency of the core must have a lower bound and nothing else, as in `name>=1.2`: {requirement!r}"
        )
    print(f"{bound['name']}=={bound['version']}")
