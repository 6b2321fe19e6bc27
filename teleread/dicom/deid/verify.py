"""The last look at what is about to leave: is any piece of the patient's identity still in it?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from teleread.dicom.deid.identity import PatientIdentity, character_sets
from teleread.dicom.deid.pixels import expected_pixel_bytes
from teleread.dicom.deid.tokens import IdentityTokens, tokens_of, uids_in
from teleread.dicom.raw import PIXEL_TAGS, BrokenDataset, Element, RawFile, dictionary_vr, parse_raw, read_raw
from teleread.dicom.text import decode

#: VRs whose values people or programs write as text. Dates and numbers are not among them: they are retained on
#: purpose, and a birth date there is the date of something else.
TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

_BINARY_VRS = frozenset({"OB", "UN", "OW"})
#: A table of lookup values or a waveform this long is data; nobody keeps names there, and chance would find some.
_BINARY_SCANNED = 1 << 20
#: Pixels are looked through in pieces of this size, which share as much as the longest name is long.
_WINDOW, _OVERLAP = 1 << 24, 1 << 10


@dataclass(frozen=True, slots=True)
class Leak:
    """Where identity was found. Says nothing of what it was.

    Attributes
    ----------
    tag : int
        Element that holds it, 0 for bytes outside any element.
    kind : str
        ``text`` (as decoded), ``bytes`` (in some other encoding) or ``uid``.
    """

    tag: int
    kind: str


def is_text(element: Element) -> bool:
    """Whether an element's value is text by its written VR or by the dictionary's."""
    return element.vr in TEXT_VRS or dictionary_vr(element.tag) in TEXT_VRS


def _walk(
    raw: RawFile, elements: list[Element], sets: tuple[str, ...]
) -> Iterator[tuple[Element, tuple[str, ...]]]:
    for element in elements:
        if element.items is None:
            yield element, sets
            continue
        for item in element.items:
            inner = sets
            for child in item.elements:
                if child.tag == 0x00080005:
                    value = raw.data[child.value_at : child.value_end].decode("latin-1")
                    inner = tuple(term.strip(" \0") for term in value.split("\\"))
            yield from _walk(raw, item.elements, inner)


def _named_in_pixels(raw: RawFile, element: Element, tokens: IdentityTokens) -> bool:
    # Compressed streams have comment segments; uncompressed samples have none, only what follows the last of them.
    at = element.value_at if element.undefined else element.value_at + expected_pixel_bytes(raw)
    while at < element.value_end:
        if tokens.in_bytes(raw.data[at : min(at + _WINDOW, element.value_end)]):
            return True
        at += _WINDOW - _OVERLAP
    return False


def leaks_in(
    raw: RawFile, tokens: IdentityTokens, original_uids: frozenset[bytes], *, first_only: bool = False
) -> list[Leak]:
    """Return where identity is left in a file taken apart."""
    found: list[Leak] = []
    header: list[bytes] = list(raw.meta.values())
    for element, sets in _walk(raw, raw.elements, character_sets(raw)):
        if element.tag in PIXEL_TAGS:
            if _named_in_pixels(raw, element, tokens):
                found.append(Leak(element.tag, "bytes"))
            continue
        value = raw.data[element.value_at : element.value_end]
        text = is_text(element)
        if text or element.vr == "UI" or (element.vr in _BINARY_VRS and len(value) <= _BINARY_SCANNED):
            header.append(value)
        if text and value and tokens.in_text(decode(value, sets), own_only=True):
            found.append(Leak(element.tag, "text"))
        if first_only and found:
            return found
    everything = b"\n".join(header)
    if tokens.in_bytes(everything):
        found.append(Leak(0, "bytes"))
    if original_uids and not original_uids.isdisjoint(uids_in(everything)):
        found.append(Leak(0, "uid"))
    return found


def find_identity(
    data: bytes | Path, identity: PatientIdentity, *, original_uids: frozenset[bytes] = frozenset()
) -> list[Leak]:
    """Return where a DICOM file still holds a patient's identity; an empty list is what may be sent.

    Parameters
    ----------
    data : bytes or Path
        A file of PS3.10 as it would leave.
    identity : PatientIdentity
        Whose names (in any order, case, width and likely character set), ID, accession number and birth date are
        looked for, and whose study UID.
    original_uids : frozenset of bytes
        Further UIDs that must not be left.
    """
    tokens = tokens_of(identity)
    uids = original_uids | ({identity.study_instance_uid.encode()} if identity.study_instance_uid else set())
    try:
        raw = read_raw(data) if isinstance(data, Path) else parse_raw(data)
    except BrokenDataset:
        content = data.read_bytes() if isinstance(data, Path) else data
        found = [Leak(0, "bytes")] if tokens.in_bytes(content) else []
        return found + ([Leak(0, "uid")] if not uids.isdisjoint(uids_in(content)) else [])
    return leaks_in(raw, tokens, uids)
