# /// script
# requires-python = ">=3.11"
# dependencies = ["genai-prices"]
# ///
"""Write `src/rowsmith/llm/prices.json` anew from the price list of the package `genai-prices`.

    pip install --upgrade genai-prices      (in an environment of its own: it is no dependency of Rowsmith)
    python scripts/update_prices.py

Kept is what a price per token of text needs; of prices with a date, what holds from today on. Afterwards every name
that the list knows is priced by both, at several sizes and times, and the script fails if they differ.
"""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
TARGET = PROJECT / "src" / "rowsmith" / "llm" / "prices.json"
NEEDED = ("input_mtok", "output_mtok")
KEPT = ("input_mtok", "cache_read_mtok", "output_mtok")
NO_ANSWER = re.compile(r"embed|\bbge-(?!reranker)")
"""Models that make vectors, by their ids: they are billed for what they read alone."""
BILLED_OTHERWISE = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")
"""Prices of text that tokens in and out do not tell: a model that has one counts as unpriced."""


def main() -> int:
    """Write the file and check it; 1 if it says something else than the source, 2 if that is not installed."""
    try:
        source = importlib.import_module("genai_prices.data")
    except ModuleNotFoundError:
        print("genai-prices is not installed here: pip install genai-prices", file=sys.stderr)
        return 2
    today = datetime.now(UTC).date()
    services = [service(found, today) for found in source.providers]
    head = {
        "source": f"genai-prices {version('genai-prices')}, https://github.com/pydantic/genai-prices",
        "date": today.isoformat(),
        "unit": "USD per million tokens: input, cached input, output",
        "license": license_text(),
    }
    TARGET.write_text(written(head, services), encoding="utf-8")
    models = sum(len(found["models"]) for found in services)
    size = TARGET.stat().st_size
    print(f"{TARGET.relative_to(PROJECT)}: {models} models of {len(services)} services, {size:,} bytes")
    wrong = list(differences(source.providers, today))
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    print(f"{len(wrong)} prices differ from the source")
    return 1 if wrong else 0


def license_text() -> str:
    """The source's licence, which asks to be kept with every copy."""
    for file in distribution("genai-prices").files or ():
        if file.name.upper().startswith("LICENSE"):
            return file.read_text().strip()
    raise SystemExit("genai-prices comes without its licence: look at it before its data is used")


def written(head: dict[str, Any], services: list[dict[str, Any]]) -> str:
    """JSON with one model a line, so that a change of a price is one line of a diff."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    parts = []
    for found in services:
        models = ",\n".join(json.dumps(model, separators=(",", ":"), ensure_ascii=False) for model in found["models"])
        rest = {key: value for key, value in found.items() if key != "models"}
        parts.append(f'{json.dumps(rest)[:-1]}, "models": [\n{models}\n]}}')
    joined = ",\n".join(parts)
    return "{\n" + "\n".join(lines) + f'\n"services": [\n{joined}\n]\n}}\n'


def service(found: Any, today: date) -> dict[str, Any]:
    """A service: how its address looks, what other tools call it, whose models it offers too, and its own."""
    made: dict[str, Any] = {"id": found.id, "at": found.api_pattern}
    if found.provider_match is not None:
        made["names"] = clause(found.provider_match)
    if found.fallback_model_providers:
        made["also"] = list(found.fallback_model_providers)
    made["models"] = [model(found, one, today) for one in found.models]
    return made


def model(provider: Any, found: Any, today: date) -> list[Any]:
    """[what it is called, its prices or null, its prices by service tier where it has any]."""
    given = standard(provider, found, today)
    tiers: dict[str, Any] = {}
    if given is not None:
        for variant in found.price_variants or ():
            name = variant.when.get("service_tier")
            begun = variant.constraint is None or getattr(variant.constraint, "start_date", date.max) <= today
            if name in (None, "default") or set(variant.when) != {"service_tier"} or not begun or name in tiers:
                continue
            if any(getattr(variant.prices, key) is None for key in NEEDED):
                raise SystemExit(f"{found.id}: the tier {name} has not all prices of its own: teach this script")
            tiers[name] = prices(variant.prices, today)
    return [clause(found.match), given, *([tiers] if tiers else [])]


def standard(provider: Any, found: Any, today: date) -> list[Any] | None:
    """The prices of the standard tier. OpenRouter's models in `:free` cost nothing, which the source leaves out."""
    given = prices(found.prices, today, reads_only=NO_ANSWER.search(found.id.lower()) is not None)
    return [0, 0, 0] if given is None and provider.id == "openrouter" and found.id.endswith(":free") else given


