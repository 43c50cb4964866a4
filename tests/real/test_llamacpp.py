"""llama.cpp from a file of weights: the real engine, with a tiny model."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import psutil
import pytest
from aiohttp import web
from pydantic import BaseModel, Field

from llm.loopback import Asked, served, unused_port
from rowsmith import ClassificationDataset, ClassificationDatasetConfig, LlamaCppProvider
from rowsmith.engine.options import Options
from rowsmith.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ConnectionFailedError,
    MissingDependencyError,
    ModelNotFoundError,
)
from rowsmith.llm import registry
from rowsmith.llm.provider import KnownLimits, Provider
from rowsmith.llm.structured.output import Output
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Finish, Message, Request, Rung
from support.tiny_gguf import write_tiny_gguf

needs_engine = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs the package xllamacpp")
needs_hub = pytest.mark.skipif(importlib.util.find_spec("huggingface_hub") is None, reason="needs huggingface_hub")
pytestmark = needs_engine

ENDLESS = {"ignore_eos": True}
HUB = "hf://someone/tiny-GGUF/models/tiny.gguf"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=40)
    stars: int = Field(ge=1, le=5)


OUTPUT = Output(Note)
ASKED = (Message.system("You write data."), Message.user("Write a note."))
REQUEST = Request(ASKED, OUTPUT.schema, seed=5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("weights") / "tiny.gguf")


@pytest.fixture
def llm(weights: Path) -> LlamaCppProvider:
    return model(weights)


@pytest.fixture
def content(weights: Path) -> bytes:
    return weights.read_bytes()


@pytest.fixture
def cut(content: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[:300_000])
    return path


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as opened:
        yield opened


def model(weights: Path | str, **settings: Any) -> LlamaCppProvider:
    given: dict[str, Any] = {"model_id": str(weights), "n_ctx": 4096, "n_threads": 1}
    return LlamaCppProvider(**given | settings)


def process(llm: LlamaCppProvider) -> psutil.Process:
    start = llm._engine._start
    assert start is not None
    assert start._process is not None
    return psutil.Process(start._process.pid)


# -- what it is ---------------------------------------------------------------------------------------------------


def test_it_is_a_provider_that_is_reached_by_name_and_loads_nothing_yet(weights: Path) -> None:
    made: Provider = registry.resolve({"model": f"llamacpp/{weights}", "n_parallel": 2})
    assert isinstance(made, LlamaCppProvider)
    assert made.model_id == str(weights)
    assert made.limits == KnownLimits(max_concurrency=2)
    assert made._engine._start is None


def test_weights_are_known_by_what_they_are_and_not_by_where_they_lie(weights: Path, tmp_path: Path) -> None:
    moved = tmp_path / "other.gguf"
    moved.write_bytes(weights.read_bytes())
    assert model(moved).endpoint == model(weights).endpoint
    assert model(moved).describe() == model(weights).describe()
    assert model(moved).encode(REQUEST) == model(weights).encode(REQUEST)
    changed = bytearray(weights.read_bytes())
    changed[-100] ^= 1
    moved.write_bytes(changed)
    assert model(moved).endpoint != model(weights).endpoint
    assert model(write_tiny_gguf(tmp_path / "third.gguf", seed=1)).endpoint != model(weights).endpoint


def test_the_body_holds_the_parameters_and_a_seed(weights: Path) -> None:
    made = model(
        weights, temperature=0.5, top_p=0.9, frequency_penalty=0.1, max_completion_tokens=9, extra_body={"min_p": 0.1}
    )
    body = orjson.loads(made.encode(REQUEST))
    assert list(body)[:3] == ["model", "messages", "response_format"]
    assert list(body.items())[3:] == [
        ("temperature", 0.5),
        ("top_p", 0.9),
        ("frequency_penalty", 0.1),
        ("max_tokens", 9),
        ("min_p", 0.1),
        ("seed", 5),
    ]
    assert orjson.loads(model(weights, seed=7).encode(REQUEST))["seed"] == 7
    assert 0 <= orjson.loads(made.encode(Request(ASKED, seed=2**63 - 1)))["seed"] < 2**32 - 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_ctx": 0}, "n_ctx"),
        ({"n_parallel": 0}, "n_parallel"),
        ({"n_gpu_layers": -2}, "n_gpu_layers"),
        ({"seed": -1}, "seed"),
        ({"temperature": 3}, "temperature"),
        ({"timeout": 0}, "timeout"),
        ({"extra_body": {"seed": 3}}, "seed"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "hf://only-an-owner"}, "hf://owner/repo/file.gguf"),
        ({"model_id": "hf://owner/repo/model.safetensors"}, "hf://owner/repo/file.gguf"),
        ({"model_id": "hf://owner/repo/m-00002-of-00003.gguf"}, "name part 1"),
    ],
)
def test_a_wrong_argument_is_told(weights: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        model(weights, **settings)


def test_a_file_that_is_missing_or_no_gguf_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*gone\.gguf"):
        model(tmp_path / "gone.gguf")
    (tmp_path / "page.gguf").write_text("<html>Not Found</html>")
    with pytest.raises(ConfigError, match=r"page\.gguf' is no GGUF file: it begins with b'<htm'"):
        model(tmp_path / "page.gguf")
    with pytest.raises(ConfigError, match="directory"):
        model(tmp_path)


def test_all_files_of_a_model_in_parts_have_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(b"GGUF one")
    with pytest.raises(ConfigError, match=r"m-00002-of-00002\.gguf"):
        model(tmp_path / "m-00001-of-00002.gguf")


def test_without_the_package_the_line_to_install_it_is_told(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[local\]"):
        model(weights)
    with pytest.raises(MissingDependencyError, match=r"rowsmith\[(local|hub)\]"):
        model(HUB)


# -- answers ------------------------------------------------------------------------------------------------------


async def test_an_answer_keeps_to_the_schema(llm: LlamaCppProvider, transport: Transport) -> None:
    came = await llm.complete(llm.encode(REQUEST), transport)
    assert OUTPUT.read(came).value is not None
    assert (came.finish, came.model) == (Finish.STOP, "tiny.gguf")
    assert came.usage.input_tokens > 0
    assert came.usage.output_tokens > 0


async def test_a_request_with_its_seed_is_answered_alike(llm: LlamaCppProvider, transport: Transport) -> None:
    bodies = [llm.encode(Request(ASKED, OUTPUT.schema, seed=seed)) for seed in (1, 1, 2, 3)]
    texts = [(await llm.complete(body, transport)).text for body in bodies]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


async def test_the_limit_of_tokens_cuts_an_answer_off(weights: Path, transport: Transport) -> None:
    llm = model(weights, max_completion_tokens=3)
    came = await llm.complete(llm.encode(REQUEST), transport)
    assert (came.finish, came.usage.output_tokens) == (Finish.LENGTH, 3)


async def test_json_without_a_schema_is_json(weights: Path, transport: Transport) -> None:
    llm = model(weights, max_completion_tokens=300)
    came = await llm.complete(llm.encode(Request(ASKED, OUTPUT.schema, Rung.JSON)), transport)
    assert came.text.startswith("{")


async def test_too_long_a_prompt_befalls_one_request_only(llm: LlamaCppProvider, transport: Transport) -> None:
    with pytest.raises(BadRequestError, match="context size") as caught:
        await llm.complete(llm.encode(Request((Message.user("x " * 9_000),))), transport)
    assert not caught.value.fatal
    assert (caught.value.provider, caught.value.model) == ("llamacpp", llm.model_id)


async def test_what_llama_cpp_cannot_load_is_told_with_its_words(cut: Path, transport: Transport) -> None:
    llm = model(cut)
    with pytest.raises(ModelNotFoundError, match=r"cut\.gguf.*corrupted or incomplete") as caught:
        await llm.complete(llm.encode(REQUEST), transport)
    assert caught.value.fatal


def test_a_whole_run_is_exact_with_four_answers_at_once(weights: Path, tmp_path: Path) -> None:
    classes: Any = [{"name": name, "description": f"texts that are {name}"} for name in ("good", "bad")]
    config = ClassificationDatasetConfig(
        classes=classes,
        num_samples_per_prompt=5,
        max_rounds=20,
        output_file=str(tmp_path / "rows.jsonl"),
        prompts=[
            f"Write {tone} {{num_samples}} texts in {{language_name}}, {{label_name}}: {{label_description}}."
            for tone in ("dry", "warm")
        ],
    )
    llm = model(weights, n_parallel=4, temperature=1.0)
    made = ClassificationDataset(config).generate(llm, options=Options(grace=5.0))
    rows = made.to_list()
    assert Counter(row["label"] for row in rows) == {"good": 10, "bad": 10}
    assert len({row["text"] for row in rows}) == 20
    assert made.report is not None
    assert made.report.total.cost == 0


# -- one model, many users ----------------------------------------------------------------------------------------


async def test_equal_providers_share_one_process_and_it_goes_with_the_last(weights: Path, transport: Transport) -> None:
    first, second = model(weights, temperature=0.2), model(weights, temperature=0.9)
    third = copy.deepcopy(first)
    await asyncio.gather(*(one.complete(one.encode(REQUEST), transport) for one in (first, second, third) * 3))
    running = process(first)
    assert process(second) == process(third) == running
    assert model(weights, n_ctx=2048)._engine is not first._engine
    del first, third
    gc.collect()
    assert running.is_running()
    del second
    gc.collect()
    assert not running.is_running()


def test_providers_of_two_event_loops_one_after_the_other_share_it(llm: LlamaCppProvider) -> None:
    async def use() -> int:
        async with Transport() as transport:
            await llm.complete(llm.encode(REQUEST), transport)
        return int(process(llm).pid)

    assert asyncio.run(use()) == asyncio.run(use())


async def test_the_address_answers_to_nobody_without_the_key(llm: LlamaCppProvider, transport: Transport) -> None:
    await llm.complete(llm.encode(REQUEST), transport)
    stranger = registry.resolve({"model": "llama_server/x", "api_base": llm._face.api_base, "api_key": "not-the-key"})
    with pytest.raises(AuthenticationError):
        await stranger.complete(stranger.encode(REQUEST), transport)
    assert llm._face.api_key is not None
    assert llm._face.api_key not in " ".join(process(llm).cmdline()) + repr(llm)


# -- ends ---------------------------------------------------------------------------------------------------------


async def test_a_cancelled_answer_frees_its_slot(weights: Path) -> None:
    llm = model(weights, n_parallel=1, n_ctx=30_000, extra_body=ENDLESS, max_completion_tokens=29_000)
    quick = model(weights, n_parallel=1, n_ctx=30_000, max_completion_tokens=3)
    async with Transport() as transport:
        await quick.complete(quick.encode(REQUEST), transport)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await llm.complete(llm.encode(Request(ASKED)), transport)
        async with asyncio.timeout(10):
            await quick.complete(quick.encode(REQUEST), transport)


async def test_a_provider_may_be_forgotten_while_it_still_writes(weights: Path) -> None:
    llm = model(weights, n_parallel=1, n_ctx=30_000, extra_body=ENDLESS, max_completion_tokens=29_000)
    async with Transport() as transport:
        await llm._engine.served()
        task = asyncio.ensure_future(llm.complete(llm.encode(Request(ASKED)), transport))
        await asyncio.sleep(0.1)
        running = process(llm)
        del llm
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        assert not running.is_running()


async def test_a_process_that_died_is_started_again(llm: LlamaCppProvider, transport: Transport) -> None:
    await llm.complete(llm.encode(REQUEST), transport)
    dead = process(llm)
    dead.kill()
    dead.wait(10)
    assert OUTPUT.read(await llm.complete(llm.encode(REQUEST), transport)).value is not None
    assert process(llm) != dead


async def test_a_process_that_dies_in_an_answer_is_a_failed_connection(weights: Path, transport: Transport) -> None:
    llm = model(weights, n_ctx=30_000, extra_body=ENDLESS, max_completion_tokens=29_000)
    await llm._engine.served()
    task = asyncio.ensure_future(llm.complete(llm.encode(Request(ASKED)), transport))
    await asyncio.sleep(0.2)
    process(llm).kill()
    with pytest.raises(ConnectionFailedError):
        await task


async def test_loading_ends_when_nobody_waits_for_it_and_begins_anew(weights: Path, transport: Transport) -> None:
    llm = model(weights)
    task = asyncio.ensure_future(llm.complete(llm.encode(REQUEST), transport))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    broken_off = llm._engine._start
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert broken_off is not None
    assert broken_off.over
    await llm.complete(llm.encode(REQUEST), transport)
    assert llm._engine._start is not broken_off


SCRIPT = """
import asyncio, sys, time
from rowsmith import LlamaCppProvider
from rowsmith.llm.transport import Transport
from rowsmith.llm.values import Message, Request
llm = LlamaCppProvider({path!r}, n_ctx=30_000, n_threads=1, max_completion_tokens={limit}, extra_body={extra!r})
async def main():
    transport = await Transport().__aenter__()
    body = llm.encode(Request((Message.user("x"),)))
    await llm._engine.served()
    print(llm._engine._start._process.pid, flush=True)
    task = asyncio.ensure_future(llm.complete(body, transport))
    {then}
