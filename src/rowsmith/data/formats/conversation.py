"""What the conversational formats share: a row of any kind as a conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypedDict, Unpack

from rowsmith.data.choosing import spelled
from rowsmith.data.formats.misfit import list_of, text_of
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError

Message = dict[str, Any]
"""`role` and `content`, both texts; those that call tools have more, and only some formats take them."""
Answer = Literal["full", "letter", "text"]

ROLES = ("system", "developer", "user", "assistant")
TAKES = (
    "messages; question and answer; question, correct_answer and incorrect answers; prompt (or question) and chosen; "
    "instruction and output; prompt and completion; or text and label (or labels)"
)
NO_PLACE_FOR_TOOLS = (
    "it has tools, for which this format has no place. Those that have one are messages, sharegpt, jsonl and parquet"
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is asked, and the answer to it.

    Attributes:
        instruction: what is to be done.
        answer: the answer.
        material: what it is to be done with: a context, a text; or empty.
        material_first: whether a prompt of both has the material at its head.
        before: system message and earlier turns.
    """

    instruction: str
    answer: str
    material: str = ""
    material_first: bool = False
    before: list[Message] = field(default_factory=list)

    @property
    def prompt(self) -> str:
        """Both as one text."""
        parts = [self.material, self.instruction] if self.material_first else [self.instruction, self.material]
        return "\n\n".join(part for part in parts if part)

    @property
    def messages(self) -> list[Message]:
        """All as a conversation."""
        asked = {"role": "user", "content": self.prompt}
        return [*self.before, asked, {"role": "assistant", "content": self.answer}]


class ConversationOptions(TypedDict, total=False):
    """How a row becomes a conversation. The defaults are those of `exchange`.

    Attributes:
        system: a system message before it, instead of the row's own.
        instruction: what is asked of the text, for rows of `text` and `label`.
        context: False leaves out the context of a question.
        answer: what of a multiple choice is the answer: `full` is `B. Paris`, `letter` is `B`, `text` is `Paris`.
        unanswerable: the answer to questions that have none.
        seed: of the order of a multiple choice's options, which is drawn for each row by itself.
    """

    system: str | None
    instruction: str | None
    context: bool
    answer: Answer
    unanswerable: str | None
    seed: int


def conversation(row: Row, **options: Unpack[ConversationOptions]) -> list[Message]:
    """A row as a conversation that ends with an answer.

    Args:
        row: of any kind that has an answer.
        **options: how.

    Raises:
        ConfigError: the row has no answer.
    """
    if "messages" in row:
        messages = with_system(_messages(row), options.get("system"))
        if all(message["role"] != "assistant" for message in messages):
            raise ConfigError("its 'messages' have no turn of the assistant")
        return messages
    return exchange(row, **options).messages


def exchange(
    row: Row,
    *,
    system: str | None = None,
    instruction: str | None = None,
    context: bool = True,
    answer: Answer = "full",
    unanswerable: str | None = None,
    seed: int = 0,
) -> Exchange:
    """A row as what is asked and the answer; of a conversation it is the last.

    The arguments are those of `ConversationOptions`.
    """
    before: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    match row:
        case {"messages": _}:
            return _last_exchange(with_system(_messages(row), system))
        case {"chosen": _}:
            return Exchange(asked_in(row), text_of(row, "chosen"), before=before)
        case {"question": _, "correct_answer": _}:
            asked, right = multiple_choice(row, seed=seed, answer=answer)
            return Exchange(asked, right, before=before)
        case {"question": _, **rest} if "answer" in rest or "is_impossible" in rest:
            material = row.get("context") if context else None
            found = _answer(row, unanswerable)
            return Exchange(text_of(row, "question"), found, material or "", material_first=True, before=before)
        case {"instruction": _, "output": _}:
            return Exchange(text_of(row, "instruction"), text_of(row, "output"), row.get("input") or "", before=before)
        case {"prompt": _} if "completion" in row or "response" in row:
            name = "completion" if "completion" in row else "response"
            return Exchange(text_of(row, "prompt"), text_of(row, name), before=before)
        case {"text": _} if "label" in row or "labels" in row:
            found = label_of(row)
            return Exchange(instruction or "", found, text_of(row, "text"), before=before)
    raise ConfigError(f"it is none of the rows that become a conversation. Those have {TAKES}. It has {', '.join(row)}")


