"""`rowsmith topics`: trees and graphs of topics, built, shown, cut and put into other forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowsmith.cli.guard import COMPLETE, SHORT, guarded
from rowsmith.cli.options import (
    Debug,
    Fresh,
    LogFile,
    LogLevel,
    MaxConcurrency,
    MaxCost,
    MaxRequests,
    MaxTokens,
    Quiet,
    set_up_log,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowsmith.engine.events import Event
    from rowsmith.topics.model import TopicModel

BuildFile = Annotated[Path, typer.Argument(metavar="TOPICS.yaml", help="What to build; see the examples.")]
TopicsFile = Annotated[Path, typer.Argument(metavar="FILE", help="Topics: .jsonl, .json, .md, .yaml or .txt.")]
Root = Annotated[
    str | None,
    typer.Option("--root", metavar="TOPIC", help="The topic above all, where the file has several at the top."),
]
RUN_KEYS = ("max_concurrency", "max_cost", "max_requests", "max_tokens")


def topics_application() -> typer.Typer:
    """The command `rowsmith topics` with its commands."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        help="Trees and graphs of topics: build, show, prune, export.",
    )
    for command in (build, show, prune, export):
        app.command()(guarded(command))
    return app


def build(
    file: BuildFile,
    llm: Annotated[
        str | None,
        typer.Option("--llm", metavar="MODEL", help="provider/model instead of the one that the file names."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="Where topics go, instead of output_file.")
    ] = None,
    degree: Annotated[int | None, typer.Option("--degree", metavar="N", help="Topics right below each.")] = None,
    depth: Annotated[int | None, typer.Option("--depth", metavar="N", help="Levels below the root.")] = None,
    remaining: Annotated[
        bool, typer.Option("--remaining", help="Ask again for topics that lack because the rounds were used up.")
    ] = False,
    fresh: Fresh = False,
    max_concurrency: MaxConcurrency = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    max_tokens: MaxTokens = None,
    quiet: Quiet = False,
    log_file: LogFile = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> int:
    """Build the tree or graph that a YAML file describes, or go on with it.

    The file has `topic_prompt`, `degree`, `depth`, `llm: openai/gpt-5-mini`, `output_file` and, for a graph,
    `kind: graph`. Paths in it start at its folder.
    """
    del debug  # read by `guarded`
    set_up_log(log_level, log_file)

    from rowsmith.errors import ConfigError

    fields = _described(file)
    given: dict[str, Any] = {"output_file": output and str(output), "degree": degree, "depth": depth}
    if llm is not None:
        fields = {name: value for name, value in fields.items() if name not in ("model_name", "provider", "llm")}
        given["llm"] = llm
    fields |= {name: value for name, value in given.items() if value is not None}
    if not fields.get("output_file"):
        raise ConfigError(
            f"{file} says nowhere where the topics go: write `output_file: {file.stem}.jsonl`, or --output"
        )
    if not fields.keys() & {"llm", "model_name", "provider"}:
        from rowsmith.cli.models import at_hand

        offered = "\n".join(f"  {text}" for text in at_hand())
        raise ConfigError(f"no model is named. Write `llm:` in {file}, or --llm. At hand on this machine:\n{offered}")
    numbers = (max_concurrency, max_cost, max_requests, max_tokens)
    limits = {name: value for name, value in zip(RUN_KEYS, numbers, strict=True) if value is not None}
    return _carry_out(fields, str(file), limits, fresh=fresh, remaining=remaining, quiet=quiet)


def go_on(source: Mapping[str, Any], output: Path, limits: Mapping[str, Any], *, quiet: bool) -> int:
    """Go on with a build, from what its ledger knows.

    Args:
        source: as the ledger has it.
        output: the topics.
        limits: the build's limits that are other than they were; None leaves them.
        quiet: print errors and what lacks only.

    Returns:
        the exit code.
    """
    given = {name: value for name, value in limits.items() if value is not None}
    fields = {**source["topics"], "output_file": str(output)}
    return _carry_out(fields, str(source["file"]), given, fresh=False, remaining=False, quiet=quiet)


def show(
    file: TopicsFile,
    root: Root = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=2, metavar="N", help="Topics at most.")] = 100,
    debug: Debug = False,
) -> int:
    """Show topics as an outline with lines; what there is no room for is counted."""
    del debug  # read by `guarded`

    from rowsmith.cli.terminal import printable, say
    from rowsmith.cli.terminal import show as print_line
    from rowsmith.topics.loading import load_topics

    model = load_topics(file, topic_prompt=root)
    print_line(printable(model.to_text(limit=limit)).rstrip("\n"))
    say(_words(model))
    return COMPLETE


