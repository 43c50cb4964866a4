"""A run that asks in batches makes the same rows as one that asks singly, whatever becomes of items on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith.engine.batch import outbox
from rowsmith.engine.events import BatchEnded, BatchProgress, BatchSubmitted, CellParked, Event, RowAccepted
from rowsmith.errors import AuthenticationError, BadRequestError, ConfigError, RunError
from rowsmith.testing import (
    BadRequest,
    BatchFailure,
    BatchScript,
    Item,
    ItemEnd,
    RateLimited,
    Reset,
    ScriptedServer,
    ServerError,
    UnsupportedSchema,
)

from .batches import SETTINGS, crowded, hurried, mcq, model, rows
from .harness import Model, dataset, ledger, must_be_exact


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two empty folders."""
    singly, batched = tmp_path / "singly", tmp_path / "batched"
    singly.mkdir()
    batched.mkdir()
    return singly, batched


def single_rows(server: ScriptedServer, folder: Path) -> bytes:
    """The rows of the classification, asked for singly at the same address."""
    dataset(folder, **SETTINGS).generate(model(server.base_url), options=hurried())
    return rows(folder)


# -- the same rows -----------------------------------------------------------------------------------------------------


def test_classification_in_batches_makes_the_very_file_of_single_calls(folders: tuple[Path, Path]) -> None:
    singly, batched = folders
    with ScriptedServer(crowded, batches=BatchScript(after_polls=2)) as server:
        single = dataset(singly, **SETTINGS).generate(model(server.base_url), options=hurried()).report
        calls = server.count
        made = dataset(batched, **SETTINGS).generate(model(server.base_url), options=hurried(), batch=True).report
        assert server.count == calls
        assert server.batches.items == server.batches.answered
        assert server.batches.answered_again == 0
    assert rows(batched) == rows(singly)
    must_be_exact(batched, 60)
    assert made is not None
    assert single is not None
    assert (made.ended, made.calls, made.replayed) == ("complete", server.batches.items, 0)
    # A rejection is counted once, however many waves the cell took.
    assert made.rejected == single.rejected


def test_a_recipe_of_several_steps_goes_in_waves(folders: tuple[Path, Path]) -> None:
    singly, batched = folders
    with ScriptedServer(crowded) as server:
        mcq(singly).generate(model(server.base_url), options=hurried())
        mcq(batched).generate(model(server.base_url), options=hurried(), batch=True)
        first, second, *_ = server.batches.batches.values()
    assert rows(batched) == rows(singly)
    assert len(first.items) == 6
    assert len(second.items) > 6  # the wrong answers of all questions, and new questions for those that came twice
    prompts = {item.body["messages"][-1]["content"][:18] for item in second.items}
    assert "This is a question" in prompts


def test_an_answer_costs_half(tmp_path: Path) -> None:
    with ScriptedServer(crowded) as server:
        report = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report
    assert report is not None
    total = report.total
    assert total.cost == pytest.approx((total.input_tokens + 2 * total.output_tokens) / 2_000_000)
    assert total.calls == server.batches.answered


def test_many_models_have_a_batch_each(folders: tuple[Path, Path]) -> None:
    singly, batched = folders
    with ScriptedServer(crowded) as server:
        both = [model(server.base_url), model(server.base_url, model_id="other")]
        dataset(singly).generate(both, options=hurried())
        dataset(batched).generate(both, options=hurried(), batch=True)
        asked = [{item.body["model"] for item in batch.items} for batch in server.batches.batches.values()]
    assert rows(batched) == rows(singly)
    assert asked[:2] == [{"batched"}, {"other"}]
    assert all(len(models) == 1 for models in asked)


# -- what becomes of items ---------------------------------------------------------------------------------------------


def first_time(end: Any) -> Callable[[Item], Any]:
    """Every third item comes to this the first time."""
    return lambda item: end if item.number % 3 == 0 and item.attempt == 1 else None


