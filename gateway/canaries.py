"""Invented patients whose identity lies where it is easily overlooked: what the red team sends down the road.

Made by code from a seed, so that a run can be repeated. What must not leave is kept beside each file as bytes, worked out
here by simple means: nothing of the de-identification judges its own work.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw

_CT = "1.2.840.10008.5.1.4.1.1.2"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
_RADIOGRAPH = "1.2.840.10008.5.1.4.1.1.1"
_REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_EXPLICIT = "1.2.840.10008.1.2.1"
_JPEG = "1.2.840.10008.1.2.4.50"

#: Kanji, katakana and romaji of family names and of given names, the awkward ones: variant characters, JIS X 0212, a
#: character outside the Basic Multilingual Plane, one character alone, long vowels.
_FAMILIES = (
    ("髙﨑", "タカサキ", "Takasaki"), ("渡邉", "ワタナベ", "Watanabe"), ("大野", "オオノ", "Ohno"), ("森", "モリ", "Mori"),
    ("長谷川", "ハセガワ", "Hasegawa"), ("齋藤", "サイトウ", "Saitoh"), ("𠮷田", "ヨシダ", "Yoshida"),
)  # fmt: skip
_GIVEN = (
    ("鷗外", "オウガイ", "Ohgai"), ("彰一", "ショウイチ", "Shoichi"), ("純一郎", "ジュンイチロウ", "Jun-ichiro"), ("千鶴子", "チヅコ", "Chizuko"),
    ("由紀恵", "ユキエ", "Yukie"),
)  # fmt: skip
_HALF_KANA = dict(zip("アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワンー", "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝｰ", strict=True)) | {
    "ガ": "ｶﾞ", "ギ": "ｷﾞ", "グ": "ｸﾞ", "ジ": "ｼﾞ", "ズ": "ｽﾞ", "ダ": "ﾀﾞ", "ヅ": "ﾂﾞ", "デ": "ﾃﾞ", "ド": "ﾄﾞ", "バ": "ﾊﾞ", "ビ": "ﾋﾞ", "ベ": "ﾍﾞ",
    "ボ": "ﾎﾞ", "ョ": "ｮ", "ュ": "ｭ", "ャ": "ｬ", "ッ": "ｯ",
}  # fmt: skip
_ENCODINGS = (
    "utf-8",
    "cp932",
    "euc_jp",
    "iso2022_jp",
    "iso2022_jp_1",
    "utf-16-le",
    "utf-16-be",
    "gb18030",
    "euc_kr",
)


@dataclass(frozen=True)
class Patient:
    """An invented patient."""

    family: tuple[str, str, str]
    given: tuple[str, str, str]
    patient_id: str
    birth_date: str
    phone: str

    @property
    def birth_in_era(self) -> str:
        """The birth date as people say it."""
        year, month, day = (
            int(part) for part in (self.birth_date[:4], self.birth_date[4:6], self.birth_date[6:])
        )
        return f"S{year - 1925}.{month}.{day}"

    @property
    def kana(self) -> str:
        """Family and given name in half-width katakana."""
        return " ".join(
            "".join(_HALF_KANA.get(letter, letter) for letter in part[1])
            for part in (self.family, self.given)
        )

    @property
    def name(self) -> bytes:
        """Value of (0010,0010) in UTF-8, three component groups."""
        groups = (f"{self.family[place]}^{self.given[place]}" for place in (2, 0, 1))
        return "=".join(groups).encode("utf-8")


@dataclass(frozen=True)
class Canary:
    """A file that has to come out without its patient, or not at all.

    `defence` is what has to deal with it; `needles` are bytes (lower case) of which none may leave; `expected` is the
    state it is expected in, `clean` or `held`; `text` is what stands on a request instead of in a file.
    """

    name: str
    defence: str
    patient: Patient
    data: bytes
    needles: tuple[bytes, ...]
    expected: str = "clean"
    text: str = ""


@cache
def _forms(patient: Patient) -> tuple[bytes, ...]:
    """Return how the patient could be written, as bytes."""
    romaji = {patient.family[2], patient.given[2], patient.given[2].replace("-", "")}
    words = {part[0] for part in (patient.family, patient.given) if len(part[0]) > 1}
    words |= {part[1] for part in (patient.family, patient.given) if len(part[1]) > 2}
    words |= {word for word in patient.kana.split() if len(word) > 3}
    words |= {
        patient.family[0] + patient.given[0],
        patient.patient_id,
        patient.patient_id.lstrip("0"),
        patient.phone,
    }
    words |= {patient.phone.replace("-", ""), patient.birth_in_era}
    words |= {word for word in romaji if len(word) > 4}
    found: set[bytes] = set()
    for word in words:
        for encoding in _ENCODINGS:
            try:
                data = word.encode(encoding)
            except UnicodeEncodeError:
                continue
            if encoding.startswith("iso2022") and b"\x1b" in data:
                data = data.split(b"B" if b"$B" in data[:3] else b"D", 1)[1].removesuffix(b"\x1b(B")
            if len(data) >= 4:
                found.add(data.lower())
    return tuple(sorted(found))


#: OB of undefined length (PS3.5 Annex A.4).
_FRAGMENTS = "OB of fragments"

Elements = dict[int, tuple[str, bytes]]
_LONG = {"OB", "OW", "OF", "UN", "UT", "SQ", "UC", "UR"}


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if value and len(value) % 2 and vr != "SQ":
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr[:2].encode("ascii")
    if vr == _FRAGMENTS:
        return head + struct.pack("<xxL", 0xFFFFFFFF) + value
    return head + (struct.pack("<xxL", len(value)) if vr in _LONG else struct.pack("<H", len(value))) + value


def _dataset(elements: Elements) -> bytes:
    return b"".join(_element(tag, *elements[tag]) for tag in sorted(elements))


def _item(elements: Elements) -> bytes:
    content = _dataset(elements)
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def _file(
    elements: Elements, *, preamble: bytes = b"", meta: Elements | None = None, syntax: str = _EXPLICIT
) -> bytes:
    group = {
        0x00020001: ("OB", b"\0\1"),
        0x00020002: ("UI", elements[0x00080016][1]),
        0x00020003: ("UI", elements[0x00080018][1]),
        0x00020010: ("UI", syntax.encode("ascii")),
        0x00020012: ("UI", b"1.2.3.4"),
    } | (meta or {})
    values = _dataset(group)
    return (
        preamble.ljust(128, b"\0")
        + b"DICM"
        + _element(0x00020000, "UL", struct.pack("<L", len(values)))
        + values
        + _dataset(elements)
    )


class _Maker:
    """Makes the canaries of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - invented patients, no secrets
        self._number = 0

    def patient(self) -> Patient:
        draw = self._random
        return Patient(
            family=draw.choice(_FAMILIES),
            given=draw.choice(_GIVEN),
            patient_id=f"00{draw.randrange(1_000_000, 9_999_999)}",
            birth_date=f"{draw.randrange(1930, 1985)}{draw.randrange(10, 13)}{draw.randrange(10, 29)}",
            phone=f"0{draw.randrange(10, 99)}-{draw.randrange(2000, 9999)}-{draw.randrange(1000, 9999)}",
        )

    def image(self, patient: Patient, *, kind: str = _CT, modality: bytes = b"CT") -> Elements:
        """Return a small image of a patient in UTF-8."""
        self._number += 1
        uid = f"1.2.392.200036.9116.{self._random.randrange(10**8, 10**9)}.{self._number}"
        size = 16
        return {
            0x00080005: ("CS", b"ISO_IR 192"),
            0x00080008: ("CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
            0x00080016: ("UI", kind.encode("ascii")),
            0x00080018: ("UI", f"{uid}.3".encode("ascii")),
            0x00080020: ("DA", b"20260511"),
            0x00080030: ("TM", b"101500"),
            0x00080060: ("CS", modality),
            0x00081030: ("LO", "胸部 CT CHEST".encode()),
            0x00100010: ("PN", patient.name),
            0x00100020: ("LO", patient.patient_id.encode("ascii")),
            0x00100030: ("DA", patient.birth_date.encode("ascii")),
            0x00100040: ("CS", b"F"),
            0x00102154: ("SH", patient.phone.encode("ascii")),
            0x0020000D: ("UI", f"{uid}.1".encode("ascii")),
            0x0020000E: ("UI", f"{uid}.2".encode("ascii")),
            0x00280002: ("US", struct.pack("<H", 1)),
            0x00280004: ("CS", b"MONOCHROME2"),
            0x00280010: ("US", struct.pack("<H", size)),
            0x00280011: ("US", struct.pack("<H", size)),
            0x00280100: ("US", struct.pack("<H", 16)),
            0x00280101: ("US", struct.pack("<H", 12)),
            0x00280102: ("US", struct.pack("<H", 11)),
            0x00280103: ("US", struct.pack("<H", 0)),
            0x7FE00010: ("OW", bytes(2 * size * size)),
        }

    def canary(
        self,
        name: str,
        defence: str,
        change: Callable[[Elements, Patient], None],
        *,
        expected: str = "clean",
        needles: tuple[bytes, ...] = (),
        kind: str = _CT,
        modality: bytes = b"CT",
        **file: object,
    ) -> Canary:
        patient = self.patient()
        elements = self.image(patient, kind=kind, modality=modality)
        change(elements, patient)
        arguments = {key: value(patient) if callable(value) else value for key, value in file.items()}
        uids = tuple(elements[tag][1].lower() for tag in (0x00080018, 0x0020000D, 0x0020000E))
        return Canary(
            name,
            defence,
            patient,
            _file(elements, **arguments),  # type: ignore[arg-type]
            (*_forms(patient), *uids, *needles),
            expected,
        )


def _drawn(patient: Patient) -> tuple[int, int, bytes, bytes]:
    """Return rows, columns, the samples of an image with the patient's name in it, and the rows that show it."""
    picture = Image.new("L", (192, 64), 8)
    ImageDraw.Draw(picture).text(
        (4, 4), f"{patient.family[2]} {patient.given[2]} {patient.patient_id}", fill=240
    )
    samples = picture.tobytes()
    return 64, 192, samples, samples[192 * 6 : 192 * 12]


def _with_text(
    text: Callable[[Patient], bytes], tag: int = 0x00204000, vr: str = "LT", sets: bytes = b""
) -> Callable[[Elements, Patient], None]:
    def change(elements: Elements, patient: Patient) -> None:
        elements[tag] = (vr, text(patient))
        if sets:
            # The name of the header is of no use to these: it is in the character set that the file claims.
            elements[0x00080005] = ("CS", sets)
            elements[0x00100010] = ("PN", f"{patient.family[2]}^{patient.given[2]}".encode("ascii"))

    return change


def _kanji(patient: Patient) -> str:
    # What Shift_JIS and the Chinese and Korean sets all have.
    return f"{patient.family[1]} {patient.given[1]}"


def _picture(elements: Elements, patient: Patient) -> None:
    rows, columns, samples, _ = _drawn(patient)
    elements |= {
        0x00280010: ("US", struct.pack("<H", rows)),
        0x00280011: ("US", struct.pack("<H", columns)),
        0x00280100: ("US", struct.pack("<H", 8)),
        0x00280101: ("US", struct.pack("<H", 8)),
        0x00280102: ("US", struct.pack("<H", 7)),
        0x7FE00010: ("OB", samples),
        0x00080008: ("CS", b"DERIVED\\SECONDARY"),
    }


def _burned_in(maker: _Maker, name: str, kind: str, modality: bytes, *, says: bytes = b"") -> Canary:
    def change(elements: Elements, patient: Patient) -> None:
        _picture(elements, patient)
        if says:
            elements[0x00280301] = ("CS", says)

    made = maker.canary(name, "pixels", change, kind=kind, modality=modality, expected="held")
    return Canary(
        made.name,
        made.defence,
        made.patient,
        made.data,
        (*made.needles, _drawn(made.patient)[3].lower()),
        "held",
    )


def _overlay_canary(maker: _Maker) -> Canary:
    made = maker.canary("overlay_with_name", "overlay", _overlay)
    picture = _overlay_picture(made.patient)
    return Canary(made.name, made.defence, made.patient, made.data, (*made.needles, picture.lower()))


def _overlay_picture(patient: Patient) -> bytes:
    picture = Image.new("1", (16, 16))
    ImageDraw.Draw(picture).text((0, 2), patient.family[2][:3], fill=1)
    return picture.tobytes()


def _private(elements: Elements, patient: Patient) -> None:
    elements[0x00091001] = ("LO", f"{patient.family[0]}{patient.given[0]}".encode())
    elements[0x00090010] = ("LO", b"CANARY 1.0")


def _private_in_item(elements: Elements, patient: Patient) -> None:
    inside = {0x00110010: ("LO", b"CANARY 1.0"), 0x00111020: ("UN", patient.name)}
    elements[0x00400275] = ("SQ", _item(inside))


def _deep(elements: Elements, patient: Patient) -> None:
    content: Elements = {
        0x00100010: ("PN", patient.name),
        0x00100020: ("LO", patient.patient_id.encode("ascii")),
    }
    for tag in (0x00081110, 0x00081115, 0x0008103F):
        content = {tag: ("SQ", _item(content))}
    elements |= content


def _original_attributes(elements: Elements, patient: Patient) -> None:
    old = _item({0x00100010: ("PN", patient.name), 0x00100030: ("DA", patient.birth_date.encode("ascii"))})
    elements[0x04000561] = ("SQ", _item({0x04000550: ("SQ", old)}))


def _report_text(elements: Elements, patient: Patient) -> None:
    for tag in [tag for tag in elements if tag >> 16 == 0x0028 or tag == 0x7FE00010]:
        del elements[tag]
    text = f"{patient.family[0]}{patient.given[0]}様、{patient.birth_in_era}生。肺野に結節なし。"
    leaf = _item(
        {0x0040A010: ("CS", b"CONTAINS"), 0x0040A040: ("CS", b"TEXT"), 0x0040A160: ("UT", text.encode())}
    )
    elements |= {
        0x0040A040: ("CS", b"CONTAINER"),
        0x0040A050: ("CS", b"SEPARATE"),
        0x0040A491: ("CS", b"COMPLETE"),
        0x0040A493: ("CS", b"UNVERIFIED"),
        0x0040A730: ("SQ", leaf),
    }


def _document(elements: Elements, patient: Patient) -> None:
    for tag in [tag for tag in elements if tag >> 16 == 0x0028 or tag == 0x7FE00010]:
        del elements[tag]
    content = f"%PDF-1.4\n({patient.family[2]} {patient.given[2]}) Tj\n%%EOF\n"
    elements |= {0x00420011: ("OB", content.encode("ascii")), 0x00420012: ("LO", b"application/pdf")}


def _uid_with_id(elements: Elements, patient: Patient) -> None:
    number = patient.patient_id.lstrip("0")
    for last, tag in enumerate((0x00080018, 0x0020000D, 0x0020000E, 0x00200052)):
        elements[tag] = ("UI", f"1.2.392.200036.9125.{number}.{last + 1}".encode("ascii"))


def _overlay(elements: Elements, patient: Patient) -> None:
    elements |= {
        0x60000010: ("US", struct.pack("<H", 16)),
        0x60000011: ("US", struct.pack("<H", 16)),
        0x60000022: ("LO", f"{patient.family[2]} {patient.given[2]}".encode("ascii")),
        0x60000040: ("CS", b"G"),
        0x60000050: ("SS", struct.pack("<hh", 1, 1)),
        0x60000100: ("US", struct.pack("<H", 1)),
        0x60000102: ("US", struct.pack("<H", 0)),
        0x60003000: ("OW", _overlay_picture(patient)),
        0x60004000: ("LT", patient.name),
    }


def _overlay_in_pixels(elements: Elements, patient: Patient) -> None:
    picture = _overlay_picture(patient)
    bits = [picture[place // 8] >> (7 - place % 8) & 1 for place in range(256)]
    elements |= {
        0x60000010: ("US", struct.pack("<H", 16)),
        0x60000011: ("US", struct.pack("<H", 16)),
        0x60000040: ("CS", b"G"),
        0x60000050: ("SS", struct.pack("<hh", 1, 1)),
        0x60000100: ("US", struct.pack("<H", 16)),
        0x60000102: ("US", struct.pack("<H", 12)),
        0x7FE00010: ("OW", struct.pack("<256H", *(bit << 12 for bit in bits))),
    }


def _curve(elements: Elements, patient: Patient) -> None:
    elements |= {
        0x50000020: ("CS", b"TEXT"),
        0x50002500: ("LO", patient.name),
        0x50003000: ("OW", patient.name),
    }


def _jpeg_comment(elements: Elements, patient: Patient) -> None:
    comment = patient.name
    frame = b"\xff\xd8\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + b"\xff\xda\0\2\xff\xd9"
    frame += b"\0" * (len(frame) % 2)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0) + struct.pack("<HHL", 0xFFFE, 0xE000, len(frame)) + frame
    elements[0x7FE00010] = (_FRAGMENTS, item + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))


def _behind_the_pixels(elements: Elements, patient: Patient) -> None:
    vr, samples = elements[0x7FE00010]
    elements[0x7FE00010] = (vr, samples + patient.name + b"\0" * (len(patient.name) % 2))


def _in_a_table(elements: Elements, patient: Patient) -> None:
    # A lookup table's data is nobody's idea of text.
    elements[0x00281201] = ("OW", f"{patient.family[2]} {patient.given[2]}".encode("utf-16-le") + b"\0" * 64)


def _trailing(elements: Elements, patient: Patient) -> None:
    elements[0xFFFCFFFC] = ("OB", patient.name)


def canaries(seed: int) -> Iterator[Canary]:
    """Yield the canaries of a seed, the same ones each time."""
    maker = _Maker(seed)
    make = maker.canary

    def comment(name: str, text: Callable[[Patient], bytes], **more: bytes) -> Canary:
        return make(name, "scrub", _with_text(text, **more))  # type: ignore[arg-type]

    yield make("header", "profile", lambda _elements, _patient: None)
    yield make("operators_and_aliases", "profile", _aliases)
    yield make("nested_sequences", "profile", _deep)
    yield make("original_attributes", "profile", _original_attributes)
    yield make("curve", "profile", _curve)
    yield make("trailing_padding", "profile", _trailing)
    yield make("private_tag", "private", _private)
    yield make("private_tag_in_sequence", "private", _private_in_item)
    yield comment("comment_in_kanji", lambda p: f"{p.family[0]} {p.given[0]} 造影".encode())
    yield comment("comment_in_half_width_kana", lambda p: f"{p.kana} CT".encode())
    yield comment(
        "comment_in_romaji_turned",
        lambda p: f"{p.given[2].upper()}, {p.family[2].upper()} chest".encode("ascii"),
    )
    yield comment("comment_with_birth_date_in_era", lambda p: f"{p.birth_in_era}生 胸痛".encode())
    yield comment(
        "comment_with_id_without_zeros", lambda p: f"ID {p.patient_id.lstrip('0')} chest".encode("ascii")
    )
    yield comment("comment_with_phone", lambda p: f"tel {p.phone.replace('-', '')} chest".encode("ascii"))
    yield comment("history_in_kanji", lambda p: f"{p.family[0]}{p.given[0]}殿 咳嗽".encode(), tag=0x001021B0)  # type: ignore[arg-type]
    for sets, encoding in (
        (b"ISO_IR 100", "cp932"),
        (b"ISO_IR 6", "utf-8"),
        (b"ISO_IR 100", "euc_jp"),
        (b"ISO_IR 192", "cp932"),
    ):
        label = sets.decode("ascii").replace(" ", "_").lower()
        yield make(
            f"mislabelled_{encoding}_as_{label}",
            "scrub",
            _mislabelled(encoding, sets),
        )
    yield make("gb18030", "scrub", _mislabelled("gb18030", b"GB18030"))
    yield make("korean", "scrub", _mislabelled("euc_kr", b"\\ISO 2022 IR 149"))
    yield make("jis_x_0212", "scrub", _jis_supplement)
    yield make("report_text", "scrub", _report_text, kind=_REPORT, modality=b"SR")
    yield make("uid_with_id", "uids", _uid_with_id)
    yield make(
        "file_meta",
        "meta",
        lambda _elements, _patient: None,
        meta=lambda p: {
            0x00020016: ("AE", p.family[2].encode("ascii")[:16]),
            0x00020100: ("UI", b"1.2.3"),
            0x00020102: ("OB", p.name),
        },
    )
    yield make(
        "preamble_with_name", "preamble", lambda _elements, _patient: None, preamble=lambda p: p.name[:128]
    )
    yield make(
        "preamble_tiff",
        "preamble",
        lambda _elements, _patient: None,
        preamble=b"II*\0\x08\0\0\0",
        needles=(b"ii*\0\x08\0\0\0",),
    )
    yield _overlay_canary(maker)
    yield make("overlay_in_pixels", "pixels", _overlay_in_pixels, expected="held", needles=_drawn_bits())
    yield _burned_in(maker, "secondary_capture", _SECONDARY_CAPTURE, b"OT")
    yield _burned_in(maker, "ultrasound", _ULTRASOUND, b"US")
    yield _burned_in(maker, "radiograph_that_says_so", _RADIOGRAPH, b"CR", says=b"YES")
    yield make("encapsulated_pdf", "document", _document, kind=_PDF, modality=b"DOC", expected="held")
    yield make("jpeg_comment", "scan", _jpeg_comment, syntax=_JPEG, expected="held")
    yield make("behind_the_pixels", "scan", _behind_the_pixels, expected="held")
    yield make("lookup_table", "scan", _in_a_table, expected="held")
    for name, text in (
        ("request_in_kana", "{kana}さん、前回より増大の有無"),
        ("request_with_birth_date", "{era}生まれ。右下葉結節。"),
        ("request_in_kanji", "患者 {kanji} の経過観察"),
    ):
        patient = maker.patient()
        words = {
            "kana": patient.kana,
            "era": patient.birth_in_era,
            "kanji": patient.family[0] + patient.given[0],
        }
        yield Canary(name, "request", patient, b"", _forms(patient), "held", text.format(**words))


def _aliases(elements: Elements, patient: Patient) -> None:
    elements |= {
        0x00101001: ("PN", patient.name),
        0x00101000: ("LO", patient.patient_id.encode("ascii")),
        0x00101040: ("LO", f"{patient.family[0]}方".encode()),
        0x00080094: ("SH", patient.phone.encode("ascii")),
    }


def _mislabelled(encoding: str, sets: bytes) -> Callable[[Elements, Patient], None]:
    def change(elements: Elements, patient: Patient) -> None:
        elements[0x00080005] = ("CS", sets)
        elements[0x00081030] = ("LO", b"CT CHEST")
        elements[0x00100010] = ("PN", f"={_kanji(patient).replace(' ', '^')}".encode(encoding))
        elements[0x00204000] = ("LT", f"{_kanji(patient)} CT".encode(encoding))

    return change


def _jis_supplement(elements: Elements, patient: Patient) -> None:
    text = f"森^{patient.given[0]}"
    try:
        raw = text.encode("iso2022_jp_1")
    except UnicodeEncodeError:
        raw = "森^鷗外".encode("iso2022_jp_1")
    elements[0x00080005] = ("CS", b"\\ISO 2022 IR 87\\ISO 2022 IR 159")
    elements[0x00081030] = ("LO", b"CT CHEST")
    elements[0x00100010] = ("PN", b"=" + raw)
    elements[0x00204000] = ("LT", raw.replace(b"^", b" ") + b" CT")


def _drawn_bits() -> tuple[bytes, ...]:
    # Bit 12 of a sample that is otherwise nothing.
    return (b"\0\x10\0\x10",)
