"""What kinds of datasets have in common: languages, prompts with their variations, counts, gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import Field, field_validator, model_validator

from rowsmith.config import Config
from rowsmith.engine.asking import Prompt
from rowsmith.engine.axes import Axis, Variation, Variations, identity
from rowsmith.engine.context import Context
from rowsmith.engine.plan import Cell, Rows
from rowsmith.engine.recipe import Recipe
from rowsmith.errors import ConfigError
from rowsmith.llm.provider import Provider
from rowsmith.llm.values import Message
from rowsmith.prompts.check import check
from rowsmith.prompts.expansion import PromptExpansionConfig
from rowsmith.prompts.template import Template
from rowsmith.quality.config import GatesConfig
from rowsmith.quality.gates import Gate


@dataclass(frozen=True, slots=True)
class Language:
    """A language that rows are written in: its code, such as `fr`, and its name as prompts say it."""

    code: str
    name: str


class KindConfig(Config):
    """What the configurations of all kinds of datasets have.

    Attributes:
        output_file: where the rows go, one JSON object a line; the run's folder is made beside it.
    """

    output_file: str

    other_names: ClassVar[Mapping[str, str]] = {}
    """Further names under which fields may be given → the field."""
    models_in: ClassVar[Mapping[str, Collection[str]]] = {}
    """Fields that may name models of roles → the names by which they do; none where the field itself is a model."""

    @model_validator(mode="before")
    @classmethod
    def _under_their_own_names(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for other, name in cls.other_names.items():
            if other in given and name in given:
                raise ValueError(f"{other} and {name} are the same; give one of them")
        return {cls.other_names.get(name, name): value for name, value in given.items()}

    @property
    def remote(self) -> bool:
        """Whether values of the axes have to be fetched: that is then done when they are needed, in no constructor."""
        return False

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates that are used."""
        return ()


class KindRecipe(Recipe, Protocol):
    """What a dataset class needs of a recipe, besides what the engine does."""

    def __init__(self, config: Any) -> None:
        """Of a configuration."""

    @classmethod
    def arguments_of_roles(cls) -> dict[str, str]:
        """Role → the argument of `generate` that names its model."""

    @property
    def needed_roles(self) -> tuple[str, ...]:
        """The roles that the configuration really asks; the first is the one that every cell does."""

    @property
    def skipped(self) -> Counter[str]:
        """How many documents or rows of the source are left out, by reason."""