@pytest.mark.parametrize(
    "end",
    [ItemEnd.MISSING, ItemEnd.EXPIRED, ItemEnd.CANCELLED, ServerError(), ServerError(503), RateLimited()],
    ids=str,
)
def test_what_got_no_answer_is_handed_in_again(end: Any, folders: tuple[Path, Path]) -> None:
    singly, batched = folders
    with ScriptedServer(crowded, batches=BatchScript(items=first_time(end))) as server:
        report = dataset(batched, **SETTINGS).generate(model(server.base_url), options=hurried(), batch=True).report
        assert server.batches.answered_again == 0
        assert server.batches.items > server.batches.answered
        assert rows(batched) == single_rows(server, singly)
    assert report is not None
    assert report.retries == server.batches.items - server.batches.answered


def test_what_never_gets_an_answer_is_given_up_with_its_reason(tmp_path: Path) -> None:
    doomed: set[str] = set()

    def end(item: Item) -> ItemEnd | None:
        doomed.update({item.key} if not doomed else ())
        return ItemEnd.EXPIRED if item.key in doomed else None

    with ScriptedServer(batches=BatchScript(items=end)) as server:
        made = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True)
        assert server.batches.items == 4 + 5
        report = made.report
        assert report is not None
        assert (report.ended, report.missing) == ("short", 5)
        assert "could not be executed before the completion window" in str(report.lacks[0])
        # The next start asks again.
        server.batches.script = BatchScript()
        assert dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report.complete  # type: ignore[union-attr]
    must_be_exact(tmp_path, 20)


def test_a_request_that_is_refused_for_itself_costs_its_cell_alone(tmp_path: Path) -> None:
    long = BadRequest(message="This model's maximum context length is 10 tokens.", code="context_length_exceeded")
    with ScriptedServer(batches=BatchScript(items=lambda item: long if item.number == 1 else None)) as server:
        report = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report
        assert server.batches.items == 4
    assert report is not None
    assert (report.ended, report.missing) == ("short", 5)
    assert "maximum context length" in str(report.lacks[0])


def test_one_request_of_the_first_wave_that_is_refused_does_not_end_the_run(tmp_path: Path) -> None:
    odd = BadRequest(message="I do not like this one.")
    with ScriptedServer(batches=BatchScript(items=lambda item: odd if item.place == 0 else None)) as server:
        report = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report
        assert server.batches.items == 4
    assert report is not None
    assert (report.ended, report.missing) == ("short", 5)
    assert "I do not like this one" in str(report.lacks[0])


def test_a_schema_that_is_refused_is_asked_for_in_the_next_way(folders: tuple[Path, Path]) -> None:
    singly, batched = folders
    refuses = BatchScript(items=lambda _: UnsupportedSchema())
    with ScriptedServer(crowded, faults=UnsupportedSchema(), batches=refuses) as server:
        dataset(singly).generate(model(server.base_url), options=hurried())
        dataset(batched).generate(model(server.base_url), options=hurried(), batch=True)
        first, second, *_ = server.batches.batches.values()
    assert rows(batched) == rows(singly)
    assert {item.body["response_format"]["type"] for item in first.items} == {"json_schema"}
    assert "json_schema" not in {item.body.get("response_format", {}).get("type") for item in second.items}


def test_an_error_that_befalls_all_ends_the_run(tmp_path: Path) -> None:
    with ScriptedServer(
        batches=BatchScript(items=lambda _: BadRequest(message="This is no model for chats."))
    ) as server:
        with pytest.raises(BadRequestError, match="no model for chats"):
            dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True)
        # It is not remembered for ever.
        server.batches.script = BatchScript()
        report = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report
    assert report is not None
    assert report.complete


def test_a_wrong_key_ends_the_run_with_the_first_batch(tmp_path: Path) -> None:
    with (
        ScriptedServer(api_key="right") as server,
        pytest.raises(AuthenticationError, match="Incorrect API key"),
    ):
        dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True)
    assert server.batches.submissions == 0
    assert ledger(tmp_path, "SELECT count(*) FROM batches") == [(0,)]


def test_a_batch_that_is_refused_as_a_whole_ends_the_run_with_the_services_words(tmp_path: Path) -> None:
    refusal = BatchFailure("The model `batched` is not supported for batches.", "model_not_found")
    with (
        ScriptedServer(batches=BatchScript(fails=lambda _: refusal)) as server,
        pytest.raises(BadRequestError, match="refused the batch: The model `batched` is not supported"),
    ):
        dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True)
    assert server.batches.submissions == 1


