"""Forms of the stages in Dagster's Launchpad: a `dg.Config` per stage, made from the settings classes.

What a form leaves out keeps the value of the home's settings, so a form has no defaults of its own. Its values are
settings for one run: they are validated as a settings file is, and recorded like it.
"""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from pipelines.settings import section_model
from pipelines.settings_docs import describe_bounds

SET_OUTSIDE_OF_SECTIONS = {"ingest": ("size",)}
"""Settings of a section that a form leaves out, because one value is for all stages."""
_CHOICES = re.compile(r"\^\(([^()\\.*+?\[\]]+)\)\$")


def stage_config(stage: str, sections: Mapping[str, Sequence[str]]) -> type[dg.Config]:
    """The form of a stage: a table for each of its sections.

    sections: section -> the settings of it that the form has; all of them if there are none.
    """
    fields: dict[str, Any] = {}
    for section, names in sections.items():
        summary = " ".join((section_model(section).__doc__ or "").split("\n\n")[0].split())
        description = f"{summary} What is left out is as in the settings of the home."
        fields[section] = (section_form(section, names), Field(description=description))
    return create_model(f"{stage}_config", __base__=dg.Config, **fields)


def section_form(section: str, names: Sequence[str] = ()) -> type[dg.Config]:
    """The form of a section. names: the settings of it that the form has; all of them if there are none."""
    omitted = set(SET_OUTSIDE_OF_SECTIONS.get(section, ()))
    omitted |= set(section_model(section).model_fields) - set(names) if names else set()
    return _section_form(section, frozenset(omitted))


@cache
def _section_form(section: str, omitted: frozenset[str]) -> type[dg.Config]:
    """The form of a section, which stages share: making one takes milliseconds of every start of Dagster."""
    name = "_without_".join([section, "_".join(sorted(omitted))] if omitted else [section])
    return _form(name, section_model(section), omitted)


def _form(name: str, model: type[BaseModel], omitted: frozenset[str] = frozenset()) -> type[dg.Config]:
    """A settings class as a `dg.Config` in which nothing is required and nothing has a default."""
    fields: dict[str, Any] = {}
    for field, info in model.model_fields.items():
        if field in omitted:
            continue
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields[field] = (_form(f"{name}_{field}", annotation), Field(description=info.description))
        else:
            # Without `= None`: Dagster then leaves the setting out instead of passing null, which means something else.
            fields[field] = (Optional[_form_type(f"{name}_{field}", info)], Field(description=_describe(info)))  # noqa: UP045
    return create_model(name, __base__=dg.Config, **fields)


def _describe(info: FieldInfo) -> str:
    """What a setting is, its default and its bounds, as in docs/settings.md."""
    default = json.dumps(info.get_default(call_default_factory=True), default=str)
    bounds = describe_bounds(info)
    text = " ".join((info.description or "").split())
    return f"{text} Default: {default}{f'; {bounds}' if bounds else ''}."


def _form_type(name: str, info: FieldInfo) -> Any:
    """A type that Dagster's forms have, for the values that a setting takes."""
    pattern = next((rule.pattern for rule in info.metadata if getattr(rule, "pattern", None)), "")
    choices = _CHOICES.fullmatch(pattern) if isinstance(pattern, str) else None
    return _choices(name, choices[1].split("|")) if choices else _convert_type(name, info.annotation)


def _convert_type(name: str, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _convert_type(name, arguments[0])
    if origin is Literal:
        return _choices(name, arguments)
    if origin in (Union, types.UnionType):
        (value_type,) = (argument for argument in arguments if argument is not type(None))
        return _convert_type(name, value_type)
    if origin in (list, tuple):
        return list[_convert_type(name, arguments[0])]  # type: ignore[misc]
    if annotation in (int, float, bool, str):
        return annotation
    raise TypeError(f"{name}: a form has no type for {annotation}")


def _choices(name: str, values: Sequence[str]) -> type[enum.Enum]:
    return enum.Enum(name, {value: value for value in values})  # type: ignore[return-value]


def without_empty_tables(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values without the nested tables in which nothing is set: Dagster adds those to every form."""
    tables = {name: without_empty_tables(v) if isinstance(v, Mapping) else v for name, v in values.items()}
    return {name: value for name, value in tables.items() if value != {}}


def plain_values(config: Any) -> Any:
    """What Dagster made of a form, with choices as the text that settings files have."""
    if isinstance(config, Mapping):
        return {name: plain_values(value) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain_values(value) for value in config]
    return config.value if isinstance(config, enum.Enum) else config
