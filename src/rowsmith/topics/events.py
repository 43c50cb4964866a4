"""What happens while topics are built, as typed events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rowsmith.engine.events import Event
from rowsmith.engine.report import Report
from rowsmith.topics.topic import Topic


class LevelStarted(NamedTuple):
    """Topics are about to be divided.

    Attributes:
        depth: of the topics that will come, those of the lowest level.
        topics: how many topics are to be divided; also those of earlier levels that failed before.
    """

    depth: int
    topics: int


class TopicDivided(NamedTuple):
    """A topic has all its subtopics.

    It is told again of a topic that lost a subtopic to an earlier one that came later with the same.

    Attributes:
        topic: which.
        subtopics: those right below it.
    """

    topic: Topic
    subtopics: tuple[Topic, ...]


class TopicFailed(NamedTuple):
    """A topic lacks subtopics: nothing stands in for them. `build_remaining` asks for them again.

    Attributes:
        topic: which.
        subtopics: those that it has.
        lacking: how many it lacks.
        reasons: how often each reason was given.
    """

    topic: Topic
    subtopics: tuple[Topic, ...]
    lacking: int
    reasons: Mapping[str, int]


class TopicsLinked(NamedTuple):
    """The links of a topic to others are known.

    Attributes:
        topic: which.
        links: how many.
    """

    topic: Topic
    links: int


class BuildFinished(NamedTuple):
    """The build has ended: complete, short, or stopped."""

    report: Report


TopicEvent = LevelStarted | TopicDivided | TopicFailed | TopicsLinked | BuildFinished
TopicListener = Callable[[TopicEvent | Event], None]
"""Told of what happens to topics, and of all events of the runs that they are made by."""
