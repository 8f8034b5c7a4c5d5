"""Sizes that every experiment has. Each study adds its own; all are small by default, and `quick` is for tests."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field

from mvmodel.config import Config


class ExperimentConfig(Config):
    """How many videos a condition of the grid gets."""

    quick_sizes: ClassVar[dict[str, Any]] = {}
    """What `quick` sets beside one request, one seed and two denoising steps."""

    requests: int = Field(4, ge=1)
    """Requests of a motion that are used, in the order in which they come; fewer when there are fewer."""
    seeds: int = Field(1, ge=1)
    """Videos of every request, each from another seed."""
    denoising_steps: int | None = Field(None, ge=1)
    """Steps of every video and first frame; None leaves what the generation settings say."""

    @classmethod
    def quick(cls) -> Self:
        """The smallest size that still has every kind of cell: to see that it runs, never to conclude from."""
        return cls(requests=1, seeds=1, denoising_steps=2, **cls.quick_sizes)
