"""Videos of any length in the memory of one window: autoregressive extension, streamed to disk, resumable.

Frame 1 of the video anchors every window: its keys and values, and its share of the noise; or, with `reanchor`, a later
frame in its turn. The last frames of the window before go in clean as context. Each window's noise is drawn from the
seed and the window's place, so that a video that was killed and resumed has the bytes of an unbroken one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.colour_match import match_background
from mvmodel.backends.image_unet.noise import share_noise
from mvmodel.backends.instances import Instance
from mvmodel.files import atomic_write, hash_value

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Window:
    """Frames `start`..`stop` - 1 are made, with the `context` frames before them and the frame `anchor` given."""

    anchor: int
    context: int
    start: int
    stop: int

    @property
    def seen(self) -> list[int]:
        """Index in the video of every frame that the window's UNet calls know, in order."""
        return [self.anchor, *range(self.start - self.context, self.stop)]


def windows(frames: int, config: GenerationConfig) -> list[Window]:
    """The windows that make frames 1.. of a video (frame 0 is given), each of at most `config.window` frames."""
    out: list[Window] = []
    start, anchor = 1, 0
    moved = 1 if config.anchor == "window" else config.reanchor
    while start < frames:
        context = min(config.overlap, start - 1)
        if moved and out and len(out) % moved == 0:
            context = max(0, context - 1)
            anchor = start - context - 1
        elif anchor:
            context = min(context, start - 1 - anchor)  # a frame is either anchor or context
        stop = min(frames, start + config.window - 1 - context)
        out.append(Window(anchor, context, start, stop))
        start = stop
    return out


class _State:
    """What a video in the making needs to go on: the frames so far on disk, and the latents of the last few."""

    def __init__(self, folder: Path, recipe: str, shape: tuple[int, ...]) -> None:
        self.folder, self.recipe = folder, recipe
        folder.mkdir(parents=True, exist_ok=True)
        self.done, self.latents, self.anchor = 1, None, None
        file = folder / "state.npz"
        if file.exists() and (folder / "frames.npy").exists():
            with np.load(file, allow_pickle=False) as data:
                if str(data["recipe"]) == recipe:
                    self.done = int(data["done"])
                    self.latents, self.anchor = (torch.from_numpy(data[name]) for name in ("latents", "anchor"))
        if self.latents is None:
            self.frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, shape)
        else:
            self.frames = np.lib.format.open_memmap(folder / "frames.npy", "r+")

    def add(self, window: Window, frames: np.ndarray, latents: torch.Tensor, anchor: torch.Tensor) -> None:
        """Keep a window's frames, then say that they are there. latents: of the last frames; anchor: of its own."""
        self.frames[window.start : window.stop] = frames
        self.frames.flush()
        self.done, self.latents, self.anchor = window.stop, latents, anchor
        with atomic_write(self.folder / "state.npz") as aside, open(aside, "wb") as file:
            np.savez(file, recipe=self.recipe, done=self.done, latents=latents.numpy(), anchor=anchor.numpy())


@torch.no_grad()
def long_video(
    pipeline: Any,
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
) -> np.ndarray:
    """Make a video window by window in `folder`; returns its frames, uint8 (F, H, W, 3), mapped from the file there.

    masks: bool (F, H, W). first_frame: uint8 (H, W, 3). recipe: identifies what the pipeline is made of; with another
    one, or other inputs, what lies in `folder` is begun anew, with the same it is gone on with.
    """
    guidance = config.guidance_scale or pipeline.config.default_guidance_scale
    steps = config.steps or pipeline.config.default_steps
    config = config.model_copy(update={"guidance_scale": guidance, "steps": steps})
    about = [prompt, negative_prompt, seed, config.model_dump(), mask_term, recipe, first_frame.tobytes().hex()]
    about += [np.packbits(masks).tobytes().hex()]
    about += [[i.words, np.packbits(i.masks).tobytes().hex()] for i in instances or ()]
    state = _State(Path(folder), hash_value(about), (*masks.shape, 3))
    first = pipeline.encode_frames(first_frame[None])[:, None].float().cpu()  # (1, 1, C, h, w)
    state.frames[0] = first_frame
    for window in windows(len(masks), config):
        if window.stop <= state.done:
            continue
        tail = first if state.latents is None else state.latents  # frames start - K .. start - 1
        anchor = first[:, 0] if state.anchor is None else state.anchor
        if 0 < window.anchor >= window.start - tail.shape[1]:  # it has moved on to a frame that is still at hand
            anchor = tail[:, window.anchor - window.start]
        context = tail[:, tail.shape[1] - window.context :] if window.context else None
        words: dict[str, Any] = {"negative_prompt": negative_prompt, "mask_term": mask_term, "instances": None}
        if instances is not None:
            words["instances"] = [Instance(i.words, i.masks[window.seen]) for i in instances]
        made = _window(pipeline, window, prompt, masks, config, seed, anchor, context, words)
        if config.match_background:
            seen = torch.from_numpy(masks[[0, *range(window.start, window.stop)]]).float()
            made = match_background(made, first[:, 0], seen[1:], seen[0], config.match_background)
        frames = pipeline.decode_latents(made.to(pipeline._execution_device), "np")[0]
        kept = torch.cat([tail, made], dim=1)[:, -config.overlap :].contiguous()
        state.add(window, (frames * 255).round().astype(np.uint8), kept, anchor)
        if progress:
            progress(window.stop, len(masks))
    return state.frames


def _window(
    pipeline: Any,
    window: Window,
    prompt: str,
    masks: np.ndarray,
    config: GenerationConfig,
    seed: int,
    anchor: torch.Tensor,
    context: torch.Tensor | None,
    words: dict[str, Any],
) -> torch.Tensor:
    """Latents of the window's new frames, float32 (1, new, C, h, w)."""
    shape = anchor.shape[1:]
    noise_of_first = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))
    own = torch.Generator().manual_seed(int(hash_value([seed, window.start])[:15], 16))
    noise = torch.randn(1, window.stop - window.start, *shape, generator=own)
    latents = share_noise(torch.cat([noise_of_first, noise], dim=1), anchor, config.alpha, config.noise_sharing)
    level = int(config.context_noise * pipeline.scheduler.config.num_train_timesteps)
    if context is not None and level:
        extra = torch.randn(context.shape, generator=own)
        kept = pipeline.scheduler.alphas_cumprod[level]  # some schedulers' add_noise knows the sampled steps only
        context = kept.sqrt() * context + (1 - kept).sqrt() * extra
    out = pipeline(
        prompt,
        masks[window.seen],
        **words,
        **call_options(config),
        generator=own,
        latents=latents,
        first_latents=anchor,
        context_latents=context,
        context_timestep=level if context is not None else 0,
        first_index=1 if config.positions == "window" else max(1, window.start - window.context),
        output_type="latent",
    ).frames
    made: torch.Tensor = out[:, 1:].float().cpu()
    return made


def call_options(config: GenerationConfig) -> dict[str, Any]:
    """The pipeline's arguments that `config` holds."""
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
    }
