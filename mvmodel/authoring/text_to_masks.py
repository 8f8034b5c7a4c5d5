"""A mask sequence from a sentence: the shape from a picture that the pack makes of its noun, the motion from its verbs.

"a dog runs from left to right, jumps twice": the pack's text-to-image model paints a dog, the segmenter cuts it out,
the grammar of `mvmodel.authoring` moves it. With a library the motion may be lent by the nearest ingested clip instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.authoring.choreography import choreograph
from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.authoring.grammar import Story, parse_sentence
from mvmodel.authoring.library import Library, SearchResult, retarget
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.combine import resize
from mvmodel.masks.geometry import crop_to_mask
from mvmodel.masks.poses import Poses, place_shape


@dataclass(frozen=True)
class TextToMasks:
    """What came of a sentence.

    sequence: one instance an actor, named by its noun. assumptions: what the sentence or the models leave open, in
    sentences. pictures: noun -> the picture its shape was cut from, uint8 (side, side, 3); none for given shapes.
    nearest: entries of the library that move like it or are named like it, best first. source_entry: the entry whose motion was
    used, "" when the grammar moved it.
    """

    sequence: MaskSequence
    assumptions: list[str]
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    nearest: list[SearchResult] = field(default_factory=list)
    source_entry: str = ""


def text_to_masks(
    sentence: str,
    pack: Any,
    frames: int,
    fps: float,
    size: tuple[int, int],
    config: TextToMasksConfig = TextToMasksConfig(),
    shapes: Mapping[str, np.ndarray] | None = None,
    library: Library | None = None,
    use_library_motion: bool = False,
) -> TextToMasks:
    """Make a mask sequence of a sentence.

    size: (height, width). shapes: noun -> mask, bool (h, w), to use in place of a painted one. library: searched for
    the nearest motion. use_library_motion: use that motion, mirrored, scaled and retimed to fit; without it the grammar moves the
    actors, and the library only helps where the sentence has no verb that the grammar knows. Raises InputError when
    neither knows the motion, or no shape is found.
    """
    story, refused = _story(sentence)
    assumptions = list(story.assumptions) if story else []
    moved: list[tuple[str, Poses]] = []
    if story:
        moved, more = choreograph(story, frames, fps, size, config.stage)
        assumptions += more
    embed = pack.scorer().texts if library is not None else None
    plan = place_shape(_stand_in(size), moved[0][1], size) if moved else None
    like = MaskSequence(plan, fps) if plan is not None and plan.any() else None
    nearest = library.search(sentence, embed, like) if library is not None else []
    if refused is not None and not nearest:
        raise refused
    nouns = list(dict.fromkeys(noun for noun, _ in moved)) or [_noun(sentence, pack)]
    cut, pictures = _shapes(nouns, pack, config, dict(shapes or {}), assumptions)
    if (use_library_motion or refused is not None) and nearest and library is not None:
        if refused is not None:
            assumptions.append(f"the grammar knows no verb of this sentence; the motion of {nearest[0].name} was taken")
        heading = float(moved[0][1].x[-1] - moved[0][1].x[0]) if moved else 0.0
        heading = heading if abs(heading) > 0.1 * size[1] else 0.0
        one = retarget(library.sequence(nearest[0].name), frames, size, cut[nouns[0]], heading)
        sequence = MaskSequence.from_instances(one.masks[None], fps, nouns[:1])
        return TextToMasks(sequence, assumptions, pictures, nearest, nearest[0].name)
    scale = config.stage.actor_size * size[0]
    laid = [place_shape(_scaled(cut[noun], scale), poses, size) for noun, poses in moved]
    sequence = MaskSequence.from_instances(np.stack(laid), fps, [noun for noun, _ in moved])
    return TextToMasks(sequence, assumptions, pictures, nearest)


def _story(sentence: str) -> tuple[Story | None, InputError | None]:
    try:
        return parse_sentence(sentence), None
    except InputError as error:
        return None, error


def _stand_in(size: tuple[int, int]) -> np.ndarray:
    side = max(4, size[0] // 4)
    return np.ones((side, side), bool)


def _noun(sentence: str, pack: Any) -> str:
    from mvmodel.text import find_object_words

    known = find_object_words(sentence, list(pack.info.objects))
    if not known:
        raise InputError(
            f"{sentence!r} names no object that pack {pack.info.name} knows: {', '.join(pack.info.objects)}"
        )
    return known[0]


def _scaled(mask: np.ndarray, longest: float) -> np.ndarray:
    """A shape's box brought to `longest` pixels on its longer side."""
    box = crop_to_mask(mask)
    factor = longest / max(box.shape)
    height, width = (max(2, round(length * factor)) for length in box.shape)
    return resize(MaskSequence(box[None]), height, width).masks[0]


