"""Conversations of several turns between a person and an assistant.

The way of making them is that of UltraChat (Ding et al., 2023, arXiv 2305.14233): one model asks, as a person of some
kind would, and another answers, turn by turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from pydantic import BaseModel, Field, field_validator, model_validator

from rowsmith.engine.axes import Axis
from rowsmith.engine.context import Context
from rowsmith.engine.draft import Draft
from rowsmith.engine.plan import Cell
from rowsmith.llm.structured.output import ListOutput
from rowsmith.llm.values import Message
from rowsmith.prompts.check import check
from rowsmith.prompts.template import Template
from rowsmith.quality.gates import Row
from rowsmith.recipes.base import BaseRecipe, DatasetConfig, Language
from rowsmith.recipes.steps import TextStep

_LONGEST_SUMMARY = 12_000


class UltrachatDatasetConfig(DatasetConfig):
    """Conversations, so many for each subtopic and language.

    Attributes:
        topics_and_subtopics: what is talked about: topic → its subtopics; a topic without any stands for itself.
        domain: the field that the topics are of.
        personas: who asks; each conversation has one of them, drawn by the seed. None: nobody in particular.
        num_samples_per_prompt: conversations that one prompt begins; `num_samples` is another name for it.
        max_turns: the most turns of a conversation; a turn is a question with its answer.
        conversation_continuation_prob: how likely one more turn is after each, 0 to 1.
        prompts: templates of your own for the first questions; `question_generation_prompts` is another name. Each must
            have `{num_samples}`, `{language_name}`, `{domain}`, `{topic}` and `{subtopic}`.
        persona_question_reformulation_prompt: puts a first question as a persona would; must have `{question}`,
            `{persona}` and `{subtopic}`.
        simulated_assistant_prompt: asks the assistant for its first answer; must have `{domain}`, `{topic}`,
            `{subtopic}` and `{question}`. Later answers follow the conversation from there.
        user_system_prompt: a system message for the model that asks, where it follows up.
        user_followup_prompt: asks for the person's next message; must have `{dialog_summary}`, `{persona}`, `{domain}`
            and `{subtopic}`.

    The last four may have `{language_name}`, `{domain}`, `{topic}`, `{subtopic}` and `{persona}` as well. Where one
    does not name the language, a system message does: it is kept throughout.
    """

    topics_and_subtopics: dict[str, list[str]] = Field(min_length=1)
    domain: str = Field(default="Science, Technology, Engineering, and Mathematics", min_length=1)
    personas: list[str] = Field(default_factory=list)
    num_samples_per_prompt: int = Field(default=10, ge=1)
    max_turns: int = Field(default=1, ge=1, le=100)
    conversation_continuation_prob: float = Field(default=0.5, ge=0, le=1)
    persona_question_reformulation_prompt: str | None = None
    simulated_assistant_prompt: str | None = None
    user_system_prompt: str | None = None
    user_followup_prompt: str | None = None

    other_names: ClassVar[Mapping[str, str]] = {
        "num_samples": "num_samples_per_prompt",
        "question_generation_prompts": "prompts",
    }
    mandatory: ClassVar[frozenset[str]] = frozenset({"num_samples", "language_name", "domain", "topic", "subtopic"})
    default_prompts: ClassVar[tuple[str, ...]] = (
        'People want to know something about "{subtopic}" (a part of {topic}, in the field of {domain}) and turn to an '
        "assistant.\nWrite {num_samples} first messages in {language_name}, as different from each other as those of "
        "different people are: some ask for a fact, some for an explanation, for help with a task, for advice or for "
        "an opinion; some are one line and some tell a story first. Each must be complete in itself.",
    )
    default_steps: ClassVar[Mapping[str, str]] = {
        "persona_question_reformulation_prompt": (
            "This is a question about {subtopic}:\n\n{question}\n\n"
            "Put it in {language_name} as this person would write it to an assistant: {persona}. Let what they know, "
            "what they need it for and how they speak be felt, without having them introduce themselves. Answer with "
            "the message alone."
        ),
        "simulated_assistant_prompt": "{question}",
        "user_followup_prompt": (
            "A person talks with an assistant about {subtopic}, in the field of {domain}. The person: {persona}.\n"
            "This is what was said so far:\n\n{dialog_summary}\n\n"
            "Write the person's next message in {language_name}: they go on from the last answer, as people do. They "
            "ask for more, doubt, apply it to their own case, or turn to something near. Answer with the message alone."
        ),
    }
    steps_mandatory: ClassVar[Mapping[str, frozenset[str]]] = {
        "persona_question_reformulation_prompt": frozenset({"question", "persona", "subtopic"}),
        "simulated_assistant_prompt": frozenset({"domain", "topic", "subtopic", "question"}),
        "user_followup_prompt": frozenset({"dialog_summary", "persona", "domain", "subtopic"}),
    }
    steps_available: ClassVar[frozenset[str]] = frozenset(
        {"language_name", "language", "domain", "topic", "subtopic", "persona"}
    )

    @field_validator("personas")
    @classmethod
    def _personas_differ(cls, personas: list[str]) -> list[str]:
        for place, persona in enumerate(personas):
            if not persona.strip() or persona in personas[:place]:
                raise ValueError(f"each persona must be a text of its own; number {place + 1} is {persona!r}")
        return personas

    @field_validator("topics_and_subtopics")
    @classmethod
    def _topics_are_named(cls, topics: dict[str, list[str]]) -> dict[str, list[str]]:
        for topic, subtopics in topics.items():
            for place, name in enumerate((topic, *subtopics)):
                if not name.strip() or name in subtopics[: place - 1 if place else 0]:
                    raise ValueError(
                        f"each topic and subtopic must have a name of its own; one of {topic!r} is {name!r}"
                    )
        return topics

    @model_validator(mode="after")
    def _steps_fit(self) -> UltrachatDatasetConfig:
        for name, mandatory in self.steps_mandatory.items():
            text = getattr(self, name)
            if text is not None:
                check(Template(text), mandatory=mandatory, available=self.steps_available, where=name)
        if self.persona_question_reformulation_prompt is not None and not self.personas:
            raise ValueError("persona_question_reformulation_prompt needs personas: there is nobody to speak as")
        return self

    def step(self, name: str) -> Template:
        """The template of a step of the conversation: the user's own or the default one."""
        return Template(getattr(self, name) or self.default_steps[name])


