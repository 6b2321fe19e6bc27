"""DICOM JSON (PS3.18 Annex F) from a file, in UTF-8 and without pixel data."""

import base64
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from teleread.dicom.deid.identity import character_sets
from teleread.dicom.raw import PIXEL_TAGS, Element, RawFile, Syntax, read_raw
from teleread.dicom.text import decode

#: Binary values above this size are fetched by their own URI (PS3.18 F.2.2).
INLINE_BYTES = 1024

_NUMBER_FORMATS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_DECODED_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SINGLE_VRS = frozenset({"LT", "ST", "UR", "UT"})
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def _number(value: float) -> float | int | str:
    # JSON knows no infinities; PS3.18 F.2.3 takes their names as strings.
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _from_string(vr: str, text: str) -> Any:
    if vr == "IS":
        try:
            return int(text)
        except ValueError:
            return text
    if vr == "DS":
        try:
            return _number(float(text))
        except ValueError:
            return text
    if vr == "PN":
        groups = [group.strip() for group in text.split("=")]
        return {name: group for name, group in zip(_NAME_GROUPS, groups, strict=False) if group}
    return text


def _values(vr: str, raw: bytes, syntax: Syntax, sets: tuple[str, ...]) -> list[Any]:
    if vr == "AT":
        pairs = struct.iter_unpack(syntax.order + "HH", raw[: len(raw) // 4 * 4])
        return [f"{group:04X}{element:04X}" for group, element in pairs]
    if vr in _NUMBER_FORMATS:
        code = syntax.order + _NUMBER_FORMATS[vr]
        size = struct.calcsize(code)
        return [_number(value) for (value,) in struct.iter_unpack(code, raw[: len(raw) // size * size])]
    text = decode(raw, sets) if vr in _DECODED_VRS else raw.decode("latin-1")
    parts = [text] if vr in _SINGLE_VRS else text.split("\\")
    cleaned = [part.rstrip(" \0") if vr in _SINGLE_VRS else part.strip(" \0") for part in parts]
    if not any(cleaned):
        return []
    return [_from_string(vr, part) if part else None for part in cleaned]


def element_json(
    raw: RawFile, element: Element, sets: tuple[str, ...], bulk: Callable[[str], str], path: str
) -> dict[str, Any]:
    """Return the JSON object of one element; `path` is its tag, below its sequences' tags and item numbers."""
    syntax = raw.syntax
    if element.items is not None:
        items = []
        for number, item in enumerate(element.items):
            inner = sets
            for child in item.elements:
                if child.tag == 0x00080005:
                    terms = raw.data[child.value_at : child.value_end].decode("latin-1").split("\\")
                    inner = tuple(term.strip(" \0") for term in terms)
            items.append(_elements(raw, item.elements, inner, bulk, f"{path}/{number}/"))
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    vr = "OW" if element.tag in PIXEL_TAGS and element.vr == "UN" else element.vr
    if element.tag in PIXEL_TAGS or (
        vr in _BINARY_VRS and element.value_end - element.value_at > INLINE_BYTES
    ):
        return {"vr": vr, "BulkDataURI": bulk(path)}
    value = raw.data[element.value_at : element.value_end]
    if vr in _BINARY_VRS:
        return {"vr": vr, "InlineBinary": base64.b64encode(value).decode("ascii")} if value else {"vr": vr}
    values = _values(vr, value, syntax, sets)
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _elements(
    raw: RawFile, elements: list[Element], sets: tuple[str, ...], bulk: Callable[[str], str], prefix: str
) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for element in elements:
        if element.tag & 0xFFFF == 0 or element.tag >> 16 < 0x0008:
            continue
        key = f"{element.tag:08X}"
        if element.tag == 0x00080005:
            # The JSON is UTF-8 whatever the file was.
            answer[key] = {"vr": "CS", "Value": ["ISO_IR 192"]}
        else:
            answer[key] = element_json(raw, element, sets, bulk, prefix + key)
    return answer


def dataset_json(path: Path, *, bulk_uri: Callable[[str], str]) -> dict[str, Any]:
    """Return the DICOM JSON model object of an instance.

    Parameters
    ----------
    path : Path
        A DICOM file.
    bulk_uri : callable
        Gets the path of a bulk value (``7FE00010``, or ``54000100/0/54001010``), returns its URI.

    Raises
    ------
    BrokenDataset
        The file cannot be read.
    """
    raw = read_raw(path)
    answer = _elements(raw, raw.elements, character_sets(raw), bulk_uri, "")
    answer["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    answer["00083002"] = {"vr": "UI", "Value": [raw.transfer_syntax]}
    return dict(sorted(answer.items()))
