"""Parameters that a model refuses: found in the service's own words, left out from then on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from rowsmith.errors import BadRequestError, LedgerError
from rowsmith.llm.provider import Provider
from rowsmith.llm.structured.rungs import looks_like_unsupported

# How services refuse a parameter, each as it was seen:
#   OpenAI, Azure      Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'
#                      instead.  (param, code unsupported_parameter)
#                      Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value
#                      is supported.  (unsupported_value)    Unknown parameter: 'reasoning_effort'.  (unknown_parameter)
#                      Invalid value: 'none'. Supported values are: 'low', 'medium', and 'high'.  (invalid_value)
#                      Unrecognized request argument supplied: reasoning_effort  (no param, no code)
#   Anthropic          `temperature` is deprecated for this model.
#                      `temperature` and `top_p` cannot both be specified for this model. Please use only one.
#                      `temperature` may only be set to 1 when thinking is enabled.
#                      adaptive thinking is not supported on this model    top_k: Extra inputs are not permitted
#   Gemini             Penalty is not enabled for this model    Penalty is not enabled for models/gemini-2.5-flash
#                      Invalid JSON payload received. Unknown name "frequency_penalty": Cannot find field.
#                      Thinking level is not supported for this model.
#   Mistral, vLLM      [{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not
#                      permitted"}]
#   SGLang, vLLM       {'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': "Input should be 'low', ..
#   Groq, Cerebras     property 'reasoning_effort' is unsupported, did you mean 'reasoning_format'?
#                      `reasoning_effort` must be one of `none` or `default`
#                      reasoning_effort is not supported with this model
#   xAI                Model grok-4 does not support parameter reasoningEffort.
#                      Argument not supported on this model: frequencyPenalty
#   Ollama             "gemma3:4b" does not support thinking    think value "medium" is not supported for this model
#   LiteLLM            gemini does not support parameters: ['frequency_penalty'], for model=gemini-2.5-pro. To drop ..
#   Moonshot           invalid temperature: only 1 is allowed for this model
#   llama.cpp          Unsupported param: echo
_UNKNOWN = re.compile(
    r"unsupported|not (?:currently |yet )?(?:be )?(?:support|permit|allow|enabled)|n['’]t support|unrecogni[sz]ed"
    r"|unknown|unexpected|extra.?(?:inputs|forbidden|fields)|deprecated|cannot be (?:used|set|specified)|removed",
    re.IGNORECASE,
)
_WRONG_VALUE = re.compile(
    r"only the default|must be one of|input should be|literal_error|supported values|\bonly [\w.]+ is allowed"
    r"|may only be|invalid_value|unsupported_value|cannot both",
    re.IGNORECASE,
)
_NOT_BOTH = re.compile(r"cannot both|mutually exclusive|only one of|not both", re.IGNORECASE)
# A name that goes on after a dot is that of a field within: `output_config.format` is not `output_config`.
_WHOLE = r"(?<![A-Za-z0-9_-]){}(?![A-Za-z0-9_-]|\.\w)"

_OTHER_WORDS = {
    "frequency_penalty": ("penalty",),
    "reasoning_effort": ("thinking", "think", "reasoning"),
    "thinking": ("thinking level", "thinking budget"),
    "thinking_config": ("thinking level", "thinking budget", "thinking"),
    "think": ("thinking",),
}
"""What services call a parameter where they do not write its name."""
_PLACES = {"output_config.effort": "effort"}
"""Parameters that a service names by their place in the body."""

LIMIT_NAMES = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
"""OpenAI's two names for the most tokens of an answer: where one is refused, the other may be taken."""

_LIMITS = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict", "num_ctx"}
)


@runtime_checkable
class Parametrised(Protocol):
    """A provider whose requests have parameters that can be left out."""

    @property
    def strict_params(self) -> bool:
        """Whether a refused parameter is an error."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the conversation and the schema, by the names that `Request.omit` takes."""


def sent(parameters: Mapping[str, Any], omit: frozenset[str]) -> dict[str, Any]:
    """The parameters that go out: those not in `omit`, the limit of tokens under its other name before it goes.

    Args:
        parameters: all of them.
        omit: the names that the model refuses.
    """
    made: dict[str, Any] = {}
    for name, value in parameters.items():
        other = LIMIT_NAMES.get(name)
        if name not in omit:
            made[name] = value
        elif other is not None and other not in omit:
            made.setdefault(other, value)
    return made


