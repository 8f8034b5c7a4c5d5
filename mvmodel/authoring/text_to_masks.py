"""A mask sequence from a sentence: the shape from a picture of its noun, the motion from its verbs.

For "a dog runs from left to right, jumps twice", a text-to-image model draws a dog, the segmenter cuts it out, and the
grammar moves it. With a library, the motion can come from the most similar entry instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mvmodel.authoring.choreography import choreograph
from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.authoring.grammar import Story, parse_sentence
from mvmodel.authoring.library import Library, SearchResult, retarget
from mvmodel.authoring.shapes import ShapeModels, find_shapes
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.combine import resize
from mvmodel.masks.geometry import crop_to_mask
from mvmodel.masks.limits import check_mask_size
from mvmodel.masks.poses import Poses, place_shape
from mvmodel.text import find_object_words


@dataclass(frozen=True)
class TextToMasks:
    """The result of `text_to_masks`.

    sequence: one instance per actor, named by its noun. assumptions: sentences about what the sentence or the models
    leave open. pictures: noun -> the picture that its shape was cut from, uint8 (height, width, 3); nouns whose shape
    was given have none. nearest: library entries that move or are named like the sentence, best first. source_entry:
    the entry whose motion was used; "" if the grammar moved the actors.
    """

    sequence: MaskSequence
    assumptions: list[str]
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    nearest: list[SearchResult] = field(default_factory=list)
    source_entry: str = ""


def text_to_masks(
    sentence: str,
    models: ShapeModels,
    frames: int,
    fps: float,
    size: tuple[int, int],
    config: TextToMasksConfig = TextToMasksConfig(),
    shapes: Mapping[str, np.ndarray] | None = None,
    library: Library | None = None,
    use_library_motion: bool = False,
) -> TextToMasks:
    """Create a mask sequence from a sentence.

    size: (height, width). shapes: noun -> its shape, bool (h, w), to use instead of a drawn one. library: searched for
    similar motions. use_library_motion: use the most similar one, mirrored, scaled and retimed to fit; otherwise the
    grammar moves the actors, and the library's motion is used only if the grammar knows no verb of the sentence.

    Raises InputError if neither knows the motion, or if no shape is found.
    """
    story, error = _parse(sentence)
    check_mask_size("the sentence", sum(actor.number for actor in story.actors) if story else 1, frames, *size)
    assumptions = list(story.assumptions) if story else []
    cast: list[tuple[str, Poses]] = []
    if story:
        cast, sentences = choreograph(story, frames, fps, size, config.stage)
        assumptions += sentences
    nearest = _search(library, sentence, models, cast, fps, size) if library is not None else []
    if error is not None and not (nearest and (use_library_motion or _names_motion(library, sentence))):
        raise error
    nouns = list(dict.fromkeys(noun for noun, _ in cast)) or [_find_noun(sentence, models)]
    given_masks = {noun: shapes[noun] for noun in nouns if noun in shapes} if shapes else {}
    drawn_shapes = find_shapes([noun for noun in nouns if noun not in given_masks], models, config)
    assumptions += drawn_shapes.assumptions
    masks = {**drawn_shapes.masks, **given_masks}
    if library is not None and nearest and (use_library_motion or error is not None):
        entry = nearest[0].name
        if error is not None:
            assumptions.append(f"the grammar knows no verb of this sentence; the motion of {entry} was taken")
        motion = retarget(library.sequence(entry), frames, size, masks[nouns[0]], _heading(cast, size[1]))
        sequence = MaskSequence.from_instances(motion.masks[None], fps, nouns[:1])
        return TextToMasks(sequence, assumptions, drawn_shapes.pictures, nearest, entry)
    length = config.stage.actor_size * size[0]
    instances = [place_shape(_resize_shape(masks[noun], length), poses, size) for noun, poses in cast]
    sequence = MaskSequence.from_instances(np.stack(instances), fps, [noun for noun, _ in cast])
    return TextToMasks(sequence, assumptions, drawn_shapes.pictures, nearest)


def _parse(sentence: str) -> tuple[Story | None, InputError | None]:
    try:
        return parse_sentence(sentence), None
    except InputError as error:
        return None, error


def _search(
    library: Library,
    sentence: str,
    models: ShapeModels,
    cast: Sequence[tuple[str, Poses]],
    fps: float,
    size: tuple[int, int],
) -> list[SearchResult]:
    """Entries like the sentence, and like the motion of its first actor (with a square for its shape)."""
    masks = np.zeros((0, *size), bool)
    if cast:
        side = max(4, size[0] // 4)
        masks = place_shape(np.ones((side, side), bool), cast[0][1], size)
    return library.search(sentence, models.load_scorer().texts, MaskSequence(masks, fps) if masks.any() else None)


def _names_motion(library: Library | None, sentence: str) -> bool:
    return library is not None and library.names_motion(sentence)


def _find_noun(sentence: str, models: ShapeModels) -> str:
    words = find_object_words(sentence, models.objects)
    if not words:
        raise InputError(f"{sentence!r} names no object that pack {models.name} knows: {', '.join(models.objects)}")
    return words[0]


def _heading(cast: Sequence[tuple[str, Poses]], width: int) -> float:
    """How far the first actor goes to the right, in pixels; 0 for less than a tenth of the picture."""
    distance = float(cast[0][1].x[-1] - cast[0][1].x[0]) if cast else 0.0
    return distance if abs(distance) > 0.1 * width else 0.0


def _resize_shape(mask: np.ndarray, length: float) -> np.ndarray:
    """Crop a shape to its bounding box, and resize that to `length` pixels on its longer side."""
    box = crop_to_mask(mask)
    factor = length / max(box.shape)
    height, width = (max(2, round(side * factor)) for side in box.shape)
    return resize(MaskSequence(box[None]), height, width).masks[0]
