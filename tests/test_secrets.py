"""A hundred secrets, planted wherever a key can be and echoed in every way: none is found in anything that is left.

What is looked through: the files of a run, the ledger and its journal as bytes while it is written and afterwards, the
log at DEBUG, events, reports, traces, errors with their tracebacks and all that is chained to them, and what is printed.
Memory is not: a pickle of a provider is the provider, key and all, and the variables of a traceback's frames are what
a debugger would show.
"""

from __future__ import annotations

import base64
import copy
import html
import json
import logging
import random
import re
import string
import traceback
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, ConfigError, Fallback, RowsmithError
from rowsmith.cli.state import find, look
from rowsmith.cli.status import lines
from rowsmith.engine.events import Event, RunFinished
from rowsmith.engine.options import Options
from rowsmith.engine.tracing import OpenTelemetry
from rowsmith.llm.overview import overview
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import resolve
from rowsmith.llm.retry import RetryPolicy
from rowsmith.logs import ROOT, configure_logger
from rowsmith.testing import BatchScript, Call, Fault, Reply, ScriptedServer

Servers = Callable[..., ScriptedServer]

# -- the secrets, and the ways in which they come back ---------------------------------------------------------------

_ALPHABETS = (
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "-_",
    string.ascii_letters + string.digits + "+/=",
    string.ascii_letters + string.digits + "!$%&*()<>'\"\\^~{}[]|;:?#@+/=.,",
    string.hexdigits.lower()[:16],
)
_PREFIXES = ("", "sk-", "sk-ant-api03-", "AIza", "gsk_", "hf_", "key:")


def a_hundred_secrets() -> list[str]:
    """Distinct, of many shapes, and each time the same."""
    draw = random.Random("a hundred secrets")
    made: dict[str, None] = {}
    while len(made) < 100:
        alphabet, length = draw.choice(_ALPHABETS), draw.randint(16, 60)
        made[draw.choice(_PREFIXES) + "".join(draw.choice(alphabet) for _ in range(length))] = None
    return list(made)


SECRETS = a_hundred_secrets()


def coded(secret: str, lead: bytes) -> str:
    return base64.b64encode(lead + secret.encode()).decode()


WRITTEN: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda secret: urllib.parse.quote(secret, safe=""),
    "percent, by its own rules": lambda secret: (
        urllib.parse.quote_plus(secret, safe="/=+").lower().replace("%", "%")
        if secret.islower()
        else urllib.parse.quote(secret, safe="/=+")
    ),
    "percent, twice": lambda secret: urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret))[1:-1],
    "JSON escapes": lambda secret: "".join(f"\\u{ord(sign):04x}" for sign in secret),
    "some JSON escapes": lambda secret: "".join(
        f"\\u{ord(sign):04X}" if place % 3 == 0 else json.dumps(sign)[1:-1] for place, sign in enumerate(secret)
    ),
    "HTML": html.escape,
    "HTML numbers": lambda secret: "".join(f"&#{ord(sign)};" for sign in secret),
    "base64": lambda secret: coded(secret, b""),
    "base64 of a login": lambda secret: coded(secret, b"user:"),
    "base64 of another login": lambda secret: coded(secret, b"person:"),
    "base64 for addresses": lambda secret: coded(secret, b"me:").replace("+", "-").replace("/", "_"),
    "repr": lambda secret: repr(secret)[1:-1],
}


def traces_of(secret: str) -> list[str]:
    """What must not be found: the secret in every way of writing, of base64 the part that no other text has."""
    found = []
    for way, write in WRITTEN.items():
        text = write(secret)
        found.append(text[8:-4] if way.startswith("base64") else text)
    return found


def assert_hidden(secret: str, text: str | bytes, where: str) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    for way, trace in zip(WRITTEN, traces_of(secret), strict=True):
        assert trace.encode() not in data, f"{secret!r} stands in {where}, as {way}"


# -- a service that tells everybody what it was sent -----------------------------------------------------------------


