"""Decodes text of any Specific Character Set without raising, and never encodes it again.

PS3.5 Section 6.1 and PS3.3 C.12.1.1.2. Values that do not decode as declared are tried as what such files usually are
(UTF-8, Shift_JIS, EUC), because a name that cannot be read can neither be filled into a report nor looked for.
"""

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache

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
    # No terms of DICOM, and seen in its place.
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "SHIFT_JIS": "cp932",
    "SHIFT-JIS": "cp932",
    "SJIS": "cp932",
    "EUC-JP": "euc_jp",
    "EUC-KR": "euc_kr",
    "ISO-8859-1": "latin-1",
}

#: Escape sequences of PS3.3 Tables C.12-3 and C.12-4 -> (half they change, codec).
_ESCAPES = {
    b"\x1b(B": (0, "ascii"),
    b"\x1b(J": (0, "ascii"),
    b"\x1b$B": (0, "jis"),
    b"\x1b$@": (0, "jis"),
    b"\x1b$(D": (0, "jis_supplement"),
    # Not of DICOM, but of files that were made elsewhere: four-byte forms, KS X 1001 and GB 2312 in the left half.
    b"\x1b$(B": (0, "jis"),
    b"\x1b$(@": (0, "jis"),
    b"\x1b$(C": (0, "ks_left"),
    b"\x1b$(A": (0, "gb_left"),
    b"\x1b$A": (0, "gb_left"),
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

#: What a value may be written in though it says something else; all that fit are looked through for a name.
_MISLABELLED = ("utf-8", "cp932", "euc_jp", "gb18030", "euc_kr", "big5", "latin-1")
#: Two bytes of seven bits a character -> codec of the same pair with the high bits set.
_PAIRS = {"ks_left": "euc_kr", "gb_left": "gb2312"}


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


def _jis(pair: bytes) -> str:
    try:
        return (b"\x1b$B" + pair + b"\x1b(B").decode("iso2022_jp")
    except UnicodeDecodeError:
        pass
    # NEC's and IBM's additions (髙, 﨑, ①) are no JIS X 0208; as Shift_JIS the vendor's table knows them.
    first, second = pair
    lead = ((first - 0x21) >> 1) + 0x81
    lead += 0x40 if lead > 0x9F else 0
    odd_trail = second + (0x1F if second < 0x60 else 0x20)
    trail = odd_trail if first % 2 else second + 0x7E
    return bytes((lead & 0xFF, trail & 0xFF)).decode("cp932", "replace")


def _pair(pair: bytes, codec: str) -> str:
    if codec == "jis":
        return _jis(pair)
    if codec == "jis_supplement":
        return (b"\x1b$(D" + pair + b"\x1b(B").decode("iso2022_jp_1", "replace")
    return bytes(byte | 0x80 for byte in pair).decode(_PAIRS[codec], "replace")


Place = tuple[str, int, int]


def _places(raw: bytes, codec: str, start: int = 0) -> list[Place]:
    """Return each character with where its bytes begin and end."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    found: list[Place] = []
    begun = 0
    for at in range(len(raw)):
        text = decoder.decode(raw[at : at + 1])
        if text:
            found += [(character, start + begun, start + at + 1) for character in text]
            begun = at + 1
    rest = decoder.decode(b"", final=True)
    return found + [(character, start + begun, start + len(raw)) for character in rest]


def _places_in_pairs(raw: bytes, codec: str, start: int) -> list[Place]:
    found: list[Place] = []
    at = 0
    while at < len(raw):
        pair = raw[at : at + 2]
        if pair[0] <= 0x20 or len(pair) < 2:
            # A line end or blank inside; the pairs go on behind it.
            found.append((chr(pair[0]), start + at, start + at + 1))
            at += 1
            continue
        found += [(character, start + at, start + at + 2) for character in _pair(pair, codec)]
        at += 2
    return found


def _places_with_escapes(raw: bytes, first: str) -> list[Place]:
    graphic = ["ascii", first]
    found: list[Place] = []
    at = 0
    for fragment in _ESCAPE.split(raw):
        if fragment in _ESCAPES:
            half, codec = _ESCAPES[fragment]
            graphic[half] = codec
        elif graphic[0] == "jis_kana":
            found += _places(bytes(byte | 0x80 for byte in fragment), "shift_jis", at)
        elif graphic[0] != "ascii":
            found += _places_in_pairs(fragment, graphic[0], at)
        elif fragment:
            found += _places(fragment, graphic[1], at)
        at += len(fragment)
    return [place for place in found if place[0] != "\x1b"]


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
    if raw.isascii() and _ESC not in raw:
        return raw.decode("ascii")
    return _decoded(raw, tuple(character_sets))[0]


@lru_cache(maxsize=2048)
def _decoded(raw: bytes, character_sets: tuple[str, ...]) -> tuple[str, str]:
    """Return the text, and the codec that read it ("" for one with escape sequences)."""
    if _ESC in raw:
        return "".join(place[0] for place in _places_with_escapes(raw, _first(character_sets))), ""
    declared = [codec for codec in map(codec_of, character_sets) if codec]
    if declared and declared[0] in _ONE_BYTE:
        declared = [*_betrayed(raw), *declared]
    elif _is_plainly_utf8(raw):
        declared = ["utf-8", *declared]
    for codec in (*declared, *_LIKELY):
        try:
            return raw.decode(codec), codec
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


#: Sets in which any byte is a character, so that a wrong label shows in no error.
_ONE_BYTE = frozenset(codec for codec in _CODECS.values() if codec.startswith(("iso8859", "latin")))

_KANA_IN_EUC = re.compile(rb"(?:[\xa1-\xfe]{2})*[\xa4\xa5][\xa1-\xf6](?:[\xa1-\xfe]{2})*")
_CONTROLS = re.compile(rb"[\x80-\x9f]")


def _betrayed(raw: bytes) -> list[str]:
    """Return the codecs that bytes under the label of a one-byte set speak for.

    Nobody writes words that happen to be UTF-8; the controls 80 to 9F are in no name; three letters of À to ß in a row
    are half-width kana, and the pairs behind ¤ and ¥ are kana in EUC.
    """
    runs = re.findall(rb"[\x80-\xff]+", raw)
    found = ["utf-8"]
    if _CONTROLS.search(raw):
        found += ["cp932", "gb18030"]
    elif _KANA_IN_EUC.fullmatch(b"".join(runs)):
        found.append("euc_jp")
    elif any(len(run) > 2 for run in runs) and all(0xA6 <= byte <= 0xDF for run in runs for byte in run):
        found.append("cp932")
    return found


def _is_plainly_utf8(raw: bytes) -> bool:
    """Whether bytes are UTF-8 with two characters or more of three bytes: in Shift_JIS or GB 18030 no words come out so."""
    try:
        wide = [character for character in raw.decode("utf-8") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    return len(wide) > 1 and min(wide) > "\u07ff"


def _first(character_sets: Sequence[str]) -> str:
    first = codec_of(character_sets[0]) if character_sets else None
    # The default repertoire has no right half; what stands there all the same is most often this.
    return "latin-1" if first in (None, "ascii") else first


def readings(raw: bytes, character_sets: Sequence[str]) -> list[tuple[str, str]]:
    """Return every text that a value may be, the declared one first, each with the codec that `places` takes.

    A label is a claim: Shift_JIS stands under ISO_IR 100, UTF-8 under none, and what was read wrongly once was often
    written again so (mojibake). Texts of the last kind have the codec "?": nobody can say which byte is which letter.
    """
    raw = raw.rstrip(b" \0")
    if raw.isascii() and _ESC not in raw and b"\0" not in raw and b"$B" not in raw and b"$@" not in raw:
        return [(raw.decode("ascii"), "ascii")]
    return list(_readings(raw, tuple(character_sets)))


_LOST_ESCAPE = re.compile(rb"(\$[@B]|\$\(D|\([BJI])")


@lru_cache(maxsize=2048)
def _readings(raw: bytes, character_sets: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = {_decoded(raw, character_sets)[0]: _decoded(raw, character_sets)[1]}
    for codec in (*_MISLABELLED, *(("utf-16-le", "utf-16-be") if b"\0" in raw else ())):
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        found.setdefault(text, codec)
    if _ESC not in raw and (b"$B" in raw or b"$@" in raw):
        # Programs that let no control character pass leave the rest of the escape sequence.
        mended = _LOST_ESCAPE.sub(b"\x1b\\1", raw)
        found.setdefault("".join(place[0] for place in _places_with_escapes(mended, "latin-1")), "?")
    for text, codec in list(found.items()):
        if codec == "utf-8":
            for wrong in ("latin-1", "cp1252"):
                for right in ("utf-8", "cp932"):
                    try:
                        found.setdefault(text.encode(wrong).decode(right), "?")
                    except UnicodeError:
                        continue
    return tuple(found.items())


def places(raw: bytes, character_sets: Sequence[str], codec: str) -> list[Place]:
    """Return the characters of one of the `readings`, each with where its bytes begin and end in the value."""
    if codec == "?":
        return []
    return _places(raw, codec) if codec else _places_with_escapes(raw, _first(character_sets))
