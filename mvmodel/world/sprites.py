"""The objects of the motion world: colour-emoji sprites in one atlas image.

`assets/sprites.png` is a row of RGBA cells, one per name in `OBJECTS`, rendered once from Noto Color Emoji (SIL Open
Font License 1.1, see NOTICE) by `python -m mvmodel.world.sprites FONT.ttf`, so the font is not needed afterwards.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

OBJECTS: dict[str, str] = {
    "horse": "\U0001f40e",
    "dog": "\U0001f415",
    "cat": "\U0001f408",
    "cow": "\U0001f404",
    "pig": "\U0001f416",
    "elephant": "\U0001f418",
    "rabbit": "\U0001f407",
    "rooster": "\U0001f413",
    "duck": "\U0001f986",
    "fish": "\U0001f420",
    "turtle": "\U0001f422",
    "whale": "\U0001f433",
    "penguin": "\U0001f427",
    "owl": "\U0001f989",
    "car": "\U0001f697",
    "bus": "\U0001f68c",
    "tractor": "\U0001f69c",
    "truck": "\U0001f69a",
    "sailboat": "⛵",
    "balloon": "\U0001f388",
    "ball": "⚽",
    "apple": "\U0001f34e",
    "star": "⭐",
    "mushroom": "\U0001f344",
}
"""Object word -> emoji. Every sprite faces left."""

CELL = 96
ATLAS = Path(__file__).parent / "assets" / "sprites.png"
_STRIKE = 109  # the only bitmap size inside Noto Color Emoji


@cache
def atlas() -> dict[str, np.ndarray]:
    """Object word -> premultiplied float32 RGBA sprite, shape (CELL, CELL, 4), values 0..1."""
    sheet = np.asarray(Image.open(ATLAS).convert("RGBA"), np.float32) / 255
    cells = {}
    for column, name in enumerate(OBJECTS):
        cell = sheet[:, column * CELL : (column + 1) * CELL].copy()
        cell[..., :3] *= cell[..., 3:]
        cells[name] = cell
    return cells


def build_atlas(font_path: str, out: Path = ATLAS) -> Path:
    """Render every object's emoji with the given colour font and write the atlas PNG."""
    font = ImageFont.truetype(font_path, _STRIKE)
    sheet = Image.new("RGBA", (CELL * len(OBJECTS), CELL))
    for column, emoji in enumerate(OBJECTS.values()):
        glyph = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(glyph).text((10, 10), emoji, font=font, embedded_color=True)
        glyph = glyph.crop(glyph.getbbox())
        scale = (CELL - 4) / max(glyph.size)
        size = (round(glyph.width * scale), round(glyph.height * scale))
        glyph = glyph.resize(size, Image.Resampling.LANCZOS)
        sheet.paste(glyph, (column * CELL + (CELL - size[0]) // 2, (CELL - size[1]) // 2))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, optimize=True)
    return out


if __name__ == "__main__":
    print(build_atlas(sys.argv[1]))