class DatasetConfig(KindConfig):
    """What the kinds that are made of prompts and languages can be told.

    Attributes:
        languages: code → name as prompts say it; rows are made in each.
        prompts: templates of your own instead of the kind's default ones; each is used for every other combination.
        expansion: values of the optional `{{placeholders}}` in the templates.
        num_samples_per_prompt: rows that one prompt asks for.
        target_rows: the number of rows in all, instead of what the prompts come to.
        system_prompt: a system message before every prompt; None for none.
        seed: of everything that is drawn.
        max_rounds: how often rows that are lacking are asked for again, per prompt.
        gates: the checks that every row passes.
    """

    languages: dict[str, str] = Field(default_factory=lambda: {"en": "English"}, min_length=1)
    prompts: list[str] | None = Field(default=None, min_length=1)
    expansion: PromptExpansionConfig = Field(default_factory=PromptExpansionConfig)
    num_samples_per_prompt: int = Field(default=5, ge=1)
    target_rows: int | None = Field(default=None, ge=1)
    system_prompt: str | None = None
    seed: int = Field(default=0, ge=0)
    max_rounds: int = Field(default=3, ge=0)
    gates: GatesConfig = Field(default_factory=GatesConfig)

    mandatory: ClassVar[frozenset[str]] = frozenset()
    """Names that each of `prompts` must have in single braces."""
    available: ClassVar[frozenset[str]] = frozenset()
    """Names that it may have besides."""
    default_prompts: ClassVar[tuple[str, ...]] = ()

    @field_validator("languages")
    @classmethod
    def _languages_are_named(cls, languages: dict[str, str]) -> dict[str, str]:
        for code, name in languages.items():
            if not code.strip() or not name.strip():
                raise ValueError(
                    f"a language needs a code and a name, such as {{'fr': 'French'}}; got {code!r}: {name!r}"
                )
        return languages

    @model_validator(mode="after")
    def _prompts_fit(self) -> DatasetConfig:
        check(self.templates, mandatory=self.mandatory, available=self.available, values=self.expansion.placeholders)
        return self

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates that are used."""
        return tuple(Template(text) for text in self.prompts or self.default_prompts)


C = TypeVar("C", bound=DatasetConfig)


class BaseRecipe(Generic[C]):
    """The common part of recipes: a product of the kind's own axes, the prompts' variations and the languages.

    A kind adds its axes, the values of its placeholders, and what becomes of an answer.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ("writer",)
    role_arguments: ClassVar[Mapping[str, str]] = {}
    """The arguments of `generate` that name the model of a role, where they are not `<role>_llm`."""
    growing_fields: ClassVar[frozenset[str]] = frozenset(
        {"languages", "prompts", "expansion", "num_samples_per_prompt", "target_rows"}
    )
    check_fields: ClassVar[frozenset[str]] = frozenset({"gates"})
    free_fields: ClassVar[frozenset[str]] = frozenset({"output_file", "max_rounds"})

    def __init__(self, config: C) -> None:
        self.config = config
        self._templates = config.templates
        values = config.expansion.placeholders
        parts = [{name: values[name] for name in template.optional} for template in self._templates]
        variations = Variations(parts, [identity(template.text) for template in self._templates])
        _within_bounds(len(variations), config.expansion)
        self._variations = variations
        if not config.remote:
            _ = self.axes  # what is wrong with them is said now

    @classmethod
    def arguments_of_roles(cls) -> dict[str, str]:
        """Role → the argument of `generate` that names its model."""
        return {role: cls.role_arguments.get(role, f"{role}_llm") for role in cls.roles}

    @property
    def skipped(self) -> Counter[str]:
        """How many documents or rows of the source are left out, by reason; empty for kinds without a source."""
        counted: Counter[str] = Counter()
        for axis in self.axes:
            counted.update(getattr(axis.values, "skipped", {}))
        return counted

    @property
    def needed_roles(self) -> tuple[str, ...]:
        """The roles that this configuration really asks; the first is the one that every cell does."""
        return self.roles

    @property
    def text_fields(self) -> tuple[str, ...]:
        return ("text",)

    def outer_axes(self) -> Sequence[Axis]:
        """The kind's axes that run slowest: documents, topics."""
        return ()

    def inner_axes(self) -> Sequence[Axis]:
        """The kind's axes that run fastest: labels."""
        return ()

    def values(self, cell: Cell) -> Mapping[str, object]:
        """The kind's own placeholders for a cell."""
        raise NotImplementedError

    def make(self, cell: Cell, context: Context) -> Awaitable[object]:
        """Make the cell's rows."""
        raise NotImplementedError

    @cached_property
    def axes(self) -> Sequence[Axis]:
        languages = [Language(code, name) for code, name in self.config.languages.items()]
        return (
            *self.outer_axes(),
            Axis("variation", self._variations),
            Axis("language", languages, stratum=True),
            *self.inner_axes(),
        )

    @property
    def rows(self) -> Rows:
        return Rows(per_cell=self.config.num_samples_per_prompt, target=self.config.target_rows)

    @property
    def sample(self) -> int | None:
        expansion = self.config.expansion
        return None if expansion.combinatorial else expansion.num_random_samples

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def max_rounds(self) -> int:
        """How often rows that are lacking are asked for again."""
        return self.config.max_rounds

    @property
    def growing_values(self) -> Mapping[str, str]:
        return {}

    @property
    def gates(self) -> Sequence[Gate]:
        return self.config.gates.build(self.text_fields)

    @property
    def unique(self) -> bool:
        return self.config.gates.duplicates == "reject"

    @property
    def near_duplicates(self) -> float | None:
        return self.config.gates.near_duplicates

    @property
    def embeddings(self) -> Provider | None:
        return self.config.gates.embedding_model

    def describe(self) -> Mapping[str, Any]:
        described = self.config.model_dump(mode="json", exclude=set(self.free_fields) | {"gates"})
        return {**described, "gates": self.config.gates.describe()}

    def group(self, cell: Cell) -> Mapping[str, str]:
        return {"language": cell.values["language"].code}

    def prompt(self, cell: Cell) -> Callable[[int], Prompt]:
        """The cell's prompt as a function of how many entries it asks for."""
        variation: Variation = cell.values["variation"]
        language: Language = cell.values["language"]
        template = self._templates[variation.template]
        own, placeholders = self.values(cell), variation.placeholders
        system = self.config.system_prompt

        def ask_for(count: int) -> Prompt:
            hints = {
                "language_name": language.name,
                "language": language.code,
                **own,
                **placeholders,
                "num_samples": count,
            }
            message = Message("user", template.render(hints))
            return Prompt((Message.system(system), message) if system else (message,), hints)

        return ask_for

    def metadata(self, cell: Cell, context: Context) -> dict[str, Any]:
        """What a row says of its origin, besides the cell's name and its calls, which the engine adds."""
        variation: Variation = cell.values["variation"]
        provider = context.provider(self.roles[0])
        metadata: dict[str, Any] = {
            "provider": provider,
            "template": variation.template,
            "placeholders": dict(variation.placeholders),
        }
        return metadata


def _within_bounds(variations: int, expansion: PromptExpansionConfig) -> None:
    """Refuse more variations than the user allows; a silent cut would not be what was asked for."""
    if expansion.combinatorial and variations > expansion.max_samples:
        raise ConfigError(
            f"templates and placeholders make {variations:,} variations; max_samples is {expansion.max_samples}. "
            f"Either raise max_samples to {variations} or more, or draw some of them: "
            "combinatorial=False, num_random_samples=N"
        )
