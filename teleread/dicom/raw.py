"""Datasets as encoded bytes: a reader that changes nothing it is not asked to change.

De-identification may not re-encode what a facility sent: text written in one character set would come out in another,
odd values would be "repaired". So elements are found where they lie in the file, untouched ones are copied byte for
byte, and only replaced ones are written anew. PS3.5 Section 7 (encoding), PS3.10 Section 7 (file format).
"""

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

from teleread.errors import InvalidInput

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
#: Deflated Explicit VR Little Endian, and its image form (PS3.5 A.5, A.4.12), differ: only the first deflates the dataset.
DEFLATED = "1.2.840.10008.1.2.1.99"

MAX_DEPTH = 64
#: A deflated dataset may grow to this, and above the free part to so many times its size: deflate reaches 1,032, images
#: that somebody will look at stay below 50.
MAX_INFLATED = 256 * 2**20
MAX_INFLATION = 200
_FREE_INFLATION = 16 * 2**20
_INFLATE_BYTES = 2**20
_MAP_FROM = 16 * 2**20

_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD

#: Values that a PixelData element may have under encapsulation (PS3.5 A.4).
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

#: VRs with 4 bytes of length after 2 reserved ones (PS3.5 Table 7.1-1).
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
SHORT_VRS = frozenset(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    ],
)
_VRS = {vr.encode(): vr for vr in LONG_VRS | SHORT_VRS}


class BrokenDataset(InvalidInput):
    """The bytes are no dataset that can be trusted; `code` is the reason for holding it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__("dataset", reason, code=code)


@dataclass(frozen=True, slots=True)
class Syntax:
    """How elements are written: byte order and whether the VR is."""

    explicit: bool
    big: bool

    @property
    def order(self) -> str:
        """Byte order character of `struct`."""
        return ">" if self.big else "<"


IMPLICIT = Syntax(explicit=False, big=False)
EXPLICIT = Syntax(explicit=True, big=False)
BIG = Syntax(explicit=True, big=True)

_HEADERS = {False: struct.Struct("<HHL"), True: struct.Struct(">HHL")}
_PLAIN_HEADER = struct.Struct("<HH2sH")
_PLAIN = {vr.encode(): vr for vr in SHORT_VRS}
_NO_VR: dict[bytes, str] = {}
_LENGTH16 = {False: struct.Struct("<H"), True: struct.Struct(">H")}
_LENGTH32 = {False: struct.Struct("<L"), True: struct.Struct(">L")}


@dataclass(slots=True)
class Item:
    """One item of a sequence."""

    elements: list["Element"]
    undefined: bool
    syntax: Syntax


@dataclass(slots=True)
class Element:
    """Where an element lies: header at `start`, value from `value_at` up to `value_end`, next element at `end`.

    `vr` is the VR that counts (written, or by the dictionary); `written_vr` what the bytes say ("" when they say none).
    """

    tag: int
    vr: str
    written_vr: str
    start: int
    value_at: int
    value_end: int
    end: int
    items: list[Item] | None = None
    undefined: bool = False

    @property
    def private(self) -> bool:
        """Whether the group number is odd (PS3.5 Section 7.8)."""
        return bool(self.tag & 0x10000)


@dataclass(slots=True)
class RawFile:
    """A file taken apart.

    Attributes
    ----------
    data : bytes or mmap
        What the offsets of the elements point into: the file, or the inflated dataset.
    meta : dict
        File meta values by tag (may be empty: files without meta are read too).
    transfer_syntax : str
        UID; guessed from the bytes where the file does not say.
    """

    data: bytes | mmap.mmap
    meta: dict[int, bytes]
    transfer_syntax: str
    syntax: Syntax
    elements: list[Element]
    dataset_at: int
    trailing: int = 0
    _by_tag: dict[int, Element] = field(default_factory=dict)

    def find(self, tag: int) -> Element | None:
        """Return the top-level element of a tag."""
        if not self._by_tag:
            self._by_tag = {element.tag: element for element in self.elements}
        return self._by_tag.get(tag)

    def value(self, tag: int) -> bytes:
        """Return a top-level value as bytes, empty when absent."""
        element = self.find(tag)
        return b"" if element is None else self.data[element.value_at : element.value_end]

    def text(self, tag: int) -> str:
        """Return a top-level value of the default repertoire (UI, CS, DA, …) without its padding."""
        return self.value(tag).decode("latin-1").strip(" \0")

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first value of a US element or of an IS element, `default` when it has none."""
        raw = self.value(tag)
        element = self.find(tag)
        if element is not None and element.vr == "IS":
            digits = raw.split(b"\\")[0].strip(b" \0")
            return int(digits) if digits.lstrip(b"+-").isdigit() else default
        return _LENGTH16[self.syntax.big].unpack_from(raw)[0] if len(raw) >= 2 else default