@dataclass(frozen=True, slots=True)
class Subject:
    """What a conversation is about."""

    topic: str
    subtopic: str


class QuestionEntry(BaseModel):
    """A first message."""

    question: str = Field(description="the message, as the person writes it")


class Ultrachat(BaseRecipe[UltrachatDatasetConfig]):
    """One cell is one subtopic, one template with its placeholders' values, and one language."""

    name: ClassVar[str] = "ultrachat"
    roles: ClassVar[tuple[str, ...]] = ("user", "assistant")
    text_fields: ClassVar[tuple[str, ...]] = ("prompt",)
    growing_fields: ClassVar[frozenset[str]] = BaseRecipe.growing_fields | {"topics_and_subtopics"}
    questions: ClassVar[ListOutput[QuestionEntry]] = ListOutput(QuestionEntry)

    def __init__(self, config: UltrachatDatasetConfig) -> None:
        system = config.system_prompt
        self._reformulation = TextStep("user", config.step("persona_question_reformulation_prompt"), system)
        self._reply = TextStep("assistant", config.step("simulated_assistant_prompt"), system)
        followup = config.step("user_followup_prompt")
        self._followup = TextStep("user", followup, config.user_system_prompt or system)
        super().__init__(config)

    def outer_axes(self) -> Sequence[Axis]:
        topics = self.config.topics_and_subtopics.items()
        return (Axis("subject", [Subject(topic, part) for topic, parts in topics for part in parts or [topic]]),)

    def values(self, cell: Cell) -> Mapping[str, object]:
        subject: Subject = cell.values["subject"]
        return {"domain": self.config.domain, "topic": subject.topic, "subtopic": subject.subtopic}

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {"subtopic": cell.values["subject"].subtopic, **super().group(cell)}

    async def make(self, cell: Cell, context: Context) -> None:
        language: Language = cell.values["language"]
        common = {**self.values(cell), "language_name": language.name, "language": language.code}
        metadata = self.metadata(cell, context)

        async def row(draft: Draft[QuestionEntry]) -> Row:
            chance = draft.random
            persona = chance.choice(self.config.personas) if self.config.personas else None
            values = {**common, "persona": persona or "nobody in particular"}
            messages = await self._converse(draft, values, chance, reformulate=persona is not None)
            return {
                "prompt": messages[0].content,
                "messages": [{"role": message.role, "content": message.content} for message in messages],
                "persona": persona,
                "domain": common["domain"],
                "topic": common["topic"],
                "subtopic": common["subtopic"],
                "language": language.code,
                "model_id": draft.model("assistant"),
                "user_model_id": draft.model("user"),
                "metadata": {**metadata, "turns": len(messages) // 2},
            }

        # A persona's words are other ones, which nobody knows yet.
        compared = None if self.config.personas else _compared
        await context.collect("user", self.prompt(cell), self.questions, row, compared)

    async def _converse(
        self, draft: Draft[QuestionEntry], values: Mapping[str, Any], chance: Random, *, reformulate: bool
    ) -> list[Message]:
        """The turns of a conversation: what was said and nothing else."""
        question = draft.entry.question
        if reformulate:
            question = await self._reformulation.ask(draft, {**values, "question": question})
        asked = {**values, "question": question}
        said = [Message.user(question), Message.assistant(await self._reply.ask(draft, asked))]
        while len(said) < 2 * self.config.max_turns and chance.random() < self.config.conversation_continuation_prob:
            said.append(Message.user(await self._followup.ask(draft, {**values, "dialog_summary": _summary(said)})))
            # The assistant sees its first question as it was put to it, and everything after that as it was said.
            said.append(Message.assistant(await self._reply.ask(draft, asked, said[1:])))
        return said


def _compared(entry: QuestionEntry) -> Row:
    return {"prompt": entry.question}


def _summary(said: Sequence[Message]) -> str:
    """The conversation as a text: all of it, or its end where it is long."""
    names = {"user": "Person", "assistant": "Assistant"}
    text = "\n\n".join(f"{names[message.role]}: {message.content}" for message in said)
    return text if len(text) <= _LONGEST_SUMMARY else f"…{text[-_LONGEST_SUMMARY:]}"
