"""Pushes rows of every shape and loads them back, in a process of its own: `datasets` reads its address at import.

Prints a JSON object: shape → what `datasets` gave back, and its features beside those of the card.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from data.pushed import SHAPES
from support.hub import Hub


def main() -> None:
    seen: dict[str, Any] = {}
    with Hub(users={"hf_only_for_this_test": "ada"}) as hub:
        os.environ |= {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(Path.cwd() / "hf"),
            "HF_TOKEN": "hf_only_for_this_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        from rowsmith import Dataset

        datasets: Any = import_module("datasets")
        datasets.disable_progress_bars()
        for shape, rows in SHAPES.items():
            Dataset(rows).push_to_hub(f"ada/{shape}", shuffle=False)
            loaded = datasets.load_dataset(f"ada/{shape}")
            seen[shape] = {"splits": list(loaded), "rows": loaded["train"].to_list()}
        Dataset({"n": number} for number in range(10)).push_to_hub("ada/split", train_size=0.7, seed=3)
        loaded = datasets.load_dataset("ada/split")
        seen["split"] = {name: part["n"][:] for name, part in loaded.items()}
        # A second push of other columns: nothing of the first may be left that is in the way.
        Dataset([{"text": "one"}]).push_to_hub("ada/split", upload_card=False)
        seen["again"] = datasets.load_dataset("ada/split", download_mode="force_redownload")["train"].to_list()
        seen["tokens"] = sorted(set(hub.tokens))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
