"""Frames 2 to n besides denoising them: common noise, the ControlNet on every frame, colours, pasted background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel

from mvmodel.backends.generation_config import (
    WITHOUT_MASKS,
    BackgroundMode,
    ColorFix,
    ControlBranches,
    ControlFrames,
    GenerationConfig,
    NoisePrior,
)
from mvmodel.backends.image_unet.anchor import build_anchors
from mvmodel.backends.image_unet.background import paste_background
from mvmodel.backends.image_unet.camera import pan_pictures
from mvmodel.backends.image_unet.colour_fix import estimate_tint
from mvmodel.backends.image_unet.control_pictures import draw_control_picture
from mvmodel.backends.image_unet.frame_control import FrameControl
from mvmodel.backends.image_unet.noise import draw_noise
from mvmodel.backends.image_unet.noise_prior import FollowingNoise, mix_noise
from mvmodel.backends.instances import Instance
from mvmodel.model.context import ObjectAnchor
from mvmodel.packs.info import ControlKind


@dataclass
class FrameLayout:
    """The frames of one call: frame 1, context frames, new frames.

    Attributes:
        masks: Float 0/1 (B, F, H, W).
        context: How many context frames there are after frame 1.
        instances: Objects that the videos of the batch share, or None.
        camera: Camera positions relative to the video's frame 1, (F, 2), in pixels to the right and down, or None if
            they are unknown.
    """

    masks: torch.Tensor
    context: int = 0
    instances: Sequence[Instance] | None = None
    camera: np.ndarray | None = None

    @property
    def new_frames(self) -> slice:
        return slice(1 + self.context, None)

    @property
    def camera_path(self) -> np.ndarray:
        """`camera`, or a camera that stands still."""
        return np.zeros((self.masks.shape[1], 2)) if self.camera is None else self.camera

    def objects(self, video: int) -> list[np.ndarray]:
        """Masks of each object of one video, bool (F, H, W)."""
        if self.instances:
            return [instance.masks for instance in self.instances]
        return [self.masks[video].cpu().numpy() > 0.5]


@dataclass(frozen=True)
class FrameOptions:
    """What else a call of the pipeline does for the frames after frame 1; nothing by default.

    The fields are those of `GenerationConfig`, where they are described. `camera` may also be positions in pixels, (F,
    2).
    """

    noise_prior: NoisePrior = "independent"
    noise_share: float = 0.9
    noise_follow: bool = False
    control_frames: ControlFrames = "first"
    control: ControlKind | None = None
    controlnet_conditioning_scale: float = 1.0
    control_guidance_start: float = 0.0
    control_guidance_end: float = 1.0
    control_branches: ControlBranches = "masked"
    background: BackgroundMode = "none"
    background_paste: bool = False
    background_inpaint: float = 0.0
    camera: Sequence[float] | np.ndarray | None = None
    color_fix: ColorFix = "none"
    draft_strength: float = 0.0
    draft_end: float = 0.6
    guidance_rescale: float = 0.0
    appearance_anchor: float = 0.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    timestep_range: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def arguments_from(cls, config: GenerationConfig) -> dict[str, Any]:
        """The fields' values in `config`, as keyword arguments."""
        return {option.name: getattr(config, option.name) for option in fields(cls)}

    def without_masks(self) -> FrameOptions:
        """The options without those that read the masks of later frames."""
        return replace(self, **WITHOUT_MASKS)

    def resolve_background(self, layout: FrameLayout) -> BackgroundMode:
        """`background`, with "auto" replaced: a plate needs to know how the camera moves."""
        if self.background != "auto":
            return self.background
        return "none" if layout.camera is None else "plate"

    def build_noise_prior(self, layout: FrameLayout) -> MixedNoise | None:
        """The change of the starting noise, if there is one."""
        return MixedNoise(self.noise_share, self.noise_follow, layout) if self.noise_prior == "mixed" else None

    def build_anchors(self, layout: FrameLayout, first: torch.Tensor, levels: int) -> list[ObjectAnchor]:
        """The anchors of all objects. first: latents of frame 1, (B, C, h, w). levels: resolutions of the UNet."""
        if not self.appearance_anchor:
            return []
        objects = [layout.masks]
        if layout.instances:
            shape = layout.masks.shape
            objects = [torch.from_numpy(instance.masks)[None].float().expand(shape) for instance in layout.instances]
        masks = [object_masks.to(first.device, torch.float32) for object_masks in objects]
        return build_anchors(masks, self.appearance_anchor, (first.shape[-2], first.shape[-1]), levels)

    def pastes(self, layout: FrameLayout) -> bool:
        return self.background_paste and self.resolve_background(layout) != "none"

    def finishes(self, layout: FrameLayout) -> bool:
        """Whether decoded frames are changed."""
        return self.color_fix != "none" or self.pastes(layout)


