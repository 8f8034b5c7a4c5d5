"""Downloads the parts of a pack from the Hugging Face Hub into one folder that the loader reads.

Prefers half-precision safetensors. Downloads no pickled files, except the checkpoint of segment-anything, which its
loader reads without running code. Every file is downloaded next to its final place and moved there, or linked if the
hub's cache has it, so that no file is stored twice.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

from mvmodel.errors import PackError
from mvmodel.files import hash_file, user_cache_folder, write_json
from mvmodel.packs.info import ControlKind, read_pack_info
from mvmodel.packs.sources import PULL_STATE, Source, describe_pack, find_pack_sources

SAM_FILE = "checkpoints/sam_vit_b_01ec64.pth"
DOWNLOADS = ".downloads"
"""Folder in an unfinished pack for files that are still being downloaded."""


@dataclass(frozen=True)
class PullFile:
    """A file to download. target: its path in the pack. bytes, sha256: as the hub states them; None if it does not."""

    part: str
    repository: str
    revision: str
    name: str
    target: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True)
class PullPlan:
    """What `pull_pack` downloads. files: empty if the hub did not answer; sizes are then those of `Source`."""

    sources: dict[str, Source]
    files: list[PullFile]

    def megabytes(self, part: str) -> float:
        """Size of a part's files, in units of 10^6 bytes."""
        sizes = [file.bytes for file in self.files if file.part == part and file.bytes is not None]
        return sum(sizes) / 1e6 if sizes else self.sources[part].megabytes

    @property
    def total_megabytes(self) -> float:
        """What is downloaded, and what the pack takes on disk."""
        return sum(self.megabytes(part) for part in self.sources)

    def as_json(self) -> dict[str, Any]:
        """For other programs: the parts, and the size of the download and of the pack on disk in GB (10^9 bytes)."""
        parts = {
            part: source.model_dump() | {"megabytes": round(self.megabytes(part), 1)}
            for part, source in self.sources.items()
        }
        gigabytes = round(self.total_megabytes / 1000, 2)
        return {
            "parts": parts,
            "download_gb": gigabytes,
            "disk_gb": gigabytes,
            "sizes_from": "hub" if self.files else "record",
            "revisions": {file.repository: file.revision for file in self.files},
        }


def get_pull_folder(name: str, folder: Path | None = None) -> Path:
    """Where `pull_pack` writes the pack `name`."""
    return Path(folder) if folder else user_cache_folder() / "packs" / name


def describe_pull(name: str, control: ControlKind | None = None) -> PullPlan:
    """What `pull_pack` would download, with sizes from the hub if it answers, else the recorded ones.

    Raises PackError if there is no such pack, or no ControlNet for that kind of control picture.
    """
    sources = find_pack_sources(name, control)
    try:
        return PullPlan(sources, _list_files(sources, {}))
    except PackError:
        return PullPlan(sources, [])


def pull_pack(name: str, folder: Path | None = None, control: ControlKind | None = None) -> Path:
    """Download the pack `name` and return its folder. Files that an interrupted call downloaded are kept.

    A pack that is complete is verified by the hashes in its `pack.json`; a file that differs is downloaded again, at
    the commit that `pack.json` records.

    Args:
        name: A key of `PACK_SOURCES`.
        folder: Where the pack is written; `user_cache_folder()`/packs/`name` if None.
        control: Which ControlNet; None is the one that suits the pack.

    Raises:
        PackError: The name is unknown, a repository cannot be reached or has no usable file, a file does not match its
            publisher's hash, the disk is too full, or the folder holds a pack with another ControlNet.
    """
    sources, out = find_pack_sources(name, control), get_pull_folder(name, folder)
    description = describe_pack(name, control)
    if (out / "pack.json").exists():
        _check_same_control(out, description)
        _repair(out, sources)
        return out
    repositories = {part: source.repository for part, source in sources.items()}
    files = _list_files(sources, _resume(out, repositories))
    missing = [file for file in files if not (out / file.target).exists()]
    _check_free_disk(out, sum(file.bytes or 0 for file in missing))
    made_by = {"sources": repositories, "revisions": {file.repository: file.revision for file in files}}
    write_json(out / PULL_STATE, made_by)
    for file in missing:
        _download_file(file, out)
    shutil.rmtree(out / DOWNLOADS, ignore_errors=True)
    hashes = {file.target: hash_file(out / file.target) for file in sorted(files, key=lambda file: file.target)}
    write_json(out / "pack.json", {**description, "made_by": made_by, "hashes": hashes})
    (out / PULL_STATE).unlink()
    return out


def _repair(out: Path, sources: dict[str, Source]) -> None:
    """Download the files of a complete pack again that are missing or differ from the hashes in its `pack.json`.

    Raises PackError if the hub cannot be reached, or has other files than the recorded ones.
    """
    info = read_pack_info(out)
    damaged = [name for name, value in info.hashes.items() if not _has_hash(out / name, value)]
    if not damaged:
        return
    print(f"{out}: {', '.join(damaged)} missing or damaged; downloading again", file=sys.stderr, flush=True)
    files = {file.target: file for file in _list_files(sources, info.made_by.get("revisions", {}))}
    for name in damaged:
        (out / name).unlink(missing_ok=True)
        if name in files:
            _download_file(files[name], out)
        if not _has_hash(out / name, info.hashes[name]):
            raise PackError(
                f"{out / name} is not the file that pack.json records, and its publisher has no such file any more; "
                f"give another folder with --to for a new download"
            )
    shutil.rmtree(out / DOWNLOADS, ignore_errors=True)