def _shapes(
    nouns: list[str], pack: Any, config: TextToMasksConfig, given: dict[str, np.ndarray], assumptions: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    from mvmodel.metrics.adherence import cut_out, find_foreground, similarity_margin

    cut: dict[str, np.ndarray] = {}
    pictures: dict[str, np.ndarray] = {}
    missing = [noun for noun in nouns if noun not in given]
    painted = paint(pack, missing, config) if missing else np.zeros((0, 1, 1, 1, 3), np.uint8)
    for noun, shown in zip(missing, painted, strict=True):
        word = next((known for known in pack.info.objects if known in noun.split()), noun)
        if pack.info.objects and word not in pack.info.objects:
            assumptions.append(f"pack {pack.info.name} was not trained on {noun!r}; its shape may be another thing's")
        found = find_foreground(shown, pack.segmenter(), pack.scorer(), [word])
        seen = [index for index in range(len(shown)) if found[index].any()]
        if not seen:
            raise InputError(f"nothing was found in the pictures of {noun!r}; give its shape as a mask with --shape")
        tie = similarity_margin(
            np.stack([cut_out(shown[i], found[i]) for i in seen]), word, pack.scorer(), pack.scorer().words
        )
        best = seen[int(np.argmax(tie))]
        if tie.max() < config.min_similarity_margin:
            assumptions.append(
                f"the picture of {noun!r} does not look much like one ({tie.max():.2f}); look at its shape"
            )
        cut[noun], pictures[noun] = found[best], shown[best]
    return {**cut, **{noun: given[noun] for noun in nouns if noun in given}}, pictures


def paint(pack: Any, nouns: list[str], config: TextToMasksConfig) -> np.ndarray:
    """Pictures of nouns by the pack's text-to-image model, uint8 (nouns, pictures, side, side, 3)."""
    import torch
    from diffusers import StableDiffusionPipeline

    from mvmodel.backends.image_unet.schedulers import build_scheduler
    from mvmodel.text import with_article

    pipeline = StableDiffusionPipeline(
        vae=pack.vae(),
        text_encoder=pack.text_encoder(),
        tokenizer=pack.tokenizer(),
        unet=pack.unet(),
        scheduler=build_scheduler(pack, "ddim"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline = pipeline.to(pack.device)
    pipeline.set_progress_bar_config(disable=True)
    grounds = list(getattr(pack.info, "backgrounds", {}).values()) or [""]
    made = []
    for noun in nouns:
        prompts = [f"{with_article(noun)} {grounds[n % len(grounds)]}".strip() for n in range(config.pictures_per_noun)]
        out = pipeline(
            prompts,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            generator=[torch.Generator().manual_seed(config.seed + n) for n in range(config.pictures_per_noun)],
            height=pack.info.resolution,
            width=pack.info.resolution,
            output_type="np",
        ).images
        made.append((np.clip(out, 0, 1) * 255).round().astype(np.uint8))
    return np.stack(made)


def write_pictures(folder: Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write NOUN.png for every picture that a shape was cut from."""
    from PIL import Image

    Path(folder).mkdir(parents=True, exist_ok=True)
    for noun, picture in pictures.items():
        Image.fromarray(picture).save(Path(folder) / f"{noun.replace(' ', '-')}.png")
