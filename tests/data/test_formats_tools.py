"""What each format makes of conversations that call tools, and what it says where it has no place for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, Dataset

from .test_formats import CHAT, exported

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SUM = {"type": "object", "properties": {"numbers": {"type": "array", "items": {"type": "number"}}}}


def function(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


def call(name: str, tool: str, **arguments: Any) -> dict[str, Any]:
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": name, "type": "function", "function": {"name": tool, "arguments": text}}


def result(name: str, tool: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "name": tool, "content": content}


TOOLS = [function("weather", CITY), function("total", SUM)]
CALLING: dict[str, Any] = {
    "id": "1",
    "question": "How warm is it in Zürich and Rome?",
    "answer": "26 together.",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "How warm is it in Zürich and Rome?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call("a1", "weather", city="Zürich"), call("a2", "weather", city="Rome")],
        },
        result("a1", "weather", "9"),
        result("a2", "weather", "17"),
        {"role": "assistant", "content": None, "tool_calls": [call("b1", "total", numbers=[9, 17])]},
        result("b1", "total", '{"sum": 26}'),
        {"role": "assistant", "content": "26 together."},
    ],
    "tools": TOOLS,
}


def changed(place: int, **fields: Any) -> dict[str, Any]:
    """The row with another message at a place."""
    messages = list(CALLING["messages"])
    messages[place] = {**messages[place], **fields}
    return {**CALLING, "messages": messages}


def test_messages_keep_calls_results_and_tools(tmp_path: Path) -> None:
    (made,) = exported(tmp_path, CALLING, "messages")
    assert made == {"messages": CALLING["messages"], "tools": TOOLS}
    (made,) = exported(tmp_path, CALLING, "messages", system="Be brief.")
    assert made["messages"] == [{"role": "system", "content": "Be brief."}, *CALLING["messages"][1:]]


def test_arguments_can_be_objects_as_chat_templates_want_them(tmp_path: Path) -> None:
    (made,) = exported(tmp_path, CALLING, "messages", arguments="object")
    calls = [one["function"]["arguments"] for message in made["messages"] for one in message.get("tool_calls", ())]
    assert calls == [{"city": "Zürich"}, {"city": "Rome"}, {"numbers": [9, 17]}]


def test_sharegpt_has_a_result_behind_every_call(tmp_path: Path) -> None:
    (made,) = exported(tmp_path, CALLING, "sharegpt")
    assert json.loads(made["tools"]) == [tool["function"] for tool in TOOLS]
    assert [turn["from"] for turn in made["conversations"]] == [
        "system",
        "human",
        *["function_call", "observation"] * 3,
        "gpt",
    ]
    assert json.loads(made["conversations"][4]["value"]) == {"name": "weather", "arguments": {"city": "Rome"}}
    assert made["conversations"][5]["value"] == "17"
    # Whoever speaks and whoever is spoken to take turns, as LLaMA-Factory asks for.
    odd = {turn["from"] for turn in made["conversations"][1::2]}
    assert odd == {"human", "observation"}


@pytest.mark.parametrize("name", ["chatml", "harmony", "alpaca", "grpo"])
def test_a_format_without_a_place_for_tools_says_so(tmp_path: Path, name: str) -> None:
    for row in (CALLING, {key: value for key, value in CALLING.items() if key != "tools"}, {**CHAT, "tools": TOOLS}):
        with pytest.raises(
            ConfigError, match=r"it has tools, for which this format has no place\..*messages, sharegpt"
        ):
            exported(tmp_path, row, name)


def test_a_preference_between_calls_is_refused_rather_than_cut(tmp_path: Path) -> None:
    answer = [{"role": "assistant", "content": "I call.", "tool_calls": [call("a", "weather", city="Rome")]}]
    row = {"prompt": "How warm?", "chosen": answer, "rejected": "No idea."}
    with pytest.raises(ConfigError, match="has tools"):
        exported(tmp_path, row, "dpo")


def test_what_is_called_tools_and_is_none_changes_nothing(tmp_path: Path) -> None:
    row = {**CHAT, "tools": ["hammer", "saw"]}
    assert exported(tmp_path, row, "chatml") == exported(tmp_path, CHAT, "chatml")
    assert exported(tmp_path, row, "messages") == [{"messages": CHAT["messages"]}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (changed(3, tool_call_id="zz"), "message 4 of its 'messages' is no result of a call before it"),
        (changed(3, content=None), "message 4 of its 'messages' is no result"),
        (
            changed(2, tool_calls=[{"id": "a1"}]),
            "message 3 of its 'messages' has a call without id, name and arguments",
        ),
        ({**CALLING, "messages": CALLING["messages"][:5]}, "do not end with a turn of the assistant"),
        ({**CALLING, "messages": []}, "is not a list of messages"),
    ],
)
def test_calls_and_results_that_do_not_belong_together_are_refused(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    for name in ("messages", "sharegpt"):
        with pytest.raises(ConfigError, match=message):
            exported(tmp_path, row, name)


def test_a_row_is_shown_with_its_calls() -> None:
    shown = str(Dataset([CALLING]).inspect())
    assert "→ weather" in shown
    assert "tool weather:" in shown
    assert "null" not in shown


def test_columns_hold_tools_as_json_since_each_has_a_form_of_its_own(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{**CALLING, "id": str(number), "tools": [TOOLS[number % 2]]} for number in range(4)]
    given: dict[str, dict[str, Any]] = {"parquet": {}, "messages": {"arguments": "object"}}
    for name, options in given.items():
        path = tmp_path / f"{name}.parquet"
        Dataset(rows).export(path, name, **options)
        read = parquet.read_table(path).to_pylist()
        assert [json.loads(row["tools"]) for row in read] == [row["tools"] for row in rows]
        calls = [one for message in read[0]["messages"] for one in message["tool_calls"] or ()]
        assert json.loads(calls[0]["function"]["arguments"]) == {"city": "Zürich"}


def test_statistics_of_rows_with_tools() -> None:
    found = Dataset([CALLING, {**CALLING, "id": "2"}]).statistics()
    assert found.duplicates == 1
    assert found.lengths["tools"].most == 2
