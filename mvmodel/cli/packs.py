"""`mvmodel packs`: list, check, download and fake model packs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mvmodel.cli.inputs import check_inputs_exist
from mvmodel.cli.options import AsJson, Overwrite
from mvmodel.cli.output import print_error, print_json, print_table, stdout_to_stderr
from mvmodel.cli.outputs import pack_output
from mvmodel.errors import InputError, PackError
from mvmodel.libraries import show_download_bars
from mvmodel.outputs import Output, guarded_outputs

if TYPE_CHECKING:
    from mvmodel.packs.info import ControlKind
    from mvmodel.packs.pull import PullPlan

packs_app = typer.Typer(help="List, check and download model packs.", no_args_is_help=True)


@packs_app.command("list")
def list_command(json: AsJson = False) -> None:
    """List the packs on this machine."""
    from mvmodel.packs import get_default_pack_name, list_packs
    from mvmodel.packs.info import read_pack_info

    rows = []
    for name, folder in list_packs().items():
        try:
            info = read_pack_info(folder)
        except PackError as error:  # the others are listed all the same
            print_error(str(error))
            continue
        details = {"size": str(info.size), "frames": info.frames, "random": info.random, "folder": str(folder)}
        rows.append({"name": name, "default": name == get_default_pack_name(), **details, "licence": info.licence})
    if json:
        print_json(rows)
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        print("No packs yet. `make foundation` trains the tiny pack, `mvmodel packs pull sd15` downloads one.")


@packs_app.command("check")
def check_command(
    name: Annotated[str | None, typer.Argument(help="Name or folder of a pack.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Use a quarter of the pictures.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the recommended settings into pack.json. Not for tiny.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Measure a pack's models on held-out renders, and compare its files with their recorded hashes.

    For packs such as sd15, also recommends settings and says what is out of order. Exits with code 1 if a file is
    damaged.
    """
    from mvmodel.foundation.pack_quality import check_pack
    from mvmodel.packs import load_pack

    models = load_pack(name)
    with stdout_to_stderr():
        result = check_pack(models, quick=quick)
        if apply:
            if "recommended" not in result:
                raise InputError(
                    f"the settings of pack {models.info.name} were chosen when it was made; leave out --apply"
                )
            from mvmodel.foundation.open_pack_quality import write_recommendation

            write_recommendation(models.folder, result)
    print_json(result) if json else _print_check(result)
    if result["damaged"]:
        raise typer.Exit(1)


