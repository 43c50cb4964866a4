"""Steps that several kinds take with one model: a text asked for by a template, and a judgement of two answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rowsmith.engine.asking import Prompt
from rowsmith.engine.draft import Draft
from rowsmith.llm.structured.text_output import TextOutput
from rowsmith.llm.values import Message
from rowsmith.prompts.template import Template


@dataclass(frozen=True, slots=True)
class TextStep:
    """A free text, asked for by a template.

    A template that does not name the language is sent with a system message that does.

    Attributes:
        role: who is asked.
        template: what is asked; it is filled from the step's values.
        system: a system message before it, or None.
    """

    role: str
    template: Template
    system: str | None = None

    output: ClassVar[TextOutput] = TextOutput()

    def prompt(self, values: Mapping[str, Any]) -> Prompt:
        """The prompt, filled from values; they must have `language_name`."""
        return Prompt((*self._before(values), Message.user(self.template.render(values))), values)

    async def ask(self, draft: Draft[Any], values: Mapping[str, Any], later: Sequence[Message] = ()) -> str:
        """Ask for the text.

        Args:
            draft: whose row it is for.
            values: what the template is filled from.
            later: turns of a conversation that follow on the prompt; the last is the one to answer.

        Raises:
            AnswerError: no usable answer came.
            ProviderError: a call failed for good.
        """
        prompt = self.prompt(values)
        return await draft.ask(self.role, prompt._replace(messages=(*prompt.messages, *later)), self.output)

    def _before(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        parts = [self.system] if self.system else []
        if not {"language_name", "language"} & self.template.mandatory:
            parts.append(f"Write in {values['language_name']}.")
        return (Message.system("\n\n".join(parts)),) if parts else ()
