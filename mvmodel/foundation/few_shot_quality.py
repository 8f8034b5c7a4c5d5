"""Quality of the whole method on a pack: few-shot tuning on six clips, then videos of other objects and places.

The judge finds the foreground by itself (`metrics.judge.judge_iou`). Its ceiling is what it reaches on the
autoencoder's copy of the true video: nothing that this autoencoder decodes can be expected to score above it.

Only frames 2 to n are judged: frame 1 is drawn by the ControlNet on its mask, whatever the adapter does, and would
flatter a video that ignores the masks as much as one that follows them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from mvmodel.backends.generation_config import GenerationConfig, switch_off_later_frame_options
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.generation.requests import generate_video
from mvmodel.masks import MaskSequence
from mvmodel.metrics.judge import judge_iou
from mvmodel.packs import Pack
from mvmodel.training.finetune import finetune
from mvmodel.video.tensors import frames_to_tensor, tensor_to_frames
from mvmodel.world.render import HELD_OUT, RenderedClip, random_clip

TRAINING_MOTION = "bounce"
TRAINING_SCENES = (
    ("car", "meadow"),
    ("duck", "sea"),
    ("rabbit", "desert"),
    ("star", "night"),
    ("cow", "snow"),
    ("owl", "dusk"),
)
TEST_SCENES = (
    ("horse", "forest"), ("dog", "space"), ("cat", "snow"), ("pig", "meadow"), ("elephant", "desert"),
    ("rooster", "dusk"), ("fish", "sea"), ("turtle", "night"), ("truck", "forest"), ("apple", "space"),
    ("balloon", "meadow"), ("mushroom", "snow"),
)  # fmt: skip


def render_training_clips(frames: int) -> list[RenderedClip]:
    """The six clips that the adapter is tuned on; renders that no model of the pack has seen."""
    return [
        random_clip((HELD_OUT, number, 70), frames, motion=TRAINING_MOTION, objects=(name,), background=background)
        for number, (name, background) in enumerate(TRAINING_SCENES)
    ]


def render_test_clips(frames: int, count: int) -> list[RenderedClip]:
    """Clips of other objects and backgrounds: the first half moves as the six do, the others in other ways."""
    other_motions = ("gallop", "zigzag", "fall", "sway", "orbit", "glide")
    clips = []
    for number, (name, background) in enumerate(TEST_SCENES[:count]):
        motion = TRAINING_MOTION if number % 2 == 0 else other_motions[number // 2 % len(other_motions)]
        clips.append(
            random_clip((HELD_OUT, number, 71), frames, motion=motion, objects=(name,), background=background, pan=0.0)
        )
    return clips


@torch.no_grad()
def reconstruct_frames(pack: Pack, frames: np.ndarray) -> np.ndarray:
    """The autoencoder's copy of a video, uint8 (F, H, W, 3) in and out."""
    vae = pack.vae()
    parts = frames_to_tensor(frames).to(vae.device, vae.dtype).split(8)
    return tensor_to_frames(torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in parts]))


def measure_few_shot(pack: Pack, count: int = 12, seed: int = 0) -> dict[str, float]:
    """IoU of generated videos, frames 2 to n, as a share of the judge's ceiling, mask term on and off.

    Tunes with the default `TrainConfig`. Frame 1 comes from the ControlNet, as in the pipeline.
    """
    config, backend = GenerationConfig(**switch_off_later_frame_options()), load_backend(pack)
    clips = render_test_clips(pack.info.frames, count)
    models = pack.scorer(), pack.segmenter()

    def measure_iou(frames: np.ndarray, clip: RenderedClip) -> float:
        return float(judge_iou(frames[1:], clip.masks[1:], *models, list(clip.objects)).mean())

    ious: dict[str, list[float]] = {"ceiling": [], "full": [], "without": []}
    with tempfile.TemporaryDirectory() as work:
        training_clips = [
            TrainingClip(c.objects[0], c.frames, c.masks, c.caption) for c in render_training_clips(pack.info.frames)
        ]
        start = "start" if pack.start_adapter() is not None else None
        adapter = finetune(
            backend, training_clips, TrainConfig(init_from=start, seed=seed), Path(work), report=lambda row: None
        )
        for number, clip in enumerate(clips):
            copy = reconstruct_frames(pack, clip.frames)
            ious["ceiling"].append(measure_iou(copy, clip))
            first = backend.first_frames([clip.caption], clip.masks[:1], [seed + number], config)[0]
            masks = MaskSequence(clip.masks)
            for setting, mask_term in (("full", True), ("without", False)):
                video = generate_video(
                    backend, adapter, clip.caption, masks, first, config, seed + number, mask_term=mask_term
                )
                ious[setting].append(measure_iou(video, clip))
    ceiling = float(np.mean(ious["ceiling"]))
    return {
        "judge_ceiling": ceiling,
        "few_shot_share": float(np.mean(ious["full"])) / ceiling,
        "few_shot_share_trained_motion": float(np.mean(ious["full"][::2])) / float(np.mean(ious["ceiling"][::2])),
        "few_shot_share_new_motion": float(np.mean(ious["full"][1::2])) / float(np.mean(ious["ceiling"][1::2])),
        "few_shot_share_without_mask": float(np.mean(ious["without"])) / ceiling,
    }
