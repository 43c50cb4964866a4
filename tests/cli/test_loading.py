"""From a YAML file to a dataset: what wins over what, where paths start, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rowsmith.datasets.loading import KINDS, Overrides, load_job, stored_job
from rowsmith.errors import ConfigError, SourceError, TemplateError

from .conftest import CLASSIFICATION

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
"""A file for each kind, of its name."""


def write(text: str, path: str = "job.yaml") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_every_kind_is_loaded_by_its_name() -> None:
    for name in KINDS:
        job = load_job(EXAMPLES / f"{name}.yaml", Overrides(output=Path(f"{name}.jsonl")))
        assert type(job.dataset).recipe.name == name


def test_the_file_says_all_that_generate_takes() -> None:
    how = "spread: true\nmax_concurrency: 3\nmax_cost: 2\nmax_requests: 5\nmax_tokens: 100\n"
    job = load_job(write(CLASSIFICATION + how + "llms: [offline, {model: openai/x, temperature: 0.7}]\n"))
    assert job.llms == ["offline", {"model": "openai/x", "temperature": 0.7}]
    given = {name: value for name, value in job.how.items() if name != "source"}
    assert given == {"spread": True, "max_concurrency": 3, "max_cost": 2, "max_requests": 5, "max_tokens": 100}


@pytest.mark.parametrize("llms", ["offline", "{model: offline}", "[offline]"])
def test_one_model_may_stand_without_a_list(llms: str) -> None:
    assert len(load_job(write(CLASSIFICATION + f"llms: {llms}\n")).llms) == 1


def test_what_is_said_beside_the_file_wins() -> None:
    file = write(CLASSIFICATION + "llms: [a/b, c/d]\nspread: true\nmax_concurrency: 3\nseed: 1\n")
    overrides = Overrides(
        settings=[
            "seed=2",
            "expansion.placeholders.tone=[dry, 007]",
            "classes.1.name=off",
            "languages={no: Norwegian}",
            "prompts=['{num_samples} {{tone}} {language_name} {label_name} {label_description}']",
        ],
        llms=["offline", "{model: offline, latency: 0.5}"],
        output=Path("other.jsonl"),
        how={"spread": False, "max_concurrency": 9},
    )
    job = load_job(file, overrides)
    config: Any = job.dataset.config
    assert config.seed == 2
    assert config.expansion.placeholders == {"tone": ["dry", "007"]}
    assert [label.name for label in config.classes] == ["positive", "off"]
    assert config.languages == {"no": "Norwegian"}
    assert config.output_file == "other.jsonl"
    assert job.llms == ["offline", {"model": "offline", "latency": 0.5}]
    assert (job.how["spread"], job.how["max_concurrency"]) == (True, 9)


def test_a_setting_wins_over_another_name_of_its_field() -> None:
    text = "dataset: ultrachat\ntopics_and_subtopics: {Tea: [Green]}\nnum_samples: 4\noutput_file: rows.jsonl\n"
    config: Any = load_job(write(text), Overrides(settings=["num_samples_per_prompt=1"])).dataset.config
    assert config.num_samples_per_prompt == 1
    with pytest.raises(ConfigError, match="are the same"):
        load_job(write(text + "num_samples_per_prompt: 1\n"))


def test_a_setting_that_stands_nowhere_yet_is_added() -> None:
    config: Any = load_job(write(CLASSIFICATION), Overrides(settings=["gates.min_length=3"])).dataset.config
    assert config.gates.min_length == 3


def test_paths_start_at_the_files_folder_unless_they_are_given(tmp_path: Path) -> None:
    file = write(CLASSIFICATION, "deep/er/job.yaml")
    assert load_job(file).dataset.config.output_file == str(Path("deep/er/rows.jsonl"))
    given = load_job(file, Overrides(settings=["output_file=mine.jsonl"]))
    assert given.dataset.config.output_file == "mine.jsonl"
    absolute = load_job(write(CLASSIFICATION.replace("rows.jsonl", str(tmp_path / "x.jsonl")), "deep/er/job.yaml"))
    assert absolute.dataset.config.output_file == str(tmp_path / "x.jsonl")


def test_what_is_kept_makes_the_same_run_again_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("A document that is long enough for the reader of documents. " * 3, "jobs/documents.txt")
    text = (
        "dataset: mcq\noutput_file: q.jsonl\nlocal_file_path: documents.txt\nlanguages: {no: Norwegian}\nspread: true\n"
    )
    job = load_job(write(text + "llms: [{model: openai/x, temperature: 0.7}]\n", "jobs/job.yaml"), Overrides())
    kept = json.loads(json.dumps(job.how["source"]))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    again = stored_job(kept, tmp_path / "jobs" / "q.jsonl", {"max_concurrency": 2, "spread": False})
    before, after = job.dataset.config.model_dump(), again.dataset.config.model_dump()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"output_file", "local_file_path"}
    assert Path(after["local_file_path"]) == tmp_path / "jobs" / "documents.txt"
    assert again.llms == job.llms
    assert (again.how["spread"], again.how["max_concurrency"]) == (True, 2)


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("api_key: sk-secret", "api_key"),
        ("extra_headers: {Authorization: Bearer sk-secret}", "extra_headers"),
        ("extra_body: {auth_token: sk-secret}", "extra_body.auth_token"),
    ],
)
def test_keys_are_not_kept_and_their_names_are(argument: str, name: str) -> None:
    job = load_job(write(CLASSIFICATION + f"llms: [{{model: openai/x, max_completion_tokens: 9, {argument}}}]\n"))
    kept = json.dumps(job.how["source"])
    assert "sk-secret" not in kept
    assert "max_completion_tokens" in kept
    assert list(job.withheld) == [f"llms.0.{name}"]
    assert "sk-secret" not in repr(job)
    with pytest.raises(ConfigError, match=f"llms.0.{name} stood in .*job.yaml, and keys are never stored"):
        stored_job(json.loads(kept), "rows.jsonl")


def test_errors_of_the_configuration_keep_their_class_and_name_the_file() -> None:
    with pytest.raises(TemplateError) as error:
        load_job(write(CLASSIFICATION + "prompts: [Write something]\n"))
    assert error.value.__notes__ == ["in job.yaml"]
    with pytest.raises(SourceError):
        load_job(write("dataset: mcq\noutput_file: q.jsonl\nlocal_file_path: nowhere.txt\n"))


def test_a_byte_order_mark_is_passed_over_and_other_encodings_are_refused() -> None:
    Path("job.yaml").write_bytes(b"\xef\xbb\xbf" + CLASSIFICATION.encode())
    assert load_job("job.yaml").dataset.config.output_file == "rows.jsonl"
    Path("job.yaml").write_bytes("dataset: é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"job\.yaml is not UTF-8 text"):
        load_job("job.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_job(".")