@dataclass(frozen=True)
class Echo(Fault):
    """A reply that repeats a secret, each call's in another way and another place.

    Attributes:
        secret: what it repeats.
        kind: what sort of reply it is.
    """

    secret: str
    kind: str

    def change(self, call: Call, reply: Reply, /) -> Reply:
        return KINDS[self.kind](self.written(call.number), call, reply)

    def written(self, number: int) -> str:
        """Several ways of writing at once, so that a few calls see them all."""
        ways = list(WRITTEN.values())
        return " | ".join(ways[(number * 5 + place) % len(ways)](self.secret) for place in range(5))


def in_headers(told: str) -> dict[str, str]:
    safe = re.sub(r"[^\x21-\x7e]", "", told.split(" | ")[0])
    return {"x-request-id": f"req-{safe}", "request-id": f"req-{safe}", "www-authenticate": f'Bearer realm="{safe}"'}


def refused(told: str, call: Call, reply: Reply) -> Reply:
    """400, 401, 403 and 404 with the secret in the message, the code, the parameter and the headers."""
    status = (400, 401, 404, 422, 403)[call.number % 5]
    return Reply(status=status, error=f"wrong: {told}", code=told, param=told, headers=in_headers(told))


def failing(told: str, call: Call, reply: Reply) -> Reply:
    """429, 500 and a dropped connection; tried again."""
    if call.number % 4 == 3:
        return replace(reply, cut="middle")
    status = (429, 500, 503)[call.number % 3]
    headers = {**in_headers(told), **({"retry-after": "0"} if status == 429 else {})}
    return Reply(status=status, error=f"upstream said: {told}", code=told[:90], headers=headers)


def elsewhere(told: str, call: Call, reply: Reply) -> Reply:
    """A redirect, or a page of something that stands before the service."""
    if call.number % 2:
        page = f"<html><head><title>{told}</title></head><body>{told}<pre>{told}</pre></body></html>"
        body = page if call.number % 4 == 1 else page.replace("title", "b")
        return Reply(status=(401, 502)[call.number % 3 == 0], raw=body.encode(), content_type="text/html")
    safe = urllib.parse.quote(told, safe="%|&=")
    headers = {**in_headers(told), "location": f"https://user:{safe}@login.example.com/in?key={safe}"}
    return Reply(status=302, raw=told.encode(), headers=headers)


def senseless(told: str, call: Call, reply: Reply) -> Reply:
    """200, and no reply of the service."""
    bodies = (told, json.dumps({"detail": told}), json.dumps({"error": {"message": told}}), f'{{"error": "{told}')
    return Reply(status=200, raw=bodies[call.number % 4].encode(), headers=in_headers(told))


def well(told: str, call: Call, reply: Reply) -> Reply:
    """An answer, with the secret in the ids and, every other time, an error before it."""
    if call.number % 2:
        return refused(told, replace(call, number=3), reply)
    return replace(reply, headers=in_headers(told))


Kind = Callable[[str, Call, Reply], Reply]
KINDS: Mapping[str, Kind] = {one.__name__: one for one in (refused, failing, elsewhere, senseless, well)}

# -- where a secret is planted ---------------------------------------------------------------------------------------

FORMATS = ("openai", "anthropic", "gemini", "ollama", "mistral")
KEYS = {one.name: one.facts.keys[0] for one in overview() if one.facts.keys}
PLANTINGS = ("argument", "environment", "env file", "header")


