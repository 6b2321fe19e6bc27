"""A second net: reads text in images by tesseract, where it is installed, and says which of it may name somebody.

It finds what rules and calibration cannot know of, such as a name that was typed into the picture. It is no proof of
absence: small or broken letters are missed, so nothing is sent because of it, only held.
"""

import csv
import io
import os
import re
import resource
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from teleread.dicom.deid.device_rules import Reading
from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.pixels import PixelPlan
from teleread.dicom.deid.regions import MOST_REGIONS, Region
from teleread.dicom.deid.tokens import fold, tokens_of
from teleread.dicom.raw import read_raw
from teleread.errors import TelereadError

SECONDS_PER_PAGE = 30
_MEMORY_BYTES = 2 << 30
#: Frames of a multi-frame object that are read: what a device prints stands on all of them.
_FRAMES_READ = 5
_SMALL_EDGE = 1400
_PADDING = 4

#: Words beside which a name stands, or that stand in the name of a facility.
_LABELS = re.compile(
    r"patient|\bname\b|\bd\.?o\.?b\b|birth|\bmrn\b|hospital|clinic|氏名|患者|生年|カルテ|病院|医院|クリニック|診療所"
)
_NUMBER = re.compile(r"(?<![\d.])\d{6,}(?![\d.])")
_COMMA_NAME = re.compile(r"(?<![a-z])[a-z]{3,}[,^][a-z]{3,}(?![a-z])")

#: Letters that a reader of small print takes for one another.
_ALIKE = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "8": "b", "6": "b", "2": "z", "9": "g", "q": "g"}
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in an image, and where it stands."""

    text: str
    region: Region


@lru_cache(maxsize=1)
def languages() -> str:
    """Return the languages of the installed reader as its option ``-l`` takes them, empty when there is no reader."""
    program = shutil.which("tesseract")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "--list-langs"], capture_output=True, text=True, timeout=SECONDS_PER_PAGE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    known = set(done.stdout.split())
    return "+".join(name for name in ("jpn", "eng") if name in known)


def is_available() -> bool:
    """Tell whether a text reader is installed."""
    return bool(languages())


def _read_page(png: bytes) -> str:
    # A child of its own, with its limits: what it reads comes from outside.
    with subprocess.Popen(
        ["tesseract", "stdin", "stdout", "-l", languages(), "--psm", "11", "tsv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"OMP_THREAD_LIMIT": "1", **_kept_environment()},
    ) as reader:
        for limit, value in (
            (resource.RLIMIT_AS, _MEMORY_BYTES),
            (resource.RLIMIT_CPU, SECONDS_PER_PAGE),
        ):
            resource.prlimit(reader.pid, limit, (value, value))
        try:
            answer, _ = reader.communicate(png, timeout=2 * SECONDS_PER_PAGE)
        except subprocess.TimeoutExpired:
            reader.kill()
            return ""
    return answer.decode("utf-8", "replace")


def _kept_environment() -> dict[str, str]:
    wanted = ("PATH", "TESSDATA_PREFIX", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in wanted if name in os.environ}


def lines_in(image: Any) -> list[Line]:
    """Return the lines of text in a picture of mode L."""
    from PIL import Image

    scale = 2 if max(image.size) < _SMALL_EDGE else 1
    large = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    large.save(out, "PNG", compress_level=1)
    return list(_lines(_read_page(out.getvalue()), scale))


def _lines(table: str, scale: int) -> Iterator[Line]:
    lines: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        if (row.get("text") or "").strip() and float(row["conf"]) >= 0:
            lines.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
    for words in lines.values():
        left = min(int(word["left"]) for word in words) // scale
        top = min(int(word["top"]) for word in words) // scale
        right = max(int(word["left"]) + int(word["width"]) for word in words) // scale + 1
        bottom = max(int(word["top"]) + int(word["height"]) for word in words) // scale + 1
        x, y = max(left - _PADDING, 0), max(top - _PADDING, 0)
        yield Line(
            " ".join(word["text"] for word in words),
            Region(x, y, right + _PADDING - x, bottom + _PADDING - y),
        )


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for at, second in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (letter != second))
    return row[-1]


def names_somebody(text: str, identity: PatientIdentity) -> bool:
    """Tell whether a line that was read may name the patient, or anybody.

    The patient's names, numbers and birth date are found with the mistakes that readers of small print make: one
    letter in four or five, two in eight; letters and digits of like shape count as the same. Beside them: labels of
    names, numbers of six digits and more, ``FAMILY,GIVEN``.
    """
    folded = fold(text)
    together = re.sub(r"\s+", "", folded)
    tokens = tokens_of(identity)
    if tokens.in_text(folded) or tokens.in_text(together):
        return True
    if _LABELS.search(folded) or _NUMBER.search(folded) or _COMMA_NAME.search(folded):
        return True
    pieces = {piece.translate(_ALIKE) for piece in (*folded.split(), together)}
    return any(_nearly(token.translate(_ALIKE), pieces) for token in tokens.own if len(token) >= 4)


def _nearly(token: str, pieces: set[str]) -> bool:
    allowed = 2 if len(token) >= 8 else 1
    return any(
        abs(len(piece) - len(token)) <= allowed and _distance(token, piece) <= allowed for piece in pieces
    )


def text_in_pixels(
    path: Path, plan: PixelPlan, reading: Reading, identity: PatientIdentity
) -> tuple[Region, ...]:
    """Return where text that may name somebody stands in an image, outside of what is going to be masked.

    Nothing when reading is off, the image is not of a kind to be read, no reader is installed, or nothing here decodes
    the image.
    """
    wanted = reading is Reading.ALL or (reading is Reading.RISKY and plan.is_risky)
    if not wanted or not is_available():
        return ()
    found: list[Region] = []
    for image in _frames(path, plan.regions):
        found += [
            line.region
            for line in lines_in(image)
            if line.region not in found and names_somebody(line.text, identity)
        ]
    return tuple(found[:MOST_REGIONS])


def _frames(path: Path, hidden: tuple[Region, ...]) -> Iterator[Any]:
    from PIL import Image

    from teleread.dicom.frames import picture

    raw = read_raw(path)
    count = max(raw.number(0x00280008, 1), 1)
    step = max(count / _FRAMES_READ, 1)
    for number in sorted({int(step * each) + 1 for each in range(min(count, _FRAMES_READ))}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image.open(io.BytesIO(picture(path, number, None, None, None))).convert("L")
        except (
            AttributeError,
            KeyError,
            IndexError,
            NotImplementedError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
            TelereadError,
        ):
            return
        for region in hidden:
            image.paste(0, (region.x, region.y, region.x + region.width, region.y + region.height))
        yield image
