"""The adapters that can be chosen: those in the folders that the server was started with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mvmodel.files import hash_file

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""The file with an adapter's weights, as in `mvmodel.model.saving`, which imports torch."""


def find_adapters(folders: Sequence[Path]) -> dict[str, Path]:
    """Key -> folder of every adapter in `folders` or below them, the newest of each name. Keys are safe to show."""
    adapters: dict[str, Path] = {}
    for root in folders:
        files = [*root.glob("**/config.json")] if root.is_dir() else []
        for file in sorted(files, key=lambda path: path.stat().st_mtime):
            folder = file.parent
            if (folder / WEIGHTS).exists():
                adapters[_name(folder, root)] = folder
    return adapters


def find_adapter_key(adapter: str | None, sha256: str | None, folders: Sequence[Path]) -> str | None:
    """The key of an adapter that settings name, by its folder or the hash of its weights: "" for the pack's own.

    None if there is no such adapter.
    """
    if adapter is None:
        return ""
    adapters = find_adapters(folders)
    for key, folder in adapters.items():
        if folder.resolve() == Path(adapter).resolve():
            return key
    return next((key for key, folder in adapters.items() if hash_file(folder / WEIGHTS) == sha256), None)


def _name(folder: Path, root: Path) -> str:
    """The path below the root without parts that only say "adapter" or are hashes of versions."""
    parts = folder.relative_to(root).parts or (folder.name,)
    telling = [part for part in parts if part != "adapter" and not _is_hash(part)]
    return " / ".join(telling or parts[-1:])


def _is_hash(part: str) -> bool:
    return len(part) >= 10 and all(letter in "0123456789abcdef" for letter in part)
