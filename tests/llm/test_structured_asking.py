"""What is asked of a model: schema, description, rungs, and the message that asks again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from rowsmith.errors import (
    BadRequestError,
    LedgerError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    ServiceError,
)
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.structured.feedback import LONGEST, ask_again
from rowsmith.llm.structured.outcome import BadEntry, ListReading, Outcome, Reading
from rowsmith.llm.structured.output import ListOutput, Output
from rowsmith.llm.structured.rungs import Rungs, looks_like_unsupported
from rowsmith.llm.values import Completion, Message, Request, Rung


class Review(BaseModel):
    """A review of a film."""

    text: str = Field(description="What the reviewer says.")
    title: Literal["good", "bad"] = "good"


class Node(BaseModel):
    children: list[Node] = []


MESSAGES = (Message.system("Be brief."), Message.user("Write."), Message.assistant("So?"), Message.user("Go on."))


def test_the_schema_of_a_list_is_one_object_with_entries() -> None:
    schema = ListOutput(Review).schema
    assert schema.name == "Review_list"
    assert (schema.json["type"], schema.json["required"]) == ("object", ["entries"])
    assert schema.json["properties"]["entries"]["type"] == "array"
    assert schema.json["$defs"]["Review"]["required"] == ["text"]


def test_a_name_has_only_what_services_accept() -> None:
    odd = type("Réview[int] of things" + "x" * 90, (Review,), {})
    for schema in (Output(odd).schema, ListOutput(odd).schema):
        assert schema.name.replace("_", "").isalnum()
        assert schema.name.isascii()
        assert len(schema.name) <= 64
    assert Output(type("é", (Review,), {})).schema.name == "answer"


def test_the_root_of_a_recursive_schema_is_an_object() -> None:
    schema = Output(Node).schema.json
    assert schema["type"] == "object"
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert "Node" in schema["$defs"]


@pytest.mark.parametrize("rung", [Rung.JSON, Rung.PROMPT])
def test_below_schema_the_last_user_message_describes_the_answer(rung: Rung) -> None:
    asked = Output(Review).prompt_for(rung, MESSAGES)
    assert asked[:3] == MESSAGES[:3]
    assert asked[3].content.startswith("Go on.\n\n")
    assert "JSON" in asked[3].content
    described = json.loads(asked[3].content.split("```json\n")[1].split("\n```")[0])
    assert described["properties"]["text"] == {"type": "string", "description": "What the reviewer says."}
    assert "title" in described["properties"]
    assert MESSAGES[3] == Message.user("Go on.")


def test_on_schema_the_messages_are_left_alone() -> None:
    assert ListOutput(Review).prompt_for(Rung.SCHEMA, MESSAGES) is MESSAGES


def test_the_description_goes_to_the_last_user_message_wherever_it_is() -> None:
    messages = (Message.user("Write."), Message.assistant("{"))
    asked = ListOutput(Review).prompt_for(Rung.PROMPT, messages)
    assert asked[0].content.startswith("Write.")
    assert '"entries"' in asked[0].content
    assert asked[1] == messages[1]
    alone = ListOutput(Review).prompt_for(Rung.PROMPT, (Message.system("Write."),))
    assert [message.role for message in alone] == ["system", "user"]


@dataclass(frozen=True)
class Named:
    """A provider that only has a name."""

    name: str = "openai"
    model_id: str = "m"
    endpoint: str = "https://x/v1"
    rungs: tuple[Rung, ...] = (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)
    limits: KnownLimits = field(default_factory=KnownLimits)
    timeout: float = 1.0

    def describe(self) -> Mapping[str, Any]:
        return {}

    def encode(self, request: Request) -> bytes:
        raise AssertionError(request)

    async def complete(self, body: bytes, transport: Any) -> Completion:
        raise AssertionError(body, transport)


def test_a_model_steps_down_from_the_surest_rung_to_the_last() -> None:
    rungs, provider = Rungs(), Named()
    seen = [rungs.current(provider)]
    while rungs.lower(provider, seen[-1]):
        seen.append(rungs.current(provider))
    assert seen == [Rung.SCHEMA, Rung.JSON, Rung.PROMPT]
    assert rungs.current(provider) is Rung.PROMPT


def test_calls_refused_together_step_down_once() -> None:
    rungs, provider = Rungs(), Named()
    assert all(rungs.lower(provider, Rung.SCHEMA) for _ in range(50))
    assert rungs.current(provider) is Rung.JSON


@pytest.mark.parametrize("other", [Named(name="ollama"), Named(model_id="n"), Named(endpoint="https://y/v1")])
def test_models_are_told_apart_by_provider_endpoint_and_id(other: Provider) -> None:
    rungs = Rungs()
    rungs.lower(Named(), Rung.SCHEMA)
    assert rungs.current(other) is Rung.SCHEMA


def test_a_ladder_with_gaps_is_gone_down_as_it_is() -> None:
    rungs, provider = Rungs(), Named(rungs=(Rung.SCHEMA, Rung.PROMPT))
    assert rungs.lower(provider, Rung.SCHEMA)
    assert rungs.current(provider) is Rung.PROMPT
    assert not rungs.lower(provider, Rung.PROMPT)
    assert not Rungs().lower(Named(rungs=(Rung.PROMPT,)), Rung.PROMPT)


def test_what_was_found_survives_the_ledger() -> None:
    rungs, provider = Rungs(), Named()
    rungs.lower(provider, Rung.SCHEMA)
    again = Rungs.from_json(rungs.to_json())
    assert again.current(provider) is Rung.JSON
    assert again.to_json() == rungs.to_json()
    assert again.current(Named(rungs=(Rung.PROMPT,))) is Rung.PROMPT


@pytest.mark.parametrize("text", ["", "{", "{}x", "[[1]]", '[["a","b","c","d"]]', "3"])
def test_a_damaged_note_is_an_error(text: str) -> None:
    with pytest.raises(LedgerError):
        Rungs.from_json(text)


REFUSES = [
    (400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with model version `gpt-4o`."),
    (400, "Invalid parameter: 'response_format' of type 'json_object' is not supported with this model."),
    (400, "Invalid schema for response_format 'Review': 'required' is required to be supplied and to be an array."),
    (400, "Unknown parameter: 'response_format.schema'."),
    (400, "Unrecognized request argument supplied: response_format"),
    (400, "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."),
    (400, "This response_format type is unavailable now"),
    (
        422,
        "Failed to deserialize the JSON body into the target type: response_format: response_format.type "
        "`json_schema` is unavailable now at line 1 column 12440",
    ),
    (400, "'response_format.type' must be 'json_schema' or 'text'"),
    (400, "'response_format.type' : value is not one of the allowed values ['text','json_object']"),
    (400, "invalid schema for response format: response_format/json_schema/next_step: minItems is not supported"),
    (400, "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details."),
    (400, "The parameter `response_format.type` specified in the request are not valid: invalid value: `json_schema`"),
    (400, "Unsupported JSON schema fields: {'minItems', 'items'}"),
    (400, "JSON Schema not supported: could not understand the instance `{'required': ['criteria']}`."),
    (422, '[{"type":"extra_forbidden","loc":["body","response_format"],"msg":"Extra inputs are not permitted"}]'),
    (400, "The provided JSON schema contains features not supported by xgrammar."),
    (400, 'JSON schema conversion failed:\nUnrecognized schema: {"description":"x"}'),
    (400, "Failed to initialize samplers: failed to parse grammar"),
    (400, "The compiled grammar is too large"),
    (500, "invalid JSON schema in format"),
    (400, 'invalid format: expected "json" or a JSON schema'),
    (400, "json: cannot unmarshal object into Go struct field ChatRequest.format of type string"),
    (400, "Invalid JSON payload received. Unknown name \"$defs\" at 'generation_config.response_schema': Cannot find"),
    (400, "JSON mode is not enabled for models/gemma-3-27b-it"),
    (404, "No endpoints found that can handle the requested parameters."),
    (400, "registry.ollama.ai/library/gemma3:4b does not support tools"),
    (400, '[{"type":"extra_forbidden","loc":["body","tools"],"msg":"Extra inputs are not permitted"}]'),
    (501, "Structured output is not implemented by this backend"),
]
OTHER = [
    (
        400,
        "This model's maximum context length is 8192 tokens. However, you requested 8203 tokens (7691 in the "
        "messages, 512 in the completion). Please reduce the length of the messages or completion.",
    ),
    (400, "Please reduce the length of the messages or completion. context_length_exceeded"),
    (400, "the request exceeds the available context size, try increasing it; json_schema: {...}"),
    (404, "The model `gpt-9` does not exist or you do not have access to it."),
    (404, 'model "llama9" not found, try pulling it first'),
    (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
    (400, "Unsupported value: 'temperature' does not support 0.7 with this model."),
    (422, '{"detail":[{"type":"extra_forbidden","loc":["body","frequency_penalty"],"msg":"Extra inputs"}]}'),
    (400, "property 'store' is unsupported, did you mean 'stop'?"),
    (400, "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', and 'tool'."),
    (400, "The response was filtered due to the prompt triggering Azure OpenAI's content management policy: json mode"),
    (404, "Not Found"),
    (400, ""),
    (500, "The server had an error while processing your request: tools are not supported on this shard"),
    (401, "Incorrect API key provided; response_format"),
    (429, "Rate limit reached for response_format json_schema"),
    (None, "response_format"),
]


def failure(status: int | None, message: str) -> ProviderError:
    kinds = {404: ModelNotFoundError, 429: RateLimitError, 500: ServiceError, 501: ServiceError}
    return kinds.get(status or 0, BadRequestError)(message, status=status)


@pytest.mark.parametrize(("status", "message"), REFUSES)
def test_a_refusal_of_structured_output_is_recognised(status: int, message: str) -> None:
    assert looks_like_unsupported(failure(status, message))


@pytest.mark.parametrize(("status", "message"), OTHER)
def test_another_refusal_is_not_taken_for_one(status: int | None, message: str) -> None:
    assert not looks_like_unsupported(failure(status, message))


def test_asking_again_names_the_bad_entries_and_that_the_others_are_kept() -> None:
    reading = ListReading([Review(text="a")], [BadEntry(1, "{}", "title: Input should be 'good' (received 'x')")])
    text = ask_again(reading)
    assert "One entry of your last answer could not be used; the others are kept:" in text
    assert "- entry 2: title: Input should be 'good' (received 'x')" in text
    assert "JSON" in text


def test_asking_again_says_what_was_wrong_with_the_whole() -> None:
    assert "no JSON" in ask_again(Reading(None, Outcome.INVALID, "There is no JSON in the answer: Well"))
    assert "broke off" in ask_again(Reading(None, Outcome.CUT_OFF))
    assert "empty" in ask_again(ListReading([], [], Outcome.EMPTY))
    assert "declined" in ask_again(Reading(None, Outcome.REFUSED, "I can't."))


def test_asking_again_is_short_however_bad_the_answer_was() -> None:
    bad = [BadEntry(at, "x" * 9_999, "y\n" * 9_999) for at in range(500)]
    assert len(ask_again(ListReading([Review(text="a")], bad))) <= LONGEST
    assert len(ask_again(Reading(None, Outcome.INVALID, "z " * 9_999))) <= LONGEST
