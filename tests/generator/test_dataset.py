"""`GeneratorDataset`, from Python and from YAML: the same rows as a generator's, about topics told in every form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowsmith import (
    ConfigChangedError,
    ConfigError,
    DataSetGenerator,
    GeneratorDataset,
    GeneratorDatasetConfig,
    Graph,
    Tree,
)
from rowsmith.datasets.loading import Job, Overrides, load_job
from rowsmith.datasets.origin import origin_of
from rowsmith.engine.events import CallMade
from rowsmith.engine.options import Options
from rowsmith.generator.retries import ChosenRetries
from rowsmith.testing import ScriptedServer, ServerError
from rowsmith.testing.calls import Call
from support.clock import HurriedClock

Services = Callable[..., ScriptedServer]
BLOCK: dict[str, Any] = {"topic_prompt": "Physics", "degree": 3, "depth": 2}
YAML = """\
dataset: generator
output_file: plants.jsonl
llms: [openai/writer]
topics:
  topic_prompt: Keeping houseplants alive
  degree: 3
  depth: 2
instructions: Create detailed explanations.
num_steps: 18
batch_size: 3
sampling_strategy: balanced
"""


def dataset(folder: Path, **settings: Any) -> GeneratorDataset:
    given = {"topics": BLOCK, "instructions": "Explain.", "num_steps": 9, "output_file": str(folder / "rows.jsonl")}
    return GeneratorDataset(GeneratorDatasetConfig(**{**given, **settings}))


def job(folder: Path, *settings: str, text: str = YAML) -> Job:
    file = folder / "plants.yaml"
    file.write_text(text)
    return load_job(file, Overrides(settings=settings))


def first_topics(folder: Path) -> Path:
    return folder / "plants.topics.jsonl"


def about_topics(call: Call) -> bool:
    return "A field is being divided into topics" in call.prompt


# -- as from a generator -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["sequential", "random", "balanced"])
@pytest.mark.parametrize("kind", ["instruction", "conversation", "chain_of_thought"])
def test_the_rows_are_those_of_a_generator_over_the_same_tree(tmp_path: Path, strategy: Any, kind: Any) -> None:
    made = dataset(
        tmp_path,
        sampling_strategy=strategy,
        conversation_type=kind,
        template="Of {topic}, for {audience}.",
        variables={"audience": "children"},
        batch_size=2,
        seed=3,
    ).generate("offline")
    tree = Tree(**BLOCK, llm="offline").build()
    generator = DataSetGenerator("Explain.", model_name="offline", conversation_type=kind, seed=3)
    generator.set_custom_template("Of {topic}, for {audience}.", audience="children")
    whole = generator.create_data(9, 2, tree, sampling_strategy=strategy)
    assert made.to_list() == whole.to_list()


def test_what_both_phases_came_to_is_told(tmp_path: Path) -> None:
    told: list[Any] = []
    made = dataset(tmp_path)
    assert made.get_num_expected_rows() == 9
    made.generate("offline", topics_llm="offline/offline-a", listeners=[told.append])
    assert made.report is not None
    (ahead,) = made.report.ahead.values()
    assert list(made.report.ahead) == [str(tmp_path / "rows.topics.jsonl")]
    assert (ahead.rows, ahead.calls, ahead.complete) == (12, 4, True)
    assert {model for model, _ in ahead.spend} == {"offline/offline-a"}
    assert {model for model, _ in made.report.spend} == {"offline"}
    assert sum(isinstance(event, CallMade) for event in told) == 4 + made.report.calls


def test_a_card_tells_who_wrote_the_topics_and_who_the_rows(tmp_path: Path) -> None:
    made = job(tmp_path, "topics.topic_system_prompt=You know plants.")
    made.dataset.generate("offline", topics_llm="offline/offline-a", source=made.how["source"])
    origin = origin_of(tmp_path / "plants.jsonl")
    assert origin is not None
    assert next((use.model, use.role, use.calls) for use in origin.models) == ("offline/offline-a", "topics", 4)
    assert [use.role for use in origin.models] == ["topics", "writer"]
    assert origin.configuration is not None
    assert "topic_system_prompt: You know plants." in origin.configuration
    assert str(tmp_path) not in origin.configuration


def test_every_setting_of_a_generator_is_one_of_the_dataset() -> None:
    from rowsmith.generator.config import GeneratorConfig

    assert GeneratorConfig.model_fields.keys() <= GeneratorDatasetConfig.model_fields.keys()


@pytest.mark.parametrize("strategy", ["sequential", "balanced"])
def test_the_plan_is_of_the_same_size_before_topics_are_there(tmp_path: Path, strategy: Any) -> None:
    made = dataset(tmp_path, sampling_strategy=strategy, num_steps=25)
    before = made.estimate("offline")
    made.generate("offline")
    assert before.cells == made.estimate("offline").cells
    assert before.rows == len(made) == 25


def test_a_tree_too_large_to_be_made_up_is_estimated(tmp_path: Path) -> None:
    found = dataset(tmp_path, topics={**BLOCK, "degree": 50, "depth": 6}, num_steps=1000).estimate("offline")
    assert found.rows == 1000
    calls = sum(50**level for level in range(6))
    assert sum(part.calls for part in found.parts if part.role == "topics") == calls


# -- topics in every form ----------------------------------------------------------------------------------------------

PATHS = {"Light": ["Physics", "Light"], "Heat": ["Physics", "Heat"]}


@pytest.mark.parametrize(
    "topics",
    [
        [["Physics", "Light"], ["Physics", "Heat"]],
        {"Physics": ["Light", "Heat"]},
        [{"Physics": ["Light", "Heat"]}],
        {"Physics": {"Light": None, "Heat": []}},
        Tree.from_yaml({"Physics": ["Light", "Heat"]}),
        Graph.from_topics(Tree.from_yaml({"Physics": ["Light", "Heat"]})),
        list(Tree.from_yaml({"Physics": ["Light", "Heat"]})),
    ],
    ids=str,
)
def test_topics_may_be_given_in_every_form(tmp_path: Path, topics: Any) -> None:
    made = dataset(tmp_path, topics=topics, num_steps=4).generate("offline")
    assert {row["topic"]: row["topic_path"] for row in made} == PATHS
    assert made.report is not None
    assert not made.report.ahead
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["rows.jsonl"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.md", "# Physics\n- Light\n- Heat\n"),
        ("t.yaml", "Physics: [Light, Heat]"),
        ("t.jsonl", '{"path": ["Physics", "Light"]}\n{"path": ["Physics", "Heat"]}\n'),
        ("t.json", ""),
    ],
)
def test_topics_of_a_file(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    if text:
        file.write_text(text)
    else:
        Graph.from_topics(Tree.from_yaml({"Physics": ["Light", "Heat"]})).save(file)
    made = dataset(tmp_path, topics={"file": str(file)}, num_steps=4).generate("offline")
    assert {row["topic"]: row["topic_path"] for row in made} == PATHS


def test_a_list_of_names_and_an_outline_of_several_fields_need_no_root(tmp_path: Path) -> None:
    text = YAML.replace(
        "  topic_prompt: Keeping houseplants alive\n  degree: 3\n  depth: 2\n",
        "  - 007\n  - true\n",
    )
    made = job(tmp_path, text=text).dataset.generate("offline")
    assert Counter(row["topic"] for row in made) == {"007": 9, "true": 9}
    outline = {"Physics": ["Light"], "Chemistry": {"Acids": ["Vinegar"]}}
    other = dataset(tmp_path, topics=outline, num_steps=2).generate("offline")
    assert [row["topic_path"] for row in other] == [["Physics", "Light"], ["Chemistry", "Acids", "Vinegar"]]


def test_a_graph_is_built_with_its_links(tmp_path: Path) -> None:
    made = dataset(tmp_path, topics={**BLOCK, "kind": "graph", "max_links": 1}).generate("offline")
    assert len(made) == 9
    assert (tmp_path / "rows.topics.links.jsonl").read_text().count("\n") == 12
    assert made.report is not None
    (ahead,) = made.report.ahead.values()
    assert ahead.rows == 24  # topics, and their links
    again = dataset(tmp_path, topics={**BLOCK, "kind": "graph", "max_links": 1}).generate("offline")
    assert again.report is not None
    assert again.report.calls == 0


@pytest.mark.parametrize("strategy", ["sequential", "random", "balanced"])
@pytest.mark.parametrize("topics", [BLOCK, ["a", "b", "c"]], ids=["built", "given"])
async def test_more_examples_keep_those_that_are_there(
    tmp_path: Path, services: Services, strategy: Any, topics: Any
) -> None:
    server = services()
    llm, kept, calls = "openai/writer", set[str](), 0
    for steps in (7, 20, 20, 31):
        made = dataset(tmp_path, topics=topics, sampling_strategy=strategy, num_steps=steps, batch_size=3)
        await made.generate_async(llm)
        ids = {row["id"] for row in made}
        assert len(ids) == len({row["question"] for row in made}) == steps
        assert kept <= ids
        about = Counter(tuple(row["topic_path"]) for row in made)
        assert strategy == "random" or max(about.values()) - min(about.values()) <= 1 or len(about) < 9
        assert made.report is not None
        assert (made.report.calls == 0) == (ids == kept)
        kept, calls = ids, calls + made.report.calls
    assert server.count == calls + (4 if topics is BLOCK else 0)  # what was answered is not asked again
    assert (await made.estimate_async(llm)).cells == len(made._recipe._portions)
    fewer = dataset(tmp_path, topics=topics, sampling_strategy=strategy, num_steps=25, batch_size=3)
    with pytest.raises(ConfigChangedError, match="num_steps: was 31, is 25"):
        await fewer.generate_async(llm)


def test_given_topics_may_be_added_to(tmp_path: Path) -> None:
    few = {"topics": ["a", "b", "c", "d"], "num_steps": 4, "batch_size": 2}
    first = dataset(tmp_path, **few).generate("offline").to_list()
    more = {"topics": ["a", "b", "c", "d", "e"], "num_steps": 5, "batch_size": 2}
    assert dataset(tmp_path, **more).generate("offline").to_list()[:4] == first
    with pytest.raises(ConfigChangedError, match=r"topics: was .5 topics"):
        dataset(tmp_path, **{**more, "topics": ["a", "b", "x", "d", "e"]}).generate("offline")


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ([], "there are no topics"),
        ("Physics", "topics are a block"),
        (Tree("Physics"), "not built yet"),
        ({"topic_promt": "Physics"}, "topics"),
        ({"topic_prompt": "x", "degre": 2}, "Did you mean 'degree'"),
        ({"topic_prompt": "x", "output_file": "rows.jsonl"}, "both go to rows.jsonl"),
        ({"file": "nowhere.md"}, "there is no file"),
    ],
    ids=str,
)
def test_topics_of_no_use_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topics: Any, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words):
        dataset(Path(), topics=topics)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_retries_limits_and_presets_are_the_generators(tmp_path: Path) -> None:
    made = dataset(
        tmp_path,
        retry={"max_retries": 2, "max_backoff_seconds": 7, "retry_on_errors": ["timeout"]},
        max_cost=3.0,
        optimize_for="throughput",
    )
    options = made._options(None, {"max_requests": 8})
    assert isinstance(options.policy, ChosenRetries)
    assert (options.policy.max_retries, options.policy.longest) == (2, 7)
    assert options.policy.categories == frozenset({"timeout"})
    assert (options.max_cost, options.max_requests, options.max_concurrency) == (3.0, 8, 256)
    assert made._recipe.made.config.default_batch_size == 20
    reliable = dataset(tmp_path, optimize_for="reliability")
    assert reliable._options(None, {}).policy.max_retries == 12
    assert dataset(tmp_path)._options(None, {}).max_concurrency == 64
    assert dataset(tmp_path)._options(Options(max_concurrency=3), {}).max_concurrency == 3


def test_filters_are_functions_or_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "filters.py"
    file.write_text("def odd(content, topic, row):\n    return len(content) % 2 == 1, 'even'\n")
    made = dataset(tmp_path, content_filters=[f"{file}:odd"], num_steps=20).generate("offline")
    assert len(made) == 20
    assert all(len(f"{row['question']}\n\n{row['answer']}") % 2 for row in made)
    assert made.report is not None
    assert made.report.rejected["odd"] > 3


def test_structured_rows_from_yaml(tmp_path: Path) -> None:
    more = "conversation_type: structured\noutput_model: {front: what is asked, back: what is right}\n"
    made = job(tmp_path, text=YAML + more).dataset.generate("offline")
    assert len(made) == 18
    assert all(row["front"] and row["back"] for row in made)


def test_conversations_that_call_tools_from_yaml(tmp_path: Path) -> None:
    more = """conversation_type: tool_calling
