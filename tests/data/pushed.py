"""Rows of every shape that Rowsmith makes, to be pushed and loaded back."""

from __future__ import annotations

from typing import Any

_ORIGIN = {
    "provider": "offline",
    "template": 0,
    "placeholders": {},
    "cell": "6a875b6e18897f3b",
    "calls": ["sha256:efac1a4ecea7bea9"],
}


def _of(row: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"id": row.get("id", "1"), **row, "metadata": {**_ORIGIN, **metadata}}


SHAPES: dict[str, list[dict[str, Any]]] = {
    "classification": [
        _of({"id": "007", "text": "Grand.\n\tIndented “text” 😀", "label": "positive", "language": "en"}),
        _of({"text": "Bad.", "label": "negative", "language": "no"}, placeholders={"tone": "dry"}),
    ],
    "multi_label": [
        _of({"text": "both", "labels": ["billing", "login"]}),
        _of({"text": "none", "labels": []}),
    ],
    "regression": [
        _of({"text": "so", "label": "fair", "score": 0.5}),
        _of({"text": "ill", "label": "bad", "score": 0}),
    ],
    "token_labels": [
        _of({"text": "nobody", "entities": [], "tokens": ["nobody"], "tags": ["O"]}),
        _of(
            {
                "text": "Ada met Bo",
                "entities": [
                    {"start": 0, "end": 3, "label": "PER", "text": "Ada"},
                    {"start": 8, "end": 10, "label": "PER", "text": "Bo"},
                ],
                "tokens": ["Ada", "met", "Bo"],
                "tags": ["B-PER", "O", "B-PER"],
            }
        ),
    ],
    "qa": [
        _of({"question": "Who?", "answer": "", "answer_start": None, "is_impossible": True, "context": "Ada."}),
        _of({"question": "Who?", "answer": "Ada", "answer_start": 0, "is_impossible": False, "context": "Ada."}),
    ],
    "ultrachat": [
        _of(
            {
                "prompt": "Hello?",
                "messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}],
                "persona": None,
            }
        ),
    ],
    "mcq": [
        _of(
            {
                "source_document": "Ada.",
                "question": "Who?",
                "correct_answer": "Ada",
                "incorrect_answer_1": "Bo",
                "incorrect_answer_2": "Cy",
                "incorrect_answer_3": "Di",
            },
            source_id="007",
        )
    ],
    "preference": [
        _of({"question": "Why?", "chosen": "So.", "rejected": "No.", "chosen_score": 8.0, "rejected_score": 4})
    ],
    "labels": [
        _of(
            {"text": "a", "subject": None, "difficulty": 0.5, "votes": {"subject": ["x", "y"], "difficulty": ["some"]}}
        ),
        _of({"text": "b", "subject": "x", "difficulty": None, "votes": {"subject": ["x", "x"], "difficulty": []}}),
    ],
}
