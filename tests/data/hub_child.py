"""What is done with the stand-in of the Hub, in a process of its own: `huggingface_hub` reads its address at import.

Prints a JSON object with what came of each step; the tests judge it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from data.reading import shards
from support.hub import Hub

SEEN: dict[str, Any] = {}


def main() -> None:
    files = {"README.md": b"---\nlicense: mit\n---\n", **shards(6, 100)}
    with Hub({"org/name": files}) as hub:
        os.environ |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(Path.cwd() / "hf"), "HF_TOKEN": "hf_only_for_this_test"}
        SEEN["total"] = sum(map(len, files.values()))
        a_source(hub)
        a_dataset(hub)
    print(json.dumps(SEEN))


def a_source(hub: Hub) -> None:
    from rowsmith.data.hub_source import HubDataset
    from rowsmith.data.readers import open_source
    from rowsmith.errors import SourceError

    def fetch(limit: int, name: str = "org/name") -> dict[str, Any]:
        hub.requests.clear()
        source = open_source(HubDataset(name=name, folder="fetched"), limit=limit)
        texts = [document.text.split()[0] for document in source]
        return {"texts": texts, "requests": list(hub.requests), "sent": hub.sent}

    SEEN["first"] = fetch(30)
    SEEN["tokens"] = sorted(set(hub.tokens))
    SEEN["again"] = fetch(30)
    SEEN["commit"] = hub.commit("org/name")
    hub.datasets["org/name"]["new.txt"] = b"pushed since"
    SEEN["more"] = fetch(40)
    SEEN["commit since"] = hub.commit("org/name")
    try:
        fetch(1, "org/nmae")
    except SourceError as error:
        SEEN["error"] = str(error)


def a_dataset(hub: Hub) -> None:
    from rowsmith import MCQDataset, MCQDatasetConfig
    from rowsmith.engine.ledger.paths import RunPaths

    def dataset(count: int) -> MCQDataset:
        return MCQDataset(
            MCQDatasetConfig(
                hf_dataset_name="org/name",
                text_column="text",
                sample_count=count,
                num_samples_per_prompt=1,
                output_file="questions.jsonl",
            )
        )

    def run(count: int, **how: Any) -> dict[str, Any]:
        hub.requests.clear()
        made = dataset(count)
        in_constructor = len(hub.requests)
        made.generate("offline", **how)
        report = made.report
        assert report is not None
        return {
            "rows": [row["source_document"].split()[0] for row in made],
            "in constructor": in_constructor,
            "requests": len(hub.requests),
            "calls": report.calls,
            "kept": sorted(path.name for path in RunPaths.of("questions.jsonl").source.rglob("0*.jsonl")),
        }

    SEEN["run"] = run(3)
    SEEN["run again"] = run(3)
    SEEN["run grown"] = run(5)
    SEEN["run fresh"] = run(5, fresh=True)


if __name__ == "__main__":
    main()
