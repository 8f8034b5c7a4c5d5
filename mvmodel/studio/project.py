"""A person's project: objects with their masks and motions, and what is generated from them. All of it is JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.config import Config, parse_config
from mvmodel.errors import InputError
from mvmodel.picture_size import Size

MAX_SEED = 2**53 - 1
"""The largest whole number that a page holds exactly."""
Share = Annotated[float, Field(ge=-4, le=4)]
"""A place or a length as a share of the picture's width or height."""
Point = tuple[Share, Share]
FileName = Annotated[str, Field(pattern=r"^[0-9a-f]{20}\.(npz|png)$")]
"""A file of the session: the hash of its content."""
KeyValues = list[tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=-3600, le=3600)]]]
"""(share of the time, value) of each key; values between keys are interpolated."""


class DrawnMasks(Config):
    """Key masks: frame -> file with one mask. Shapes between them are interpolated."""

    kind: Literal["drawn"]
    keys: dict[Annotated[int, Field(ge=0)], FileName] = Field(min_length=1)


class SequenceMasks(Config):
    """A mask sequence: uploaded, tracked, from words or from the library."""

    kind: Literal["sequence"]
    file: FileName
    instance: int = Field(0, ge=0)
    """Which object of the file."""


class ObjectMotion(Config):
    """What moves an object on top of what its masks do."""

    points: list[Point] = Field([], max_length=400)
    """A path of the object's centre, in shares of the picture; empty for none."""
    speed: Literal["linear", "ease-in", "ease-out", "ease-in-out"] | list[float] = "linear"
    """Along the path and between key masks: an easing, or relative speeds at evenly spaced times."""
    offset: Point = (0.0, 0.0)
    """How far the whole motion is moved."""
    bend: Share = 0.0
    """How far the middle of the path is pushed to its side, in picture heights."""
    sizes: KeyValues = []
    turns: KeyValues = []
    start: int = Field(0, ge=0)
    """Frame at which the motion begins; the masks before it stay as they are."""


class StudioObject(Config):
    """An object. name: words of the prompt that it is bound to."""

    id: str = Field(pattern=r"^[\w-]{1,40}$")
    name: str = Field("", max_length=80)
    masks: DrawnMasks | SequenceMasks = Field(discriminator="kind")
    motion: ObjectMotion = ObjectMotion()
    edits: list[Annotated[str, Field(max_length=120)]] = Field([], max_length=30)
    """Edits of `mvmodel masks edit`, applied to the masks before the motion."""
    visible: bool = True


class GenerationChoices(Config):
    """What is generated from the masks."""

    prompt: str = Field("", max_length=1000)
    negative_prompt: str = Field("", max_length=1000)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    videos: int = Field(1, ge=1, le=9)
    """How many videos, with the seed and those after it."""
    steps: int | None = Field(None, ge=1, le=1000)
    guidance_scale: float | None = Field(None, ge=1, le=100)
    adapter: str = ""
    """A key of the list of adapters; "" is the pack's start adapter."""
    adapter_scale: float = Field(1.0, ge=0, le=10)
    first_frame: FileName | None = None
    """None is drawn by the ControlNet."""
    mask_term: bool = True
    settings: dict[str, Any] = {}
    """Other settings of `GenerationConfig`, as with `mvmodel generate --set`."""

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        named_fields = sorted({"steps", "guidance_scale", "adapter_scale"} & set(settings))
        if named_fields:
            raise ValueError(f"{' and '.join(named_fields)} have fields of their own; set them there")
        try:
            parse_config(GenerationConfig, settings, "generation")
        except InputError as error:
            raise ValueError(str(error)) from error
        return settings

    def to_config(self) -> GenerationConfig:
        """The settings of generation that are chosen; the pack's numbers are not filled in. Raises InputError."""
        fields = {"steps": self.steps, "guidance_scale": self.guidance_scale, "adapter_scale": self.adapter_scale}
        options = {name: value for name, value in fields.items() if value is not None}
        return parse_config(GenerationConfig, {**self.settings, **options}, "generation")


class Project(Config):
    """All that a person has made, apart from finished videos."""

    frames: int = Field(16, ge=2)
    fps: float = Field(8.0, gt=0, le=120)
    size: Size | None = None
    """Width and height of masks and videos; None is the server's."""
    camera: Point | None = None
    """How far the camera of the masks travels before `pan` is added, as in `MaskSequence`; None is unknown."""
    pan: Point = (0.0, 0.0)
    """How far the camera travels, in shares of the picture."""
    objects: list[StudioObject] = []
    generation: GenerationChoices = GenerationChoices()
