"""Clips whose objects change shape: animals that walk on swinging legs, birds that beat their wings.

A held-out set for measurements: nothing was trained on such clips, and a picture of frame 1 that is only moved about
does not fit their masks. The captions use verbs of the motion world, since the tiny pack knows no others.
"""

from __future__ import annotations

import numpy as np

from mvmodel.world.motions import SpritePoses
from mvmodel.world.render import HELD_OUT, AnimatedSprite, RenderedClip, compose_caption, render
from mvmodel.world.scenes import BACKGROUNDS

WALK, WING_BEAT = "walk", "wing beat"
GAITS: dict[str, str] = {
    "horse": WALK,
    "owl": WING_BEAT,
    "dog": WALK,
    "rooster": WING_BEAT,
    "cow": WALK,
    "duck": WING_BEAT,
    "cat": WALK,
    "penguin": WING_BEAT,
    "elephant": WALK,
    "pig": WALK,
}
"""Object word -> how it moves its limbs, in the order in which `render_articulated_clips` shows them."""
CAPTION_MOTIONS: dict[str, str] = {WALK: "gallop", WING_BEAT: "flap"}
"""Gait -> the motion of the motion world whose verb a caption uses."""


def articulated_clip(
    seed: tuple[int, ...],
    name: str,
    frames: int = 12,
    side: int = 128,
    background: str | None = None,
    facing: int | None = None,
    pan: float = 0.0,
) -> RenderedClip:
    """Render a clip of one object whose limbs move.

    Args:
        seed: everything that is None is drawn from it.
        name: object word, one of `GAITS`.
        frames: number of frames.
        side: of a frame, in pixels.
        background: name of a background.
        facing: 1 to the right, -1 to the left.
        pan: how far the camera travels over the clip, in frame sides.

    Raises:
        KeyError: the object has no limbs, or the background is unknown.
    """
    rng = np.random.default_rng(seed)
    background = background or str(rng.choice(list(BACKGROUNDS)))
    poses, gait = sample_gait(GAITS[name], frames, rng, facing)
    sprite = AnimatedSprite(name, GAITS[name], float(rng.uniform(0.5, 0.62)), poses, gait)
    pictures, instances = render([sprite], background, rng, side, pan)
    caption = compose_caption((name,), background, CAPTION_MOTIONS[GAITS[name]])
    return RenderedClip(pictures, instances, caption, (name,), (GAITS[name],), background, tuple(seed))


def sample_gait(
    gait: str, frames: int, rng: np.random.Generator, facing: int | None = None
) -> tuple[SpritePoses, np.ndarray]:
    """Draw the poses of an object, and the moment of its gait in every frame in cycles, (frames,)."""
    t = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    direction = int(rng.choice([-1, 1])) if facing is None else facing
    # not a whole number of cycles: the last frame would repeat the first one's shape
    cycles, span = (1.8, 0.36) if gait == WALK else (2.3, 0.26)
    moments = cycles * t + rng.uniform(0, 1)
    bob = np.sin(4 * np.pi * moments) if gait == WALK else -np.cos(2 * np.pi * moments)
    rise = 0.0 if gait == WALK else 0.1
    x = 0.5 - span / 2 + rng.uniform(-0.04, 0.04) + span * t
    y = rng.uniform(0.54, 0.60) + 0.012 * bob - rise * (t - 0.5)
    ones = np.ones_like(t)
    poses = SpritePoses(x if direction > 0 else 1 - x, y, ones, ones, 0 * ones, direction)
    return poses, moments


def render_articulated_clips(
    count: int, salt: int = 73, frames: int = 12, side: int = 128, pan: float = 0.0
) -> list[RenderedClip]:
    """The held-out set: `count` clips, walks and wing beats, a function of `salt`. Each knows its masks and objects."""
    names = list(GAITS)
    return [
        articulated_clip((HELD_OUT, number, salt), names[number % len(names)], frames, side, pan=pan)
        for number in range(count)
    ]
