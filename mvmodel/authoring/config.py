"""Settings of authoring: the numbers that a sentence leaves open, and how a noun gets its shape."""

from __future__ import annotations

from pydantic import Field

from mvmodel.config import Config


class StageConfig(Config):
    """The numbers that a sentence leaves open. Lengths are shares of the picture's height, x of its width."""

    actor_size: float = Field(0.34, gt=0, lt=1)
    """Height or width of an actor, whichever is larger."""
    ground_y: float = 0.62
    """Vertical position of the centre of an actor on the ground, from the top."""
    air_y: float = 0.4
    """Vertical position of the centre of an actor that flies, from the top."""
    default_distance: float = Field(0.5, gt=0)
    """Length of a motion whose end the sentence does not name, as a share of the picture's width."""
    jump_height: float = Field(0.24, gt=0)
    """Height of a jump."""
    sway_width: float = Field(0.13, gt=0)
    """How far a swaying actor moves to each side."""
    circle_radius: float = Field(0.2, gt=0)
    """Radius of a circle."""
    growth: float = Field(1.7, gt=1)
    """Factor by which an actor grows that grows or comes nearer."""


class TextToMasksConfig(Config):
    """How a sentence becomes a mask sequence."""

    pictures_per_noun: int = Field(4, ge=1)
    """Pictures drawn of each noun. The shape comes from the picture that the scorer finds most similar to the noun."""
    seed: int = 0
    """Seed of the first picture; each further picture adds one."""
    steps: int = Field(20, ge=1)
    """Denoising steps of a picture."""
    guidance_scale: float = Field(3.0, ge=1)
    """Classifier-free guidance of a picture."""
    min_similarity_margin: float = 0.15
    """Similarity to the noun, minus the mean similarity to other nouns, below which the shape is reported as unsure."""
    stage: StageConfig = StageConfig()
    """Sizes, positions and lengths that the sentence leaves open."""
