"""Writes docs/settings.md from the settings classes: `python -m pipelines.settings_docs`."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mvmodel.picture_size import PictureSize
from pipelines.settings import REPOSITORY, SECTIONS, TopLevelConfig, section_model

SETTINGS_PAGE = REPOSITORY / "docs" / "settings.md"
INTRODUCTION = """# Settings

A settings file is YAML or JSON and holds only what differs from the defaults below:

```yaml
pack: tiny
training:
  steps: 300
masks:
  saliency:
    side: 256
```

Pass it with `mvmodel-pipeline run --config FILE`, or set `MVMODEL_CONFIG=FILE` for Dagster's commands. Settings are
validated before anything runs: a wrong name or value is an error that names the section and the setting.

To change settings for one run only, use Dagster's Launchpad (Shift + click on *Materialize*). Every stage has a form
with its sections, and what you leave out is as in the home's settings:

```yaml
ops:
  motion_adapter:
    config:
      training: {steps: 100}
```

`override` of the resource `settings` changes the same sections for all stages of the run. The metadata entry
`settings_of_this_run` of an asset says what its form changed; `mvmodel-pipeline lineage FILE --json` lists all settings
that a file was made with.

The pack's own values replace the defaults of `size`, of `ingest` (`frames`, `fps`) and of `generation` where your
file does not set them.

`python -m pipelines.settings_docs` writes this page from the settings classes.
"""


def render_settings_page() -> str:
    """The page: one table for the settings outside of sections, then one per section and nested table."""
    parts = [INTRODUCTION, _render_table("Outside of sections", TopLevelConfig)]
    for name in SECTIONS:
        parts += [_render_table(f"`{title}`", model) for title, model in _walk(name, section_model(name))]
    return "\n".join(parts)


def _walk(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A section's model, then the models of its nested tables, each with its dotted name."""
    yield name, model
    for field, info in model.model_fields.items():
        if nested := _nested_model(info):
            yield from _walk(f"{name}.{field}", nested)


def _nested_model(info: FieldInfo) -> type[BaseModel] | None:
    annotation = info.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _render_table(title: str, model: type[BaseModel]) -> str:
    summary = (model.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    lines = [f"## {title}", "", summary, "", "| setting | type | default | bounds | description |"]
    lines.append("|---|---|---|---|---|")
    for name, info in model.model_fields.items():
        if _nested_model(info):
            cells = [f"`{name}`", "table", "", "", info.description or "See below."]
        else:
            default = json.dumps(info.get_default(call_default_factory=True), default=str)
            cells = [
                f"`{name}`",
                _type_name(info.annotation),
                f"`{default}`",
                describe_bounds(info),
                info.description or "",
            ]
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type_name(annotation: Any) -> str:
    """A type in a reader's words: "integer", "number", "true or false", "text", "list of ...", the allowed values."""
    names: dict[Any, str] = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "null"}
    names[PictureSize] = "size"
    if annotation in names:
        return names[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(argument) for argument in arguments)
    if origin in (tuple, list):
        return f"list of {_type_name(arguments[0])}"
    return getattr(annotation, "__name__", str(annotation))


def describe_bounds(info: FieldInfo) -> str:
    """The bounds of a field, such as ">= 0, <= 1"."""
    bounds = []
    for rule in info.metadata:
        match rule:
            case annotated_types.Ge():
                bounds.append(f">= {rule.ge}")
            case annotated_types.Gt():
                bounds.append(f"> {rule.gt}")
            case annotated_types.Le():
                bounds.append(f"<= {rule.le}")
            case annotated_types.Lt():
                bounds.append(f"< {rule.lt}")
            case annotated_types.MinLen():
                bounds.append(f"at least {rule.min_length}")
    return ", ".join(bounds)


def main() -> Path:
    """Write the page."""
    SETTINGS_PAGE.write_text(render_settings_page())
    return SETTINGS_PAGE


if __name__ == "__main__":
    print(main())