def prune(
    file: TopicsFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help="Where what is left goes.")],
    root: Root = None,
    depth: Annotated[
        int | None, typer.Option("--depth", metavar="N", help="Keep so many levels below the root.")
    ] = None,
    degree: Annotated[
        int | None, typer.Option("--degree", metavar="N", help="Keep the first N below each topic.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without", metavar="TOPIC", help="Cut this topic off, by its name, id or path (`A → B`); repeatable."
        ),
    ] = None,
    debug: Debug = False,
) -> int:
    """Write what is left of topics once some are cut off, with all that is below them."""
    del debug  # read by `guarded`

    from rowsmith.topics.loading import load_topics

    model = load_topics(file, topic_prompt=root).prune(depth=depth, degree=degree, without=without or ())
    return _written(model, output, None)


def export(
    file: TopicsFile,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help=".jsonl paths, .json graph, .md outline, .svg picture, .mmd Mermaid, .txt.",
        ),
    ],
    root: Root = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=2, metavar="N", help="Topics that a picture has at most.")
    ] = None,
    debug: Debug = False,
) -> int:
    """Write topics in another form: paths, a graph, an outline to edit, a picture."""
    del debug  # read by `guarded`

    from rowsmith.topics.loading import load_topics

    return _written(load_topics(file, topic_prompt=root), output, limit)


def _described(file: Path) -> dict[str, Any]:
    """What a YAML file says, with its paths from its folder."""
    from rowsmith.datasets.yaml_tree import Fields, plain, read
    from rowsmith.errors import ConfigError
    from rowsmith.topics.readers import text_of

    tree = read(text_of(file), str(file))
    if not isinstance(tree, Fields):
        raise ConfigError(f"{file}: topics are described by a mapping, beginning with `topic_prompt:`")
    fields: dict[str, Any] = plain(tree)
    if isinstance(fields.get("output_file"), str):
        fields["output_file"] = str(file.parent / Path(fields["output_file"]).expanduser())
    return fields


def _carry_out(
    fields: dict[str, Any], file: str, limits: Mapping[str, Any], *, fresh: bool, remaining: bool, quiet: bool
) -> int:
    import asyncio
    import sys

    from rowsmith.cli.carry_out import supervised
    from rowsmith.cli.progress import shown
    from rowsmith.cli.summary import near, resume_command, summary
    from rowsmith.cli.tally import Tally
    from rowsmith.cli.terminal import line, painted, printable, say
    from rowsmith.cli.terminal import show as print_line
    from rowsmith.topics.events import TopicEvent
    from rowsmith.topics.loading import topic_model

    how = {name: fields[name] for name in RUN_KEYS if name in fields} | dict(limits)
    model = topic_model({name: value for name, value in fields.items() if name not in RUN_KEYS}, file)
    plain = not any(isinstance(value, dict) for value in fields.values())  # a mapping may hold a key
    source = {"file": file, "topics": {**fields, **how}} if plain else None
    tally = Tally()

    def tell(event: TopicEvent | Event) -> None:
        if not isinstance(event, TopicEvent):
            tally(event)

    begin = model.build_remaining_async if remaining else model.build_async
    with shown(tally, quiet=quiet):
        stopped_by = asyncio.run(supervised(begin(listeners=[tell], fresh=fresh, source=source, **how), tally))
    report = model.report
    if report is None:
        say("Stopped before the build began; no model was asked.")
        return 128 + stopped_by
    output = str(fields["output_file"])
    if not quiet:
        for text in summary(report, output):
            print_line(text)
        say(_words(model))
    if stopped_by or report.why:
        again = resume_command(output) if source else "the same command"
        say(f"Stopped: {printable(report.why)}. All that was made is kept in {near(output)}. Go on with: {again}")
        return 128 + stopped_by if stopped_by else SHORT
    if model.complete:
        return COMPLETE
    for failure in model.failures[:20]:
        say(line(str(failure), 400))
    say(
        painted("The build is not complete. Run it again with --remaining to ask for what lacks.", "yellow", sys.stderr)
    )
    return SHORT


def _written(model: TopicModel, output: Path, limit: int | None) -> int:
    from rowsmith.cli.terminal import say
    from rowsmith.topics.graph import Graph
    from rowsmith.topics.readers import write
    from rowsmith.topics.shown import LIMIT
    from rowsmith.topics.tree import Tree

    if output.suffix == ".jsonl":
        Tree.of(model).save(output)
    elif output.suffix == ".json":
        (model if isinstance(model, Graph) else Graph.from_topics(model)).save(output)
    elif output.suffix == ".md":
        write(output, model.to_markdown().encode())
    else:
        output = model.visualize(output, limit=limit or LIMIT)
    say(f"{output}: {_words(model)}")
    return COMPLETE


def _words(model: TopicModel) -> str:
    from rowsmith.engine.wording import count
    from rowsmith.topics.graph import Graph

    words = [count(len(model.topics), "topic"), count(model.depth, "level"), f"{len(model):,} without subtopics"]
    if isinstance(model, Graph):
        words.append(count(len(model.links), "link"))
    return ", ".join(words)
