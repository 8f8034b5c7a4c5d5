"""`mvmodel report`: measure generated videos and write an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.inputs import check_inputs_exist
from mvmodel.cli.options import Overwrite, PackName
from mvmodel.cli.output import stdout_to_stderr
from mvmodel.outputs import Output, guarded_outputs


def report(
    videos: Annotated[Path, typer.Argument(help="Folder of videos, or of one subfolder of videos per condition.")],
    requests: Annotated[Path, typer.Option("--requests", help="Requests CSV with motion, prompt, masks and seed.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder for report.html and metrics.csv.")],
    motion: Annotated[str | None, typer.Option("--motion", help="Use only the requests of this motion.")] = None,
    ablation: Annotated[
        Path | None, typer.Option("--ablation", help="Folder of a finished ablation_study, to include its table.")
    ] = None,
    overwrite: Overwrite = False,
    pack: PackName = None,
) -> None:
    """Measure a batch of generated videos and write its report."""
    with guarded_outputs([Output(out, folder=True)], [videos, requests, ablation], overwrite), stdout_to_stderr():
        check_inputs_exist({"VIDEOS": videos, "--requests": requests, "--ablation": ablation})
        from mvmodel.packs import load_pack
        from mvmodel.reports.folder_report import write_folder_report

        page = write_folder_report(load_pack(pack), videos, requests, out, motion, ablation)
    print(page)
