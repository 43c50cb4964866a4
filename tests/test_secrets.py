"""A hundred secrets, planted wherever a key can be and echoed in every way: none is found in anything that is left.

What is looked through: the files of a run, the ledger and its journal as bytes while it is written and afterwards, the
log at DEBUG, events, reports, traces, errors with their tracebacks and all that is chained to them, what is printed.
Memory is not: a pickle of a provider is the provider, key and all, and the variables of a traceback's frames are what
a debugger would show.
"""

from __future__ import annotations

import base64
import copy
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ConfigError, RowsmithError
from rowsmith.cli.state import find, look
from rowsmith.cli.status import lines
from rowsmith.engine.tracing import OpenTelemetry
from rowsmith.llm.overview import overview
from rowsmith.llm.registry import resolve
from rowsmith.logs import ROOT, configure_logger
from rowsmith.testing import BatchScript, ScriptedServer
from support.planted import (
    FORMATS,
    KEYS,
    KINDS,
    PLANTINGS,
    QUICK,
    SECRETS,
    Echo,
    Watch,
    dataset,
    in_spite_of_failures,
    one_after_another,
    planted,
)

Servers = Callable[..., ScriptedServer]


@pytest.fixture
def log_at_debug(tmp_path: Path) -> Iterator[Path]:
    """All of Rowsmith's log, in a file."""
    logger = logging.getLogger(ROOT)
    before = logger.level, logger.propagate
    path = tmp_path / "run.log"
    configure_logger("DEBUG", path)
    yield path
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(before[0])
    logger.propagate = before[1]


