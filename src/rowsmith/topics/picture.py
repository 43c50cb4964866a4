"""A tree of topics as an SVG picture: the root on the left, each level a column, each topic a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape

from rowsmith.topics.shown import Shown
from rowsmith.topics.topic import Topic

_LINE = 24
"""Height of a topic, in pixels."""
_LETTER = 7.2
"""Width that a letter is reckoned with; a wide one (Chinese, Japanese, Korean) takes two."""
_BOLDER = 1.12
"""How much wider bold letters are."""
_BOLD = 2
"""Levels, with the root, that are written in bold."""
_GAP = 48
_EDGE = 16
_COLOURS = ("#1f4e79", "#2e7d5b", "#8a5a00", "#7a2f6b", "#3f51b5", "#9b2c2c", "#00695c", "#5d4037")
"""Of the root, then of its branches in turn; each has a contrast of at least 5:1 on white."""

Point = tuple[float, float]


def draw(shown: Shown, links: Sequence[tuple[Topic, Topic]] = ()) -> str:
    """The picture.

    Args:
        shown: the topics that it has.
        links: pairs of topics that a dashed line joins, where both are shown.
    """
    notes = {topic: note for topic in shown if (note := shown.note(topic))}
    starts, widths = _columns(shown, notes)
    rows, height = _rows(shown, notes)
    places = {topic: (starts[topic.depth], rows[topic]) for topic in rows}
    ends = {topic: places[topic][0] + _width(shown.label(topic), bold=topic.depth < _BOLD) for topic in places}
    colours = _coloured(shown)
    # Links lie below all else, and every text has a white edge: so it can be read where lines cross it.
    parts = [
        _link((ends[one] + 2, rows[one]), (ends[two] + 2, rows[two]))
        for one, two in links
        if one in places and two in places
    ]
    for topic in places:
        below = [places[one] for one in shown.below(topic)]
        if topic in notes:
            below.append(_note_place(topic, shown, starts, rows))
        parts += [_curve((ends[topic] + 4, rows[topic]), (x - 4, y), colours[topic]) for x, y in below]
    for topic, (x, y) in places.items():
        title = f"<title>{escape(topic.trail)}</title>"
        weight = ' font-weight="bold"' if topic.depth < _BOLD else ""
        parts.append(_text(x, y, shown.label(topic), colours[topic], weight, title))
        if topic in notes:
            x, y = _note_place(topic, shown, starts, rows)
            parts.append(_text(x, y, notes[topic], "#666", ' font-style="italic"', ""))
    width = starts[-1] + widths[-1] + _EDGE + (40 if links else 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" font-size="13" role="img">\n'
        f"<title>{escape(shown.root.name)}</title>\n"
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _columns(shown: Shown, notes: dict[Topic, str]) -> tuple[list[float], list[float]]:
    """(where each level's column begins, how wide it is)."""
    widest: dict[int, float] = {}
    for topic in shown:
        width = _width(shown.label(topic), bold=topic.depth < _BOLD)
        widest[topic.depth] = max(widest.get(topic.depth, 0), width)
        if topic in notes:
            widest[topic.depth + 1] = max(widest.get(topic.depth + 1, 0), _width(notes[topic]))
    widths = [widest[depth] for depth in sorted(widest)]
    starts = [float(_EDGE)]
    for width in widths[:-1]:
        starts.append(starts[-1] + width + _GAP)
    return starts, widths


def _rows(shown: Shown, notes: dict[Topic, str]) -> tuple[dict[Topic, float], float]:
    """(the middle of each topic's line, the height of all): a topic stands in the middle of what is below it."""
    rows: dict[Topic, float] = {}
    next_row = float(_EDGE + _LINE / 2)
    order = list(shown)
    spans: dict[Topic, list[float]] = {topic: [] for topic in order}
    # `shown` has each topic before those below it, the first branch first: leaves get their lines in that order.
    waiting: list[tuple[Topic, bool]] = [(shown.root, False)]
    while waiting:
        topic, done = waiting.pop()
        below = shown.below(topic)
        if not done and below:
            waiting.append((topic, True))
            waiting.extend((one, False) for one in reversed(below))
            continue
        if below:
            spans[topic] = [rows[below[0]], rows[below[-1]]]
            if topic in notes:
                spans[topic][1] = next_row
                next_row += _LINE
            rows[topic] = sum(spans[topic]) / 2
        else:
            rows[topic] = next_row
            next_row += _LINE
    return rows, next_row - _LINE / 2 + _EDGE


def _note_place(topic: Topic, shown: Shown, starts: Sequence[float], rows: dict[Topic, float]) -> Point:
    """Where a topic's note stands: below the last topic under it, or behind it where there is none."""
    below = shown.below(topic)
    if not below:
        return starts[topic.depth + 1], rows[topic]
    # The topic is in the middle between its first line and its note's.
    return starts[topic.depth + 1], 2 * rows[topic] - rows[below[0]]


def _coloured(shown: Shown) -> dict[Topic, str]:
    colours = {shown.root: _COLOURS[0]}
    branches = {topic: 1 + number % (len(_COLOURS) - 1) for number, topic in enumerate(shown.below(shown.root))}
    for topic in shown:
        if topic.depth:
            colours[topic] = _COLOURS[branches[Topic(topic.path[:2])]]
    return colours


def _curve(start: Point, end: Point, colour: str) -> str:
    middle = (start[0] + end[0]) / 2
    return (
        f'<path d="M{start[0]:.1f} {start[1]:.1f} C{middle:.1f} {start[1]:.1f} {middle:.1f} {end[1]:.1f} '
        f'{end[0]:.1f} {end[1]:.1f}" fill="none" stroke="{colour}" stroke-opacity="0.45"/>'
    )


def _link(start: Point, end: Point) -> str:
    bulge = max(start[0], end[0]) + 34
    return (
        f'<path d="M{start[0]:.1f} {start[1]:.1f} C{bulge:.1f} {start[1]:.1f} {bulge:.1f} {end[1]:.1f} '
        f'{end[0]:.1f} {end[1]:.1f}" fill="none" stroke="#c2410c" stroke-dasharray="4 3" stroke-opacity="0.6"/>'
    )


def _text(x: float, y: float, text: str, colour: str, more: str, title: str) -> str:
    edge = 'stroke="#fff" stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
    return f'<text x="{x:.1f}" y="{y + 4.5:.1f}" fill="{colour}" {edge}{more}>{title}{escape(text)}</text>'


def _width(text: str, *, bold: bool = False) -> float:
    letters = sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
    return letters * _LETTER * (_BOLDER if bold else 1)