asyncio.run(main())
"""


def started(weights: Path, then: str, extra: Any = None) -> subprocess.Popen[str]:
    code = SCRIPT.format(path=str(weights), extra=extra, then=then, limit=29_000)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def must_be_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("then", "extra", "code"),
    [
        ("print((await task).finish)", None, 0),
        ("await asyncio.sleep(0.2)", ENDLESS, 0),
        ("await asyncio.sleep(0.2); raise SystemExit(3)", ENDLESS, 3),
    ],
)
def test_a_program_that_ends_takes_the_engine_along_and_says_nothing(
    weights: Path, then: str, extra: Any, code: int
) -> None:
    with started(weights, then, extra) as program:
        out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (code, "")
    must_be_gone(int(out.split()[0]))


def test_a_program_that_is_killed_takes_the_engine_along(weights: Path) -> None:
    with started(weights, "await task", ENDLESS) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.kill()
        program.wait()
        must_be_gone(pid)


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are told apart otherwise there")
def test_an_interrupt_from_the_keyboard_does_not_reach_the_engine(weights: Path) -> None:
    # An answer that takes about a second.
    then = (
        "import signal; seen = []; signal.signal(signal.SIGINT, lambda *_: seen.append('interrupted')); "
        "await asyncio.sleep(0.2); print('ready', flush=True); print((await task).finish, *seen)"
    )
    code = SCRIPT.format(path=str(weights), extra=ENDLESS, then=then, limit=1_500)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert program.stdout.readline() == "ready\n"
        os.killpg(program.pid, signal.SIGINT)
        assert program.stdout.read() == "length interrupted\n"
    must_be_gone(pid)


# -- from the Hub -------------------------------------------------------------------------------------------------


class Hub:
    """What huggingface_hub asks for one file of one repository (https://huggingface.co/docs/hub/api)."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.gated = False
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self.dribbles = False

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        if asked.path != "/someone/tiny-GGUF/resolve/main/models/tiny.gguf":
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        if self.gated:
            return web.Response(status=403, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "Ask for access"})
        headers = {"X-Repo-Commit": COMMIT, "ETag": '"abcdef"', "Content-Length": str(len(self.content))}
        if asked.method == "HEAD" or not self.dribbles:
            return web.Response(body=self.content, headers=headers)
        reply = web.StreamResponse(headers=headers)
        await reply.prepare(asked.request)
        try:
            for start in range(0, len(self.content), 1 << 20):
                await reply.write(self.content[start : start + (1 << 20)])
                if start > len(self.content) / 2:
                    self.begun.set()
                    await asyncio.sleep(0.01)
        except ConnectionError:
            self.left.set()
        return reply


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache of huggingface_hub, which may be imported already with other settings, and no pauses in it."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))
    return tmp_path / "hub"


