"""Pictures of pages as small PNG files."""

from __future__ import annotations

import io

from PIL import Image

COLOURS = 128
_AT_MOST = 1 << 24


def small(picture: Image.Image) -> bytes:
    """Return a picture of a page with its commonest colours as they are.

    A quantizer would mix amber and vermilion, which are rare and say different things.
    """
    picture = picture.convert("RGB")
    counted = sorted(picture.getcolors(_AT_MOST) or [], reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in colour])
    stream = io.BytesIO()
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