def test_a_batch_for_which_there_is_no_room_goes_in_smaller_ones(tmp_path: Path) -> None:
    full = BatchFailure("Enqueued token limit reached for batched.", "token_limit_exceeded")
    with ScriptedServer(batches=BatchScript(fails=lambda number: full if number == 0 else None)) as server:
        report = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report
        sizes = [len(batch.items) for batch in server.batches.batches.values()]
    assert report is not None
    assert report.complete
    assert sizes == [4, 2, 2]


# -- submitting --------------------------------------------------------------------------------------------------------


def test_a_wave_is_split_where_a_batch_would_be_too_large(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    singly, batched = folders
    monkeypatch.setattr(outbox, "MOST_CALLS", 5)
    with ScriptedServer(crowded) as server:
        dataset(batched, **SETTINGS).generate(model(server.base_url), options=hurried(), batch=True)
        sizes = [len(batch.items) for batch in server.batches.batches.values()]
        assert rows(batched) == single_rows(server, singly)
    assert sizes[:3] == [5, 5, 2]


def test_a_wave_is_split_by_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True)
        (file,) = server.batches.files.values()
        monkeypatch.setattr(outbox, "MOST_BYTES", len(file.data) * 3 // 4 - 1)
        dataset(tmp_path).generate(model(server.base_url), options=hurried(fresh=True), batch=True)
        sizes = [len(batch.items) for batch in server.batches.batches.values()]
    assert sizes == [4, 2, 2]


def test_a_submission_whose_reply_is_lost_is_found_again(tmp_path: Path) -> None:
    lost = BatchScript(requests=lambda operation, number: Reset() if (operation, number) == ("submit", 0) else None)
    with ScriptedServer(batches=lost) as server:
        dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True)
        assert server.batches.submissions == 1
        assert server.batches.operations["list"] == 1


def test_a_service_that_fails_for_a_while_is_waited_for(tmp_path: Path) -> None:
    shaky = BatchScript(after_polls=1, requests=lambda _, number: ServerError() if number in (0, 1, 3) else None)
    with ScriptedServer(batches=shaky) as server:
        report = dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True).report
        assert server.batches.submissions == 1
    assert report is not None
    assert report.complete
    assert report.retries > 6


# -- coming and going --------------------------------------------------------------------------------------------------


def test_submit_leave_and_come_back(folders: tuple[Path, Path]) -> None:
    singly, batched = folders
    with ScriptedServer(crowded, batches=BatchScript(after_polls=None)) as server:
        made = dataset(batched, **SETTINGS)
        starts = 0
        while True:
            report = made.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True).report
            starts += 1
            assert report is not None
            if report.ended != "waiting":
                break
            assert (report.batches, report.in_batches > 0) == (1, True)
            submissions = server.batches.submissions
            # Coming back too early changes nothing.
            again = made.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True).report
            assert again is not None
            assert again.ended == "waiting"
            assert server.batches.submissions == submissions
            server.batches.end()
        assert report.complete
        assert starts == server.batches.submissions + 1
        assert (server.batches.answered_again, server.batches.repeated) == (0, 0)
        assert rows(batched) == single_rows(server, singly)


def test_a_run_begun_singly_goes_on_in_batches_and_the_other_way_round(tmp_path: Path) -> None:
    few = {"expansion": SETTINGS["expansion"]}
    with ScriptedServer() as server:
        dataset(tmp_path, **few).generate(model(server.base_url), options=hurried(max_requests=3))
        asked = server.count
        dataset(tmp_path, **few).generate(model(server.base_url), options=hurried(max_requests=8), batch=True)
        assert server.count == asked
        assert server.batches.items == 5
        dataset(tmp_path, **few).generate(model(server.base_url), options=hurried())
    must_be_exact(tmp_path, 60)
    assert (server.count, server.batches.items) == (7, 5)
    assert ledger(tmp_path, "SELECT count(*), count(DISTINCT key) FROM calls") == [(12, 12)]


def test_what_a_batch_is_about_to_bring_is_not_asked_for_singly(tmp_path: Path) -> None:
    with ScriptedServer(batches=BatchScript(after_polls=None)) as server:
        made = dataset(tmp_path)
        made.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True)
        with pytest.raises(RunError, match=r"1 batch with 4 requests .* are under way.*--batch.*rowsmith cancel"):
            made.generate(model(server.base_url), options=hurried())
        with pytest.raises(RunError, match="under way"):
            made.generate_sample(model(server.base_url), options=hurried())
        assert server.count == 0


