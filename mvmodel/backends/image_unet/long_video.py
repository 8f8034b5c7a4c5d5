"""Videos of any length in the memory of one window: generated window by window, streamed to disk, resumable.

Every window is anchored to frame 1 of the video by its keys, its values and its share of the noise, or with `reanchor`
to a later frame. The last frames of the previous window go in clean as context. Each window's noise depends on the seed
and the window's position, so an interrupted and resumed video has the same bytes as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvmodel.backends.generation_config import WITHOUT_MASKS, GenerationConfig
from mvmodel.backends.image_unet.background import PlateMemory
from mvmodel.backends.image_unet.camera import build_camera_path, to_cells
from mvmodel.backends.image_unet.colour_match import match_background
from mvmodel.backends.image_unet.later_frames import FrameFinish, FrameLayout, FrameOptions, draw_object_noise
from mvmodel.backends.image_unet.noise import share_noise
from mvmodel.backends.image_unet.noise_prior import FollowingNoise, mix_noise
from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
from mvmodel.backends.instances import Instance
from mvmodel.files import atomic_write, hash_value
from mvmodel.progress import report_steps, start_task, step_tensors, track
from mvmodel.video.tensors import to_uint8

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Window:
    """Generates frames `start`..`stop` - 1, given frame `anchor` and the `context` frames before `start`."""

    anchor: int
    context: int
    start: int
    stop: int

    @property
    def frame_indices(self) -> list[int]:
        """Index in the video of every frame that takes part, in order."""
        return [self.anchor, *range(self.start - self.context, self.stop)]


def plan_windows(frames: int, config: GenerationConfig) -> list[Window]:
    """The windows that generate frames 1.. of a video, each of at most `config.window` frames; frame 0 is given."""
    plan: list[Window] = []
    start, anchor = 1, 0
    windows_per_anchor = 1 if config.anchor == "window" else config.reanchor
    while start < frames:
        context = min(config.overlap, start - 1)
        if windows_per_anchor and plan and len(plan) % windows_per_anchor == 0:
            context = max(0, context - 1)
            anchor = start - context - 1
        elif anchor:
            context = min(context, start - 1 - anchor)  # a frame is either anchor or context
        stop = min(frames, start + config.window - 1 - context)
        plan.append(Window(anchor, context, start, stop))
        start = stop
    return plan


class _State:
    """The state of an unfinished video: its frames so far, and the latents of the last few and of the anchor."""

    def __init__(self, folder: Path, recipe: str, shape: tuple[int, ...]) -> None:
        self.folder, self.recipe = folder, recipe
        folder.mkdir(parents=True, exist_ok=True)
        self.next_frame, self.latents, self.anchor = 1, None, None
        self.plate: PlateMemory | None = None
        file = folder / "state.npz"
        if file.exists() and (folder / "frames.npy").exists():
            with np.load(file, allow_pickle=False) as state:
                if str(state["recipe"]) == recipe:
                    self.next_frame = int(state["next_frame"])
                    self.latents, self.anchor = (torch.from_numpy(state[name]) for name in ("latents", "anchor"))
                    if "plate_sums" in state.files:
                        sums, weights = (torch.from_numpy(state[f"plate_{name}"]) for name in ("sums", "weights"))
                        x, y = state["plate_origin"].tolist()
                        self.plate = PlateMemory(sums, weights, (x, y))
        if self.latents is None:
            self.frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, shape)
        else:
            self.frames = np.lib.format.open_memmap(folder / "frames.npy", "r+")

    def add(
        self,
        window: Window,
        frames: np.ndarray,
        latents: torch.Tensor,
        anchor: torch.Tensor,
        plate: PlateMemory | None = None,
    ) -> None:
        """Store a window's frames, then record that they are complete.

        latents: of the video's last frames. anchor: latents of the window's anchor. plate: backgrounds so far.
        """
        self.frames[window.start : window.stop] = frames
        self.frames.flush()
        self.next_frame, self.latents, self.anchor = window.stop, latents, anchor
        self.plate = plate
        state = {"latents": latents.numpy(), "anchor": anchor.numpy()}
        if plate is not None:
            state |= {"plate_sums": plate.sums.cpu().numpy(), "plate_weights": plate.weights.cpu().numpy()}
            state["plate_origin"] = np.array(plate.origin)
        with atomic_write(self.folder / "state.npz") as temporary, open(temporary, "wb") as file:
            np.savez(file, recipe=self.recipe, next_frame=self.next_frame, **state)  # type: ignore[arg-type]


@torch.no_grad()
def generate_long_video(
    pipeline: MaskVideoPipeline,
    prompt: str,
    masks: np.ndarray,
    first_frame: np.ndarray,
    config: GenerationConfig,
    seed: int,
    folder: Path,
    negative_prompt: str = "",
    mask_term: bool = True,
    instances: Sequence[Instance] | None = None,
    recipe: str = "",
    progress: Progress | None = None,
    first_latents: np.ndarray | None = None,
) -> np.ndarray:
    """Generate a video window by window.

    Args:
        pipeline: Generates the windows.
        prompt: What the video shows.
        masks: bool (frames, height, width).
        first_frame: uint8 (height, width, 3).
        config: Window, overlap, anchor and all sampling settings.
        seed: Of all noise.
        folder: Keeps the frames and the state. An interrupted video with the same inputs and recipe resumes; anything
            else that is there is overwritten.
        negative_prompt: What the video should not show.
        mask_term: False ignores the masks.
        instances: The objects, bound to words of the prompt.
        recipe: Identity of the pipeline's weights.
        progress: Called after every window with the number of frames done and in all.
        first_latents: Scaled latents of the first frame, float32 (C, h, w), in place of the encoded picture.

    Returns:
        uint8 (frames, height, width, 3), mapped from a file in `folder`.
    """
    guidance = config.guidance_scale or pipeline.config.default_guidance_scale
    steps = config.steps or pipeline.config.default_steps
    config = config.model_copy(update={"guidance_scale": guidance, "steps": steps})
    if not mask_term:
        config = config.model_copy(update=WITHOUT_MASKS)
    inputs = [prompt, negative_prompt, seed, config.model_dump(), mask_term, recipe, first_frame.tobytes().hex()]
    inputs += [np.packbits(masks).tobytes().hex()]
    inputs += [[i.words, np.packbits(i.masks).tobytes().hex()] for i in instances or ()]
    if first_latents is not None:
        inputs.append(first_latents.tobytes().hex())
    state = _State(Path(folder), hash_value(inputs), (*masks.shape, 3))
    if first_latents is None:
        first = pipeline.encode_frames(first_frame[None])[:, None].float().cpu()  # (1, 1, C, h, w)
    else:
        first = torch.from_numpy(first_latents)[None, None]
    state.frames[0] = first_frame
    layout = FrameLayout(
        torch.from_numpy(masks)[None].float(), 0, instances, build_camera_path(config.camera, masks.shape)
    )
    noise = WindowNoise(seed, first[0, 0].shape, layout, config)
    finish = _build_finish(pipeline, first_frame, first, layout, config)
    if state.plate is None and config.background != "none":
        state.plate = PlateMemory.for_path(first[:, 0], to_cells(layout.camera_path, masks.shape, first.shape))
    for window in track(plan_windows(len(masks), config), "generate windows"):
        if window.stop <= state.next_frame:
            continue
        tail = first if state.latents is None else state.latents  # the last frames before `start`
        anchor = first[:, 0] if state.anchor is None else state.anchor
        if 0 < window.anchor >= window.start - tail.shape[1]:  # the anchor moves to a frame whose latents are in `tail`
            anchor = tail[:, window.anchor - window.start]
        context = tail[:, tail.shape[1] - window.context :] if window.context else None
        conditions: dict[str, Any] = {"negative_prompt": negative_prompt, "mask_term": mask_term, "instances": None}
        conditions |= {"first_frame": np.array(state.frames[window.anchor]), "plate": _to_device(state.plate, pipeline)}
        if layout.camera is not None:
            conditions["camera"] = layout.camera[window.frame_indices]
        if instances is not None:
            conditions["instances"] = [Instance(i.words, i.masks[window.frame_indices]) for i in instances]
        latents, plate = _generate_window(pipeline, window, prompt, masks, config, noise, anchor, context, conditions)
        if config.match_background:
            masks_with_first = torch.from_numpy(masks[[0, *range(window.start, window.stop)]]).float()
            latents = match_background(
                latents, first[:, 0], masks_with_first[1:], masks_with_first[0], config.match_background
            )
        frames = pipeline.decode_latents(latents.to(pipeline._execution_device), "np")[0]
        if finish is not None:
            span = slice(window.start, window.stop)
            frames = finish(frames, masks[span], None if layout.camera is None else layout.camera[span])
        tail = torch.cat([tail, latents], dim=1)[:, -config.overlap :].contiguous()
        state.add(window, to_uint8(frames), tail, anchor, plate)
        if progress:
            progress(window.stop, len(masks))
    return state.frames


class WindowNoise:
    """The noise of every window: a function of the seed and the window's place in the video.

    shape: of a frame's latents, (C, h, w). layout: all frames of the video.
    """

    def __init__(self, seed: int, shape: Sequence[int], layout: FrameLayout, config: GenerationConfig) -> None:
        self.seed, self.shape, self.config = seed, tuple(shape), config
        generator = torch.Generator().manual_seed(seed)
        self.first = torch.randn(1, 1, *self.shape, generator=generator)
        self.following: FollowingNoise | None = None
        if config.noise_follow:
            draw = partial(draw_object_noise, generator, self.first)
            self.following = FollowingNoise(self.first[:, 0], draw, layout.objects(0), layout.camera)

    def generator(self, window: Window) -> torch.Generator:
        return torch.Generator().manual_seed(int(hash_value([self.seed, window.start])[:15], 16))

    def draw(self, window: Window, generator: torch.Generator) -> torch.Tensor:
        """Noise of frame 1 of the video, then of the window's new frames: (1, 1 + frames, C, h, w)."""
        frames = range(window.start, window.stop)
        noise = torch.randn(1, len(frames), *self.shape, generator=generator)
        if self.config.noise_prior == "mixed":
            common = self.first if self.following is None else self.following.frames(frames)
            noise = mix_noise(noise, common, self.config.noise_share)
        return torch.cat([self.first, noise], dim=1)


