"""`VideoJob`: one video from beginning to end. The command line and the studio make their videos with it.

It runs `requests.first_frames` and `requests.generate`, as the pipeline does for its tables, so that the same settings
give the same bytes whichever of the three asked for the video.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.errors import InputError
from mvmodel.files import hash_value
from mvmodel.generation.first_frame_fit import check_first_frame_fit
from mvmodel.generation.requests import Request, first_frames, generate
from mvmodel.generation.video_settings import VideoSettings, embed_masks, embed_picture
from mvmodel.masks import MaskSequence
from mvmodel.packs.device import count_threads

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend
    from mvmodel.packs import Pack


@dataclass(frozen=True)
class VideoFiles:
    """The files of a finished video, all in the job's work folder.

    video: .mp4. frames: .npz with the exact `frames`. record: what `requests.generate` recorded, with first_frame_iou.
    remarks: sentences about what the user should know.
    """

    video: Path
    frames: Path
    record: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class VideoJob:
    """Everything that decides a video.

    pack, backend: the models. masks: at the pack's size. config: filled with the pack's numbers. adapter: a folder.
    first_frame: uint8 (height, width, 3) at the pack's size, or None to draw it. strict: refuse a first frame that does
    not show the object where mask 1 is, instead of a remark.
    """

    pack: Pack
    backend: Backend
    prompt: str
    masks: MaskSequence
    config: GenerationConfig
    adapter: Path
    seed: int = 0
    negative_prompt: str = ""
    first_frame: np.ndarray | None = None
    mask_term: bool = True
    strict: bool = False

    def identity(self) -> str:
        """A hash of the inputs, so that the same job finds what an interrupted run left."""
        inputs: list[Any] = [self.prompt, self.negative_prompt, self.seed, self.config.model_dump()]
        inputs += [self.masks.content_hash(), self.masks.names, self.mask_term, str(self.adapter), self.pack.hash]
        inputs += [None if self.first_frame is None else hash_value(self.first_frame.tobytes().hex())]
        return hash_value(inputs)[:12]

    def run(self, work_dir: Path, show_first_frame: Callable[[np.ndarray], None] | None = None) -> VideoFiles:
        """Generate the video in `work_dir`, or resume it. show_first_frame: called with frame 1 when it is there."""
        self.masks.save(work_dir / "masks.npz")
        request = Request(
            name="video",
            motion="",
            prompt=self.prompt,
            masks=work_dir / "masks.npz",
            seed=self.seed,
            negative_prompt=self.negative_prompt,
        )
        folder, iou, remarks = work_dir / "first", None, list[str]()
        if self.first_frame is None:
            first_frames(self.backend, [request], self.config, folder)
        else:
            iou, remark = self._check_first_frame(self.first_frame)
            remarks += [remark] if remark else []
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            Image.fromarray(self.first_frame).save(folder / "video.png")
        if show_first_frame is not None:
            show_first_frame(np.asarray(Image.open(folder / "video.png").convert("RGB")))
        videos = work_dir / "videos"
        generate(self.backend, self.adapter, [request], folder, self.config, videos, self.mask_term)
        record = json.loads((videos / "video.json").read_text()) | {"first_frame_iou": iou}
        return VideoFiles(videos / "video.mp4", videos / "video.npz", record, remarks)

    def settings(self) -> VideoSettings:
        """The settings that make this video again, with masks and first frame inside."""
        start_adapter = self.pack.start_adapter()
        is_start = start_adapter is not None and self.adapter.resolve() == start_adapter.resolve()
        return VideoSettings(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            seed=self.seed,
            masks=embed_masks(self.masks),
            first_frame=None if self.first_frame is None else embed_picture(self.first_frame),
            mask_term=self.mask_term,
            size=self.pack.info.size,
            adapter=None if is_start else str(self.adapter.resolve()),
            adapter_sha256=self.backend.hash_adapter(self.adapter),
            pack=self.backend.name,
            pack_folder=str(self.pack.folder.resolve()),
            pack_hash=self.backend.hash,
            memory=self.backend.memory_level,
            device=self.backend.device,
            threads=count_threads(self.backend.device),
            config=self.config,
        )

    def _check_first_frame(self, first_frame: np.ndarray) -> tuple[float | None, str]:
        overlap, remark = check_first_frame_fit(
            self.pack, first_frame, self.masks.masks[0], self.prompt, self.config.first_frame_min_iou
        )
        if remark and self.strict:
            raise InputError(remark)
        return overlap, remark


def describe_differences(settings: VideoSettings, job: VideoJob) -> dict[str, str]:
    """Which models are not those that settings were recorded with: option that chooses them -> a sentence."""
    compared = {
        "--pack": ("the model pack", settings.pack_hash, job.backend.hash),
        "--adapter": ("the adapter", settings.adapter_sha256, job.backend.hash_adapter(job.adapter)),
    }
    return {
        option: f"{what} is not the one that the settings were made with"
        for option, (what, recorded, current) in compared.items()
        if recorded not in (None, current)
    }