def clause(match: Any) -> Any:
    """A text is a whole name, a list any of its members, an object another kind of match."""
    kind = type(match).__name__
    if kind == "ClauseEquals":
        return match.equals.lower()
    if kind == "ClauseOr":
        return [clause(part) for part in match.or_]
    if kind == "ClauseAnd":
        return {"all": [clause(part) for part in match.and_]}
    if kind == "ClauseRegex":
        return {"regex": match.regex}
    name = {"ClauseStartsWith": "starts_with", "ClauseEndsWith": "ends_with", "ClauseContains": "contains"}[kind]
    return {name: getattr(match, name).lower()}


def prices(given: Any, today: date, *, reads_only: bool = False) -> list[Any] | None:
    """[input, cached, output], or a list of what holds when; None for what is not billed by tokens of text."""
    if not isinstance(given, list):
        only = steps(given, reads_only)
        if only is None:
            return None
        return only[0][1:] if len(only) == 1 else [{"steps": only}]
    found: list[dict[str, Any]] = []
    for conditional in given:
        rates, limit = steps(conditional.prices, reads_only), conditional.constraint
        if rates is None:
            return None
        begins = getattr(limit, "start_date", None)
        if limit is None or (begins is not None and begins <= today):
            found = [{"steps": rates}]  # it always holds from now on, so that what came before it never does
        elif begins is not None:
            found.append({"steps": rates, "since": begins.isoformat()})
        else:
            found.append({"steps": rates, "utc": [minutes(limit.start_time), minutes(limit.end_time)]})
    if len(found) == 1 and len(found[0]["steps"]) == 1:
        flat: list[Any] = found[0]["steps"][0][1:]
        return flat
    return found


def steps(price: Any, reads_only: bool) -> list[list[Any]] | None:
    """[input tokens above which it holds, input, cached, output], ascending."""
    if any(getattr(price, key) is None for key in (NEEDED[:1] if reads_only else NEEDED)):
        return None
    if any(getattr(price, key) is not None for key in BILLED_OTHERWISE):
        return None
    values = [getattr(price, key) for key in KEPT]
    starts = sorted({tier.start for value in values for tier in getattr(value, "tiers", ())})
    found = [[start, *(at(value, start) for value in values)] for start in [0, *starts]]
    return [[*step[:-1], step[-1] or 0] for step in found] if reads_only else found


def at(value: Any, start: int) -> float | int | None:
    """The price that holds above so many input tokens."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return number(value)
    reached = [tier.price for tier in value.tiers if tier.start <= start and start]
    return number(reached[-1] if reached else value.base)


def number(value: Decimal) -> float | int:
    """As short as JSON can say it."""
    return int(value) if value == value.to_integral_value() else float(value)


def minutes(moment: time) -> int:
    """Minutes since midnight, UTC."""
    offset = moment.utcoffset() or timedelta()
    return int((moment.hour * 60 + moment.minute - offset.total_seconds() // 60) % 1440)


def differences(providers: Any, today: date) -> Iterator[str]:
    """What Rowsmith reads from the file against what the source says of the same call."""
    sys.path.insert(0, str(PROJECT / "src"))
    ours = importlib.import_module("rowsmith.llm.prices").price_list()
    theirs = importlib.import_module("genai_prices")
    values = importlib.import_module("rowsmith.llm.values")
    draw = random.Random(0)  # noqa: S311  # which sizes are tried is no secret
    noon = datetime.combine(today, time(12), tzinfo=UTC)
    for provider in providers:
        for name in names(provider):
            found = provider.find_model(name, all_providers=providers)
            tariff = ours.service(provider.id).tariff(name)
            if found is None or standard(provider, found, today) is None:
                if tariff is not None:
                    yield f"{provider.id}/{name}: priced here, and not there"
                continue
            for days, hour in ((0, 0), (0, 2), (0, 7), (60, 12)):
                when = noon + timedelta(days=days, hours=hour - 12)
                asked = draw.choice((900, 150_000, 250_000, 300_000))
                cached = draw.randrange(asked) if found.get_prices(when).cache_read_mtok is not None else 0
                usage = theirs.Usage(input_tokens=asked, cache_read_tokens=cached, output_tokens=777)
                right = float(found.calc_price(usage, provider, genai_request_timestamp=when).total_price)
                read = tariff.cost(values.Usage(asked, 777, cached), when.timestamp()) if tariff else None
                if read is None or abs(read - right) > 1e-9 * right:
                    yield f"{provider.id}/{name} at {when}: {read} here, {right} there"


def names(provider: Any) -> Iterator[str]:
    """Names that a provider's models answer to: their ids, and what their clauses say."""
    for found in provider.models:
        yield found.id
        stack = [found.match]
        while stack:
            match = stack.pop()
            stack.extend(getattr(match, "or_", None) or getattr(match, "and_", None) or ())
            for kind in ("equals", "starts_with", "ends_with", "contains"):
                if hasattr(match, kind):
                    yield getattr(match, kind)


if __name__ == "__main__":
    sys.exit(main())
