"""The card of a dataset on the Hugging Face Hub: what its rows are, how they were made, and by whom.

Written after https://huggingface.co/docs/hub/datasets-cards. What the user has not said (a license, languages) is
absent. The text between the two marks is Rowsmith's and written anew by each push; what stands around it is the user's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from rowsmith.data.lines import Row
from rowsmith.data.statistics import Statistics

BEGIN = "<!-- rowsmith: written anew by each push -->"
END = "<!-- rowsmith: end -->"
CONFIGURATION = "rowsmith.yaml"
"""The file beside the card that makes the dataset again."""
_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_SIZES = ((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"), (10**9, "1B"))
_MOST_VALUES = 50
_LONGEST = 300
"""Characters of a text that are shown of the example row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one model did in one role.

    Attributes:
        model: `provider/model`.
        role: what it was used as.
        cost: US dollars; None where the price of a call is not known.
    """

    model: str
    role: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How rows were made, as far as it is known. None of it holds a key.

    Attributes:
        kind: the kind of dataset, by its name in YAML.
        expected: rows that were asked for; None if that is not known.
        models: who made them, a line for each role.
        prompts: the templates of the requests.
        rejected: why answers and rows were refused → how often.
        configuration: a YAML file that makes the dataset again; None if it cannot be said in YAML.
        settings: the configuration's fields, where there is no such file.
    """

    kind: str
    expected: int | None = None
    models: Sequence[Use] = ()
    prompts: Sequence[str] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    configuration: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One split as it was uploaded.

    Attributes:
        rows: how many.
        size: bytes of its columns in memory.
        stored: bytes of its files.
    """

    rows: int
    size: int
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a card tells.

    Attributes:
        name: of the repository, with its owner.
        features: the columns as `dataset_info` has them.
        parts: the splits by name, in their order.
        statistics: of all rows.
        example: a row.
        origin: how they were made; None if nothing is known.
        license: as the user gave it.
        languages: codes, as the user gave them.
    """

    name: str
    features: Sequence[Mapping[str, Any]]
    parts: Mapping[str, Part]
    statistics: Statistics | None = None
    example: Row | None = None
    origin: Origin | None = None
    license: str | None = None
    languages: Sequence[str] = ()


def card(facts: Facts, before: str | None = None) -> str:
    """The card's text.

    Args:
        facts: what to tell.
        before: the card that is there. What it says besides is kept.
    """
    header, text = _taken_apart(before or "")
    header |= _loading(facts, header)
    if facts.license is not None:
        header["license"] = facts.license
    if facts.languages:
        header["language"] = list(facts.languages)
    header["size_categories"] = [_size(sum(part.rows for part in facts.parts.values()))]
    tags = header.get("tags")
    own = ["synthetic", "rowsmith"] if _is_synthetic(facts) else ["rowsmith"]
    header["tags"] = list(dict.fromkeys([*(tags if isinstance(tags, list) else []), *own]))
    section = f"{BEGIN}\n\n" + "\n\n".join(_section(facts)) + f"\n\n{END}"
    start, end = text.find(BEGIN), text.find(END)
    if 0 <= start < end:
        body = text[:start] + section + text[end + len(END) :]
    elif text.strip():
        body = f"{text.rstrip()}\n\n{section}\n"
    else:
        body = f"# {facts.name.rpartition('/')[2]}\n\n{section}\n"
    return _together(header, body)


def card_as_it_is(facts: Facts, before: str) -> str:
    """A card that is there, with nothing changed but what loaders read: the splits, and the columns."""
    header, text = _taken_apart(before)
    return _together(header | _loading(facts, header), text)


def _taken_apart(text: str) -> tuple[dict[str, Any], str]:
    """(the fields of the header, the text below it)."""
    found = _HEADER.match(text)
    if found is None:
        return {}, text
    try:
        header = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return {}, text[found.end() :]
    return header if isinstance(header, dict) else {}, text[found.end() :]


def _together(header: Mapping[str, Any], body: str) -> str:
    return f"---\n{yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)}---\n{body}"


# -- the header -------------------------------------------------------------------------------------------------------


def _loading(facts: Facts, header: Mapping[str, Any]) -> dict[str, Any]:
    """What `datasets` needs to load the rows; other configurations that the card has stay."""
    info = {
        "features": [dict(feature) for feature in facts.features],
        "splits": [
            {"name": name, "num_bytes": part.size, "num_examples": part.rows} for name, part in facts.parts.items()
        ],
        "download_size": sum(part.stored for part in facts.parts.values()),
        "dataset_size": sum(part.size for part in facts.parts.values()),
    }
    files = [{"split": name, "path": f"data/{name}-*"} for name in facts.parts]
    infos = _others(header.get("dataset_info"))
    return {
        "dataset_info": [{"config_name": "default", **info}, *infos] if infos else info,
        "configs": [{"config_name": "default", "data_files": files}, *_others(header.get("configs"))],
    }


