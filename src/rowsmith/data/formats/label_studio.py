"""`label_studio`: tasks for Label Studio, with what was generated as predictions for people to look over.

https://labelstud.io/guide/predictions. The labelling configuration that goes with them has these names, of which a
project needs those of its kind:

    <View>
      <Text name="text" value="$text"/>
      <Labels name="entities" toName="text">...</Labels>
      <Choices name="label" toName="text" choice="single">...</Choices>
      <Text name="question" value="$question"/>
      <TextArea name="answer" toName="question"/>
    </View>
"""

from __future__ import annotations

from typing import Any, Literal

from rowsmith.data.choosing import spelled
from rowsmith.data.formats import Format
from rowsmith.data.formats.misfit import list_of, text_of
from rowsmith.data.formats.tagged import spans_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def label_studio(row: Row, *, into: Literal["predictions", "annotations"] = "predictions") -> Row:
    """A task: `data` with the row's fields, and its labels, entities or answer as a result.

    Args:
        row: with `text`, and `label`, `labels` or `entities` where it has them; or with `question` and `answer`.
        into: `predictions` are suggestions; `annotations` are taken for the work of a person.
    """
    if isinstance(row.get("text"), str):
        results = _of_text(row)
    elif isinstance(row.get("question"), str) and "answer" in row:
        results = (
            [] if row["answer"] is None else [_result("answer", "question", "textarea", {"text": [row["answer"]]})]
        )
    else:
        raise ConfigError(f"a task needs text, or question and answer. It has {', '.join(row)}")
    task: Row = {"data": {name: value for name, value in row.items() if name not in ("metadata", "entities", "tags")}}
    if results:
        for number, result in enumerate(results):
            result["id"] = f"r{number}"
        version = {"model_version": row.get("model_id") or "unknown"} if into == "predictions" else {}
        task[into] = [{**version, "result": results}]
    return task


def _of_text(row: Row) -> list[Row]:
    text_of(row, "text")
    if row.get("entities") is not None:
        text, spans = spans_of(row)
        return [
            _result(
                "entities",
                "text",
                "labels",
                {"start": start, "end": end, "text": text[start:end], "labels": [label]},
            )
            for start, end, label in spans
        ]
    if row.get("labels") is not None:
        return [_result("label", "text", "choices", {"choices": [spelled(label) for label in list_of(row, "labels")]})]
    if row.get("label") is not None:
        return [_result("label", "text", "choices", {"choices": [spelled(row["label"])]})]
    return []


def _result(name: str, of: str, kind: str, value: dict[str, Any]) -> Row:
    return {"from_name": name, "to_name": of, "type": kind, "value": value}


FORMAT = Format(label_studio, writers={".json": "rowsmith.data.formats.jsonl:JSONArrayWriter"})
