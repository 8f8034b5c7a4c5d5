"""`mvmodel packs check` for packs with an open vocabulary, such as sd15: what suits the pack, on its user's machine.

Masks and training clips are renders of the motion world in the pack's size; no such pack was trained on them. Pictures
are judged by the pack's own segmenter and scorer, which are not shown the masks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError
from mvmodel.files import write_json
from mvmodel.foundation.few_shot_quality import render_test_clips, render_training_clips
from mvmodel.generation.requests import generate_video
from mvmodel.masks import MaskSequence
from mvmodel.masks.geometry import mask_iou
from mvmodel.metrics.adherence import find_foreground
from mvmodel.packs import Pack
from mvmodel.packs.info import ControlKind, read_pack_info
from mvmodel.progress import track
from mvmodel.training.finetune import finetune
from mvmodel.world.render import RenderedClip

CONTROL_SCALES = (0.6, 1.0, 1.4)
MIN_CONTROL_IOU = 0.4
MIN_SEGMENTER_IOU = 0.5
MIN_TEXT_MARGIN = 0.02
"""By how much a picture has to be closer to its own prompt than to the others' on average, as a cosine."""
MIN_MASK_GAIN = 0.05
MIN_CONTRAST = 4.0
"""Standard deviation of a picture's values, 0 to 255, below which it shows nothing."""


@dataclass(frozen=True)
class CheckSize:
    """pictures: for each kind of control picture and strength. videos: judged after the short tuning."""

    pictures: int = 8
    videos: int = 3
    training_steps: int = 300
    training_clips: int = 6

    @classmethod
    def quick(cls) -> CheckSize:
        return cls(pictures=2, videos=1, training_steps=75, training_clips=3)


def check_open_pack(pack: Pack, size: CheckSize, generation: GenerationConfig = GenerationConfig()) -> dict[str, Any]:
    """Measure a pack, and derive settings and advice from what was measured.

    Returns `quality` (name -> number), `control` (kind -> strength -> IoU), `recommended` (settings of pack.json) and
    `advice` (sentences about what is out of order and what to do).
    """
    generation = generation.for_pack(pack.info)
    clips = [fit_render(clip, pack) for clip in render_test_clips(pack.info.frames, size.pictures)]
    steps: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("segmenter", lambda: {"segmenter_iou": measure_segmenter_ceiling(pack, clips)}),
        ("text", lambda: measure_text(pack, clips, generation)),
        ("control", lambda: {"control": measure_control(pack, clips, generation)}),
    ]
    figures: dict[str, Any] = {}
    for _, measure in track(steps, "check pack"):
        figures |= measure()
    control = figures.pop("control")
    kind, scale = choose_control(control)
    figures["control_iou"] = control[kind][str(scale)]
    if not can_recommend(figures):
        kind, scale = pack.info.control, 1.0 if generation.control_scale is None else generation.control_scale
    recommended = {"control": kind, "control_scale": scale}
    generation = generation.model_copy(update=recommended)
    figures |= measure_mask_term(pack, clips[: size.videos], generation, size)
    return {
        "quality": {name: round(value, 4) for name, value in figures.items()},
        "control": control,
        "recommended": recommended,
        "advice": list_advice(figures, pack.info.control, kind),
    }


def fit_render(clip: RenderedClip, pack: Pack) -> RenderedClip:
    """A render in the pack's size: scaled to the shorter side, mirrored background on both sides of it."""
    height, width = pack.info.size.height, pack.info.size.width
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    borders = (top, height - side - top, left, width - side - left)

    def fit(picture: np.ndarray, border: int, interpolation: int) -> np.ndarray:
        scaled = cv2.resize(picture, (side, side), interpolation=interpolation)
        return np.asarray(cv2.copyMakeBorder(scaled, *borders, border))

    frames = np.stack([fit(frame, cv2.BORDER_REFLECT, cv2.INTER_CUBIC) for frame in clip.frames])
    masks = [
        [fit(mask.astype(np.uint8), cv2.BORDER_CONSTANT, cv2.INTER_NEAREST) > 0 for mask in one]
        for one in clip.instances
    ]
    return RenderedClip(frames, np.array(masks), clip.caption, clip.objects, clip.motions, clip.background, clip.seed)


def measure_segmenter_ceiling(pack: Pack, clips: list[RenderedClip]) -> float:
    """Mean IoU of the foreground that the judge finds in renders with their true masks."""
    return float(np.mean([_judge_picture(pack, clip.frames[0], clip) for clip in clips]))


def measure_text(pack: Pack, clips: list[RenderedClip], generation: GenerationConfig) -> dict[str, float]:
    """Alignment of pictures from text alone with their own prompts and with the others'; and their contrast."""
    prompts = [clip.caption for clip in clips]
    backend, scorer = load_backend(pack), pack.scorer()
    steps, guidance = generation.first_frame_steps, generation.first_frame_guidance or 1.0
    pictures = np.concatenate(
        [backend.generate_images([prompt], [seed], steps, guidance) for seed, prompt in enumerate(prompts)]
    )
    similarities = scorer.images(pictures) @ scorer.texts(prompts).T
    others = similarities[~np.eye(len(prompts), dtype=bool)]
    return {
        "text_alignment": float(np.diag(similarities).mean()),
        "text_alignment_other_prompts": float(others.mean()) if len(others) else 0.0,
        "picture_contrast": float(min(picture.std() for picture in pictures)),
    }