def _others(given: Any) -> list[Any]:
    listed = given if isinstance(given, list) else [given]
    return [one for one in listed if isinstance(one, dict) and one.get("config_name", "default") != "default"]


def _size(rows: int) -> str:
    low = ""
    for bound, name in _SIZES:
        if rows < bound:
            return f"{low}<n<{name}" if low else f"n<{name}"
        low = name
    return "1B<n<10B"


def _is_synthetic(facts: Facts) -> bool:
    return facts.origin is not None or (facts.statistics is not None and "model_id" in facts.statistics.counts)


# -- the text ---------------------------------------------------------------------------------------------------------


def _section(facts: Facts) -> Iterator[str]:
    rows = sum(part.rows for part in facts.parts.values())
    made = " made with language models" if _is_synthetic(facts) else ""
    kind = f" of the kind `{facts.origin.kind}`" if facts.origin is not None else ""
    yield f"{rows:,} row{'' if rows == 1 else 's'}{kind}{made}, written and uploaded with Rowsmith."
    if facts.origin is not None and facts.origin.expected is not None and rows < facts.origin.expected:
        yield f"{facts.origin.expected:,} rows were asked for."
    yield "## Rows"
    yield _table(("split", "rows"), ((name, f"{part.rows:,}") for name, part in facts.parts.items()))
    yield _table(("field", "type"), ((str(one["name"]), _type(one)) for one in facts.features))
    if facts.example is not None:
        yield "One of them:"
        yield _fenced(json.dumps(_cut(facts.example), ensure_ascii=False, indent=2), "json")
    if facts.statistics is not None:
        yield from _counts(facts.statistics)
    if facts.origin is not None:
        yield from _making(facts.origin)


def _counts(statistics: Statistics) -> Iterator[str]:
    if statistics.counts:
        yield "## Counts"
    for name, values in statistics.counts.items():
        shown = list(values.items())[:_MOST_VALUES]
        yield _table((name, "rows"), ((value, f"{count:,}") for value, count in shown))
        if len(values) > len(shown):
            yield f"And {len(values) - len(shown):,} more values of `{name}`."


def _making(origin: Origin) -> Iterator[str]:
    yield "## How they were made"
    if origin.models:
        head = ("model", "role", "calls", "tokens in", "tokens out", "cost")
        yield _table(head, (_use(use) for use in origin.models))
        costs = [use.cost for use in origin.models]
        known = sum(cost for cost in costs if cost is not None)
        if None not in costs:
            yield f"Cost: {_dollars(known)}."
        elif known:
            yield f"Cost: {_dollars(known)} and more; not all prices are known."
        else:
            yield "The cost is not known."
    if origin.rejected:
        yield "Answers and rows that were refused, and made anew where they could be:"
        yield _table(("reason", "times"), ((reason, f"{times:,}") for reason, times in origin.rejected.items()))
    if origin.prompts:
        yield "### Prompts"
        for prompt in origin.prompts:
            yield _fenced(prompt, "text")
    if origin.configuration is not None:
        yield "### Configuration"
        yield f"`rowsmith run {CONFIGURATION}` makes such a dataset again:"
        yield _fenced(origin.configuration, "yaml")
    elif origin.settings:
        yield "### Configuration"
        yield _fenced(yaml.safe_dump(dict(origin.settings), sort_keys=False, allow_unicode=True), "yaml")


def _use(use: Use) -> Sequence[str]:
    cost = "unknown" if use.cost is None else _dollars(use.cost)
    return use.model, use.role, f"{use.calls:,}", f"{use.input_tokens:,}", f"{use.output_tokens:,}", cost


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


def _type(feature: Any) -> str:
    """A feature in words: `string`, `list of {role: string, content: string}`."""
    if isinstance(feature, str):
        return feature
    if isinstance(feature, list):
        return "{" + ", ".join(f"{one['name']}: {_type(one)}" for one in feature) + "}"
    if "dtype" in feature:
        return str(feature["dtype"])
    return f"list of {_type(feature['list'])}" if "list" in feature else _type(feature["struct"])


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    if isinstance(value, dict):
        return {name: _cut(part) for name, part in value.items()}
    return [_cut(part) for part in value] if isinstance(value, list) else value


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_inline, line))} |" for line in lines)


def _inline(text: str) -> str:
    """Text for one cell of a table: what a model wrote must not become markup."""
    flat = " ".join(text.split())
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", flat)


def _fenced(text: str, language: str) -> str:
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    # The section's own marks inside a text would end it early.
    text = text.replace(BEGIN, BEGIN.replace("--", "- -")).replace(END, END.replace("--", "- -"))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
