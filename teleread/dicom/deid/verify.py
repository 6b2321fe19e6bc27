"""The last look at what is about to leave: is any piece of the patient's identity still in it?

Every byte is read once for names and numbers in the character sets in use, and every text is read once more in every way
it may have been meant. A hit holds the instance; where it was and what it was is told at the facility only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from teleread.dicom.deid.identity import PatientIdentity, character_sets
from teleread.dicom.deid.pixels import expected_pixel_bytes
from teleread.dicom.deid.tokens import ByteForm, IdentityTokens, tokens_of, uids_in
from teleread.dicom.raw import (
    PIXEL_TAGS,
    BrokenDataset,
    Element,
    RawFile,
    dictionary_vr,
    fragments,
    parse_raw,
    read_raw,
)

#: VRs whose values people or programs write as text. Dates and numbers are not among them: they are retained on
#: purpose, and a birth date there is the date of something else.
TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

_BINARY_VRS = frozenset({"OB", "UN", "OW"})
#: A binary value of up to this many bytes may well be text of somebody's own; a longer one is a table or a curve.
_SHORT_BINARY = 1 << 12

#: Where the entropy-coded bytes of a frame begin (SOS of JPEG and JPEG-LS, SOT of JPEG 2000): comments come before.
_CODED_FROM = {b"\xff\xd8": b"\xff\xda", b"\xff\x4f": b"\xff\x90"}
_PREAMBLE = 128


@dataclass(frozen=True, slots=True)
class Leak:
    """Where identity was found. Written out, it says nothing of what it was.

    Attributes
    ----------
    tag : int
        Element that holds it, 0 for bytes outside any element.
    kind : str
        ``text`` (as read), ``bytes`` (in some other encoding), ``uid`` or ``preamble``.
    what : str
        ``name``, ``id``, ``birth date``, ``phone``, ``address``, ``doubtful`` (a word that may be the patient), ``uid``.
    found : str
        The characters themselves; for the facility's eyes only.
    """

    tag: int
    kind: str
    what: str = ""
    found: str = field(default="", repr=False)


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


def _coded_spans(raw: RawFile, element: Element) -> list[tuple[int, int]]:
    """Return where the coded bytes of compressed frames are; what lies between are headers and comments."""
    found = []
    for start, end in fragments(raw, element):
        mark = _CODED_FROM.get(bytes(raw.data[start : start + 2]))
        at = raw.data.find(mark, start, end) if mark else start
        found.append((start if at < 0 else at, end))
    return found


def _counts(raw: RawFile, element: Element | None, start: int, end: int, form: ByteForm) -> bool:
    """Whether a hit is more than chance where it lies.

    Six bytes do not meet by chance in half a megabyte of coded pixels, four may, and the samples of an image are no
    random numbers at all. In a header even four bytes are worth a look.
    """
    if element is None:
        return True
    if element.tag in PIXEL_TAGS:
        if element.undefined:
            coded = any(begin <= start < stop for begin, stop in _coded_spans(raw, element))
            return not coded or len(form.data) >= 6
        samples_end = element.value_at + expected_pixel_bytes(raw)
        return end > samples_end or (form.letters >= 8 if form.text.isascii() else len(form.data) >= 8)
    if is_text(element) or element.vr == "UI":
        return True
    if element.vr in _BINARY_VRS and element.value_end - element.value_at <= _SHORT_BINARY:
        return True
    # Dates, times and numbers are kept on purpose; tables of samples hold any short run of bytes by chance.
    return form.kind == "name" and form.letters >= 6 and len(form.data) >= 8


def _in_bytes(raw: RawFile, tokens: IdentityTokens) -> Iterator[Leak]:
    leaves: list[Element] | None = None
    for hit in tokens.found_in_bytes(raw.data):
        if leaves is None:
            leaves = [element for element, _ in _walk(raw, raw.elements, ())]
        element = next((one for one in leaves if one.value_at <= hit.start < one.value_end), None)
        if _counts(raw, element, hit.start, hit.end, hit.form):
            yield Leak(element.tag if element else 0, "bytes", hit.form.kind, hit.form.text)


def _in_texts(raw: RawFile, tokens: IdentityTokens) -> Iterator[Leak]:
    for element, sets in _walk(raw, raw.elements, character_sets(raw)):
        if element.tag in PIXEL_TAGS or element.value_at == element.value_end or not is_text(element):
            continue
        value = raw.data[element.value_at : element.value_end]
        # The terms of a CS are the standard's: a doubtful word there is one of them.
        told = tokens.told_in_value(value, sets, doubtful=element.vr != "CS")
        if told is not None:
            yield Leak(element.tag, "text", *told)


def _uids(raw: RawFile, original_uids: frozenset[bytes]) -> Iterator[Leak]:
    header = list(raw.meta.values())
    for element, _ in _walk(raw, raw.elements, ()):
        if (
            is_text(element)
            or element.vr == "UI"
            or (element.vr in _BINARY_VRS and element.tag not in PIXEL_TAGS)
        ):
            header.append(raw.data[element.value_at : min(element.value_end, element.value_at + (1 << 20))])
    for uid in sorted(original_uids & uids_in(b"\n".join(header))):
        yield Leak(0, "uid", "uid", uid.decode("latin-1"))


def _leaks(raw: RawFile, tokens: IdentityTokens, original_uids: frozenset[bytes]) -> Iterator[Leak]:
    if raw.data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" and any(raw.data[:_PREAMBLE]):
        yield Leak(0, "preamble", "preamble")
    yield from _in_texts(raw, tokens)
    yield from _in_bytes(raw, tokens)
    if not raw.dataset_at:
        # Of a deflated file what was read above is the dataset alone.
        for hit in tokens.found_in_bytes(b"\n".join(raw.meta.values())):
            yield Leak(0, "bytes", hit.form.kind, hit.form.text)
    if original_uids:
        yield from _uids(raw, original_uids)


def leaks_in(
    raw: RawFile, tokens: IdentityTokens, original_uids: frozenset[bytes], *, first_only: bool = False
) -> list[Leak]:
    """Return where identity is left in a file taken apart."""
    found = _leaks(raw, tokens, original_uids)
    if first_only:
        first = next(found, None)
        return [] if first is None else [first]
    return list(dict.fromkeys(found))


def described(leak: Leak) -> str:
    """Return a leak in words, with what was found: for the console of the facility, never for the centre or a log."""
    where = f"({leak.tag >> 16:04X},{leak.tag & 0xFFFF:04X})" if leak.tag else "outside any element"
    return f"{leak.what or leak.kind} in {where}" + (f": {leak.found}" if leak.found else "")


def find_identity(
    data: bytes | Path, identity: PatientIdentity, *, original_uids: frozenset[bytes] = frozenset()
) -> list[Leak]:
    """Return where a DICOM file still holds a patient's identity; an empty list is what may be sent.

    Parameters
    ----------
    data : bytes or Path
        A file of PS3.10 as it would leave.
    identity : PatientIdentity
        Whose names (in any order, case, width, romaji and likely character set), ID, accession number, birth date, phone
        and address are looked for, and whose study UID.
    original_uids : frozenset of bytes
        Further UIDs that must not be left.
    """
    tokens = tokens_of(identity)
    uids = original_uids | ({identity.study_instance_uid.encode()} if identity.study_instance_uid else set())
    try:
        raw = read_raw(data) if isinstance(data, Path) else parse_raw(data)
    except BrokenDataset:
        content = data.read_bytes() if isinstance(data, Path) else data
        found = [Leak(0, "bytes", hit.form.kind, hit.form.text) for hit in tokens.found_in_bytes(content)]
        return found + [
            Leak(0, "uid", "uid", uid.decode("latin-1")) for uid in sorted(uids & uids_in(content))
        ]
    return leaks_in(raw, tokens, uids)
