"""`mvmodel masks search`, and the mask library that other commands use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmodel.cli.options import AsJson, LibraryFolder, PackName
from mvmodel.cli.output import print_json, print_table, stdout_to_stderr
from mvmodel.errors import InputError

if TYPE_CHECKING:
    from mvmodel.authoring.library import Library


def search_command(
    query: Annotated[str, typer.Argument(help="What to search for: a motion, an object or a sentence.")],
    library: LibraryFolder = None,
    limit: Annotated[int, typer.Option("--limit", help="Maximum number of results.", min=1)] = 5,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Search the pipeline's mask library with words."""
    mask_library = load_library(library, required=True)
    assert mask_library is not None
    embed = None
    if mask_library.embeddings is not None and (mask_library.table["caption"] != "").any():
        from mvmodel.packs import load_pack

        with stdout_to_stderr():
            embed = load_pack(pack).scorer().texts
    hits = mask_library.search(query, embed, limit=limit)
    if json:
        print_json([vars(hit) | {"file": str(mask_library.folder / "masks" / f"{hit.name}.npz")} for hit in hits])
    elif hits:
        rows = [[hit.name, hit.score, hit.motion, hit.caption, hit.reason] for hit in hits]
        print_table(["name", "score", "motion", "caption", "reason"], rows)
    else:
        print(f"nothing in {mask_library.folder} matches {query!r}; it has {len(mask_library.table)} mask sequences")


def load_library(folder: Path | None, required: bool) -> Library | None:
    """The mask library in `folder`, or else the newest one that the pipeline wrote under .mvmodel.

    Returns None if there is none; raises InputError if it is required.
    """
    from mvmodel.authoring.library import Library

    if folder is not None:
        return Library.load(folder)
    tables = Path(".mvmodel").glob("*/store/mask_library/*/*/library.parquet")
    newest = max(tables, key=lambda path: path.stat().st_mtime, default=None)
    if newest is not None:
        return Library.load(newest.parent)
    if required:
        raise InputError("no mask library under .mvmodel; run the pipeline (make demo), or give one with --library")
    return None
