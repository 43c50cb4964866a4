"""The recipe of a generator's dataset: a generator's own, over topics that are there or have a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

from rowsmith.engine.wording import count
from rowsmith.errors import ConfigError
from rowsmith.generator.adjusting import Adjustable
from rowsmith.generator.dataset_config import GeneratorDatasetConfig
from rowsmith.generator.recipe import Generated
from rowsmith.generator.schedule import Portion, Portions, counts_of, portioned
from rowsmith.generator.topics_block import topics_of
from rowsmith.topics.foreseen import Places
from rowsmith.topics.topic import Topic

TOPICS = "topics"
"""The role of the model that writes topics."""
_MANY = 200_000
"""Topics."""
_APART = 10_000
"""The first series of examples of a topic that come when more are wanted: further than what came before."""

__all__ = ["TOPICS", "GeneratorDatasetConfig", "GeneratorRecipe"]


class GeneratorRecipe(Generated):
    """Examples about the topics of a configuration.

    Args:
        config: what is wanted.
        topics: those that were built; where they are not given, and not built yet, each has a place.
        grown_from: the numbers of examples that were wanted before, ascending: their cells stay as they are, and what
            is wanted beyond them is made in further ones.
        made: the generator's settings, where they were made already, and its tools may be listed: before that, only
            what is counted is known.

    Raises:
        ConfigError: a setting is of no use, or there are no topics.
    """

    roles: ClassVar[tuple[str, ...]] = ("writer", TOPICS)
    growing_fields: ClassVar[frozenset[str]] = frozenset({"num_steps", "grown_from", "topics"})

    def __init__(
        self,
        config: GeneratorDatasetConfig,
        topics: Sequence[Topic] | None = None,
        grown_from: Sequence[int] = (),
        made: Adjustable | None = None,
    ) -> None:
        self.config = config
        self.made = config.adjusted() if made is None else made
        self.policy = self.made._policy()
        settings = self.made.config
        self.topics = topics if topics is not None else topics_of(config.topics)
        if self.topics is not None and not self.topics:
            raise ConfigError("there are no topics to make examples of")
        self._grown_from = list(grown_from)
        portions: list[Portion] = []
        before: Mapping[Topic, int] = {}
        for turn, steps in enumerate((*grown_from, settings.default_num_examples)):
            counts = self._counts(steps)
            more = {topic: count - before.get(topic, 0) for topic, count in counts.items()}
            more = {topic: count for topic, count in more.items() if count}
            portions += portioned(more, settings.default_batch_size, first=turn * _APART)
            before = counts
        wording = self.made._wording(sys_msg=config.sys_msg)
        super().__init__(settings, self.made._kind, wording, Portions(portions), settings.default_batch_size)

    def _counts(self, steps: int) -> Mapping[Topic, int]:
        """How many examples each topic has of so many; of more, none has fewer."""
        seed, strategy = self.made.config.seed, self.config.sampling_strategy
        if self.topics is not None:
            return counts_of(self.topics, steps, strategy, seed)
        assert self.config.block is not None  # otherwise topics are given
        places = Places(self.config.block)
        # Of very many topics only those are looked at that are taken in turn.
        return counts_of(places, steps, strategy if len(places) <= _MANY else "sequential", seed)

    @classmethod
    def arguments_of_roles(cls) -> dict[str, str]:
        """Role → the argument of `generate` that names its model."""
        return {role: f"{role}_llm" for role in cls.roles}

    @property
    def needed_roles(self) -> tuple[str, ...]:
        """The topics' model is asked where topics are built."""
        return self.roles if self.config.block is not None else self.roles[:1]

    @property
    def skipped(self) -> Counter[str]:
        """Nothing: there is no source."""
        return Counter()

    def describe(self) -> Mapping[str, Any]:
        block = self.config.block
        described = {**super().describe(), "sampling_strategy": self.config.sampling_strategy}
        described["grown_from"] = self._grown_from
        if self.topics is not None:
            digest = blake2b(repr([topic.path for topic in self.topics]).encode(), digest_size=4).hexdigest()
            described["topics"] = f"{count(len(self.topics), 'topic')} ({digest})"
        return described if block is None else {**described, **block.describe()}