def _build_finish(
    pipeline: MaskVideoPipeline,
    first_frame: np.ndarray,
    first: torch.Tensor,
    layout: FrameLayout,
    config: GenerationConfig,
) -> FrameFinish | None:
    """What is done to decoded frames. first: latents of frame 1, (1, 1, C, h, w)."""
    options = FrameOptions(**FrameOptions.arguments_from(config))
    if not options.finishes(layout):
        return None
    decoded = pipeline.decode_latents(first.to(pipeline._execution_device), "np")[0, 0]
    picture, mask = first_frame.astype(np.float32) / 255, layout.masks[0, 0].numpy() > 0.5
    return FrameFinish(picture, decoded, mask, options.color_fix, options.pastes(layout))


def _to_device(plate: PlateMemory | None, pipeline: MaskVideoPipeline) -> PlateMemory | None:
    device = pipeline._execution_device
    return plate and PlateMemory(plate.sums.to(device), plate.weights.to(device), plate.origin)


def _generate_window(
    pipeline: MaskVideoPipeline,
    window: Window,
    prompt: str,
    masks: np.ndarray,
    config: GenerationConfig,
    noise: WindowNoise,
    anchor: torch.Tensor,
    context: torch.Tensor | None,
    conditions: dict[str, Any],
) -> tuple[torch.Tensor, PlateMemory | None]:
    """Latents of the window's new frames, float32 (1, new frames, C, h, w), and the backgrounds so far."""
    generator = noise.generator(window)
    latents = share_noise(noise.draw(window, generator), anchor, config.alpha, config.noise_sharing)
    timestep = int(config.context_noise * pipeline.scheduler.config.num_train_timesteps)
    if context is not None and timestep:
        context_noise = torch.randn(context.shape, generator=generator)
        alpha = pipeline.scheduler.alphas_cumprod[timestep]  # some schedulers' add_noise knows the sampled steps only
        context = alpha.sqrt() * context + (1 - alpha).sqrt() * context_noise
    with start_task("denoise", config.steps or 1) as advance:
        output = pipeline(
            prompt,
            masks[window.frame_indices],
            **{**pipeline_options(config), **conditions},
            generator=generator,
            latents=latents,
            first_latents=anchor,
            context_latents=context,
            context_timestep=timestep if context is not None else 0,
            first_index=1 if config.positions == "window" else max(1, window.start - window.context),
            output_type="latent",
            callback_on_step_end=report_steps(advance),
            callback_on_step_end_tensor_inputs=step_tensors(),
        )
    new_latents: torch.Tensor = output.frames[:, 1:].float().cpu()  # type: ignore[union-attr]
    return new_latents, output.plate  # type: ignore[union-attr]


def pipeline_options(config: GenerationConfig) -> dict[str, Any]:
    """The arguments of `MaskVideoPipeline` that `config` holds."""
    return {
        "num_inference_steps": config.steps,
        "guidance_scale": config.guidance_scale,
        "mask_guidance": config.mask_guidance,
        "mask_guidance_scale": config.mask_guidance_scale,
        "unbound_words": config.unbound_words,
        "alpha": config.alpha,
        "noise_sharing": config.noise_sharing,
        "adapter_scale": config.adapter_scale,
        "first_frame_attention": config.first_frame_attention,
        "cache_first_frame": config.cache_first_frame,
        **FrameOptions.arguments_from(config),
    }
