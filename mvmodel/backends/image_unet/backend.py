"""`ImageUNetBackend`: the backend of packs with a UNet2DConditionModel, an AutoencoderKL and a ControlNet."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mvmodel import __version__
from mvmodel.backends.backend import Backend
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.first_frame import generate_first_latents
from mvmodel.backends.image_unet.latents import TrainingLatents, cache_training_latents, draw_batch
from mvmodel.backends.image_unet.long_video import generate_long_video, pipeline_options
from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
from mvmodel.backends.image_unet.prompts import find_cut_text
from mvmodel.backends.image_unet.text_to_image import generate_images
from mvmodel.backends.image_unet.trainee import AdapterTrainee
from mvmodel.backends.instances import Instance
from mvmodel.backends.out_of_memory import retry_with_less_memory
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError
from mvmodel.files import hash_file, hash_value
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.saving import WEIGHTS, load_adapter
from mvmodel.progress import report_steps, start_task, step_tensors
from mvmodel.video.tensors import to_uint8

if TYPE_CHECKING:
    from mvmodel.packs import Pack

MAX_PIPELINES = 4
"""Pipelines kept in memory, so that a batch loads its adapter once."""


class ImageUNetBackend(Backend):
    """Frames 2..n by an image UNet with a motion adapter; frame 1 by the same UNet with a ControlNet."""

    supported_generation_settings = frozenset(GenerationConfig.model_fields)
    supported_training_settings = frozenset(TrainConfig.model_fields)

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._pipelines: dict[tuple[str, ...], MaskVideoPipeline] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_once, (self.pack,)  # another process builds its pipelines itself, and once

    @property
    def name(self) -> str:
        return self.pack.info.name

    @property
    def hash(self) -> str:
        return self.pack.hash

    @property
    def random(self) -> bool:
        return self.pack.info.random

    @property
    def device(self) -> str:
        return self.pack.device

    @property
    def frame_size(self) -> tuple[int, int]:
        return self.pack.info.size.shape

    @property
    def size_multiple(self) -> int:
        """What height and width in pixels must be divisible by."""
        return self.pack.size_multiple

    def check_shape(self, frames: int, height: int, width: int) -> None:
        if frames < 2:
            raise InputError("one frame is a picture, not a video; give at least two frames")
        multiple = self.size_multiple
        if height % multiple or width % multiple:
            raise InputError(
                f"frames are {width}x{height}, but the pack {self.name} needs width and height divisible by "
                f"{multiple}; resize them"
            )

    def fill_generation_config(self, config: GenerationConfig) -> GenerationConfig:
        return config.for_pack(self.pack.info)

    def fill_training_config(self, config: TrainConfig) -> TrainConfig:
        return config.for_pack(self.pack.info)

    def find_cut_text(self, prompt: str) -> str:
        return find_cut_text(self.pack.tokenizer(), prompt)

    def first_frames(
        self,
        prompts: Sequence[str],
        masks: np.ndarray,
        seeds: Sequence[int],
        config: GenerationConfig,
        negative_prompts: Sequence[str] | None = None,
        instances: Sequence[Instance] | None = None,
    ) -> np.ndarray:
        return self.first_frames_with_latents(prompts, masks, seeds, config, negative_prompts, instances)[0]

    def first_frames_with_latents(
        self,
        prompts: Sequence[str],
        masks: np.ndarray,
        seeds: Sequence[int],
        config: GenerationConfig,
        negative_prompts: Sequence[str] | None = None,
        instances: Sequence[Instance] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        def generate() -> tuple[np.ndarray, np.ndarray]:
            return generate_first_latents(
                self.pack, prompts, masks, seeds, config, negative_prompts, instances=instances
            )

        return retry_with_less_memory("first frames", generate, partial(self.step_down_memory, training=False))

    def generate_images(
        self, prompts: Sequence[str], seeds: Sequence[int], steps: int, guidance_scale: float
    ) -> np.ndarray:
        return generate_images(self.pack, prompts, seeds, steps, guidance_scale)

    def sample(
        self,
        adapter: Path | None,
        prompt: str,
        masks: np.ndarray,
        first_frame: np.ndarray,
        config: GenerationConfig,
        seed: int,
        *,
        negative_prompt: str = "",
        mask_term: bool = True,
        instances: Sequence[Instance] | None = None,
        work_dir: Path | None = None,
        first_latents: np.ndarray | None = None,
    ) -> np.ndarray:
        filled, weights = self.fill_generation_config(config), "" if adapter is None else self.hash_adapter(adapter)

        def generate() -> np.ndarray:
            if self.pack.memory.offload:
                unused = ["segmenter", "scorer"] + ["controlnet"] * (filled.control_frames == "first")
                self.pack.unload(*unused)
            pipeline = self._pipeline(adapter, weights, filled)
            return self._sample(
                pipeline,
                prompt,
                masks,
                first_frame,
                filled,
                seed,
                negative_prompt,
                mask_term,
                instances,
                work_dir,
                weights,
                first_latents,
            )

        return retry_with_less_memory("video", generate, partial(self.step_down_memory, training=False))

    def _sample(
        self,
        pipeline: MaskVideoPipeline,
        prompt: str,
        masks: np.ndarray,
        first_frame: np.ndarray,
        config: GenerationConfig,
        seed: int,
        negative_prompt: str,
        mask_term: bool,
        instances: Sequence[Instance] | None,
        work_dir: Path | None,
        weights: str,
        first_latents: np.ndarray | None,
    ) -> np.ndarray:
        """One video by a pipeline, window by window if it is long. weights: the adapter's hash."""
        if config.window and len(masks) > config.window:
            with tempfile.TemporaryDirectory() if work_dir is None else nullcontext(work_dir) as folder:
                frames = generate_long_video(
                    pipeline,
                    prompt,
                    masks,
                    first_frame,
                    config,
                    seed,
                    Path(folder),
                    negative_prompt,
                    mask_term,
                    instances,
                    recipe=hash_value([weights, self.hash, __version__]),
                    first_latents=first_latents,
                )
                return np.array(frames) if work_dir is None else frames
        with start_task("denoise", config.steps or 1) as advance:
            video = pipeline(  # type: ignore[union-attr]
                prompt,
                masks,
                first_frame,
                negative_prompt=negative_prompt,
                mask_term=mask_term,
                instances=instances,
                **pipeline_options(config),
                first_latents=None if first_latents is None else torch.from_numpy(first_latents)[None],
                generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=report_steps(advance),
                callback_on_step_end_tensor_inputs=step_tensors(),
            ).frames[0]
        frames = to_uint8(video)
        frames[0] = first_frame
        return frames

    def _pipeline(self, adapter: Path | None, weights: str, config: GenerationConfig) -> MaskVideoPipeline:
        """The pipeline with this adapter and scheduler, built or kept from an earlier call."""
        key = (str(adapter), weights, config.scheduler, config.control_frames)
        if key not in self._pipelines:
            while len(self._pipelines) >= MAX_PIPELINES:
                self._pipelines.pop(next(iter(self._pipelines)))
            self._pipelines[key] = build_pipeline(self.pack, adapter, config)
        return self._pipelines[key]

    @property
    def memory_level(self) -> str:
        return self.pack.memory.level

    def attention_bytes(self, frames: int, height: int, width: int) -> int:
        unet, cells = self.pack.unet(), height * width // self.pack.latent_factor**2
        last = len(unet.config.block_out_channels) - 1
        scores = 0
        for name, module in unet.named_modules():
            if name.endswith(".attn1"):
                block, number = name.split(".")[:2]  # such as down_blocks, 0
                level = int(number) if block == "down_blocks" else last - int(number) if block == "up_blocks" else last
                scores += int(module.heads) * frames * (cells // 4**level) ** 2
        return 4 * scores

    def step_down_memory(self, training: bool = True) -> str | None:
        plan = self.pack.step_down_memory(training)
        self._pipelines.clear()
        return None if plan is None else f"memory plan {plan.level}"

    def start_adapter(self) -> Path | None:
        return self.pack.start_adapter()

    def hash_adapter(self, folder: Path) -> str:
        return hash_file(Path(folder) / WEIGHTS)

    def cache_clips(self, clips: Sequence[TrainingClip], file: Path, flip: bool) -> TrainingLatents:
        return cache_training_latents(self.pack, clips, file, flip)

    def draw(self, cached: TrainingLatents, config: TrainConfig, index: int) -> tuple[torch.Tensor, ...]:
        return draw_batch(cached, config, index, self.pack.scheduler().config.num_train_timesteps)

    def new_trainee(self, config: TrainConfig, device: str) -> AdapterTrainee:
        adapter = MotionMaskAdapter.for_unet(
            self.pack.unet(),
            patch=self.pack.latent_factor,
            mask_encoder=config.mask_encoder,
            mask_width=config.mask_width,
            foreground_tokens=config.foreground_tokens,
            temporal_share=config.temporal_share,
        )
        return AdapterTrainee(self.pack, adapter, config, device)

    def load_trainee(self, folder: Path, config: TrainConfig, device: str) -> AdapterTrainee:
        adapter = load_adapter(folder)
        adapter.check_fits(self.pack.unet())
        return AdapterTrainee(self.pack, adapter, config, device)


@cache
def _load_once(pack: Pack) -> ImageUNetBackend:
    """The backend of a pack in a process that was sent it."""
    return ImageUNetBackend(pack)
