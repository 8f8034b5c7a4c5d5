"""Settings files: everything that decides a video, masks and first frame included, in one JSON file beside it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from mvmodel import __version__
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.config import Config, parse_config
from mvmodel.errors import InputError
from mvmodel.files import write_json
from mvmodel.generation.first_frame_fit import read_first_frame
from mvmodel.masks import MaskSequence
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import Fit
from mvmodel.packs.memory_config import MemoryLevel
from mvmodel.picture_size import Size
from mvmodel.text_files import read_text

RECORD_KEYS = frozenset(
    {"name", "motion", "source", "masks_sha256", "instances", "first_frame_sha256", "first_frame_at", "prompt_cut"}
    | {"camera", "fps", "out", "sha256", "first_frame_iou", "masks_fitted", "remarks", "settings"}
)
"""Keys of records of videos that say what came out and decide nothing."""


class EmbeddedFile(Config):
    """A file inside of a settings file. name: what it was called. data: its bytes in base64."""

    name: str
    sha256: str
    data: str

    @classmethod
    def from_bytes(cls, name: str, content: bytes) -> EmbeddedFile:
        """A file with its hash."""
        return cls(name=name, sha256=hashlib.sha256(content).hexdigest(), data=base64.b64encode(content).decode())

    def write(self, folder: Path, where: str) -> Path:
        """Write the file to `folder` under its own ending. Raises InputError naming `where` if it is damaged."""
        try:
            content = base64.b64decode(self.data, validate=True)
        except binascii.Error as error:
            raise InputError(f"{where} is damaged ({error}); give an unchanged settings file") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(f"{where} is not what its hash says; give an unchanged settings file")
        path = folder / f"content{Path(self.name).suffix}"
        path.write_bytes(content)
        return path


class VideoSettings(Config):
    """Everything that decides a video.

    masks: inside of the file, or the path of masks of any kind, or a list of WORDS=FILE. every: masks of a path are of
    every n-th frame, and those between are interpolated. first_frame: None is drawn by the ControlNet. adapter: None is
    the pack's start adapter. threads: of PyTorch on a CPU, where they decide the last bit of a pixel; None on a GPU.
    The hashes are None where they are not known.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = Field(0, ge=0, lt=2**63)
    masks: EmbeddedFile | str | list[str]
    every: int | None = Field(None, ge=2)
    first_frame: EmbeddedFile | str | None = None
    mask_term: bool = True
    size: Size | None = None
    fit: Fit = "crop"
    adapter: str | None = None
    adapter_sha256: str | None = None
    pack: str | None = None
    pack_folder: str | None = None
    pack_hash: str | None = None
    memory: MemoryLevel | None = None
    device: str | None = None
    threads: int | None = Field(None, ge=1)
    config: GenerationConfig = GenerationConfig()
    mvmodel: str = __version__

    def read_masks(self, where: Path) -> MaskSequence:
        """The masks inside of the settings file `where`, or those of the path that it names.

        Raises InputError if they are missing or damaged.
        """
        if isinstance(self.masks, list):
            raise InputError(f"{where} names masks of several objects; give them with --instance")
        if isinstance(self.masks, str):
            return read_masks(find_file(self.masks, where), every=self.every)
        with tempfile.TemporaryDirectory() as folder:
            return MaskSequence.load(self.masks.write(Path(folder), f"{where}: masks"))

    def read_first_frame(self, where: Path) -> np.ndarray | None:
        """The first frame inside of the settings file, or of the path that it names: uint8 (height, width, 3)."""
        if self.first_frame is None:
            return None
        if isinstance(self.first_frame, str):
            return read_first_frame(find_file(self.first_frame, where))
        with tempfile.TemporaryDirectory() as folder:
            return read_first_frame(self.first_frame.write(Path(folder), f"{where}: first_frame"))


def embed_masks(sequence: MaskSequence) -> EmbeddedFile:
    """Masks with their rate, objects and names."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "masks.npz"
        sequence.save(file)
        return EmbeddedFile.from_bytes("masks.npz", file.read_bytes())


def embed_picture(picture: np.ndarray) -> EmbeddedFile:
    """A picture, uint8 (height, width, 3), as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "first_frame.png"
        Image.fromarray(picture).save(file)
        return EmbeddedFile.from_bytes("first_frame.png", file.read_bytes())


def write_video_settings(path: Path, settings: VideoSettings, record: dict[str, Any] | None = None) -> None:
    """Write a settings file. record: what came out, for people; it is not read again."""
    write_json(path, {**settings.model_dump(mode="json"), **(record or {})})


def read_video_settings(path: Path) -> VideoSettings:
    """Read a settings file, what `mvmodel generate --json` printed, or the record beside a video of the pipeline.

    Raises InputError naming the file and the wrong setting.
    """
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); give the NAME.settings.json of a video") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no table of settings; give the NAME.settings.json of a video")
    deciding = {name: value for name, value in content.items() if name not in RECORD_KEYS}
    return parse_config(VideoSettings, deciding, str(path))


def find_file(name: str, where: Path) -> Path:
    """A file that a settings file names: relative to that file, or to the current folder. Raises InputError."""
    for path in (where.parent / name, Path(name)):
        if path.exists():
            return path
    raise InputError(f"{where} names {name}, which does not exist; put it there, or give it as an option")