_REPEATERS = {
    (
        int(mask.replace("x", "f"), 16) ^ int(mask.replace("x", "0"), 16),
        int(mask.replace("x", "0"), 16),
    ): entry[0]
    for mask, entry in RepeatersDictionary.items()
}


def dictionary_vr(tag: int) -> str | None:
    """Return the VR of PS3.6 (the first where it has a choice), None for a tag it does not know."""
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return entry[0][:2]
    if tag & 0xFFFF == 0:
        return "UL"
    for (wild, fixed), vr in _REPEATERS.items():
        if tag & ~wild == fixed:
            return vr[:2]
    return None


def _implicit_vr(tag: int) -> str:
    if tag & 0x10000:
        return "UN"
    return dictionary_vr(tag) or "UN"


class _Reader:
    """Walks elements of one buffer."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data

    def elements(
        self, at: int, end: int, syntax: Syntax, depth: int = 0, *, until_delimiter: bool = False
    ) -> tuple[list[Element], int]:
        """Read elements up to `end`, or up to an item delimiter when the item's length is undefined."""
        if depth > MAX_DEPTH:
            raise BrokenDataset("too_deep", f"sequences are nested more than {MAX_DEPTH} deep")
        found: list[Element] = []
        data, unpack, append = self.data, _PLAIN_HEADER.unpack_from, found.append
        plain = (_PLAIN if syntax == EXPLICIT else _NO_VR).get
        while at + 8 <= end:
            group, number, code, length = unpack(data, at)
            vr = plain(code)
            if vr is not None and group != 0xFFFE:
                # Nine of ten elements: a short explicit VR, neither a sequence nor anything to be guessed.
                value_at = at + 8
                value_end = value_at + length
                if value_end <= end:
                    append(Element(group << 16 | number, vr, vr, at, value_at, value_end, value_end))
                    at = value_end
                    continue
            element = self._element(at, end, syntax, depth)
            if element.tag == _ITEM_END and until_delimiter:
                return found, element.end
            if element.tag >> 16 == 0xFFFE:
                raise BrokenDataset("unreadable", "an item or delimiter stands where an element is due")
            append(element)
            at = element.end
        if until_delimiter:
            raise BrokenDataset("truncated", "ends inside an item of undefined length")
        return found, at

    def _element(self, at: int, end: int, syntax: Syntax, depth: int) -> Element:
        group, number, length = _HEADERS[syntax.big].unpack_from(self.data, at)
        tag = group << 16 | number
        if group == 0xFFFE:
            return Element(tag, "", "", at, at + 8, at + 8, at + 8, undefined=length == _UNDEFINED)
        value_at = at + 8
        written = ""
        if syntax.explicit:
            written, value_at, length = self._explicit_header(at, end, length, syntax)
        vr = written or _implicit_vr(tag)
        if written == "UN" and not tag & 0x10000:
            vr = dictionary_vr(tag) or "UN"
        if length == _UNDEFINED:
            element = Element(tag, vr, written, at, value_at, value_at, value_at, undefined=True)
            return self._of_undefined_length(element, end, syntax, depth)
        value_end = value_at + length
        if value_end > end:
            raise BrokenDataset("truncated", f"a value goes {value_end - end} bytes beyond the end")
        element = Element(tag, vr, written, at, value_at, value_end, value_end)
        # What is private is removed whole, so nobody has to understand it.
        if vr == "SQ" and not tag & 0x10000:
            self._items_of_length(element, IMPLICIT if written == "UN" else syntax, depth)
        return element

    def _explicit_header(self, at: int, end: int, length: int, syntax: Syntax) -> tuple[str, int, int]:
        code = self.data[at + 4 : at + 6]
        vr = _VRS.get(code)
        if vr is None:
            if not (code.isalpha() and code.isupper()):
                return "", at + 8, length  # written as if the VR were implicit
            vr = "UN"
            if self.data[at + 6 : at + 8] != b"\0\0":
                # A VR of nobody's with a short length: its length field is what PS3.5 7.1.2 gives the old ones.
                return vr, at + 8, _LENGTH16[syntax.big].unpack_from(self.data, at + 6)[0]
        if vr in LONG_VRS:
            if at + 12 > end:
                raise BrokenDataset("truncated", "ends inside an element's header")
            return vr, at + 12, _LENGTH32[syntax.big].unpack_from(self.data, at + 8)[0]
        return vr, at + 8, _LENGTH16[syntax.big].unpack_from(self.data, at + 6)[0]

    def _of_undefined_length(self, element: Element, end: int, syntax: Syntax, depth: int) -> Element:
        value_at = element.value_at
        if element.tag in PIXEL_TAGS or element.vr in ("OB", "OW"):
            element.end = self._fragments_end(value_at, end, syntax)
            element.value_end = element.end - 8
            return element
        element.vr = "SQ"
        inner = IMPLICIT if element.written_vr == "UN" else syntax
        try:
            element.items, element.end = self._items(value_at, end, inner, depth, until_delimiter=True)
        except BrokenDataset:
            if inner is syntax:
                raise
            # PS3.5 6.2.2 wants implicit VR inside UN; some writers keep the file's own syntax.
            element.items, element.end = self._items(value_at, end, syntax, depth, until_delimiter=True)
        element.value_end = element.end - 8
        return element

    def _items_of_length(self, element: Element, syntax: Syntax, depth: int) -> None:
        try:
            element.items, _ = self._items(
                element.value_at, element.value_end, syntax, depth, until_delimiter=False
            )
        except BrokenDataset as broken:
            if broken.code == "too_deep" or element.written_vr != "UN":
                raise
            element.vr = "UN"

    def _items(
        self, at: int, end: int, syntax: Syntax, depth: int, *, until_delimiter: bool
    ) -> tuple[list[Item], int]:
        items: list[Item] = []
        header = _HEADERS[syntax.big]
        while at + 8 <= end:
            group, number, length = header.unpack_from(self.data, at)
            tag = group << 16 | number
            at += 8
            if tag == _SEQUENCE_END:
                # Also seen, wrongly, at the end of a sequence of defined length.
                return items, at
            if tag != _ITEM:
                raise BrokenDataset("unreadable", "something else than an item stands in a sequence")
            if length == _UNDEFINED:
                elements, at = self.elements(at, end, syntax, depth + 1, until_delimiter=True)
            else:
                if at + length > end:
                    raise BrokenDataset("truncated", "an item goes beyond the end of its sequence")
                elements, reached = self.elements(at, at + length, syntax, depth + 1)
                if reached != at + length and any(self.data[reached : at + length]):
                    raise BrokenDataset("unreadable", "an item's length and its elements disagree")
                at += length
            items.append(Item(elements, length == _UNDEFINED, syntax))
        if until_delimiter:
            raise BrokenDataset("truncated", "ends inside a sequence of undefined length")
        return items, at

    def _fragments_end(self, at: int, end: int, syntax: Syntax) -> int:
        header = _HEADERS[syntax.big]
        while at + 8 <= end:
            group, number, length = header.unpack_from(self.data, at)
            tag = group << 16 | number
            at += 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM or length == _UNDEFINED or at + length > end:
                raise BrokenDataset("truncated", "encapsulated pixel data is cut off")
            at += length
        raise BrokenDataset("truncated", "encapsulated pixel data has no end")