def multiple_choice(row: Row, *, seed: int = 0, answer: Answer = "full") -> tuple[str, str]:
    """A multiple-choice question with its options, one a line, and the right answer.

    The order of the options is drawn from the seed and the row's id (its question, where it has none), so that it does
    not depend on the rows around it.
    """
    question, right = text_of(row, "question"), text_of(row, "correct_answer")
    wrong = incorrect_answers(row)
    options = [right, *wrong]
    if len(options) > len(LETTERS):
        raise ConfigError(f"it has {len(options)} options; there are letters for {len(LETTERS)}")
    order = list(range(len(options)))
    Random(f"{seed}\0{spelled(row.get('id') or question)}").shuffle(order)  # noqa: S311  # an order, no secret
    shown = "\n".join(f"{letter}. {options[at]}" for letter, at in zip(LETTERS, order, strict=False))
    letter = LETTERS[order.index(0)]
    answers = {"full": f"{letter}. {right}", "letter": letter, "text": right}
    return f"{question}\n\n{shown}", answers[answer]


def incorrect_answers(row: Row) -> list[str]:
    """The wrong answers of a multiple choice, from a list or from numbered fields."""
    if row.get("incorrect_answers") is not None:
        found = list_of(row, "incorrect_answers")
        if not all(isinstance(one, str) for one in found):
            raise ConfigError("its 'incorrect_answers' are not all texts")
        return [str(one) for one in found]
    names = [name for name in row if name.startswith("incorrect_answer_")]
    return [text_of(row, name) for name in names] or [text_of(row, "incorrect_answer_1")]


def asked_in(row: Row) -> str:
    """The prompt of a preference."""
    return text_of(row, "prompt" if row.get("prompt") is not None else "question")


def label_of(row: Row) -> str:
    """The label of a text, or its labels with commas between them."""
    if row.get("labels") is not None:
        return ", ".join(spelled(label) for label in list_of(row, "labels"))
    return spelled(row["label"]) if row.get("label") is not None else text_of(row, "label")


def checked_messages(found: object, name: str) -> list[Message]:
    """Messages of a row, with role and content alone.

    Raises:
        ConfigError: they are none.
    """
    if not isinstance(found, list) or not found:
        raise ConfigError(f"its {name!r} is not a list of messages")
    messages = []
    for number, message in enumerate(found, start=1):
        if calls_tools(message):
            raise ConfigError(NO_PLACE_FOR_TOOLS)
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise ConfigError(f"message {number} of its {name!r} has no role and content")
        if message.get("role") not in ROLES:
            raise ConfigError(f"message {number} of its {name!r} has the role {message.get('role')!r}, not {ROLES}")
        messages.append({"role": message["role"], "content": message["content"]})
    return messages


def calls_tools(message: object) -> bool:
    """Whether a message has calls of tools, or the result of one."""
    return isinstance(message, dict) and (message.get("role") == "tool" or bool(message.get("tool_calls")))


def tools_of(row: Row) -> list[Row]:
    """The tools that a row lists, in OpenAI's form; none if its `tools` are something else."""
    match row.get("tools"):
        case [*found] if all(isinstance(one, dict) and isinstance(one.get("function"), dict) for one in found):
            return found
    return []


def _messages(row: Row) -> list[Message]:
    if tools_of(row):
        raise ConfigError(NO_PLACE_FOR_TOOLS)
    return checked_messages(row["messages"], "messages")


def with_system(messages: list[dict[str, Any]], system: str | None) -> list[dict[str, Any]]:
    """A conversation with another system message in place of its own, if one is given."""
    if system is None:
        return messages
    rest = messages[1:] if messages[0]["role"] in ("system", "developer") else messages
    return [{"role": "system", "content": system}, *rest]


def _last_exchange(messages: list[Message]) -> Exchange:
    *before, asked, answered = messages if len(messages) > 1 else ({"role": ""}, *messages)
    if (asked["role"], answered["role"]) != ("user", "assistant"):
        raise ConfigError("its 'messages' do not end with a turn of the user and one of the assistant")
    return Exchange(asked["content"], answered["content"], before=before)


def _answer(row: Row, unanswerable: str | None) -> str:
    if not row.get("is_impossible") and row.get("answer") is not None:
        return text_of(row, "answer")
    if unanswerable is None:
        raise ConfigError(
            "its question has no answer. Say what the answer to such questions is: --option unanswerable='...', or "
            "leave them out: --where is_impossible=false"
        )
    return unanswerable