def measure_control(
    pack: Pack, clips: list[RenderedClip], generation: GenerationConfig
) -> dict[str, dict[str, float | None]]:
    """Kind of control picture -> strength -> mean IoU of first frames with their masks.

    None where a picture cannot be drawn, such as the classes of an object that ADE20K does not have.
    """
    backend = load_backend(pack)
    figures: dict[str, dict[str, float | None]] = {}
    for kind in get_args(ControlKind):
        figures[kind] = {}
        for scale in CONTROL_SCALES:
            config = generation.model_copy(update={"control": kind, "control_scale": scale})
            ious = []
            for seed, clip in enumerate(clips):
                try:
                    frame = backend.first_frames([clip.caption], clip.masks[:1], [seed], config)[0]
                except InputError:
                    continue
                ious.append(_judge_picture(pack, frame, clip))
            figures[kind][str(scale)] = round(float(np.mean(ious)), 4) if ious else None
    return figures


def measure_mask_term(
    pack: Pack, clips: list[RenderedClip], generation: GenerationConfig, size: CheckSize
) -> dict[str, float]:
    """IoU of frames 2..n of videos after one short tuning, with the mask term and without it."""
    backend = load_backend(pack)
    renders = [fit_render(clip, pack) for clip in render_training_clips(pack.info.frames)[: size.training_clips]]
    training = [TrainingClip(clip.objects[0], clip.frames, clip.masks, clip.caption) for clip in renders]
    config = TrainConfig(
        steps=size.training_steps, warmup=min(20, size.training_steps // 4), init_from=None, lr=1e-4, mask_lr=1e-3
    )
    ious: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as work_dir:
        adapter = finetune(backend, training, config, Path(work_dir), report=lambda row: None)
        for seed, clip in enumerate(clips):
            first = backend.first_frames([clip.caption], clip.masks[:1], [seed], generation)[0]
            for mask_term, values in ious.items():
                video = generate_video(
                    backend,
                    adapter,
                    clip.caption,
                    MaskSequence(clip.masks),
                    first,
                    generation,
                    seed,
                    mask_term=mask_term,
                )
                values += [_judge_picture(pack, frame, clip, index) for index, frame in enumerate(video)][1:]
    return {
        "tuned_iou": float(np.mean(ious[True])),
        "tuned_iou_without_mask_term": float(np.mean(ious[False])),
        "mask_gain": float(np.mean(ious[True]) - np.mean(ious[False])),
    }


def choose_control(control: dict[str, dict[str, float | None]]) -> tuple[ControlKind, float]:
    """The kind and the strength with the highest IoU; of equal ones the first kind, at the strength nearest to 1."""
    ranked = [
        (-iou, number, abs(float(scale) - 1), kind, float(scale))
        for number, (kind, scales) in enumerate(control.items())
        for scale, iou in scales.items()
        if iou is not None
    ]
    _, _, _, kind, scale = min(ranked)
    return kind, scale  # type: ignore[return-value]


def can_recommend(figures: dict[str, float]) -> bool:
    """Whether the IoUs of control pictures say anything: a judge that sees nothing ranks them by chance."""
    return figures["segmenter_iou"] >= MIN_SEGMENTER_IOU and figures["control_iou"] >= MIN_CONTROL_IOU


def list_advice(figures: dict[str, float], trained_control: ControlKind, best_control: ControlKind) -> list[str]:
    """What is out of order, and what to do about it; one sentence for each fault, none if all is well."""
    advice = []
    if figures["picture_contrast"] < MIN_CONTRAST:
        advice.append(
            "Pictures are of one colour, as if half precision overflowed: set the precision to bf16 or fp32, or use "
            "another autoencoder (`mvmodel packs assemble --vae`)."
        )
    elif figures["text_alignment"] - figures["text_alignment_other_prompts"] < MIN_TEXT_MARGIN:
        advice.append(
            "Pictures from text do not show their prompts: the checkpoint may predict v (`mvmodel packs assemble "
            "--v-prediction`), or its text encoder, tokenizer or scorer is another model's."
        )
    if figures["segmenter_iou"] < MIN_SEGMENTER_IOU:
        advice.append(
            f"The segmenter finds objects in renders with an IoU of {figures['segmenter_iou']:.2f} only, so no IoU of "
            f"this pack means much, and its control settings stay: use a larger segment-anything model."
        )
    if figures["control_iou"] < MIN_CONTROL_IOU:
        advice.append(
            f"First frames follow their masks with an IoU of {figures['control_iou']:.2f} at best: download a "
            f"ControlNet for another picture (`mvmodel packs pull sd15 --control softedge`), or give your own first "
            f"frames; the control settings stay."
        )
    elif best_control != trained_control:
        advice.append(
            f"The ControlNet follows {best_control} better than {trained_control}, which pack.json says it was trained "
            f"on: check which ControlNet it is."
        )
    if figures["mask_gain"] < MIN_MASK_GAIN:
        advice.append(
            f"After a short tuning the mask term gains {figures['mask_gain']:.2f} of IoU: raise training.mask_lr or "
            f"training.steps, and look at the previews."
        )
    return advice


def write_recommendation(folder: Path, result: dict[str, Any]) -> None:
    """Write the recommended settings and the quality that was measured into the pack's `pack.json`."""
    info = read_pack_info(folder)
    recommended = result["recommended"]
    updated = info.model_copy(
        update={
            "control": recommended["control"],
            "generation": info.generation.model_copy(update={"control_scale": recommended["control_scale"]}),
            "quality": info.quality | result["quality"],
        }
    )
    write_json(folder / "pack.json", updated.model_dump(mode="json", exclude_none=True))


def _judge_picture(pack: Pack, picture: np.ndarray, clip: RenderedClip, index: int = 0) -> float:
    """IoU of the foreground that the judge finds in a picture with the clip's mask of frame `index`."""
    found = find_foreground(picture[None], pack.segmenter(), pack.scorer(), list(clip.objects))[0]
    return mask_iou(found, clip.masks[index])