def test_cancelled_batches_keep_what_was_answered(tmp_path: Path) -> None:
    with ScriptedServer(batches=BatchScript(after_polls=None, answered_at_cancel=0.5)) as server:
        made = dataset(tmp_path)
        made.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True)
        report = made.cancel_batches(model(server.base_url), options=hurried()).report
        assert report is not None
        assert (report.ended, report.batches, report.total.calls) == ("stopped", 0, 2)
        done = made.generate(model(server.base_url), options=hurried()).report
        assert done is not None
        assert done.complete
        assert (server.batches.answered, server.count) == (2, 2)


def test_a_batch_that_the_service_does_not_know_any_more_is_given_up_when_it_is_cancelled(tmp_path: Path) -> None:
    with ScriptedServer(batches=BatchScript(after_polls=None)) as server:
        made = dataset(tmp_path)
        made.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True)
        server.batches.batches.clear()
        with pytest.raises(Exception, match=r"No batch found.*rowsmith cancel"):
            made.generate(model(server.base_url), options=hurried(), batch=True)
        made.cancel_batches(model(server.base_url), options=hurried())
        server.batches.script = BatchScript()
        assert made.generate(model(server.base_url), options=hurried(), batch=True).report.complete  # type: ignore[union-attr]


def test_more_classes_while_a_batch_is_under_way_ask_nothing_twice(tmp_path: Path) -> None:
    """Every prompt lists all classes, so each is another question now; the answers under way will do."""
    listing = "Write {num_samples} texts in {language_name}, {label_name}: {label_description}. Of {labels_listing}."
    names = ("good", "bad")
    settings: dict[str, Any] = {"prompts": [listing], "expansion": {}}
    with ScriptedServer(crowded, batches=BatchScript(after_polls=None)) as server:
        made = dataset(tmp_path, **settings)
        made.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True)
        more = [{"name": name, "description": f"texts that are {name}"} for name in ("neither", *names)]
        grown = dataset(tmp_path, **settings, classes=more)
        grown.generate(model(server.base_url), options=hurried(), batch=True, no_wait=True)
        assert [len(batch.items) for batch in server.batches.batches.values()] == [2, 1]
        server.batches.script = BatchScript()
        report = grown.generate(model(server.base_url), options=hurried(), batch=True).report
        assert report is not None
        assert report.complete
    must_be_exact(tmp_path, 15)


# -- what is said ------------------------------------------------------------------------------------------------------


def test_a_model_without_a_batch_endpoint_is_an_error_before_anything_is_asked(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        both: list[Any] = [model(server.base_url), Model()]
        with pytest.raises(ConfigError, match=r"memory/model at here cannot be asked in batches.*openai/batched could"):
            dataset(tmp_path).generate(both, batch=True)
        with pytest.raises(ConfigError, match="cannot be asked in batches"):
            dataset(tmp_path).generate("offline", batch=True)
        assert server.batches.operations.total() == 0
    assert not (tmp_path / "rows.run").exists()


def test_what_happens_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []
    caplog.set_level(logging.INFO, "rowsmith.run")
    with ScriptedServer(batches=BatchScript(after_polls=1)) as server:
        dataset(tmp_path).generate(model(server.base_url), options=hurried(), batch=True, listeners=[told.append])
    kinds = [type(event).__name__ for event in told]
    assert [event for event in told if isinstance(event, BatchSubmitted)] == [
        BatchSubmitted("openai/batched", "batch_000000", 4)
    ]
    assert next(event for event in told if isinstance(event, BatchProgress)) == BatchProgress(1, 4, 0, 0, 1.0)
    assert [event for event in told if isinstance(event, BatchEnded)] == [
        BatchEnded("openai/batched", "batch_000000", 4, 0)
    ]
    assert sum(isinstance(event, CellParked) for event in told) == 4
    assert sum(isinstance(event, RowAccepted) for event in told) == 20
    assert kinds.index("BatchSubmitted") < kinds.index("CallMade") < kinds.index("BatchEnded")
    assert "batch batch_000000 handed in: 4 requests to openai/batched" in caplog.text
    assert "batch batch_000000 ended: 4 answered, 0 not" in caplog.text
