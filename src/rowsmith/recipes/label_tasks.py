"""What rows can be labelled with: a class, several classes, a grade, or pieces of the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import Discriminator, Field, Tag, model_validator

from rowsmith.config import Config
from rowsmith.errors import did_you_mean
from rowsmith.recipes.label_sets import Label
from rowsmith.recipes.regression import Grade, Grades, ScoreRange, meaning
from rowsmith.recipes.spans import Mention, MisplacedError, Span, locate, tagged
from rowsmith.recipes.token_labels import EntityEntry


class Task(Protocol):
    """One thing that rows are labelled with."""

    @property
    def answer(self) -> tuple[Any, Any]:
        """(type, Pydantic field) of what a labeller answers."""

    def told(self, name: str) -> str:
        """What a labeller is told of it."""

    def fault(self, text: str, answer: Any) -> str | None:
        """What is wrong with an answer that fits its type, or None."""

    def agreed(self, text: str, answers: Sequence[Any]) -> Any | None:
        """What more than half of the labellers say, or None; of pieces those that more than half of them mark."""

    def shown(self, text: str, answer: Any) -> Any:
        """An answer as rows have it."""

    def fields(self, name: str, text: str, answer: Any) -> dict[str, Any]:
        """What a row has of it."""


class ClassTask(Config):
    """One class for each row, or all that apply.

    Attributes:
        classes: at least two.
        multi_label: all classes that apply, maybe none, instead of exactly one.
    """

    classes: list[Label] = Field(min_length=2)
    multi_label: bool = False

    @model_validator(mode="after")
    def _names_differ(self) -> ClassTask:
        for place, label in enumerate(self.classes):
            if any(label.name.casefold() == other.name.casefold() for other in self.classes[:place]):
                raise ValueError(f"the class {label.name!r} stands twice; each needs a name of its own")
        return self

    @property
    def answer(self) -> tuple[Any, Any]:
        one: Any = Literal[tuple(label.name for label in self.classes)]
        if self.multi_label:
            return list[one], Field(description="all classes that apply; none if none does")
        return one, Field(description="the class")

    def told(self, name: str) -> str:
        how = "all of these classes that apply, which may be none" if self.multi_label else "one of these classes"
        return f"{name}: {how}\n" + _listing(self.classes)

    def fault(self, text: str, answer: Any) -> str | None:
        del text
        return f"a class stands twice in {answer}" if self.multi_label and len(set(answer)) < len(answer) else None

    def agreed(self, text: str, answers: Sequence[Any]) -> Any | None:
        del text
        if not self.multi_label:
            return _majority(answers)
        counts = Counter(name for answer in answers for name in answer)
        tied = [name for name, count in counts.items() if 2 * count == len(answers)]
        return None if tied else [name for name, count in counts.items() if 2 * count > len(answers)]

    def shown(self, text: str, answer: Any) -> Any:
        del text
        if not self.multi_label:
            return answer
        return [label.name for label in self.classes if label.name in answer]

    def fields(self, name: str, text: str, answer: Any) -> dict[str, Any]:
        return {name: None if answer is None else self.shown(text, answer)}


class ScoreTask(Config):
    """A grade for each row, and the number that it stands for.

    Attributes:
        quantity: what is measured.
        grades: the scale, as `RegressionDatasetConfig` takes it.
        score_range: a scale of numbers in its place.
    """

    quantity: str = Field(min_length=1)
    grades: Grades | None = Field(default=None, min_length=2)
    score_range: ScoreRange | None = None

    @model_validator(mode="after")
    def _one_scale(self) -> ScoreTask:
        if (self.grades is None) == (self.score_range is None):
            raise ValueError("the scale is either `grades` or `score_range`; give one of them")
        return self

    @property
    def scale(self) -> dict[str, Grade]:
        """The grades by name."""
        grades = self.grades if self.grades is not None else (self.score_range or ScoreRange()).grades()
        return {grade.name: grade for grade in grades}

    @property
    def answer(self) -> tuple[Any, Any]:
        return Literal[tuple(self.scale)], Field(description="the grade")

    def told(self, name: str) -> str:
        lines = "\n".join(f"- {grade.name}{meaning(grade)}" for grade in self.scale.values())
        return f"{name}: {self.quantity}, as one of these grades\n{lines}"

    def fault(self, text: str, answer: Any) -> str | None:
        del text, answer
        return None

    def agreed(self, text: str, answers: Sequence[Any]) -> Any | None:
        """The median grade: grades have an order, and a mean of them need not be a grade."""
        del text
        order = list(self.scale)
        places = sorted(order.index(answer) for answer in answers)
        low, high = places[(len(places) - 1) // 2], places[len(places) // 2]
        return order[low] if low == high else None

    def shown(self, text: str, answer: Any) -> Any:
        del text
        return answer

    def fields(self, name: str, text: str, answer: Any) -> dict[str, Any]:
        del text
        grade = None if answer is None else self.scale[answer]
        return {name: grade and grade.score, f"{name}_label": grade and grade.name}


class SpanTask(Config):
    """Pieces of each row's text.

    Attributes:
        labels: what is marked.
        overlaps: a piece may cover a part of another.
    """

    labels: list[Label] = Field(min_length=1)
    overlaps: bool = False

    @property
    def answer(self) -> tuple[Any, Any]:
        return list[EntityEntry], Field(description="every piece that has a label, in its very characters and order")

    def told(self, name: str) -> str:
        return f"{name}: every piece of the text that is one of these\n" + _listing(self.labels)

    def fault(self, text: str, answer: Any) -> str | None:
        try:
            self._spans(text, answer)
        except MisplacedError as error:
            return str(error)
        return None

    def agreed(self, text: str, answers: Sequence[Any]) -> Any | None:
        counts = Counter(span for answer in answers for span in set(self._spans(text, answer)))
        kept = [span for span, count in counts.items() if 2 * count > len(answers)]
        return [EntityEntry(text=text[span.start : span.end], label=span.label) for span in sorted(kept)]

    def shown(self, text: str, answer: Any) -> Any:
        return [
            {"start": span.start, "end": span.end, "label": span.label, "text": text[span.start : span.end]}
            for span in self._spans(text, answer)
        ]

    def fields(self, name: str, text: str, answer: Any) -> dict[str, Any]:
        prefix = "" if name == "entities" else f"{name}_"
        if answer is None:
            return {name: None, f"{prefix}tokens": None, f"{prefix}tags": None}
        words, tags = tagged(text, self._spans(text, answer))
        return {name: self.shown(text, answer), f"{prefix}tokens": words, f"{prefix}tags": tags}

    def _spans(self, text: str, answer: Sequence[EntityEntry]) -> list[Span]:
        names = {label.name.casefold(): label.name for label in self.labels}
        mentions = []
        for entity in answer:
            name = names.get(entity.label.strip().casefold())
            if name is None:
                raise MisplacedError(
                    f"there is no label {entity.label!r}. {did_you_mean(entity.label, names.values())}"
                )
            mentions.append(Mention(entity.text.strip(), name))
        return locate(text, mentions, overlaps=self.overlaps)


def _kind(given: Any) -> str:
    """Which task a mapping describes, by the field that only it has."""
    has = given if isinstance(given, Mapping) else vars(given)
    return next((name for name in ("classes", "labels", "quantity") if name in has), "classes")


AnyTask = Annotated[
    Annotated[ClassTask, Tag("classes")] | Annotated[SpanTask, Tag("labels")] | Annotated[ScoreTask, Tag("quantity")],
    Discriminator(_kind),
]


def _majority(answers: Sequence[Any]) -> Any | None:
    answer, count = Counter(answers).most_common(1)[0]
    return answer if 2 * count > len(answers) else None


def _listing(labels: Sequence[Label]) -> str:
    return "\n".join(f"- {label.name}: {label.description}" for label in labels)