def draw_control_pictures(layout: FrameLayout, kind: ControlKind, prompts: Sequence[str]) -> torch.Tensor:
    """Control pictures of the new frames, float32 0..1 (B, F, 3, H, W). prompts: one, or one per video."""
    masks = layout.masks[:, layout.new_frames].cpu().numpy() > 0.5
    pictures = []
    for video, video_masks in enumerate(masks):
        prompt = prompts[video % len(prompts)] if prompts else ""
        for index, mask in enumerate(video_masks, 1 + layout.context):
            instances = [Instance(i.words, i.masks[index : index + 1]) for i in layout.instances or ()]
            pictures.append(draw_control_picture(mask, kind, prompt, instances or None))
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return stacked.unflatten(0, masks.shape[:2])


def build_frame_control(
    options: FrameOptions,
    layout: FrameLayout,
    controlnet: ControlNetModel,
    prompts: Sequence[str],
    kind: ControlKind,
) -> FrameControl:
    """The ControlNet on the new frames. prompts, kind: see `draw_control_pictures`."""
    return FrameControl(
        controlnet,
        draw_control_pictures(layout, kind, prompts),
        options.controlnet_conditioning_scale,
        options.control_guidance_start,
        options.control_guidance_end,
        options.control_branches,
    )


@dataclass
class FrameFinish:
    """What is done to decoded frames: the colour fix, and frame 1's pixels in the background.

    Attributes:
        first_frame: float32 (H, W, 3), 0..1.
        decoded: The same after encoding and decoding.
        first_mask: bool (H, W).
        color_fix: See `estimate_tint`.
        paste: Whether to paste the background.
    """

    first_frame: np.ndarray
    decoded: np.ndarray
    first_mask: np.ndarray
    color_fix: ColorFix = "none"
    paste: bool = False
    _tint: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._tint = estimate_tint(self.first_frame, self.decoded, self.first_mask, self.color_fix)

    def __call__(self, frames: np.ndarray, masks: np.ndarray, offsets: np.ndarray | None = None) -> np.ndarray:
        """Later frames, float32 0..1 (F, H, W, 3) in and out.

        masks: bool (F, H, W). offsets: camera positions relative to frame 1, (F, 2), in pixels.
        """
        tints = self._tint[None] if offsets is None else pan_pictures(self._tint, offsets)[0]
        frames = np.clip(frames + tints, 0, 1)
        if self.paste:
            frames = paste_background(frames, self.first_frame, masks, self.first_mask, offsets)
        return frames


def finish_videos(
    pictures: Callable[[], np.ndarray], layout: FrameLayout, options: FrameOptions, videos: np.ndarray
) -> np.ndarray:
    """Finish decoded videos, float32 0..1 (B, F, H, W, 3), frame 1 included, which becomes the picture itself.

    pictures: returns frame 1, uint8 (B, H, W, 3).
    """
    finished = videos.copy()
    offsets = None if layout.camera is None else (layout.camera - layout.camera[0])[layout.new_frames]
    masks = layout.masks.cpu().numpy() > 0.5
    for video, picture in enumerate(pictures().astype(np.float32) / 255):
        finish = FrameFinish(picture, videos[video, 0], masks[video, 0], options.color_fix, options.pastes(layout))
        finished[video, 0] = picture
        finished[video, 1:] = finish(videos[video, 1:], masks[video, layout.new_frames], offsets)
    return finished


@dataclass(frozen=True)
class MixedNoise:
    """Noise of which a share is common to all frames, and may follow the masks; see `GenerationConfig.noise_prior`."""

    share: float
    follow: bool
    layout: FrameLayout

    def __call__(self, noise: torch.Tensor, generator: torch.Generator | list[torch.Generator] | None) -> torch.Tensor:
        """noise: standard normal (B, F, C, h, w), of frame 1 and the new frames; frame 1's is not changed."""
        common = noise[:, :1]
        if self.follow:
            frames = range(1 + self.layout.context, self.layout.masks.shape[1])
            videos = []
            for video in range(len(noise)):
                source = generator[video] if isinstance(generator, list) else generator
                draw = partial(draw_object_noise, source, noise)
                following = FollowingNoise(
                    noise[video : video + 1, 0], draw, self.layout.objects(video), self.layout.camera
                )
                videos.append(following.frames(frames))
            common = torch.cat(videos)
        return torch.cat([noise[:, :1], mix_noise(noise[:, 1:], common, self.share)], dim=1)


def draw_object_noise(generator: torch.Generator | None, noise: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Noise with a batch axis of 1, of the type of `noise`."""
    return draw_noise((1, *shape), generator, noise.device, noise.dtype)
