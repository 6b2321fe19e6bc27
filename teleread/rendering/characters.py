"""Which characters of a text the report's typeface lacks: the same answer while writing and on the page."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from teleread import resources
from teleread.lettering import Typeface, compose_kana, typeface


def readable(text: str) -> str:
    """Line breaks as one character, kana joined with their marks, invisible format characters left out."""
    text = compose_kana(text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


@lru_cache(maxsize=1)
def faces() -> tuple[Typeface, Typeface]:
    """Return the regular and the bold face of the report, read once a process."""
    fonts = resources.report_fonts()
    return typeface(fonts.regular), typeface(fonts.bold)


def missing(text: str) -> tuple[str, ...]:
    """Return the characters of a text that one of the faces lacks, each once, in order."""
    found = [character for face in faces() for character in face.missing(readable(text))]
    return tuple(character for character in dict.fromkeys(found) if character != "\n")
