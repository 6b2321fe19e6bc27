"""What a font can draw, and the parts of it that a PDF needs.

Both ends set type: the centre draws the report, the gateway writes the patient's name into it. A character that the font
lacks must be found before it becomes an empty box on a report, so both ask the same `Typeface`.
"""

import io
import logging
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from fontTools import subset, ttLib
from fontTools.pens.basePen import BasePen

# Unicode: the selectors choose among shapes of the character before them.
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_VOICED_MARKS = "\u3099\u309a"
# Tables that a PDF's FontFile2 needs (ISO 32000-1, 9.9); everything else is dropped.
_PDF_TABLES = frozenset({"head", "hhea", "hmtx", "maxp", "loca", "glyf", "cvt ", "fpgm", "prep"})


def is_variation_selector(character: str) -> bool:
    """True for VS1 to VS256."""
    return any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)


def compose_kana(text: str) -> str:
    """Join a kana with a combining (han)dakuten, as `か` + U+3099 -> `が`.

    Not NFC as a whole: that would turn compatibility ideographs such as U+FA19 into another character, and with it a
    person's name into another name.
    """
    composed: list[str] = []
    for character in text:
        if character in _VOICED_MARKS and composed:
            pair = unicodedata.normalize("NFC", composed[-1] + character)
            if len(pair) == 1:
                composed[-1] = pair
                continue
        composed.append(character)
    return "".join(composed)


@dataclass(frozen=True)
class SubsetFont:
    """A font program that holds only the glyphs of some texts.

    Attributes
    ----------
    program : bytes
        TrueType file for `/FontFile2`.
    codes : dict
        Glyph name -> glyph index in `program`.
    widths : dict
        Glyph index -> advance in 1/1000 em.
    unicode : dict
        Glyph index -> the text that it stands for.
    """

    program: bytes
    codes: dict[str, int]
    widths: dict[int, int]
    unicode: dict[int, str]


class _PathPen(BasePen):  # type: ignore[misc]
    """Writes outlines as PDF path operators (ISO 32000-1, 8.5.2), scaled and moved."""

    def __init__(self, glyph_set: object, scale: float, x: float, y: float) -> None:
        super().__init__(glyph_set)
        self.operators: list[str] = []
        self._scale, self._x, self._y = scale, x, y

    def _at(self, *points: tuple[float, float]) -> str:
        return " ".join(f"{self._x + x * self._scale:.3f} {self._y + y * self._scale:.3f}" for x, y in points)

    def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802 - the name that fontTools calls
        self.operators.append(f"{self._at(pt)} m")

    def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self.operators.append(f"{self._at(pt)} l")

    def _curveToOne(  # noqa: N802
        self, pt1: tuple[float, float], pt2: tuple[float, float], pt3: tuple[float, float]
    ) -> None:
        self.operators.append(f"{self._at(pt1, pt2, pt3)} c")

    def _closePath(self) -> None:  # noqa: N802
        self.operators.append("h")


