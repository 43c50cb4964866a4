"""Secrets, a service that echoes them in every way, and one who looks for them in all that a run leaves."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import string
import traceback
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, Fallback
from rowsmith.engine.events import Event, RunFinished
from rowsmith.engine.options import Options
from rowsmith.llm.overview import overview
from rowsmith.llm.provider import Provider
from rowsmith.llm.registry import resolve
from rowsmith.llm.retry import RetryPolicy
from rowsmith.testing import Call, Fault, Reply, ScriptedServer

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
    "percent, where it must": lambda secret: urllib.parse.quote(secret, safe="/=+:@!$&'()*,;"),
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


@lru_cache(maxsize=200)
def traces_of(secret: str) -> Mapping[str, bytes]:
    """What must not be found: the secret in every way of writing, of base64 the part that no other text has."""
    found = {}
    for way, write in WRITTEN.items():
        text = write(secret)
        found[way] = (text[8:-4] if way.startswith("base64") else text).encode()
    return found


def assert_hidden(secret: str, text: str | bytes, where: str) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    for way, trace in traces_of(secret).items():
        assert trace not in data, f"{secret!r} stands in {where}, as {way}"


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
    headers = {**in_headers(told), "location": f"http://user:{safe}@127.0.0.1:9/in?key={safe}"}
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
    if name == "ollama":
        planting = "argument"  # it takes no headers, and a server on this machine is sent no key of the environment
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
        places: where the run writes: files, and folders with all that is in them.
    """

    def __init__(self, secret: str, *places: Path) -> None:
        self.secret = secret
        self.places = places
        self.events = 0
        self.errors: list[BaseException] = []

    def __call__(self, event: Event) -> None:
        self.events += 1
        assert_hidden(self.secret, repr(event), f"the event {type(event).__name__}")
        if isinstance(event, RunFinished):
            self.files()

    def files(self) -> None:
        """Every file as it lies on the disk, names included."""
        for path in chain.from_iterable(
            sorted(place.rglob("*")) if place.is_dir() else [place] for place in self.places
        ):
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


def one_after_another(made: ClassificationDataset, model: Provider, listeners: Sequence[Any]) -> ClassificationDataset:
    return made.generate(model, options=QUICK.but(max_concurrency=1), listeners=listeners)


def in_spite_of_failures(
    made: ClassificationDataset, model: Provider, listeners: Sequence[Any]
) -> ClassificationDataset:
    return made.generate(Fallback([model, "offline"]), options=QUICK.but(fresh=True), listeners=listeners)
