"""The root of the `mvmodel` command line. Commands are thin: each calls the library and prints the result.

Commands import heavy modules inside their functions, so that `mvmodel --help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from mvmodel.cli.clips import clips_app
from mvmodel.cli.doctor import doctor
from mvmodel.cli.exits import run_app
from mvmodel.cli.generate import generate
from mvmodel.cli.masks import masks_app
from mvmodel.cli.metrics import metrics
from mvmodel.cli.packs import packs_app
from mvmodel.cli.report import report
from mvmodel.cli.studio import studio
from mvmodel.cli.train import train

app = typer.Typer(
    name="mvmodel",
    help="Mask-controlled video generation from a handful of clips.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(clips_app, name="clips")
app.add_typer(masks_app, name="masks")
app.add_typer(packs_app, name="packs")
for command in (train, generate, studio, metrics, report, doctor):
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: with code 2 after wrong input, 130 after Ctrl-C and 143 after SIGTERM."""
    sys.exit(run_app(app, "mvmodel", arguments))
