"""Exports as those read them who they are for: `datasets`, spaCy, seqeval, OpenAI's rules for fine-tuning files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rowsmith import Dataset

from .test_formats import CHAT, CLASSIFIED, MCQ, PREFERENCE, QA, TAGGED, UNANSWERABLE


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load an export with Hugging Face's own loader."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    # Read from the environment once, when it is imported, which may have been long ago: it would count downloads.
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def load_one(path: Path, **how: Any) -> Any:
        kind = {".jsonl": "json"}.get(path.suffix, path.suffix[1:])
        cache = str(tmp_path / "cache")
        return datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=cache, **how)

    return load_one


def export(folder: Path, name: str, rows: list[dict[str, Any]], ending: str = ".jsonl", **options: Any) -> Path:
    path = folder / f"{name}{ending}"
    Dataset(rows).export(path, name, **options)
    return path


@pytest.mark.parametrize(
    ("name", "rows", "ending"),
    [
        ("messages", [CHAT, CLASSIFIED, MCQ, QA], ".jsonl"),
        ("messages", [CHAT, CLASSIFIED], ".parquet"),
        ("sharegpt", [CHAT, CLASSIFIED], ".jsonl"),
        ("dpo", [PREFERENCE], ".jsonl"),
        ("kto", [PREFERENCE], ".jsonl"),
        ("grpo", [QA, MCQ], ".parquet"),
        ("token_classification", [TAGGED], ".jsonl"),
        ("chatml", [CHAT], ".csv"),
    ],
)
def test_datasets_loads_it_as_it_was_made(
    tmp_path: Path, load: Any, name: str, rows: list[dict[str, Any]], ending: str
) -> None:
    made = [json.loads(line) for line in export(tmp_path, name, rows).read_text().splitlines()]
    (tmp_path / "other").mkdir()
    assert load(export(tmp_path / "other", name, rows, ending)).to_list() == made


def test_squad_has_the_features_of_squad_v2(tmp_path: Path, load: Any) -> None:
    datasets = pytest.importorskip("datasets")
    text, number = datasets.Value("string"), datasets.Value("int32")
    features = datasets.Features(
        {
            "id": text,
            "title": text,
            "context": text,
            "question": text,
            "answers": {"text": datasets.List(text), "answer_start": datasets.List(number)},
        }
    )
    loaded = load(export(tmp_path, "squad", [QA, UNANSWERABLE]), features=features)
    assert loaded.features == features
    assert [len(row["answers"]["text"]) for row in loaded] == [1, 0]
    row = loaded[0]
    assert row["context"][row["answers"]["answer_start"][0] :].startswith(row["answers"]["text"][0])


def test_to_hf_and_to_pandas_have_all_rows() -> None:
    pytest.importorskip("datasets")
    pytest.importorskip("pandas")
    rows = [{**CLASSIFIED, "id": str(number)} for number in range(10)]
    assert Dataset(rows).to_hf().to_list() == rows
    assert Dataset(rows).to_pandas().to_dict("records") == rows


def test_messages_pass_openais_checks_of_fine_tuning_files(tmp_path: Path) -> None:
    """The checks of https://cookbook.openai.com/examples/chat_finetuning_data_prep."""
    path = export(tmp_path, "messages", [CHAT, CLASSIFIED, MCQ, QA, PREFERENCE] * 2)
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert len(lines) >= 10
    for line in lines:
        example = json.loads(line)
        assert isinstance(example, dict)
        assert example["messages"]
        for message in example["messages"]:
            assert set(message) <= {"role", "content", "name", "function_call", "weight"}
            assert message["role"] in ("system", "user", "assistant", "function")
            assert isinstance(message["content"], str)
            assert message["content"]
        assert any(message["role"] == "assistant" for message in example["messages"])


def test_spacy_trains_on_the_offsets(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    from spacy.training import Example, offsets_to_biluo_tags

    row = json.loads(export(tmp_path, "spacy", [TAGGED]).read_text())
    doc = spacy.blank("en").make_doc(row["text"])
    example = Example.from_dict(doc, {"entities": [tuple(entity) for entity in row["entities"]]})
    assert [(span.text, span.label_) for span in example.reference.ents] == [("Ada", "PER"), ("Bob", "PER")]
    assert "-" not in offsets_to_biluo_tags(doc, row["entities"])


def test_spacy_reads_the_binary_file(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import DocBin

    path = export(tmp_path, "spacy", [TAGGED, CLASSIFIED], ".spacy", lang="en")
    docs = list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))
    assert [doc.text for doc in docs] == [TAGGED["text"], CLASSIFIED["text"]]
    assert [(span.text, span.label_) for span in docs[0].ents] == [("Ada", "PER"), ("Bob", "PER")]
    assert docs[1].cats == {"positive": 1.0}


def test_an_entity_within_a_token_is_refused_unless_it_may_grow(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import DocBin

    from rowsmith import ConfigError

    rows: list[dict[str, Any]] = [{"text": "uncle", "entities": [{"start": 2, "end": 5, "label": "X"}]}]
    with pytest.raises(ConfigError, match="row 1, cannot be written as spacy: its entity 'cle' begins or ends within"):
        export(tmp_path, "spacy", rows, ".spacy")
    path = export(tmp_path, "spacy", rows, ".spacy", alignment="expand")
    (doc,) = DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab)
    assert [span.text for span in doc.ents] == ["uncle"]


@pytest.mark.parametrize("style", ["plain", "conll2003"])
def test_spacy_and_seqeval_read_conll(tmp_path: Path, style: str) -> None:
    converters = pytest.importorskip("spacy.training.converters")
    text = export(tmp_path, "conll", [TAGGED, TAGGED], ".conll", style=style).read_text()
    spans = [span for doc in converters.conll_ner_to_docs(text, no_print=True) for span in doc.ents]
    assert [(span.text, span.label_) for span in spans] == [("Ada", "PER"), ("Bob", "PER")] * 2
    metrics, scheme = pytest.importorskip("seqeval.metrics"), pytest.importorskip("seqeval.scheme").IOB2
    blocks = [block for block in text.split("\n\n") if block and not block.startswith("-DOCSTART-")]
    tags = [[line.split()[-1] for line in block.split("\n")] for block in blocks]
    assert metrics.f1_score(tags, [TAGGED["tags"]] * 2, mode="strict", scheme=scheme) == 1.0