def fetched(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in cache.rglob("tiny.gguf")]


@needs_hub
async def test_a_model_of_the_hub_is_fetched_once_when_it_is_asked(
    content: bytes,
    cache: Path,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with served(Hub(content)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_only_for_this_test")
        llm = model(HUB)
        assert server.asked == []
        came = await asyncio.gather(*(llm.complete(llm.encode(REQUEST), transport) for _ in range(4)))
        assert all(OUTPUT.read(one).value is not None for one in came)
        assert [asked.method for asked in server.asked if asked.method == "GET"] == ["GET"]
        assert server.asked[-1].headers["authorization"] == "Bearer hf_only_for_this_test"
        assert came[0].model == "tiny.gguf"
        assert llm.endpoint == "llamacpp:someone/tiny-GGUF/models/tiny.gguf"
        del llm
        gc.collect()
        again = model(HUB)
        await again.complete(again.encode(REQUEST), transport)
        assert len([asked for asked in server.asked if asked.method == "GET"]) == 1
    assert fetched(cache) == [content]
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert capfd.readouterr().err == ""


@needs_hub
async def test_what_cannot_be_fetched_is_told(
    cache: Path, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(hub := Hub(b"GGUF")) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        gone = model("hf://someone/other/tiny.gguf")
        with pytest.raises(ModelNotFoundError, match="cannot be fetched from someone/other"):
            await gone.complete(gone.encode(REQUEST), transport)
        hub.gated = True
        llm = model(HUB)
        with pytest.raises(AuthenticationError, match="HF_TOKEN"):
            await llm.complete(llm.encode(REQUEST), transport)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(ConnectionFailedError, match="network"):
        await llm.complete(llm.encode(REQUEST), transport)


@needs_hub
async def test_fetching_ends_when_nobody_waits_for_it(
    cache: Path, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(b"GGUF" + bytes(60 << 20))
    hub.dribbles = True
    async with served(hub) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        llm = model(HUB)
        task = asyncio.ensure_future(llm.complete(llm.encode(REQUEST), transport))
        await hub.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await hub.left.wait()
    assert fetched(cache) == []