def _has_hash(path: Path, value: str) -> bool:
    return path.is_file() and hash_file(path) == value


def select_files(part: str, files: Sequence[str]) -> dict[str, str]:
    """Select the files of a repository that make up `part`: file -> its name in the part's folder.

    Raises PackError if the weights are not among the files.
    """
    if part == "segmenter":
        selected = {SAM_FILE: "sam.pth"} if SAM_FILE in files else {}
    elif part == "scorer":
        names = ("open_clip_config.json", "open_clip_model.safetensors")
        extra = [f for f in files if f in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")]
        selected = {name: name for name in (*names, *extra)} if set(names) <= set(files) else {}
    elif part in ("tokenizer", "scheduler"):
        selected = {f: f.removeprefix(f"{part}/") for f in files if f.startswith(f"{part}/")}
    else:
        prefix = "" if part == "controlnet" else f"{part}/"
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        weights = [f"{prefix}{stem}.fp16.safetensors", f"{prefix}{stem}.safetensors"]
        best = next((f for f in weights if f in files), None)
        selected = {best: f"{stem}.safetensors", f"{prefix}config.json": "config.json"} if best else {}
    if not selected:
        raise PackError(f"the publisher of the {part} has no weights that can be used; assemble the pack by hand")
    return selected


def _resume(out: Path, repositories: dict[str, str]) -> dict[str, str]:
    """The revisions of an interrupted download into `out`. Removes parts that it took from other repositories."""
    if not (out / PULL_STATE).exists():
        return {}
    state = json.loads((out / PULL_STATE).read_text())
    for part, repository in state["sources"].items():
        if repositories.get(part) != repository:
            shutil.rmtree(out / part, ignore_errors=True)
    revisions: dict[str, str] = state["revisions"]
    return revisions


def _list_files(sources: dict[str, Source], revisions: dict[str, str]) -> list[PullFile]:
    """The files of all parts. revisions: repository -> commit to stay at; others are read at their newest commit."""
    listings, files = {}, []
    for part, source in sources.items():
        repository = source.repository
        if repository not in listings:
            with _hub_errors(part, repository):
                listings[repository] = HfApi().model_info(
                    repository, revision=revisions.get(repository), files_metadata=True
                )
        info = listings[repository]
        siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
        for name, target in select_files(part, list(siblings)).items():
            sibling = siblings[name]
            sha256 = sibling.lfs.sha256 if sibling.lfs else None
            files.append(PullFile(part, repository, str(info.sha), name, f"{part}/{target}", sibling.size, sha256))
    return files


def _download_file(file: PullFile, out: Path) -> None:
    """Download one file, verify it and move it to its place; or link the copy in the hub's cache."""
    target = out / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    cached = try_to_load_from_cache(file.repository, file.name, revision=file.revision)
    if isinstance(cached, str) and _matches_hash(Path(cached), file):
        _link_file(Path(cached).resolve(), target)
        return
    with _hub_errors(file.part, file.repository):
        downloads = out / DOWNLOADS / file.part
        path = Path(hf_hub_download(file.repository, file.name, revision=file.revision, local_dir=downloads))
    if not _matches_hash(path, file):
        path.unlink()
        raise PackError(
            f"{file.name} from {file.repository} does not match its publisher's hash; run the command again to "
            f"download it once more"
        )
    os.replace(path, target)


def _link_file(source: Path, target: Path) -> None:
    """Make `target` another name of `source`: a hard link, or a symbolic one between file systems."""
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source)


def _matches_hash(path: Path, file: PullFile) -> bool:
    """Whether a file has the size and the hash that the hub states. It states no hash of small files."""
    if file.bytes is not None and path.stat().st_size != file.bytes:
        return False
    return file.sha256 is None or hash_file(path) == file.sha256


def _check_same_control(out: Path, description: dict[str, object]) -> None:
    present = json.loads((out / "pack.json").read_text()).get("control", "mask")
    if present != description["control"]:
        raise PackError(
            f"{out} holds a pack with a ControlNet for {present}; give another folder with --to for one for "
            f"{description['control']}"
        )


def _check_free_disk(out: Path, needed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise PackError(
            f"{out} needs {needed / 1e9:.1f} GB more and its disk has {free / 1e9:.1f} GB free; make room or give "
            f"another folder with --to"
        )


@contextmanager
def _hub_errors(part: str, repository: str) -> Iterator[None]:
    """Turns what the hub's client, its transport and the disk raise into a PackError."""
    try:
        yield
    except Exception as error:  # each of them has its own kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackError(
            f"the {part} cannot be fetched from {repository} ({reason}); check the network and run the command again, "
            f"finished files are not downloaded twice"
        ) from error
