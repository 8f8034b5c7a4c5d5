"""HTML pages from Jinja templates: escaped, strict about missing values, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mvmodel.files import atomic_write

TEMPLATES = Path(__file__).parent / "templates"


def render_page(path: Path, template: str, *folders: Path, **values: Any) -> Path:
    """Render a template to `path` and return it. folders: searched before the reports' own templates."""
    environment = Environment(
        loader=FileSystemLoader((*folders, TEMPLATES)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with atomic_write(path) as temporary:
        temporary.write_text(environment.get_template(template).render(**values), encoding="utf-8")
    return path
