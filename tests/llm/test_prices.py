"""What a call costs, and when nobody knows."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowsmith.errors import ConfigError
from rowsmith.llm import prices
from rowsmith.llm.prices import PriceList, Prices, Step, Tariff, Term, TokenPrices, price_list
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.providers.offline import OfflineProvider
from rowsmith.llm.providers.ollama import OllamaProvider
from rowsmith.llm.providers.openai import OpenAIProvider
from rowsmith.llm.registry import resolve
from rowsmith.llm.values import Completion, Request, Rung, Usage

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


class SomebodysProvider:
    """A provider that was written without a thought of prices."""

    rungs = (Rung.SCHEMA,)
    limits = KnownLimits()
    timeout = 60.0

    def __init__(self, model_id: str, endpoint: str = "https://api.acme.example/v1", name: str = "acme") -> None:
        self.model_id = model_id
        self.endpoint = endpoint
        self.name = name

    def describe(self) -> dict[str, Any]:
        return {}

    def encode(self, request: Request) -> bytes:
        raise NotImplementedError

    async def complete(self, body: bytes, transport: Any) -> Completion:
        raise NotImplementedError


def openai(**arguments: Any) -> OpenAIProvider:
    return OpenAIProvider(**{"model_id": "gpt-5-mini", "api_key": "sk-none", **arguments})


def cost(provider: Provider, usage: Usage = MILLION, at: float = NOON) -> float | None:
    return Prices(lambda: at)(provider, usage)


# -- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_says_where_it_is_from_and_of_what_day() -> None:
    listed = price_list()
    assert re.fullmatch(r"genai-prices \d+\.\d+\.\d+, https://github.com/pydantic/genai-prices", listed.source)
    assert "2026-11-20" <= listed.date <= time.strftime("%Y-%m-%d", time.gmtime())


@pytest.mark.parametrize(
    ("model", "price_in", "price_out"),
    [("gpt-5-mini", 0.25, 2.0), ("gpt-5-mini-2025-08-07", 0.25, 2.0), ("gpt-4o-mini", 0.15, 0.6), ("o3", 2.0, 8.0)],
)
def test_a_known_model_costs_what_its_service_says(model: str, price_in: float, price_out: float) -> None:
    assert cost(openai(model_id=model), Usage(1_000_000, 0)) == pytest.approx(price_in)
    assert cost(openai(model_id=model), Usage(0, 1_000_000)) == pytest.approx(price_out)


def test_the_same_model_is_looked_up_where_it_is_asked() -> None:
    at_groq = openai(model_id="openai/gpt-oss-120b", api_base="https://api.groq.com/openai/v1")
    at_openrouter = openai(model_id="openai/gpt-oss-120b", api_base="https://openrouter.ai/api/v1")
    assert cost(at_groq) is not None
    assert cost(at_openrouter) is not None
    assert cost(at_groq) != cost(at_openrouter)


@pytest.mark.parametrize(
    "arguments",
    [
        {"model_id": "gpt-that-nobody-has-heard-of"},
        {"api_base": "https://gateway.example.com/v1"},
        {"api_base": "http://127.0.0.1:4000/v1"},
        {"model_id": "typesafe/jev-1.14", "api_base": "https://openrouter.ai/api/v1"},
    ],
    ids=["unknown model", "unknown address", "a gateway on this machine", "not billed for answers"],
)
def test_an_unknown_price_is_none_and_never_nothing(arguments: dict[str, Any]) -> None:
    provider = openai(**arguments)
    assert cost(provider) is None
    assert Prices().tariff(provider) is None


def test_a_provider_from_elsewhere_has_no_price_unless_its_address_is_known() -> None:
    assert cost(SomebodysProvider("acme-1")) is None
    assert cost(SomebodysProvider("gpt-5-mini", "https://api.openai.com/v1/responses")) == cost(openai())


def test_a_date_in_a_name_may_be_written_without_dashes() -> None:
    assert cost(openai(model_id="gpt-5-mini-20250807")) == cost(openai())


def test_cached_tokens_have_their_own_price() -> None:
    assert cost(openai(), Usage(1_000_000, 0, cached_tokens=1_000_000)) == pytest.approx(0.025)
    assert cost(openai(), Usage(1_000_000, 0, cached_tokens=400_000)) == pytest.approx(0.6 * 0.25 + 0.4 * 0.025)


def test_more_cached_tokens_than_tokens_are_no_credit() -> None:
    assert cost(openai(), Usage(1_000, 0, cached_tokens=5_000)) == pytest.approx(0.025 / 1000)


def test_tokens_that_a_service_does_not_tell_have_no_cost_that_is_known() -> None:
    assert cost(openai(), Usage()) is None


def test_a_service_tier_has_its_own_price_and_one_that_the_list_lacks_none() -> None:
    flex, auto, scale = (cost(openai(extra_body={"service_tier": tier})) for tier in ("flex", "auto", "scale"))
    assert auto == cost(openai())
    assert flex is not None
    assert auto is not None
    assert flex < auto
    assert scale is None


def test_the_models_of_openrouter_that_are_given_away_cost_nothing() -> None:
    openrouter = next(service for service in written_list()["services"] if service["id"] == "openrouter")
    free = next(entry[0] for entry in openrouter["models"] if str(entry[0]).endswith(":free"))
    assert cost(openai(model_id=free, api_base="https://openrouter.ai/api/v1")) == 0.0


def test_litellm_names_the_service_before_the_model() -> None:
    bridged = SomebodysProvider("openai/gpt-5-mini", "litellm", "litellm")
    assert cost(bridged) == cost(openai())
    assert cost(SomebodysProvider("acme/gpt-5-mini", "litellm", "litellm")) is None
    assert cost(SomebodysProvider("gpt-5-mini", "litellm", "litellm")) is None


def written_list() -> dict[str, Any]:
    """The list as it stands in its file."""
    listed: dict[str, Any] = json.loads(Path(prices.__file__).with_name("prices.json").read_text())
    return listed


def test_every_price_of_the_list_can_be_read_and_is_an_amount() -> None:
    tariffs = 0
    for written in written_list()["services"]:
        service = price_list().service(written["id"])
        assert service is not None
        for names, _, *tiers in written["models"]:
            for name in (name for name in ([names] if isinstance(names, str) else names) if isinstance(name, str)):
                for tariff in (service.tariff(name, tier) for tier in (None, *(tiers[0] if tiers else ()))):
                    tariffs += tariff is not None
                    for step in (step for term in (tariff.terms if tariff else ()) for step in term.steps):
                        assert 0 <= step.input <= 1_000
                        assert 0 <= step.cached <= 1_000
                        assert 0 <= step.output <= 10_000
    assert tariffs > 1_000


def test_the_license_of_the_list_comes_with_it() -> None:
    assert "Permission is hereby granted" in written_list()["license"]
    assert "Copyright (c) Pydantic Services Inc." in written_list()["license"]


# -- what the list can say --------------------------------------------------------------------------------------------

ACME = PriceList(
    {
        "source": "here",
        "date": "2026-11-20",
        "services": [
            {
                "id": "acme",
                "at": "https://api\\.acme\\.example",
                "names": {"contains": "acme"},
                "also": ["other"],
                "models": [
                    ["plain", [1, None, 3]],
                    [["one", "another", {"regex": "^one-\\d{8}$"}], [2, 0.5, 4], {"flex": [1, 0.25, 2]}],
                    [{"starts_with": "long"}, [{"steps": [[0, 4, 0.4, 20], [272_000, 8, 0.8, 30]]}]],
                    [
                        {"all": [{"contains": "night"}, {"ends_with": "-ly"}]},
                        [{"steps": [[0, 1, None, 1]]}, {"steps": [[0, 2, None, 2]], "utc": [60, 240]}],
                    ],
                    ["dearer", [{"steps": [[0, 1, None, 1]]}, {"steps": [[0, 2, None, 2]], "since": "2027-01-01"}]],
                    ["by-the-request", None],
                    [{"contains": "e"}, [99, None, 99]],
                ],
            },
            {"id": "other", "at": "https://other\\.example", "models": [["its-own", [5, None, 5]]]},
        ],
    }
)


def listed(model: str, usage: Usage = MILLION, at: float = NOON, tier: str | None = None) -> float | None:
    service = ACME.at("https://api.acme.example/v1/chat")
    assert service is not None
    tariff = service.tariff(model, tier)
    return None if tariff is None else tariff.cost(usage, at)


@pytest.mark.parametrize(
    ("model", "right"),
    [
        ("plain", 4),
        ("PLAIN", 4),
        ("another", 6),
        ("one-20260101", 6),
        ("nightly-x-ly", 2),
        ("by-the-request", None),
        ("else", 198),
        ("xyz", None),
    ],
)
def test_the_first_entry_that_a_name_fits_counts(model: str, right: float | None) -> None:
    assert listed(model) == right


def test_a_model_of_another_service_that_is_offered_too_costs_what_it_does_there() -> None:
    other = PriceList({"source": "", "date": "", "services": [{**_acme(), "models": []}, _other()]})
    service = other.service("acme-gateway")
    assert service is not None
    tariff = service.tariff("its-own")
    assert tariff is not None
    assert tariff.cost(MILLION, NOON) == 10


def _acme() -> dict[str, Any]:
    return {"id": "acme", "at": "https://acme", "names": {"contains": "acme"}, "also": ["other"]}


def _other() -> dict[str, Any]:
    return {"id": "other", "at": "https://other", "models": [["its-own", [5, None, 5]]]}


def test_tiers_are_not_mixed_up() -> None:
    assert listed("one", tier="flex") == 3
    assert listed("one", tier="gold") is None
    assert listed("plain", tier="flex") is None


def test_long_requests_cost_more_where_the_service_says_so() -> None:
    assert listed("long", Usage(272_000, 0)) == pytest.approx(272_000 * 4 / 1e6)
    assert listed("long", Usage(272_001, 1_000)) == pytest.approx((272_001 * 8 + 1_000 * 30) / 1e6)


def test_a_price_by_the_hour_is_that_of_the_hour() -> None:
    assert listed("nightly-ly", at=NOON) == 2
    assert listed("nightly-ly", at=NOON - 10 * 3600) == 4


def test_a_price_that_changes_on_a_day_changes_on_that_day() -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert listed("dearer", at=new_year - 1) == 2
    assert listed("dearer", at=new_year) == 4


# -- what a provider knows itself -------------------------------------------------------------------------------------


def test_prices_that_are_given_win_over_the_list() -> None:
    given = openai(input_cost_per_million=1.0, output_cost_per_million=3, cached_input_cost_per_million=0.5)
    assert cost(given) == pytest.approx(4.0)
    assert cost(given, Usage(1_000_000, 0, 1_000_000)) == pytest.approx(0.5)


def test_cached_tokens_cost_as_much_as_others_if_only_two_prices_are_given() -> None:
    given = openai(input_cost_per_million=1.0, output_cost_per_million=3.0)
    assert cost(given, Usage(1_000_000, 0, 1_000_000)) == pytest.approx(1.0)


def test_prices_may_be_given_in_a_mapping_as_in_yaml() -> None:
    made = resolve(
        {
            "model": "openai/my-model",
            "api_key": "none",
            "api_base": "http://127.0.0.1:8000/v1",
            "input_cost_per_million": 0,
            "output_cost_per_million": 0,
        }
    )
    assert cost(made) == 0.0


def test_prices_are_no_part_of_what_decides_answers() -> None:
    assert openai(input_cost_per_million=1.0, output_cost_per_million=3.0).describe() == openai().describe()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_cost_per_million": 1.0}, "output_cost_per_million is needed too"),
        ({"output_cost_per_million": 1.0}, "input_cost_per_million is needed too"),
        ({"cached_input_cost_per_million": 1.0}, "input_cost_per_million is needed too"),
        ({"input_cost_per_million": -1, "output_cost_per_million": 1}, "0 or more; it is -1"),
        ({"input_cost_per_million": "1", "output_cost_per_million": 1}, "it is '1'"),
        ({"input_cost_per_million": float("nan"), "output_cost_per_million": 1}, "it is nan"),
        ({"input_cost_per_million": True, "output_cost_per_million": 1}, "it is True"),
    ],
)
def test_half_a_price_or_no_amount_is_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        openai(**arguments)


def test_what_runs_on_ones_own_machine_costs_nothing() -> None:
    assert cost(OfflineProvider()) == 0.0
    assert cost(OllamaProvider("gemma3:4b")) == 0.0
    assert cost(OfflineProvider(), Usage()) == 0.0


def test_an_ollama_that_is_somebody_elses_is_not_taken_for_free() -> None:
    assert cost(OllamaProvider("gpt-oss:120b-cloud")) is None
    assert cost(OllamaProvider("glm-5:cloud")) is None
    assert cost(OllamaProvider("gemma3:4b", api_base="https://ollama.com")) is None
    assert cost(OllamaProvider("gpt-oss:120b-cloud", input_cost_per_million=1, output_cost_per_million=1)) == 2.0


# -- laws -------------------------------------------------------------------------------------------------------------

amounts = st.floats(0, 1000, allow_nan=False)
counts = st.integers(0, 10_000_000)


@given(amounts, amounts, st.none() | amounts, counts, counts, counts)
def test_a_plain_price_is_tokens_times_prices(
    price_in: float, price_out: float, cached_price: float | None, asked: int, answered: int, cached: int
) -> None:
    cached = min(cached, asked)
    found = Tariff.of(TokenPrices(price_in, price_out, cached_price)).cost(Usage(asked, answered, cached), 0.0)
    at_cache = price_in if cached_price is None else cached_price
    right = ((asked - cached) * price_in + cached * at_cache + answered * price_out) / 1e6
    if asked or answered:
        assert found == pytest.approx(right)
    else:
        assert found in (None, 0.0)


@given(st.lists(st.integers(1, 1000), max_size=4, unique=True), st.integers(1, 1100))
def test_the_highest_step_that_is_passed_holds_for_all_tokens(starts: list[int], asked: int) -> None:
    steps = tuple(Step(start, start + 1.0, 0.0, 0.0) for start in sorted([0, *starts]))
    passed = max(step.above for step in steps if asked > step.above)
    assert Tariff(Term(steps)).cost(Usage(asked, 0), 0.0) == pytest.approx(asked * (passed + 1.0) / 1e6)


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_may_go_over_midnight(first: int, last: int, minute: int) -> None:
    term = Term((Step(0, 1, 1, 1),), between=(first, last))
    round_the_clock = [(first + after) % 1440 for after in range((last - first) % 1440)]
    assert term.holds(minute * 60.0) == (minute in round_the_clock)


def test_a_price_is_looked_up_once_for_a_provider_and_then_costs_next_to_nothing() -> None:
    known, provider, usage = Prices(), openai(), Usage(1000, 500, 100)
    known(provider, usage)
    best = min(_seconds_for(10_000, known, provider, usage) for _ in range(5)) / 10_000
    assert best < 4e-6  # measured: 0.5 µs


def _seconds_for(times: int, known: Prices, provider: Provider, usage: Usage) -> float:
    started = time.perf_counter()
    for _ in range(times):
        known(provider, usage)
    return time.perf_counter() - started