def fragments(raw: RawFile, element: Element) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each item of encapsulated pixel data, the Basic Offset Table first."""
    at = element.value_at
    while at < element.value_end:
        (length,) = _LENGTH32[raw.syntax.big].unpack_from(raw.data, at + 4)
        yield at + 8, at + 8 + length
        at += 8 + length


def _load(path: Path) -> bytes | mmap.mmap:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size < _MAP_FROM:
            return stream.read()
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _guess_syntax(data: bytes | mmap.mmap, at: int) -> Syntax:
    # The lowest groups come first: their number has its zero byte first when it is big endian.
    big = data[at] == 0 and data[at + 1] != 0
    explicit = data[at + 4 : at + 6] in _VRS
    if big and not explicit:
        raise BrokenDataset("unreadable", "neither explicit nor implicit VR can be seen")
    return Syntax(explicit=explicit, big=big)


_SYNTAX_UIDS = {IMPLICIT: IMPLICIT_LITTLE, EXPLICIT: EXPLICIT_LITTLE, BIG: EXPLICIT_BIG}


def _plausible_start(data: bytes | mmap.mmap, at: int) -> bool:
    if len(data) < at + 8:
        return False
    for order in ("<", ">"):
        group, number = struct.unpack_from(order + "HH", data, at)
        tag = group << 16 | number
        if group in (0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028) and dictionary_vr(tag):
            return data[at + 4 : at + 6] in _VRS or (order == "<" and data[at + 6 : at + 8] == b"\0\0")
    return False


def read_raw(path: Path) -> RawFile:
    """Take a file apart; with or without preamble and file meta.

    Raises
    ------
    BrokenDataset
        With the code ``not_dicom``, ``truncated``, ``unreadable``, ``too_deep`` or ``too_large``.
    OSError
        The file cannot be read.
    """
    return parse_raw(_load(path))


def parse_raw(data: bytes | mmap.mmap, *, depth: int = 0) -> RawFile:
    """Take the bytes of a file apart; see `read_raw`. The nesting is counted from `depth`."""
    if data[128:132] == b"DICM":
        at = 132
    elif _plausible_start(data, 0):
        at = 0
    else:
        raise BrokenDataset("not_dicom", "has neither the DICM prefix nor a dataset's first element")
    reader = _Reader(data)
    meta: dict[int, bytes] = {}
    while data[at : at + 2] == b"\x02\0" and at + 8 <= len(data):
        element = reader._element(at, len(data), EXPLICIT, 0)
        meta[element.tag] = data[element.value_at : element.value_end]
        at = element.end
    transfer_syntax = meta.get(0x00020010, b"").decode("latin-1").strip(" \0")
    if transfer_syntax == DEFLATED:
        data, at, reader = _inflate(data, at)
    if len(data) - at < 8:
        raise BrokenDataset("truncated", "there is no dataset after the file meta")
    syntax = _guess_syntax(data, at)
    if not transfer_syntax or (transfer_syntax in _SYNTAX_UIDS.values()):
        # The bytes win over the label: a reader that followed a wrong one would see nothing.
        transfer_syntax = _SYNTAX_UIDS[syntax]
    reader = _Reader(data)
    try:
        elements, reached = reader.elements(at, len(data), syntax, depth)
    except struct.error as error:
        raise BrokenDataset("truncated", "ends inside an element's header") from error
    rest = data[reached:]
    if any(rest):
        raise BrokenDataset("truncated", "ends inside an element's header")
    return RawFile(data, meta, transfer_syntax, syntax, elements, at, trailing=len(rest))


def elements_in(data: bytes, syntax: Syntax) -> list[Element]:
    """Take a run of whole elements apart; raises BrokenDataset."""
    return _Reader(data).elements(0, len(data), syntax)[0]


def text_before_the_break(path: Path, tag: int) -> str:
    """Return a top-level value of a file that `read_raw` refuses, if it stands whole before the broken place.

    Empty when it does not, or when nothing can be read at all. What this returns says where a broken file
    belongs, never what is in it.
    """
    try:
        data = _load(path)
        at = 132 if data[128:132] == b"DICM" else 0
        reader = _Reader(data)
        syntax: Syntax | None = None
        while at + 8 <= len(data):
            if syntax is None and data[at : at + 2] != b"\x02\0":
                syntax = _guess_syntax(data, at)
            element = reader._element(at, len(data), syntax or EXPLICIT, 0)
            if element.tag == tag:
                return data[element.value_at : element.value_end].decode("latin-1").strip(" \0")
            if element.tag > tag or element.end <= at:
                return ""
            at = element.end
    except (BrokenDataset, struct.error, IndexError):
        return ""
    return ""


def _inflate(data: bytes | mmap.mmap, at: int) -> tuple[bytes, int, _Reader]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    most = min(MAX_INFLATED, max(_FREE_INFLATION, MAX_INFLATION * (len(data) - at)))
    plain = bytearray()
    try:
        for start in range(at, len(data), _INFLATE_BYTES):
            piece = data[start : start + _INFLATE_BYTES]
            # In pieces on both sides, so that a bomb is known before it has gone off.
            while piece and not inflater.eof:
                plain += inflater.decompress(piece, _INFLATE_BYTES)
                piece = inflater.unconsumed_tail
                if len(plain) > most:
                    raise BrokenDataset("too_large", f"inflates to more than {most} bytes")
        plain += inflater.flush()
    except zlib.error as error:
        raise BrokenDataset("unreadable", "the deflated dataset does not inflate") from error
    if not inflater.eof:
        raise BrokenDataset("truncated", "the deflated dataset is cut off")
    inflated = bytes(plain)
    return inflated, 0, _Reader(inflated)


def encode_element(tag: int, vr: str, value: bytes, syntax: Syntax, *, undefined: bool = False) -> bytes:
    """Return header and value; the value is padded to even length (PS3.5 Section 6.2)."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    length = _UNDEFINED if undefined else len(value)
    order = syntax.order
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not syntax.explicit:
        return head + struct.pack(order + "L", length) + value
    if vr in LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "L", length) + value
    return head + vr.encode() + struct.pack(order + "H", length) + value


def encode_items(items: Iterable[tuple[bytes, bool]], syntax: Syntax, *, undefined: bool) -> bytes:
    """Return the value of a sequence from its items' contents and whether their lengths are undefined."""
    order = syntax.order
    parts: list[bytes] = []
    for content, open_ended in items:
        length = _UNDEFINED if open_ended else len(content)
        parts += (struct.pack(order + "HHL", 0xFFFE, 0xE000, length), content)
        if open_ended:
            parts.append(struct.pack(order + "HHL", 0xFFFE, 0xE00D, 0))
    if undefined:
        parts.append(struct.pack(order + "HHL", 0xFFFE, 0xE0DD, 0))
    return b"".join(parts)


def encode_meta(values: Iterable[tuple[int, str, bytes]]) -> bytes:
    """Return preamble, prefix and file meta group with its length (PS3.10 Section 7.1)."""
    group = b"".join(encode_element(tag, vr, value, EXPLICIT) for tag, vr, value in values)
    length = encode_element(0x00020000, "UL", struct.pack("<L", len(group)), EXPLICIT)
    return bytes(128) + b"DICM" + length + group