@packs_app.command("fake")
def fake_command(
    kind: Annotated[str, typer.Argument(help="sd15 or small.")],
    folder: Annotated[Path, typer.Argument(help="Output folder.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a pack with the full architecture and random weights, for tests and benchmarks."""
    with guarded_outputs([Output(folder, "FOLDER", folder=True)], [], overwrite), stdout_to_stderr():
        from mvmodel.packs.random_pack import write_random_pack

        pack_folder = write_random_pack(kind, folder)
    print(pack_folder)


@packs_app.command("assemble")
def assemble_command(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="A .safetensors file of Stable Diffusion 1.x, or a folder in diffusers' layout."),
    ],
    folder: Annotated[Path, typer.Argument(help="Output folder.")],
    base: Annotated[
        str, typer.Option("--base", help="Pack whose ControlNet, segmenter, scorer and configurations are used.")
    ] = "sd15",
    vae: Annotated[Path | None, typer.Option("--vae", help="A .safetensors file with another autoencoder.")] = None,
    v_prediction: Annotated[
        bool, typer.Option("--v-prediction", help="The checkpoint predicts v and does not say so itself.")
    ] = False,
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the checkpoint.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a pack from your own checkpoint of Stable Diffusion 1.x."""
    from mvmodel.packs import find_pack_folder

    base_folder = find_pack_folder(base)
    inputs = {"CHECKPOINT": checkpoint, "--vae": vae}
    check_inputs_exist(inputs)
    outputs = [Output(folder, "FOLDER", folder=True)]
    with guarded_outputs(outputs, [*inputs.values(), base_folder], overwrite), stdout_to_stderr():
        from mvmodel.packs.single_file import write_pack_from_checkpoint

        prediction_type: Literal["v_prediction"] | None = "v_prediction" if v_prediction else None
        options = {"licence": licence} if licence else {}
        pack_folder = write_pack_from_checkpoint(
            checkpoint, folder, base_folder, vae=vae, prediction_type=prediction_type, **options
        )
    print(pack_folder)


@packs_app.command("pull")
def pull_command(
    name: Annotated[str, typer.Argument(help="A pack, sd15; or a segmenter such as u2netp or sam_vit_b.")],
    to: Annotated[Path | None, typer.Option("--to", help="Output folder. Default: ~/.cache/mvmodel/packs.")] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", help="What the ControlNet is shown: scribble, softedge, segmentation or canny."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list publishers, licences and sizes; download nothing.")
    ] = False,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Download the weights of a pack, or of one segmenter, from their publishers.

    Run the same command again to resume the download of a pack.
    """
    show_download_bars()
    from mvmodel.segmentation.downloads import SEGMENTER_SOURCES

    if name in SEGMENTER_SOURCES:
        _pull_segmenter(name, to, dry_run, overwrite, json)
        return
    kind = _control_kind(control)
    if dry_run:
        from mvmodel.packs.pull import describe_pull

        plan = describe_pull(name, kind)
        print_json(plan.as_json()) if json else _print_pull(plan)
        return
    with guarded_outputs([pack_output(to)] if to else [], [], overwrite), stdout_to_stderr():
        from mvmodel.packs.pull import describe_pull, get_pull_folder, pull_pack

        if not (get_pull_folder(name, to) / "pack.json").exists():
            _print_pull(describe_pull(name, kind))
        pack_folder = pull_pack(name, to, kind)
    print_json({"pack": str(pack_folder)}) if json else print(pack_folder)


def _pull_segmenter(name: str, to: Path | None, dry_run: bool, overwrite: bool, json: bool) -> None:
    """Download one segmenter, after its publisher, licence and size are printed."""
    from mvmodel.segmentation.downloads import SEGMENTER_SOURCES, pull_segmenter

    source = SEGMENTER_SOURCES[name]
    address, gigabytes = source.repository or source.url, round(source.megabytes / 1000, 4)
    if dry_run and json:
        print_json({**source.model_dump(), "download_gb": gigabytes, "disk_gb": gigabytes})
        return
    with stdout_to_stderr() if json else nullcontext():
        row = [name, f"{source.megabytes:,.0f} MB", source.licence, source.publisher, address]
        print_table(["segmenter", "size", "licence", "publisher", "address"], [row])
    if dry_run:
        return
    outputs = [Output(to / source.file, "--to", folder=bool(source.repository))] if to else []
    with guarded_outputs(outputs, [], overwrite), stdout_to_stderr():
        path = pull_segmenter(name, to)
    print_json({"segmenter": str(path)}) if json else print(path)


def _control_kind(control: str | None) -> ControlKind | None:
    """The kind of control picture that an option names. Raises InputError if there is no such kind."""
    from typing import get_args

    from mvmodel.packs.info import ControlKind

    kinds: dict[str, ControlKind] = {kind: kind for kind in get_args(ControlKind)}
    if control is None or control in kinds:
        return kinds[control] if control else None
    raise InputError(f"--control {control!r} is not one of {', '.join(kinds)}")


def _print_pull(plan: PullPlan) -> None:
    """The parts that a download takes, and its size."""
    rows = [
        [part, f"{plan.megabytes(part):,.0f} MB", source.licence, source.publisher, source.repository]
        for part, source in plan.sources.items()
    ]
    print_table(["part", "size", "licence", "publisher", "repository"], rows)
    origin = "as the hub states" if plan.files else "as recorded; the hub did not answer"
    gigabytes = plan.total_megabytes / 1000
    print(f"download {gigabytes:.1f} GB, disk {gigabytes:.1f} GB ({origin})")


def _print_check(result: dict[str, Any]) -> None:
    limits = {key: f"at least {floor:g}" for key, floor in result.get("floors", {}).items()}
    limits |= {key: f"at most {ceiling:g}" for key, ceiling in result.get("ceilings", {}).items()}
    rows = [[key, value, limits.get(key, "")] for key, value in result.get("quality", {}).items()]
    print_table(["quality", "measured", "required"], rows)
    for kind, scales in result.get("control", {}).items():
        print(f"control {kind}: " + ", ".join(f"IoU {iou} at {scale}" for scale, iou in scales.items()))
    for setting, value in result.get("recommended", {}).items():
        print(f"recommended {setting}: {value}")
    for sentence in result.get("advice", []):
        print(sentence)
    for key in result.get("below", []) + result.get("above", []):
        print(f"not reached: {key}")
    print(f"{result['name']} {result['hash'][:12]}{', random weights' if result['random'] else ''}")
    for file in result["damaged"]:
        print(f"damaged: {file}")
