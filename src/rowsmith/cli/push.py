"""`rowsmith push`: rows on the Hugging Face Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rowsmith.cli.options import Debug, Quiet
from rowsmith.cli.show import RowsFile

if TYPE_CHECKING:
    from rowsmith.data.hub import Uploaded


def push(
    file: RowsFile,
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The dataset on the Hub; made if it is not there.")],
    public: Annotated[bool, typer.Option("--public", help="Everybody may see it; otherwise only its owners.")] = False,
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="What the commit is called.")
    ] = None,
    train_size: Annotated[
        float | None,
        typer.Option("--train-size", metavar="SHARE", help="The share for train, as in 0.8; the rest is test."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Of the order for --train-size.")] = 0,
    shuffle: Annotated[
        bool, typer.Option("--shuffle/--no-shuffle", help="Whether --train-size deals rows out in random order.")
    ] = True,
    card: Annotated[bool, typer.Option("--card/--no-card", help="Whether to write the dataset's card.")] = True,
    license: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option("--license", metavar="ID", help="For the card, as in cc-by-4.0.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", metavar="CODE", help="For the card, as in en; repeatable.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Put rows on the Hugging Face Hub, private unless told otherwise, with a card that tells how they were made.

    The token is that of the environment variable HF_TOKEN, or of `hf auth login`. What an earlier push put there is
    replaced, in one commit.
    """
    del debug  # read by `guarded`

    import os
    import sys

    from rowsmith.cli.terminal import is_terminal, say, show
    from rowsmith.data.dataset import Dataset
    from rowsmith.datasets.origin import origin_of

    def tell(done: Uploaded) -> None:
        if not quiet:
            say(f"{done.rows:,} of {done.of:,} rows uploaded")

    if quiet or not is_terminal(sys.stderr):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when the Hub's library is imported
    url = Dataset.load(file).push_to_hub(
        repo,
        private=not public,
        commit_message=message,
        train_size=train_size,
        seed=seed,
        shuffle=shuffle,
        upload_card=card,
        license=license,
        languages=language or (),
        origin=origin_of(file),
        progress=tell,
    )
    show(url)
    return 0