class Typeface:
    """One TrueType font file, read once.

    Parameters
    ----------
    path : Path
        A TrueType (`glyf`) font.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = path.read_bytes()
        font = self._open()
        self._characters: dict[int, str] = font.getBestCmap()
        # (base, selector) -> glyph name, or None where the base's own glyph is already the wanted shape.
        self._variations: dict[tuple[int, int], str | None] = {
            (base, selector): glyph
            for table in font["cmap"].tables
            if table.format == 14
            for selector, entries in table.uvsDict.items()
            for base, glyph in entries
        }
        self._glyph_order: list[str] = font.getGlyphOrder()
        self._per_em: int = font["head"].unitsPerEm
        self._advances: dict[str, int] = {
            name: advance for name, (advance, _) in font["hmtx"].metrics.items()
        }
        self.postscript_name: str = font["name"].getDebugName(6)
        self.ascent = round(font["hhea"].ascent * 1000 / self._per_em)
        self.descent = round(font["hhea"].descent * 1000 / self._per_em)
        self.cap_height = round(font["OS/2"].sCapHeight * 1000 / self._per_em)
        self.bounding_box = tuple(
            round(getattr(font["head"], edge) * 1000 / self._per_em)
            for edge in ("xMin", "yMin", "xMax", "yMax")
        )

    def _open(self) -> ttLib.TTFont:
        return ttLib.TTFont(io.BytesIO(self._data), lazy=True, recalcTimestamp=False)

    @cached_property
    def _glyph_set(self) -> Any:
        return self._open().getGlyphSet()

    def _glyphs(self, text: str) -> list[tuple[str, str | None]]:
        """Pairs of (characters, glyph name or None where the font has none)."""
        glyphs: list[tuple[str, str | None]] = []
        characters = compose_kana(text)
        position = 0
        while position < len(characters):
            character = characters[position]
            selector = characters[position + 1 : position + 2]
            if selector and is_variation_selector(selector):
                key = (ord(character), ord(selector))
                known = key in self._variations
                glyph = (self._variations[key] or self._characters.get(key[0])) if known else None
                glyphs.append((character + selector, glyph))
                position += 2
            else:
                glyphs.append((character, self._characters.get(ord(character))))
                position += 1
        return glyphs

    def missing(self, text: str) -> tuple[str, ...]:
        """The characters (with their variation selector, if any) that this font cannot draw, each once, in order."""
        return tuple(dict.fromkeys(characters for characters, glyph in self._glyphs(text) if glyph is None))

    def width(self, text: str) -> float:
        """Advance of a text in em. Every character must be covered (see `missing`)."""
        return sum(self._advances[glyph] for _, glyph in self._glyphs(text) if glyph) / self._per_em

    def outlines(self, text: str, *, size: float, x: float, y: float) -> str:
        """The text as PDF path operators, ready to be filled: for signs that are not text to search for.

        Parameters
        ----------
        size : float
            Type size in points.
        x, y : float
            Start of the base line in points.
        """
        glyph_set = self._glyph_set
        operators: list[str] = []
        for _, glyph in self._glyphs(text):
            if glyph is None:
                continue
            pen = _PathPen(glyph_set, size / self._per_em, x, y)
            glyph_set[glyph].draw(pen)
            operators += pen.operators
            x += self._advances[glyph] * size / self._per_em
        return " ".join(operators)

    def encode(self, text: str, font: SubsetFont) -> bytes:
        """The text as two-byte codes of a subset (encoding Identity-H) that was made from it."""
        return b"".join(font.codes[glyph].to_bytes(2, "big") for _, glyph in self._glyphs(text) if glyph)

    def subset(self, texts: list[str]) -> SubsetFont:
        """The part of the font that some texts need, with glyphs numbered from 0 (`.notdef`).

        The same texts give the same bytes.
        """
        wanted: dict[str, str] = {}
        for text in texts:
            for characters, glyph in self._glyphs(text):
                if glyph is not None:
                    wanted.setdefault(glyph, characters)
        font = self._open()
        # Without these the tables of the rest of the font would be read, which takes ten times as long.
        font.setGlyphOrder(self._glyph_order)
        for tag in font.reader.keys() - _PDF_TABLES:
            del font[tag]
        options = subset.Options(layout_closure=False, hinting=False, notdef_outline=True)
        options.recalc_bounds = True
        worker = subset.Subsetter(options)
        worker.populate(glyphs=sorted(wanted))
        worker.subset(font)
        codes = {name: code for code, name in enumerate(font.getGlyphOrder())}
        target = io.BytesIO()
        font.save(target, reorderTables=None)
        return SubsetFont(
            program=target.getvalue(),
            codes=codes,
            widths={code: round(self._advances[name] * 1000 / self._per_em) for name, code in codes.items()},
            unicode={codes[name]: characters for name, characters in wanted.items()},
        )


@lru_cache(maxsize=4)
def typeface(path: Path) -> Typeface:
    """A `Typeface`, read from disk once a process."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    return Typeface(path)