def refused(error: BadRequestError, parameters: Iterable[str]) -> str | None:
    """The parameter that a service refuses, or None where it refuses the request for something else.

    A value that the model does not take counts as well, but for limits of tokens: an answer without any would be
    another thing than one with a smaller one.

    Args:
        error: what a call failed with.
        parameters: the names of what was sent.
    """
    told = f"{error.message} {error.codes}"
    unknown, wrong_value = _UNKNOWN.search(told), _WRONG_VALUE.search(told)
    if not error.fatal or not (unknown or wrong_value):
        return None
    names = [name for name in parameters if unknown or name not in _LIMITS]
    field = error.param.rpartition(".")[2]
    for name in names:
        if field in _spellings(name) or any(_PLACES[place] == name for place in _PLACES if place in error.message):
            return name
    if looks_like_unsupported(error):
        # A schema may well have a field that is called `temperature`.
        return None
    places = sorted((place, name) for name in names if (place := _place(name, error.message)) is not None)
    if not places:
        return None
    # Of two that do not go together, the one named first is the more usual one, and stays.
    return places[-1 if _NOT_BOTH.search(error.message) else 0][1]


class Refusal(NamedTuple):
    """A parameter that a model refuses, and the other name under which it will be sent next, if it has one."""

    name: str
    instead: str = ""


def refusal(provider: Provider, error: BadRequestError, omit: frozenset[str]) -> Refusal | None:
    """The parameter of a provider's request that its service refuses, or None if it is something else.

    Args:
        provider: whose request it was.
        error: what the service said.
        omit: what the request was sent without.

    Raises:
        BadRequestError: `error` with a hint that names the parameter, where the user wants an error for it.
    """
    if not isinstance(provider, Parametrised):
        return None
    parameters = sent(provider.parameters, omit)
    name = refused(error, parameters)
    if name is None:
        return None
    other = LIMIT_NAMES.get(name, "")
    if other and other not in omit and other not in parameters:
        return Refusal(name, other)
    if provider.strict_params:
        error.hint = f"This model refuses `{name}`: leave it out, or have it left out with strict_params=False"
        raise error
    return Refusal(name)


class Omissions:
    """The parameters that the models of a run refuse, each model's in the order in which it was found out."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[str, ...]] = {}

    def current(self, provider: Provider) -> frozenset[str]:
        """What to leave out of this provider's requests."""
        return frozenset(self._found.get(_key(provider), ()))

    def stages(self, provider: Provider) -> list[frozenset[str]]:
        """What is left out, then what was before, each time before more was found: such requests may have answers."""
        found = self._found.get(_key(provider), ())
        return [frozenset(found[:length]) for length in range(len(found), -1, -1)]

    def add(self, provider: Provider, name: str) -> bool:
        """Leave a parameter out from now on.

        Calls in flight are refused alike: the first of them finds it out, to the others it is known already.

        Returns:
            True if it was not known.
        """
        key = _key(provider)
        found = self._found.get(key, ())
        if name in found:
            return False
        self._found[key] = (*found, name)
        return True

    def to_json(self) -> str:
        """What was found, for the ledger, in a fixed order."""
        return json.dumps([[*key, list(names)] for key, names in sorted(self._found.items())])

    @classmethod
    def from_json(cls, text: str) -> Omissions:
        """What `to_json` wrote.

        Raises:
            LedgerError: the text is something else.
        """
        made = cls()
        try:
            rows: Any = json.loads(text)
            for name, endpoint, model, names in rows:
                made._found[str(name), str(endpoint), str(model)] = tuple(map(str, names))
        except (TypeError, ValueError) as error:
            raise LedgerError(f"The ledger's note of refused parameters cannot be read: {text[:80]!r}.") from error
        return made


def _key(provider: Provider) -> tuple[str, str, str]:
    return provider.name, provider.endpoint, provider.model_id


def _place(name: str, message: str) -> int | None:
    """Where a message speaks of a parameter; a name of its own before any other word for it."""
    for spelling in (*_spellings(name), *_OTHER_WORDS.get(_snake(name), ())):
        found = re.search(_WHOLE.format(re.escape(spelling)), message, re.IGNORECASE)
        if found:
            return found.start()
    return None


def _spellings(name: str) -> tuple[str, ...]:
    """A parameter's name as it is sent, in snake_case, in camelCase and in words."""
    snake = _snake(name)
    head, *rest = snake.split("_")
    return name, snake, head + "".join(word.capitalize() for word in rest), " ".join((head, *rest))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
