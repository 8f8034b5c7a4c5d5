"""Settings objects: frozen, closed to unknown names, described by their docstrings, and refused in one sentence."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError, field_validator

from mvmodel.config import Config, parse_config
from mvmodel.errors import InputError


class Inner(Config):
    width: int = Field(default=1, ge=1)
    """Pixels."""


class Outer(Config):
    steps: int = Field(default=10, ge=1)
    """Optimiser steps."""
    size: Inner | None = None
    name: str = "a"

    @field_validator("name")
    @classmethod
    def _lower_case(cls, value: str) -> str:
        if value != value.lower():
            raise ValueError("use lower case")
        return value


def test_docstrings_are_the_descriptions() -> None:
    assert Outer.model_fields["steps"].description == "Optimiser steps."
    assert Inner.model_fields["width"].description == "Pixels."


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Outer().steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stepz": 1}, "training: no setting 'stepz'; did you mean 'steps'?"),
        ({"size": {"widht": 1}}, "training: no setting 'size.widht'; did you mean 'size.width'?"),
        ({"colour": 1}, "training: no setting 'colour'; the settings are steps, size, name"),
        ({"steps": 0}, "training: steps: Input should be greater than or equal to 1"),
        ({"name": "A"}, "training: name: use lower case"),
        (
            {"steps": 0, "nme": "b"},
            "training: steps: Input should be greater than or equal to 1; no setting 'nme'; did you mean 'name'?",
        ),
    ],
)
def test_wrong_settings_are_named_in_one_sentence(content: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_config(Outer, content, "training")
    assert str(error.value) == message
