"""What each format makes of rows of each kind, and what it says of rows that it cannot take."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith import ConfigError, Dataset
from rowsmith.data import formats
from rowsmith.data.formats.conversation import LETTERS, multiple_choice

CLASSIFIED = {"id": "1", "text": "Great! ", "label": "positive"}
MULTI = {"id": "2", "text": "Late and rude", "labels": ["delivery", "staff"]}
QA = {"id": "3", "question": "Where?", "context": "It is in Rome.", "answer": "Rome", "answer_start": 9}
UNANSWERABLE = {"id": "4", "question": "When?", "context": "It is in Rome.", "answer": None, "is_impossible": True}
MCQ = {
    "id": "5",
    "question": "Capital of France?",
    "correct_answer": "Paris",
    "incorrect_answer_1": "Rome",
    "incorrect_answer_2": "Bonn",
    "incorrect_answer_3": "Bern",
}
PREFERENCE = {"id": "6", "question": "Why?", "chosen": "Because.", "rejected": "No.", "chosen_score": 9}
CHAT = {
    "id": "7",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
    ],
    "persona": "a nurse",
}
TAGGED = {
    "id": "8",
    "text": "😀 Ada met Bob",
    "entities": [
        {"start": 2, "end": 5, "label": "PER", "text": "Ada"},
        {"start": 10, "end": 13, "label": "PER", "text": "Bob"},
    ],
    "tokens": ["😀", "Ada", "met", "Bob"],
    "tags": ["O", "B-PER", "O", "B-PER"],
}
CODE = "def f(x):\r\n\tif x:  \r\n\t\treturn '<b>\\n\u2028é'\r\n\n   "


def exported(folder: Path, row: dict[str, Any], name: str, ending: str = "", **options: Any) -> Any:
    """What a format makes of one row: the JSON of each line, or of the whole file."""
    path = folder / f"out{ending or formats.resolve(name).suffix}"
    Dataset([row]).export(path, name, force=True, **options)
    text = path.read_bytes().decode()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return json.loads(text) if path.suffix == ".json" else text


def said(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


@pytest.mark.parametrize(
    ("row", "options", "messages"),
    [
        (CHAT, {}, CHAT["messages"]),
        (CHAT, {"system": "Be brief."}, [{"role": "system", "content": "Be brief."}, *CHAT["messages"][1:]]),
        (CLASSIFIED, {}, said("Great! ", "positive")),
        (CLASSIFIED, {"instruction": "Good or bad?"}, said("Good or bad?\n\nGreat! ", "positive")),
        (MULTI, {}, said("Late and rude", "delivery, staff")),
        (QA, {}, said("It is in Rome.\n\nWhere?", "Rome")),
        (QA, {"context": "false"}, said("Where?", "Rome")),
        (UNANSWERABLE, {"unanswerable": "It is not said."}, said("It is in Rome.\n\nWhen?", "It is not said.")),
        (PREFERENCE, {}, said("Why?", "Because.")),
        ({"instruction": "Add", "input": "1, 2", "output": "3"}, {}, said("Add\n\n1, 2", "3")),
        ({"prompt": "Say hi", "completion": "hi"}, {}, said("Say hi", "hi")),
        ({"text": "x", "label": "good", "score": 0.75}, {}, said("x", "good")),
        ({"text": "x", "label": 4}, {}, said("x", "4")),
    ],
)
def test_a_row_with_an_answer_is_a_conversation(
    tmp_path: Path, row: dict[str, Any], options: dict[str, Any], messages: list[Any]
) -> None:
    assert exported(tmp_path, row, "messages", **options) == [{"messages": messages}]


@pytest.mark.parametrize(("answer", "shape"), [("full", "{0}. Paris"), ("letter", "{0}"), ("text", "Paris")])
def test_a_multiple_choice_has_lettered_options(tmp_path: Path, answer: str, shape: str) -> None:
    ((asked, right),) = (made["messages"] for made in exported(tmp_path, MCQ, "messages", answer=answer))
    question, _, options = asked["content"].partition("\n\n")
    assert question == "Capital of France?"
    assert sorted(line[3:] for line in options.split("\n")) == ["Bern", "Bonn", "Paris", "Rome"]
    assert [line[:3] for line in options.split("\n")] == ["A. ", "B. ", "C. ", "D. "]
    letter = next(line[0] for line in options.split("\n") if line.endswith("Paris"))
    assert right["content"] == shape.format(letter)


@given(number=st.integers(0, 1000), seed=st.integers(0, 3), wrong=st.lists(st.text(), min_size=1, max_size=6))
def test_the_order_of_options_depends_on_the_row_and_the_seed_alone(number: int, seed: int, wrong: list[str]) -> None:
    row = {"id": str(number), "question": "?", "correct_answer": "right", "incorrect_answers": wrong}
    asked, answer = multiple_choice(row, seed=seed)
    assert multiple_choice(dict(reversed(row.items())), seed=seed) == (asked, answer)
    assert answer in asked
    assert f"{LETTERS[len(wrong)]}. " in asked


def test_the_right_answer_stands_everywhere_equally_often() -> None:
    letters = [multiple_choice({**MCQ, "id": str(number)}, answer="letter")[1] for number in range(2000)]
    assert all(400 < letters.count(letter) < 600 for letter in "ABCD")


def test_chatml_and_harmony_are_one_text(tmp_path: Path) -> None:
    assert exported(tmp_path, CLASSIFIED, "chatml", system="Be kind.") == [
        {
            "text": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nGreat! <|im_end|>\n"
            "<|im_start|>assistant\npositive<|im_end|>\n"
        }
    ]
    assert exported(tmp_path, CHAT, "harmony", reasoning="low", date="2026-01-31") == [
        {
            "text": "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
            "Knowledge cutoff: 2024-06\nCurrent date: 2026-01-31\n\nReasoning: low\n\n"
            "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
            "<|start|>developer<|message|># Instructions\n\nBe kind.<|end|>"
            "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final<|message|>Hello<|end|>"
            "<|start|>user<|message|>2+2?<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>"
        }
    ]


@pytest.mark.parametrize(("name", "mark"), [("chatml", "<|im_end|>"), ("harmony", "<|channel|>")])
def test_a_mark_within_a_text_is_refused(tmp_path: Path, name: str, mark: str) -> None:
    with pytest.raises(ConfigError, match=r"turn 1 has .* in it, which would end the turn"):
        exported(tmp_path, {"prompt": f"Say {mark}", "completion": "no"}, name)


def test_alpaca_and_sharegpt(tmp_path: Path) -> None:
    assert exported(tmp_path, QA, "alpaca") == [{"instruction": "Where?", "input": "It is in Rome.", "output": "Rome"}]
    assert exported(tmp_path, CHAT, "alpaca") == [
        {"instruction": "2+2?", "input": "", "output": "4", "system": "Be kind.", "history": [["Hi", "Hello"]]}
    ]
    assert exported(tmp_path, CLASSIFIED, "sharegpt", system="S") == [
        {
            "conversations": [
                {"from": "system", "value": "S"},
                {"from": "human", "value": "Great! "},
                {"from": "gpt", "value": "positive"},
            ]
        }
    ]


def test_preferences_are_messages_or_texts(tmp_path: Path) -> None:
    user, chosen = said("Why?", "Because.")
    _, rejected = said("Why?", "No.")
    assert exported(tmp_path, PREFERENCE, "dpo") == [{"prompt": [user], "chosen": [chosen], "rejected": [rejected]}]
    assert exported(tmp_path, PREFERENCE, "dpo", style="standard") == [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
    ]
    assert exported(tmp_path, PREFERENCE, "kto", system="S") == [
        {"prompt": [{"role": "system", "content": "S"}, user], "completion": [answer], "label": good}
        for answer, good in ((chosen, True), (rejected, False))
    ]
    assert exported(tmp_path, QA, "grpo") == [
        {"prompt": [{"role": "user", "content": "It is in Rome.\n\nWhere?"}], "solution": "Rome"}
    ]
    assert exported(tmp_path, QA, "grpo", style="standard", context=False) == [{"prompt": "Where?", "solution": "Rome"}]


def test_squad_has_spans_and_empty_lists(tmp_path: Path) -> None:
    made = exported(tmp_path, QA, "squad")[0]
    assert made["answers"] == {"text": ["Rome"], "answer_start": [9]}
    assert list(made) == ["id", "title", "context", "question", "answers"]
    assert exported(tmp_path, UNANSWERABLE, "squad")[0]["answers"] == {"text": [], "answer_start": []}


def test_conll_is_a_token_a_line(tmp_path: Path) -> None:
    plain = exported(tmp_path, TAGGED, "conll")
    assert plain == "😀 O\nAda B-PER\nmet O\nBob B-PER\n\n"
    assert exported(tmp_path, TAGGED, "conll", ".txt", style="conll2003") == (
        "-DOCSTART- -X- O O\n\n😀 -X- -X- O\nAda -X- -X- B-PER\nmet -X- -X- O\nBob -X- -X- B-PER\n\n"
    )
    assert exported(tmp_path, TAGGED, "token_classification") == [
        {"id": "8", "tokens": TAGGED["tokens"], "ner_tags": TAGGED["tags"]}
    ]


def test_spacy_offsets_and_every_category(tmp_path: Path) -> None:
    assert exported(tmp_path, TAGGED, "spacy") == [
        {"text": TAGGED["text"], "entities": [[2, 5, "PER"], [10, 13, "PER"]]}
    ]
    path = tmp_path / "cats.jsonl"
    Dataset([CLASSIFIED, MULTI]).export(path, "spacy")
    assert [json.loads(line)["cats"] for line in path.read_text().splitlines()] == [
        {"delivery": 0.0, "positive": 1.0, "staff": 0.0},
        {"delivery": 1.0, "positive": 0.0, "staff": 1.0},
    ]


def test_label_studio_tasks(tmp_path: Path) -> None:
    (task,) = exported(tmp_path, TAGGED | {"model_id": "m"}, "label_studio")
    assert task["data"]["text"] == TAGGED["text"]
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "m"
    assert [(one["id"], one["type"], one["value"]) for one in prediction["result"]] == [
        ("r0", "labels", {"start": 2, "end": 5, "text": "Ada", "labels": ["PER"]}),
        ("r1", "labels", {"start": 10, "end": 13, "text": "Bob", "labels": ["PER"]}),
    ]
    (task,) = exported(tmp_path, MULTI, "label_studio", into="annotations")
    assert task["annotations"][0]["result"][0]["value"] == {"choices": ["delivery", "staff"]}
    assert "predictions" not in task
    assert "predictions" not in exported(tmp_path, {"text": "raw"}, "label_studio")[0]
    (task,) = exported(tmp_path, QA, "label_studio")
    assert task["predictions"][0]["result"][0]["value"] == {"text": ["Rome"]}


@pytest.mark.parametrize("name", ["messages", "chatml", "alpaca", "sharegpt", "harmony", "dpo", "kto", "grpo"])
def test_text_is_written_to_the_byte(tmp_path: Path, name: str) -> None:
    found: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(part)

    collect(exported(tmp_path, {"prompt": CODE, "completion": CODE, "chosen": CODE, "rejected": CODE}, name))
    assert [text for text in found if CODE in text]
    raw = (tmp_path / "out.jsonl").read_bytes()
    assert raw.count(b"\n") == (2 if name == "kto" else 1)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("dpo", QA, "it lacks 'chosen' and 'rejected' .it has id, question, context"),
        ("kto", {"chosen": "a", "rejected": "b"}, "it lacks 'prompt'"),
        ("messages", {"text": "raw"}, "none of the rows that become a conversation"),
        ("messages", UNANSWERABLE, "has no answer. Say what"),
        ("messages", {"messages": [{"role": "usr", "content": "x"}]}, "message 1 of its 'messages' has the role 'usr'"),
        ("messages", {"messages": [{"role": "user"}]}, "message 1 of its 'messages' has no role and content"),
        ("messages", {"messages": [{"role": "user", "content": "x"}]}, "no turn of the assistant"),
        ("alpaca", CLASSIFIED, "no instruction: say"),
        ("alpaca", {"messages": said("x", "y")[:1]}, "do not end with a turn of the user and one of the assistant"),
        ("squad", {**QA, "answer_start": 8}, "answer 'Rome' does not stand at character 8"),
        ("squad", {**QA, "answer_start": None}, "is not a span of its context"),
        ("squad", CLASSIFIED, "it lacks 'context' and 'question' and 'answer'"),
        ("conll", CLASSIFIED, "it lacks 'tokens' and 'tags'"),
        ("conll", {"tokens": ["a b"], "tags": ["O"]}, "token 'a b' is empty or has blanks"),
        ("conll", {"tokens": ["a"], "tags": ["PER"]}, "tags are O, B-LABEL and I-LABEL"),
        ("conll", {"tokens": ["a"], "tags": []}, "1 tokens and 0 tags"),
        ("spacy", {**TAGGED, "text": "moved 😀 Ada met Bob"}, "entity 'Ada' does not stand at 2:5"),
        (
            "spacy",
            {"text": "ab", "entities": [{"start": 0, "end": 3, "label": "X"}]},
            "no start, end and label that fit",
        ),
        ("label_studio", PREFERENCE, "a task needs text, or question and answer"),
    ],
)
def test_a_row_that_does_not_fit_is_named_and_nothing_written(
    tmp_path: Path, name: str, row: dict[str, Any], message: str
) -> None:
    fitting: dict[str, dict[str, Any]] = {"dpo": PREFERENCE, "kto": PREFERENCE, "conll": TAGGED, "spacy": TAGGED}
    path = tmp_path / f"out{formats.resolve(name).suffix}"
    with pytest.raises(ConfigError, match=f"^row 2, cannot be written as {name}: .*{message}"):
        Dataset([fitting.get(name, QA), row]).export(path, name)
    assert list(tmp_path.iterdir()) == []


def test_overlapping_entities_are_refused_for_spacy(tmp_path: Path) -> None:
    entities = [{"start": 0, "end": 3, "label": "A"}, {"start": 2, "end": 4, "label": "B"}]
    with pytest.raises(ConfigError, match="'abc' and 'cd' overlap"):
        exported(tmp_path, {"text": "abcd", "entities": entities}, "spacy")


def test_columns_by_other_names(tmp_path: Path) -> None:
    row = {"ask": "Why?", "good": "Because.", "bad": "No."}
    columns = {"prompt": "ask", "chosen": "good", "rejected": "bad"}
    Dataset([row]).export(tmp_path / "out.jsonl", "dpo", columns=columns, style="standard")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "prompt": "Why?",
        "chosen": "Because.",
        "rejected": "No.",
    }
    with pytest.raises(ConfigError, match=r"no column 'aks' for 'prompt'\. Did you mean 'ask'"):
        Dataset([row]).export(tmp_path / "other.jsonl", "dpo", columns={"prompt": "aks"})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mesages", {}, "no format 'mesages'. Did you mean 'messages'"),
        ("messages", {"sytem": "x"}, "no option 'sytem'. Did you mean 'system'"),
        ("messages", {"answer": "number"}, "option answer='number' of messages is wrong"),
        ("harmony", {"reasoning": "none"}, "option reasoning='none'"),
        ("jsonl", {"system": "x"}, "'jsonl' has no option 'system'. None is known"),
    ],
)
def test_wrong_names_are_told_with_the_right_ones(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Dataset([QA]).export(tmp_path / "out.jsonl", name, **options)
    with pytest.raises(ConfigError, match=r"conll is stored in files that end in \.conll or"):
        Dataset([TAGGED]).export(tmp_path / "out.jsonl", "conll")


def test_a_function_is_a_format(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(
        "def twice(row: dict, *, times: int = 2) -> list[dict]:\n    return [{'t': row['text']}] * times\n"
        "def nothing(row):\n    return None\n"
    )
    spec = f"{tmp_path / 'shapes.py'}:twice"
    assert Dataset([CLASSIFIED]).export(tmp_path / "a.jsonl", spec, times="3") == 3
    assert (tmp_path / "a.jsonl").read_text() == '{"t":"Great! "}\n' * 3
    assert Dataset([CLASSIFIED, QA]).export(tmp_path / "b.json", lambda row: [row] if "text" in row else []) == 1
    with pytest.raises(ConfigError, match=r"option times='x' of twice is wrong: Input should be a valid integer"):
        Dataset([CLASSIFIED]).export(tmp_path / "c.jsonl", spec, times="x")
    with pytest.raises(ConfigError, match="the format made a NoneType of it"):
        Dataset([CLASSIFIED]).export(tmp_path / "c.jsonl", spec.replace("twice", "nothing"))
    with pytest.raises(ConfigError, match=r"has no 'twic'\. Did you mean 'twice'"):
        Dataset([CLASSIFIED]).export(tmp_path / "c.jsonl", spec[:-1])
    assert not (tmp_path / "c.jsonl").exists()


def test_an_edit_of_a_format_within_one_second_that_keeps_the_length_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python tells a stale `.pyc` by the whole seconds of a file's time and by its length; here both stay."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "shapes.py"

    def written(step: int) -> str:
        path.write_text(f"def numbered(row):\n    return {{'n': {step}}}\n")
        os.utime(path, ns=(10**18, 10**18 + step))
        Dataset([CLASSIFIED]).export(tmp_path / "out.jsonl", f"{path}:numbered", force=True)
        return (tmp_path / "out.jsonl").read_text()

    assert [written(step) for step in (1, 2, 3)] == ['{"n":1}\n', '{"n":2}\n', '{"n":3}\n']


def test_what_is_wrong_with_a_file_of_formats_is_said(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ConfigError, match=r"there is no file '.*shape\.py'\. Did you mean '.*shapes\.py'\?"):
        formats.resolve(f"{tmp_path / 'shape.py'}:mine")
    with pytest.raises(ConfigError, match=r"shapes\.py cannot be run: ModuleNotFoundError: .*'nowhere_at_all'"):
        formats.resolve(f"{tmp_path / 'shapes.py'}:mine")


def test_an_error_of_the_users_own_function_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Dataset([CLASSIFIED]).export(tmp_path / "c.jsonl", lambda row: {"t": Path("nowhere.txt").read_text()})
    assert list(tmp_path.iterdir()) == []


def test_every_installed_format_can_be_loaded() -> None:
    names = formats.available()
    assert {"csv", "dpo", "jsonl", "messages", "parquet", "spacy"} <= set(names)
    assert [formats.resolve(name).name for name in names] == names