def planted(
    name: str, planting: str, secret: str, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Provider:
    """A provider that has the secret."""
    spec: dict[str, Any] = {"model": f"{name}/scripted", "input_cost_per_million": 1, "output_cost_per_million": 1}
    spec |= {"api_base": server.base_url if name in ("openai", "mistral") else server.url, "timeout": 10}
    if planting == "header" and name == "ollama":
        planting = "argument"  # it takes no headers
    if planting == "environment":
        monkeypatch.setenv(KEYS[name], secret)
    elif planting == "env file":
        (folder / ".env").write_text("{}='{}'\n".format(KEYS[name], secret.replace("'", "-")))
    elif planting == "header":
        login = coded(secret, b"user:")
        spec |= {"extra_headers": {"Proxy-Authorization": f"Basic {login}", "X-Gateway-Token": secret}}
        spec |= {"api_key": "another-key-than-that"}
    else:
        spec |= {"api_key": secret}
    return resolve(spec)


class Watch:
    """Looks through all that a run leaves, while it goes on and afterwards.

    Args:
        secret: what must not be found.
        folder: where the run writes.
    """

    def __init__(self, secret: str, folder: Path) -> None:
        self.secret = secret
        self.folder = folder
        self.events = 0
        self.errors: list[BaseException] = []

    def __call__(self, event: Event) -> None:
        self.events += 1
        assert_hidden(self.secret, repr(event), f"the event {type(event).__name__}")
        if isinstance(event, RunFinished):
            self.files()

    def files(self) -> None:
        """Every file as it lies on the disk, names included."""
        for path in sorted(self.folder.rglob("*")):
            assert_hidden(self.secret, str(path), "a file's name")
            if path.is_file() and path.name != ".env":
                assert_hidden(self.secret, path.read_bytes(), path.name)

    def error(self, error: BaseException) -> None:
        """An error in all its forms, with what is chained to it."""
        self.errors.append(error)
        shown = "".join(traceback.format_exception(error))
        link: BaseException | None = error
        while link is not None:
            shown += f"{link}{link!r}{link.args!r}{vars(link)!r}"
            link = link.__cause__ or link.__context__
        assert_hidden(self.secret, shown, f"a {type(error).__name__}")

    def text(self, text: str, where: str) -> None:
        assert_hidden(self.secret, text, where)


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


def dataset(folder: Path, classes: int = 3) -> ClassificationDataset:
    return ClassificationDataset(
        ClassificationDatasetConfig.model_validate(
            {
                "classes": [{"name": f"c{number}", "description": f"of class {number}"} for number in range(classes)],
                "output_file": str(folder / "rows.jsonl"),
                "num_samples_per_prompt": 2,
                "max_rounds": 1,
            }
        )
    )


QUICK = Options(policy=RetryPolicy(first=0.001, longest=0.002, max_retries=3, patience=0.05), grace=2.0)
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
        watch, spans, traces = Watch(secret, tmp_path), InMemorySpanExporter(), TracerProvider()
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


def one_after_another(made: ClassificationDataset, model: Provider, listeners: Sequence[Any]) -> ClassificationDataset:
    return made.generate(model, options=QUICK.but(max_concurrency=1), listeners=listeners)


def in_spite_of_failures(
    made: ClassificationDataset, model: Provider, listeners: Sequence[Any]
) -> ClassificationDataset:
    return made.generate(Fallback([model, "offline"]), options=QUICK.but(fresh=True), listeners=listeners)


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


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "mistral"])
def test_batches_leave_none_either(
    name: str, tmp_path: Path, scripted_server: Servers, monkeypatch: pytest.MonkeyPatch, log_at_debug: Path
) -> None:
    for secret, kind, operation in zip(
        SECRETS[::12], KINDS.keys() | {"items"}, ["upload", "submit", "status", "results", "status", ""], strict=False
    ):
        folder = tmp_path / (operation + kind)
        folder.mkdir()
        watch, echo = Watch(secret, tmp_path), Echo(secret, kind if kind in KINDS else "refused")
        script = BatchScript(
            requests=lambda asked, number, at=operation, echo=echo: echo if asked == at and number < 3 else None,  # type: ignore[misc]  # the values of this round
            items=lambda item, echo=echo: echo if item.number % 2 else None,  # type: ignore[misc]  # likewise
        )
        server = scripted_server(batches=script, faults=echo)
        model = planted(name, "argument", secret, server, monkeypatch, folder)
        options = QUICK.but(batch=True, batch_poll=0.01)
        if name != "gemini":
            model = replace(model, batch_endpoint=True)  # type: ignore[type-var]  # a dataclass
        for _ in range(2):
            try:
                made = dataset(folder).generate(model, options=options, listeners=[watch])
                watch.text(repr(made.report), "the report")
            except RowsmithError as error:
                watch.error(error)
        state = look(find(folder / "rows.jsonl"))
        watch.text("\n".join(lines(state)) + repr(state), "the status")
        watch.files()
        assert watch.events
