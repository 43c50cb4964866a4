"""`grpo`: prompts with what a reward function checks the answers against, as TRL's GRPOTrainer takes them.

https://huggingface.co/docs/trl/grpo_trainer: other columns than `prompt` are given to the reward functions by name;
`solution` is what TRL's own `accuracy_reward` asks for.
"""

from __future__ import annotations

from rowsmith.data.formats import Format
from rowsmith.data.formats.conversation import Message, conversation
from rowsmith.data.formats.preference import Style
from rowsmith.data.lines import Row
from rowsmith.errors import ConfigError


def grpo(found: list[Message], *, style: Style = "conversational") -> Row:
    """`{"prompt": [...], "solution": ...}`.

    Args:
        found: a conversation that ends with the answer.
        style: `conversational` gives messages as the prompt; `standard` gives a text, and needs a prompt of one turn.
    """
    *prompt, answer = found
    if answer["role"] != "assistant" or not prompt:
        raise ConfigError("its last turn is not the assistant's, so there is nothing to check answers against")
    if style == "conversational":
        return {"prompt": prompt, "solution": answer["content"]}
    if len(prompt) > 1:
        raise ConfigError("its prompt has several turns, which style=standard has no place for")
    return {"prompt": prompt[0]["content"], "solution": answer["content"]}


FORMAT = Format(grpo, reads=conversation)
