"""Decodes text of any Specific Character Set without raising, and never encodes it again.

PS3.5 Section 6.1 and PS3.3 C.12.1.1.2. Values that do not decode as declared are tried as what such files usually are
(UTF-8, Shift_JIS, EUC), because a name that cannot be read can neither be filled into a report nor looked for.
"""

import re
from collections.abc import Sequence

_ESC = b"\x1b"

#: Defined terms -> Python codec of a value without escapes.
_CODECS = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 203": "iso8859-15",
    "ISO_IR 166": "iso8859-11",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 149": "euc_kr",
    "ISO_IR 58": "gb2312",
    "ISO_IR 87": "shift_jis",
    "ISO_IR 159": "shift_jis",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}

#: Escape sequences of PS3.3 Tables C.12-3 and C.12-4 -> (half they change, codec).
_ESCAPES = {
    b"\x1b(B": (0, "ascii"),
    b"\x1b(J": (0, "ascii"),
    b"\x1b$B": (0, "jis"),
    b"\x1b$@": (0, "jis"),
    b"\x1b$(D": (0, "jis_supplement"),
    b"\x1b)I": (1, "shift_jis"),
    b"\x1b(I": (0, "jis_kana"),
    b"\x1b$)C": (1, "euc_kr"),
    b"\x1b$)A": (1, "gb2312"),
    b"\x1b-A": (1, "latin-1"),
    b"\x1b-B": (1, "iso8859-2"),
    b"\x1b-C": (1, "iso8859-3"),
    b"\x1b-D": (1, "iso8859-4"),
    b"\x1b-L": (1, "iso8859-5"),
    b"\x1b-G": (1, "iso8859-6"),
    b"\x1b-F": (1, "iso8859-7"),
    b"\x1b-H": (1, "iso8859-8"),
    b"\x1b-M": (1, "iso8859-9"),
    b"\x1b-b": (1, "iso8859-15"),
    b"\x1b-T": (1, "iso8859-11"),
}
_ESCAPE = re.compile(
    b"(" + b"|".join(re.escape(each) for each in sorted(_ESCAPES, key=len, reverse=True)) + b")"
)

_LIKELY = ("utf-8", "cp932", "euc_jp", "gb18030")


def codec_of(term: str) -> str | None:
    """Return the Python codec of a defined term, also of its usual misspellings; None for an unknown term."""
    plain = (
        term.strip()
        .upper()
        .replace("ISO 2022 IR", "ISO_IR")
        .replace("ISO-IR", "ISO_IR")
        .replace("ISO IR", "ISO_IR")
    )
    return _CODECS.get(plain)


def _jis(fragment: bytes) -> str:
    try:
        return (b"\x1b$B" + fragment + b"\x1b(B").decode("iso2022_jp")
    except UnicodeDecodeError:
        pass
    # NEC's and IBM's additions (髙, 﨑, ①) are no JIS X 0208; as Shift_JIS the vendor's table knows them.
    shifted = bytearray()
    for first, second in zip(fragment[::2], fragment[1::2], strict=False):
        lead = ((first - 0x21) >> 1) + 0x81
        lead += 0x40 if lead > 0x9F else 0
        odd_trail = second + (0x1F if second < 0x60 else 0x20)
        trail = odd_trail if first % 2 else second + 0x7E
        shifted += bytes((lead & 0xFF, trail & 0xFF))
    return bytes(shifted).decode("cp932", "replace")


def _part(fragment: bytes, codec: str) -> str:
    if codec == "jis":
        return _jis(fragment)
    if codec == "jis_supplement":
        return (b"\x1b$(D" + fragment + b"\x1b(B").decode("iso2022_jp_1", "replace")
    if codec == "jis_kana":
        return bytes(byte | 0x80 for byte in fragment).decode("shift_jis", "replace")
    return fragment.decode(codec, "replace")


def _with_escapes(raw: bytes, first: str) -> str:
    graphic = ["ascii", first]
    pieces: list[str] = []
    for fragment in _ESCAPE.split(raw):
        if fragment in _ESCAPES:
            half, codec = _ESCAPES[fragment]
            graphic[half] = codec
        elif fragment:
            two_byte = graphic[0].startswith("jis")
            pieces.append(_part(fragment, graphic[0] if two_byte else graphic[1]))
    return "".join(pieces).replace("\x1b", "")


def decode(raw: bytes, character_sets: Sequence[str]) -> str:
    """Return the text of a value as read under its Specific Character Set.

    Parameters
    ----------
    raw : bytes
        Value of an element with VR LO, LT, PN, SH, ST, UC or UT, all of it (backslashes included).
    character_sets : sequence of str
        Values of (0008,0005) in force; empty for the default repertoire.
    """
    raw = raw.rstrip(b" \0")
    if _ESC in raw:
        return _with_escapes(raw, (codec_of(character_sets[0]) if character_sets else None) or "latin-1")
    if raw.isascii():
        return raw.decode("ascii")
    declared = [codec_of(term) for term in character_sets]
    for codec in (*filter(None, declared), *_LIKELY):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")