MATRIX = list(zip(SECRETS, product(FORMATS, PLANTINGS, KINDS), strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_a_hundred_runs_leave_none_of_a_hundred_secrets(
    name: str, tmp_path: Path, scripted_server: Servers, monkeypatch: pytest.MonkeyPatch, log_at_debug: Path, capfd: Any
) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    ended: set[str] = set()
    for secret, (of, planting, kind) in MATRIX:
        if of != name:
            continue
        folder = tmp_path / f"{planting}-{kind}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        watch, spans, traces = Watch(secret, folder, log_at_debug), InMemorySpanExporter(), TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(spans))
        server = scripted_server(faults=Echo(secret, kind))
        with monkeypatch.context() as patch:
            model = planted(name, planting, secret, server, patch, folder)
            watch.text(f"{model!r} {model} {asdict(model)} {model.describe()} {copy.deepcopy(model)!r}", "a repr")  # type: ignore[call-overload]  # it is a dataclass
            listeners = [watch, OpenTelemetry(traces, content=True)]
            for work in (one_after_another, in_spite_of_failures):
                try:
                    made = work(dataset(folder), model, listeners)
                    ended.add(made.report.ended if made.report is not None else "")
                    watch.text(f"{made.report} {made!r} {made.report!r}", "the report")
                except RowsmithError as error:
                    watch.error(error)
                    ended.add(type(error).__name__)
            found = dataset(folder).validate(model)
            watch.text(f"{found} {found!r}", "the findings of a check")
            watch.text(f"{dataset(folder).estimate(model)!r}", "an estimate")
            watch.text(f"{overview()!r}", "the list of providers")
        if (folder / "rows.run").exists():
            state = look(find(folder / "rows.jsonl"))
            watch.text("\n".join(lines(state)) + repr(state), "the status")
        watch.text("".join(span.to_json() for span in spans.get_finished_spans()), "a trace")
        watch.files()
        printed = capfd.readouterr()
        watch.text(printed.out + printed.err, "what was printed")
        assert watch.events
        assert server.count
    assert len(ended) > 3, "runs of many ends were looked at"
    assert log_at_debug.stat().st_size > 1000


def test_every_secret_was_planted_and_sent() -> None:
    assert len({secret for secret, _ in MATRIX}) == 100
    assert {cell for _, cell in MATRIX} == set(product(FORMATS, PLANTINGS, KINDS))


# -- addresses -------------------------------------------------------------------------------------------------------

ADDRESSES = (
    "http://user:{}@127.0.0.1:9/v1",
    "http://{}@127.0.0.1:9/v1",
    "http://user:{}/x@127.0.0.1:99999/v1",
    "http://127.0.0.1:9/v1?key={}",
    "http://127.0.0.1:99999/v1?key={}",
    "http://127.0.0.1:9/v1#{}",
    "ftp://user:{}@127.0.0.1",
    "{}",
    "user:{}@127.0.0.1",
)


@pytest.mark.parametrize("name", [name for name in KEYS if name not in ("litellm", "llamacpp")])
def test_no_secret_in_an_address_is_told(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = 0
    facts = next(one.facts for one in overview() if one.name == name)
    for place, (secret, form) in enumerate(zip(SECRETS[: 2 * len(ADDRESSES)], ADDRESSES * 2, strict=True)):
        # What ends an address or a host, as a person who copies a password into one has to write it.
        plain = urllib.parse.quote(secret, safe="")
        watch, address = Watch(plain, tmp_path), form.format(plain)
        spec: dict[str, Any] = {"model": f"{name}/any", "api_key": "another-key"}
        with monkeypatch.context() as patch:
            if place % 2:
                patch.setenv(facts.bases[0], address)
            else:
                spec["api_base"] = address
            try:
                made = resolve(spec)
            except ConfigError as error:
                watch.error(error)
                refused += 1
            else:
                assert form in ("{}", "user:{}@127.0.0.1") or "@" not in made.endpoint
            found = dataset(tmp_path).validate({**spec}, calls=False)
            if not found.ok:
                watch.text(f"{found} {found!r}", "the findings of a check")
            watch.text(repr(overview()), "the list of providers")
    assert refused >= 12


def test_a_proxys_password_is_in_no_error(
    scripted_server: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log_at_debug: Path
) -> None:
    for secret in SECRETS[::10]:
        watch = Watch(secret, tmp_path)
        server = scripted_server(faults=Echo(secret, "refused"))
        host = server.url.removeprefix("http://")
        with monkeypatch.context() as patch:
            patch.setenv("HTTP_PROXY", f"http://user:{urllib.parse.quote(secret, safe='')}@{host}")
            spec = {"model": "openai/any", "api_key": "another-key", "api_base": "http://models.example.com/v1"}
            with pytest.raises(RowsmithError) as raised:
                dataset(tmp_path).generate(spec, options=QUICK, listeners=[watch])
            watch.error(raised.value)
            watch.text(str(dataset(tmp_path).validate(spec)), "the findings of a check")
        watch.files()
        assert server.count, "the call went through the proxy"
        sent = server.calls[0].headers["proxy-authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"user:{secret}"


# -- specifications that are wrong themselves ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        lambda spec: [[spec]],
        lambda spec: {"fallback": spec},
        lambda spec: {"fallback": [spec]},
        lambda spec: {"spread": [spec, {**spec, "weight": 0}]},
        lambda spec: {**spec, "modle": spec.pop("model")},
        lambda spec: {**spec, "api_keyy": 1},
        lambda spec: {**spec, "timeout": -1},
        lambda spec: {**spec, "extra_headers": {"X-Token": spec["api_key"] + "\n"}},
        lambda spec: {**spec, "api_key": spec["api_key"] + " and more"},
        lambda spec: {**spec, "model": "opnai/x"},
    ],
)
def test_a_wrong_specification_is_told_of_without_its_key(wrong: Callable[[Any], Any], tmp_path: Path) -> None:
    for secret in SECRETS[:10]:
        watch = Watch(secret, tmp_path)
        spec = wrong({"model": "openai/x", "api_key": secret})
        with pytest.raises(ConfigError) as raised:
            dataset(tmp_path).generate(spec)
        watch.error(raised.value)
        found = dataset(tmp_path).validate(spec, calls=False)
        assert not found.ok
        watch.text(f"{found!r}{found}", "the findings of a check")


# -- LiteLLM ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(find_spec("litellm") is None, reason="LiteLLM is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_litellm_leaves_none_either(
    kind: str, tmp_path: Path, scripted_server: Servers, log_at_debug: Path, capfd: Any
) -> None:
    secret = SECRETS[3 + list(KINDS).index(kind)]
    watch, server = Watch(secret, tmp_path), scripted_server(faults=Echo(secret, kind))
    spec = {"model": "litellm/openai/scripted", "api_base": server.base_url, "api_key": secret, "timeout": 10}
    model = resolve(spec)
    watch.text(f"{model!r}{asdict(model)}", "a repr")  # type: ignore[call-overload]  # it is a dataclass
    for work in (one_after_another, in_spite_of_failures):
        try:
            watch.text(repr(work(dataset(tmp_path), model, [watch]).report), "the report")
        except RowsmithError as error:
            watch.error(error)
    watch.text(str(dataset(tmp_path).validate(model)), "the findings of a check")
    watch.files()
    printed = capfd.readouterr()
    watch.text(printed.out + printed.err, "what was printed")
    assert server.count


# -- batches ---------------------------------------------------------------------------------------------------------


OPERATIONS = ("upload", "submit", "status", "results", "cancel", "items")


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "mistral"])
def test_batches_leave_none_either(
    name: str, tmp_path: Path, scripted_server: Servers, monkeypatch: pytest.MonkeyPatch, log_at_debug: Path
) -> None:
    rounds = [*zip(KINDS, OPERATIONS, strict=False), *(("senseless", operation) for operation in OPERATIONS)]
    for secret, (kind, operation) in zip(SECRETS[::9], dict.fromkeys(rounds), strict=False):
        folder = tmp_path / f"{operation}-{kind}"
        folder.mkdir()
        watch, echo = Watch(secret, folder, log_at_debug), Echo(secret, kind)
        script = BatchScript(
            requests=lambda asked, number, at=operation, echo=echo: echo if asked == at and number < 3 else None,  # type: ignore[misc]  # the values of this round
            items=lambda item, at=operation, echo=echo: echo if at == "items" and item.number % 2 else None,  # type: ignore[misc]  # likewise
        )
        server = scripted_server(batches=script, faults=echo)
        model = planted(name, "argument", secret, server, monkeypatch, folder)
        options = QUICK.but(batch=True, batch_poll=0.01)
        if name != "gemini":
            model = replace(model, batch_endpoint=True)  # type: ignore[type-var]  # a dataclass
        for work in ("generate", "generate", "cancel_batches"):
            try:
                made = getattr(dataset(folder), work)(model, options=options, listeners=[watch])
                watch.text(repr(made.report), "the report")
            except RowsmithError as error:
                watch.error(error)
        state = look(find(folder / "rows.jsonl"))
        watch.text("\n".join(lines(state)) + repr(state), "the status")
        watch.files()
        assert watch.events
