"""Masks of a request table: loaded from wherever the table says, and hashed for a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvmodel.authoring.mask_sources import MaskSource, MaskSourceLoader, parse_mask_source
from mvmodel.errors import InputError
from mvmodel.files import hash_file, hash_folder
from mvmodel.generation.default_requests import RequestSpec
from mvmodel.generation.requests import Request
from mvmodel.masks import MaskSequence


def prepare_requests(
    requests: Sequence[Request], loader: MaskSourceLoader
) -> tuple[list[RequestSpec], dict[str, list[str]]]:
    """Load the masks of every request.

    Returns the requests with their masks, and request name -> assumptions that its words leave open, where there are
    any. Masks of another shape are fitted as the loader says. Raises InputError naming the request.
    """
    specs: list[RequestSpec] = []
    assumptions: dict[str, list[str]] = {}
    for request in requests:
        try:
            sequence, sentences = (
                loader.load(request.source, request.seed)
                if request.source
                else (loader.fit_size(MaskSequence.load(request.masks)), [])
            )
        except InputError as error:
            raise InputError(f"request {request.name}: {error}") from error
        specs.append(RequestSpec(request.prompt, sequence, request.seed, request.name, request.negative_prompt))
        if sentences:
            assumptions[request.name] = sentences
    return specs, assumptions


def get_source_kind(request: Request) -> str:
    """ "file", "library" or "words"."""
    return parse_mask_source(request.source).kind if request.source else "file"


def hash_mask_source(request: Request, folder: Path) -> list[str]:
    """What determines a request's masks, besides models and library: its source, and the hashes of all files it names.

    folder: the request table's. Raises InputError naming a file that is missing.
    """
    source = parse_mask_source(request.source) if request.source else MaskSource("file", str(request.masks))
    hashes = []
    for name in source.files():
        path = folder / name
        if not path.exists():
            raise InputError(f"request {request.name}: {path} does not exist; put the masks there or fix the table")
        hashes.append(hash_folder(path) if path.is_dir() else hash_file(path))
    return [request.source, *hashes] if request.source else hashes
