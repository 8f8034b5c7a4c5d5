"""The base of every settings class, and the one function that turns a table of settings into one.

Settings classes live in light modules (`config.py` of their folder) that import neither torch nor OpenCV, so that a
settings file can be validated in milliseconds.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from mvmodel.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class Config(BaseModel):
    """Settings that cannot change after they are built, and that refuse names they do not know.

    The string literal below a field is the field's description: it appears in docs/settings.md and in JSON schemas.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def parse_config(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """Build a settings object from a table of settings.

    Args:
        model: The settings class.
        content: Setting names and their values.
        where: What the table is, for the message: a section, or a file and a section.

    Raises:
        InputError: Names `where`, then every wrong setting and what is wrong with it. An unknown name comes with the
            nearest known one, as in "training: no setting 'stepz'; did you mean 'steps'?".
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        raise InputError(f"{where}: {describe_validation_error(error, model)}") from error


def describe_validation_error(error: ValidationError, model: type[BaseModel]) -> str:
    """One clause per wrong setting, joined with semicolons."""
    return "; ".join(_describe_entry(entry, model) for entry in error.errors())


def _describe_entry(entry: Any, model: type[BaseModel]) -> str:
    location = [str(part) for part in entry["loc"]]
    if entry["type"] == "extra_forbidden":
        fields = _nested_fields(model, location[:-1])
        nearest = difflib.get_close_matches(location[-1], fields, n=1)
        if nearest:
            hint = f"did you mean {'.'.join([*location[:-1], nearest[0]])!r}?"
        else:
            hint = f"the settings are {', '.join(fields)}"
        return f"no setting {'.'.join(location)!r}; {hint}"
    if entry["type"] == "missing":
        return f"{'.'.join(location)} is missing"
    message = entry["msg"].removeprefix("Value error, ")
    return f"{'.'.join(location)}: {message}" if location else message


def _nested_fields(model: type[BaseModel], location: list[str]) -> list[str]:
    """The field names of the model at `location` inside `model`; of `model` itself where there is none."""
    for name in location:
        field = model.model_fields.get(name)
        types = [] if field is None else [field.annotation, *get_args(field.annotation)]
        nested = [t for t in types if isinstance(t, type) and issubclass(t, BaseModel)]
        if nested:
            model = nested[0]
    return list(model.model_fields)
