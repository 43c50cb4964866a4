"""Which way of asking for structured output each model takes: found once, remembered for the run."""

from __future__ import annotations

import json
import re
from typing import Any

from rowsmith.errors import LedgerError, ProviderError
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Rung

_STATUSES = frozenset({400, 404, 405, 415, 422, 500, 501})

# Refusals of the request for other reasons; some of their texts quote the whole request, schema and all.
_OTHER = re.compile(
    r"context.?(?:length|size|window|limit)|(?:maximum|max|too many) (?:input )?tokens|too long|reduce the length"
    r"|token (?:count|limit) exceed|content.?(?:filter|policy|management)|safety system"
    r"|model[^.]{0,80}(?:does not exist|not found|is not available|been (?:removed|deprecated|decommissioned))"
    r"|(?:unknown|no such|invalid) model|model_not_found|unable to load model",
    re.IGNORECASE,
)

# The names under which services and servers know structured output. Where each was seen:
#   OpenAI, Azure      Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.
#                      Invalid schema for response_format 'X': ...; Unknown parameter: 'response_format.schema'.
#                      'messages' must contain the word 'json' in some form, to use 'response_format' ...
#   DeepSeek           This response_format type is unavailable now; ... `json_schema` is unavailable now at line 1 ...
#   LM Studio          'response_format.type' must be 'json_schema' or 'text'
#   Groq               'response_format.type' : value is not one of the allowed values ['text','json_object']
#                      json_validate_failed: Failed to generate JSON. Please adjust your prompt.
#   Cerebras           Unsupported JSON schema fields: {'minItems', 'items'}
#   Fireworks          JSON Schema not supported: could not understand the instance ...
#   Mistral            {"type":"extra_forbidden","loc":["body","response_format"], ...}
#   vLLM               The provided JSON schema contains features not supported by xgrammar.
#   llama.cpp          JSON schema conversion failed: Unrecognized schema: ...; failed to parse grammar
#   Ollama             invalid JSON schema in format (400, and 500 before 0.6); invalid format: expected "json" or ...
#                      json: cannot unmarshal object into Go struct field ChatRequest.format of type string
#   Gemini             Unknown name "$defs" at 'generation_config.response_schema'; JSON mode is not enabled for ...
#   OpenRouter         404 No endpoints found that can handle the requested parameters.
#   Anthropic          output_config.format.schema: ...; Schema is too complex for compilation.
#                      Schemas contains too many optional parameters (41), which would make grammar compilation ...
#                      tool_choice: type "tool" and "any" are not supported for this model.
#                      Thinking may not be enabled when tool_choice forces tool use.
_NAMES = re.compile(
    r"response.?format|response.?schema|response.?mime.?type|json.?schema|json.?object|json.?mode|json_validate_failed"
    r"|failed to generate json|structured.?(?:output|decoding)|guided.?(?:json|decoding)|grammar|text\.format"
    r"|output.?(?:format|config)|chatrequest\.format|invalid format|in format\b|initialize samplers"
    r"|function_declarations|tool_use_failed|handle the requested parameters|support the requested parameters"
    r"|schemas? (?:is|are) too complex|tool_choice forces tool use",
    re.IGNORECASE,
)
_WEAK_NAMES = re.compile(r"\b(?:tools?|tool_choice|functions?|function.?call(?:s|ing)?|schema|strict)\b", re.IGNORECASE)
_REFUSES = re.compile(
    r"not (?:currently |yet )?(?:support|permit|allow|available|implement|enabled)|n['’]t support|unsupported"
    r"|unavailable|unrecogni[sz]ed|(?:unknown|unexpected) (?:parameter|field|argument|name)|extra_forbidden",
    re.IGNORECASE,
)

_Key = tuple[str, str, str]


class Rungs:
    """The rung of each model of a run. A model starts on its provider's surest one and only ever steps down."""

    def __init__(self) -> None:
        self._lowered: dict[_Key, Rung] = {}

    def current(self, provider: Provider) -> Rung:
        """The rung to ask this provider's model on."""
        lowered = self._lowered.get(_key(provider))
        return lowered if lowered in provider.rungs else provider.rungs[0]

    def lower(self, provider: Provider, rung: Rung) -> bool:
        """Step down, because the service refused `rung`.

        Calls in flight are refused alike: the first of them steps down, and to the others it has happened already.

        Returns:
            True if there is a lower rung to ask on, False if `rung` was the last.
        """
        ladder = provider.rungs
        now = self.current(provider)
        if rung not in ladder or ladder.index(now) > ladder.index(rung):
            return True
        if rung is ladder[-1]:
            return False
        self._lowered[_key(provider)] = ladder[ladder.index(rung) + 1]
        return True

    def to_json(self) -> str:
        """What was found, for the ledger: the models that were stepped down, in a fixed order."""
        return json.dumps([[*key, rung.value] for key, rung in sorted(self._lowered.items())])

    @classmethod
    def from_json(cls, text: str) -> Rungs:
        """What `to_json` wrote.

        Raises:
            LedgerError: the text is something else.
        """
        rungs = cls()
        try:
            rows: Any = json.loads(text)
            for name, endpoint, model, rung in rows:
                rungs._lowered[str(name), str(endpoint), str(model)] = Rung(rung)
        except (TypeError, ValueError) as error:
            raise LedgerError(f"The ledger's note of the models' rungs cannot be read: {text[:80]!r}.") from error
        return rungs


def looks_like_unsupported(error: ProviderError) -> bool:
    """Does a service refuse the way in which structured output was asked for, rather than the request as such?

    A service has no status of its own for it, so this reads the message. It is generous: a step down that was not
    needed costs some certainty, one that was not taken costs the run.

    Args:
        error: what a call on a rung above `Rung.PROMPT` failed with.
    """
    message = error.message
    if error.status not in _STATUSES or _OTHER.search(message):
        return False
    if _NAMES.search(message):
        return True
    return error.status < 500 and bool(_WEAK_NAMES.search(message)) and bool(_REFUSES.search(message))


def _key(provider: Provider) -> _Key:
    return provider.name, provider.endpoint, provider.model_id