tool_model: {model: offline/offline-b}
tools:
  - type: function
    function:
      name: weather
      description: The weather of a city
      parameters: {type: object, properties: {city: {type: string}}, required: [city]}
"""
    found = job(tmp_path, text=YAML + more)
    made = found.dataset.generate("offline")
    assert len(made) == 18
    assert all(row["tools"] for row in made)
    assert made.report is not None
    assert {model for model, role in made.report.spend if role != "writer"} == {"offline/offline-b"}
    file = tmp_path / "plants.yaml"
    file.write_text(YAML + more.replace("{model: offline/offline-b}", "{model: openai/x, api_key: sk-planted-here}"))
    kept = load_job(file)
    assert list(kept.withheld) == ["tool_model.api_key"]
    assert "sk-planted-here" not in str(kept.how["source"])


async def test_a_service_that_fails_half_of_the_time_costs_no_topic_and_no_row(
    tmp_path: Path, services: Services
) -> None:
    services(chances={ServerError(): 0.5})
    made = dataset(tmp_path, max_retries=20, num_steps=60, batch_size=3)
    await made.generate_async("openai/writer", options=Options(clock=HurriedClock(1000)))
    assert len(made) == len({row["question"] for row in made}) == 60
    assert len(Tree.load(tmp_path / "rows.topics.jsonl")) == 9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("degree: 3", "degre: 3"), r"plants.yaml:6:3: topics has no field 'degre'. Did you mean 'degree'\?"),
        (("num_steps", "num_stepps"), r"plants.yaml:9:1: there is no field 'num_stepps'. Did you mean 'num_steps'\?"),
        (("topic_prompt: Keeping houseplants alive", "seed: 3"), "topic_prompt is missing"),
        (("num_steps: 18", "num_steps: 0"), "num_steps must be a whole number, 1 or more"),
        (("balanced", "balancd"), "sampling_strategy"),
        (("depth: 2", "max_links: 2"), "max_links is for kind: graph"),
        (("depth: 2", "file: topics.md"), "topics of a file are not built; leave out 'degree'"),
        (("depth: 2", "depth: 2\n  model_name: a/b\n  llm: c/d"), "named twice"),
        (("batch_size: 3", "retry: {retry_on_errors: [timout]}"), "'timeout'"),
        (("batch_size: 3", "retry: {max_retrys: 3}"), "retry has no field 'max_retrys'"),
        (("batch_size: 3", "content_filters: [nowhere.py:good]"), "there is no file"),
        (("batch_size: 3", "template: 'Of {topics}.'"), "Did you mean {topic}"),
        (("batch_size: 3", "batch_size: 3\ndefault_batch_size: 4"), "plants.yaml:10:1: batch_size and default_batch"),
        (("balanced", "balanced\nmax_retries: -1"), "max_retries"),
        (("balanced", "balanced\ngates: {min_lenght: 3}"), "gates has no field 'min_lenght'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        job(tmp_path, text=YAML.replace(*change))
    assert "plants.yaml" in "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("topics.degree=4", "topics.degree: was 3, is 4"),
        ("topics.depth=3", "topics.depth: was 2, is 3"),
        ("topics.degree=2", "degree: was 3, is 2"),
        ("topics.topic_prompt=Tea", "topic_prompt: was"),
        ("topics.kind=graph", 'topics.kind: was "tree", is "graph"'),
        ("instructions=Be brief.", "instructions: was"),
        ("topics.llm=offline", "llms"),
        ("num_steps=9", "num_steps: was 18, is 9"),
    ],
)
async def test_what_does_not_fit_the_output_is_refused_before_anything_is_asked(
    tmp_path: Path, services: Services, setting: str, words: str
) -> None:
    server = services()
    first = job(tmp_path)
    await first.dataset.generate_async(first.llms)
    calls, before = server.count, [file.read_bytes() for file in (tmp_path / "plants.jsonl", first_topics(tmp_path))]
    other = job(tmp_path, setting)
    with pytest.raises(ConfigChangedError) as caught:
        await other.dataset.generate_async(other.llms)
    assert words in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert "another output" in str(caught.value)
    assert server.count == calls
    assert [file.read_bytes() for file in (tmp_path / "plants.jsonl", first_topics(tmp_path))] == before
    if setting != "num_steps=9":  # that is seen when the plans are compared
        checked = await other.dataset.validate_async(other.llms, calls=False)
        assert [finding for finding in checked.errors if words in finding.text]
    again = await job(tmp_path).dataset.generate_async(first.llms)
    assert again.report is not None
    assert again.report.complete
    assert server.count == calls


async def test_the_rows_model_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="named twice"):
        dataset(tmp_path).generate("offline", writer_llm="offline/offline-a")
    with pytest.raises(ConfigError, match="writer_llm"):
        dataset(tmp_path).generate(topics_llm="offline")
    made = dataset(tmp_path).generate(writer_llm="offline/offline-a")
    assert {row["model_id"] for row in made} == {"offline-a"}


def test_every_model_makes_all_rows_and_the_first_the_topics(tmp_path: Path) -> None:
    llms = ["offline/offline-a", "offline/offline-b"]
    made = dataset(tmp_path)
    assert made.get_num_expected_rows(llms) == 18
    made.generate(llms)
    assert Counter(row["model_id"] for row in made) == {"offline-a": 9, "offline-b": 9}
    assert made.report is not None
    (ahead,) = made.report.ahead.values()
    assert {model for model, _ in ahead.spend} == {"offline/offline-a"}
    dealt = dataset(tmp_path, output_file=str(tmp_path / "dealt.jsonl")).generate(llms, spread=True)
    assert len(dealt) == 9


def test_where_no_row_is_made_there_is_no_batch_to_cancel(tmp_path: Path) -> None:
    assert dataset(tmp_path).cancel_batches("offline").report is None
    assert not list(tmp_path.iterdir())


async def test_topics_are_asked_singly_where_rows_are_asked_in_batches(tmp_path: Path, services: Services) -> None:
    server = services()
    made = dataset(tmp_path)
    llm = {"model": "openai/writer", "batch_endpoint": True}
    await made.generate_async(llm, batch=True, options=Options(clock=HurriedClock(1000)))
    assert len(made) == 9
    assert server.count == 4
    assert all(map(about_topics, server.calls))
