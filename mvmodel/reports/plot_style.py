"""One style for every plot: inline SVG in the colours of a page, or PNG and SVG files on white.

Plots inside pages are drawn in placeholder colours that are swapped for the page's CSS variables, so that light and
dark pages both work.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast
from xml.sax.saxutils import escape, quoteattr

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PRINT_INK, PRINT_SOFT, PRINT_LINE = "#1b1e24", "#565d69", "#dcdad4"
PRINT_PALETTE = ("#0a66c2", "#c2470c", "#6b4fc0", "#3f7a1d", "#a01c5e", "#00707a", "#7a5a00", "#565d69")
"""Line colours on white; each has a contrast of at least 4.5 to 1."""
PAGE_PALETTE = ("--full", "--scratch", "--other", "--no-mask")
"""CSS variables of a page, for lines that stand for no condition."""
_PAGE_INK, _PAGE_SOFT, _PAGE_LINE = "#010101", "#020202", "#030303"
_PAGE_COLOURS = {_PAGE_INK: "--ink", _PAGE_SOFT: "--soft", _PAGE_LINE: "--line"}


def _make_style(ink: str, soft: str, line: str, background: str) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        "font.size": 10,
        "axes.edgecolor": line,
        "axes.labelcolor": soft,
        "axes.titlecolor": ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "text.color": ink,
        "xtick.color": soft,
        "ytick.color": soft,
        "legend.frameon": False,
        "figure.facecolor": background,
        "lines.linewidth": 1.8,
    }


_PAGE_STYLE = {
    **_make_style(_PAGE_INK, _PAGE_SOFT, _PAGE_LINE, "none"),
    "font.family": "sans-serif",
    "axes.facecolor": "none",
}
_PRINT_STYLE = {
    **_make_style(PRINT_INK, PRINT_SOFT, PRINT_LINE, "white"),
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "svg.hashsalt": "mvmodel",
}

_P = ParamSpec("_P")
_R = TypeVar("_R")


def page_style(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorator: draws in the style of a page without changing matplotlib's settings for others.

    The salt, the function's name and its text arguments, makes the ids of SVG elements repeatable.
    """

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        salt = "-".join([draw.__name__, *(value for value in args if isinstance(value, str))])
        with matplotlib.rc_context(cast("Any", {**_PAGE_STYLE, "svg.hashsalt": salt})):
            return draw(*args, **kwargs)

    return styled


def print_style(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorator: draws on white, for picture files, without changing matplotlib's settings for others."""

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with matplotlib.rc_context(cast("Any", _PRINT_STYLE)):
            return draw(*args, **kwargs)

    return styled


class PageColours:
    """Placeholder colours that matplotlib accepts; `to_svg` swaps them for the page's CSS variables."""

    def __init__(self) -> None:
        self.variables = dict(_PAGE_COLOURS)

    def get(self, variable: str) -> str:
        """The placeholder of a CSS variable."""
        for code, name in self.variables.items():
            if name == variable:
                return code
        code = f"#0101{len(self.variables) + 16:02x}"
        self.variables[code] = variable
        return code


def new_figure(width: float = 5.4, height: float = 3.0) -> tuple[Figure, Axes]:
    """A figure with one set of axes. width, height: inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(length=0)
    return figure, axes


def new_panels(count: int, width: float = 4.2, height: float = 3.0, columns: int = 3) -> tuple[Figure, list[Axes]]:
    """A figure of `count` axes in rows. width, height: inches of one of them."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in panels:
        axes.tick_params(length=0)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, list(panels[:count])


def to_svg(figure: Figure, colours: PageColours, title: str) -> str:
    """The figure as inline SVG, sized by its container, with a title for screen readers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for code, variable in colours.variables.items():
        text = text.replace(code, f"var({variable})")
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="img" aria-label=' + quoteattr(title), text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", f"<title>{escape(title)}</title>", text, count=1, flags=re.DOTALL)
    return re.sub(r"font: (?:[\d.]+ )?([\d.]+)px '?[^;\"]*", r"font-size: \1px; font-family: inherit", text)


@print_style
def save_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as NAME.png and NAME.svg, on white; returns the PNGs."""
    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
        paths.append(folder / f"{name}.png")
    return paths
