"""`earmark suggest`, `review`: suggested tags of a whole library."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.index.cli.library import DEFAULT_FOLDER

if TYPE_CHECKING:
    from earmark.index.curation.suggestions import Progress
    from earmark.model.core.progress import Progress as Steps


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    suggest = commands.add_parser("suggest", help="compute suggested tags of all sounds")
    suggest.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
    suggest.set_defaults(run=_suggest)
    review = commands.add_parser("review", help="export what reviews and feedback have decided")
    actions = review.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write a manifest, to train on")
    export.add_argument(
        "out", type=Path, metavar="FILE", help="the manifest: .csv, .jsonl or .parquet"
    )
    export.set_defaults(run=_export)
    for command in (suggest, export):
        command.add_argument(
            "--library", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="default: library"
        )


def _suggest(options: argparse.Namespace) -> int:
    from earmark.index.curation import suggestions
    from earmark.index.curation.review import tag_reviews
    from earmark.index.library import Library
    from earmark.model.encoders.load import load_embedder

    embedder = load_embedder(options.model)
    with Library.open(options.library, embedder) as library, closing(_Bar()) as bar:
        suggestions.ask(library)
        suggestions.Suggesting(library).run(bar.show)
        waiting = sum(review.waiting for review in tag_reviews(library))
    print(f"{bar.done:,} new or changed sounds; {waiting:,} suggestions wait for review")
    return 0


class _Bar:
    """A progress bar of a run, from when its total is known."""

    def __init__(self) -> None:
        self.done = 0
        self._stack = ExitStack()
        self._bar: Steps | None = None

    def show(self, progress: Progress) -> None:
        """Show how far the run is."""
        from earmark.model.core.progress import progress as bar

        if self._bar is None:
            self._bar = self._stack.enter_context(bar("suggesting", progress.total, "sounds"))
        self._bar.step(progress.done - self.done)
        self.done = progress.done

    def close(self) -> None:
        """End the bar."""
        self._stack.close()


def _export(options: argparse.Namespace) -> int:
    from earmark.index import feedback

    count = feedback.export(options.library, options.out)
    print(f"{count} sounds in {options.out}")
    return 0
