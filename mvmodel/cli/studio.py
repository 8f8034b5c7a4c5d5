"""`mvmodel studio`: the page where masks are drawn and moved, and videos generated from them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmodel.cli.inputs import check_folders, check_inputs_exist
from mvmodel.cli.options import LibraryFolder, Memory, PackName, RunSize, SegmenterName
from mvmodel.errors import InputError
from mvmodel.picture_size import parse_size_option

if TYPE_CHECKING:
    from mvmodel.studio.worker import StudioWorker

DEFAULT_PORT = 8200


def studio(
    port: Annotated[int, typer.Option("--port", help="Port of the page.", min=0, max=65535)] = DEFAULT_PORT,
    folder: Annotated[
        Path, typer.Option("--folder", help="Where everybody's work is kept, also after the server has stopped.")
    ] = Path(".mvmodel/studio"),
    adapters: Annotated[
        list[Path] | None,
        typer.Option("--adapters", help="Folder with adapters to choose from. Default: those of the pipeline."),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser of this machine.")
    ] = True,
    size: RunSize = None,
    segmenter: SegmenterName = "auto",
    library: LibraryFolder = None,
    pack: PackName = None,
    memory: Memory = "auto",
) -> None:
    """Open the studio in the browser: draw masks, move them, generate videos. Only this machine can reach it."""
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"the studio needs {package}; install the extra: pip install 'mvmodel[studio]'")
    video_size = parse_size_option(size)
    check_folders({"--folder": folder})
    check_inputs_exist({"--library": library})
    for path in adapters or []:
        check_inputs_exist({"--adapters": path})
        check_folders({"--adapters": path})
    from mvmodel.cli.mask_library import load_library
    from mvmodel.packs.info import find_pack_folder, get_default_pack_name, read_run_info, read_size_multiple
    from mvmodel.studio.app import create_app
    from mvmodel.studio.config import StudioConfig
    from mvmodel.studio.server import find_address, serve

    address = find_address(port)
    config, mask_library = StudioConfig(), load_library(library, required=False)
    pack_folder = find_pack_folder(pack or get_default_pack_name())
    info = read_run_info(pack_folder, video_size)
    adapter_folders = adapters or sorted(Path(".mvmodel").glob("*/store/motion_adapter"))

    def open_worker() -> StudioWorker:
        from mvmodel.studio.worker import StudioWorker

        return StudioWorker(pack, video_size, segmenter, memory, mask_library, config, adapter_folders)

    app = create_app(
        info,
        open_worker,
        folder,
        config=config,
        adapters=adapter_folders,
        library=mask_library,
        port=address[1],
        size_multiple=read_size_multiple(pack_folder),
    )
    serve(app, address, open_browser)
