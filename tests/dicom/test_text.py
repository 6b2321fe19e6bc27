"""Text in every character set that comes, rightly labelled or not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.names import shown
from gateway.console.search import folded, sort_key
from teleread.dicom.deid.identity import PatientIdentity, identity_of, read_identity
from teleread.dicom.encapsulate import encapsulated_pdf
from teleread.dicom.raw import RawFile, parse_raw
from teleread.dicom.text import decode, places, readings
from tests.builders.datasets import ct_slice, encoded

DATA = Path(__file__).parents[1] / "data" / "dicom"


def report_of(identity: PatientIdentity) -> RawFile:
    """Return the report that would go to the PACS, taken apart."""
    return parse_raw(
        encapsulated_pdf(
            b"%PDF-1.7\n", identity, sop_instance_uid="2.25.1", series_instance_uid="2.25.2", title="報告書",
            at=datetime(2026, 11, 25, tzinfo=UTC),
        )
    )  # fmt: skip


#: PS3.5 Annex H (Japanese), I (Korean), J (Unicode and GB18030), K (GB 2312): raw value, Specific Character Set, text.
EXAMPLES = {
    "H.3.1": (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", ("", "ISO 2022 IR 87"),
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "H.3.2": (
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        ("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "I.2": (
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        ("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "I.3": (
        b"\x1b$)CThe 1st line includes \xb1\xe6\xb5\xbf.\r\n\x1b$)CThe 2nd line includes \xb1\xe6\xb5\xbf, too.\r\nThe 3rd line.",
        ("", "ISO 2022 IR 149"), "The 1st line includes 길동.\r\nThe 2nd line includes 길동, too.\r\nThe 3rd line.",
    ),
    "J.1": (b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=", ("ISO_IR 192",), "Wang^XiaoDong=王^小東="),
    "J.2": (b"The first line includes\xe4\xb8\xad\xe6\x96\x87.\r\n", ("ISO_IR 192",), "The first line includes中文.\r\n"),
    "J.3": (b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", ("GB18030",), "Wang^XiaoDong=王^小东="),
    "J.4": (b"The first line includes\xd6\xd0\xce\xc4.\r\n", ("GB18030",), "The first line includes中文.\r\n"),
    "K.2": (b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", ("", "ISO 2022 IR 58"), "Zhang^XiaoDong=张^小东="),
    "K.3": (
        b"1. \x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n2. \x1b$)A\xb5\xda\xb6\xfe\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n",
        ("", "ISO 2022 IR 58"), "1. 第一行文字。\r\n2. 第二行文字。\r\n",
    ),
    "IR 159": (
        b"=\x1b$B?9\x1b(B^\x1b$(Dl?\x1b$B30\x1b(B", ("", "ISO 2022 IR 87", "ISO 2022 IR 159"), "=森^鷗外",
    ),
    "NEC": (b"=\x1b$B\x7c\x62\x79\x75\x1b(B", ("", "ISO 2022 IR 87"), "=髙﨑"),
    "IR 13 alone": (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", ("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "beyond the BMP": ("=𠮷田^𩸽".encode(), ("ISO_IR 192",), "=𠮷田^𩸽"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_standards_examples_are_read(name: str) -> None:
    raw, sets, text = EXAMPLES[name]
    assert decode(raw, sets) == text


#: What stands in the header and what the bytes are. The files of a dozen makers are like this.
MISLABELLED = [
    (encoding, label, text)
    for text in ("山田^太郎", "髙﨑^花子", "タカサキ^ハナコ", "ﾔﾏﾀﾞ^ﾀﾛｳ")
    for encoding, labels in {
        "cp932": ((), ("ISO_IR 6",), ("ISO_IR 13",), ("ISO_IR 100",), ("ISO_IR 192",), ("", "ISO 2022 IR 87"), ("ISO_IR 144",), ("SHIFT_JIS",)),
        "utf-8": ((), ("ISO_IR 6",), ("ISO_IR 100",), ("", "ISO 2022 IR 87"), ("ISO_IR 166",), ("UTF-8",)),
        "euc_jp": (("ISO_IR 100",),),
    }.items()
    for label in labels
    # Half-width kana in EUC are pairs that nobody writes; kanji alone in EUC are letters of ISO 8859-1 as well.
    if not (encoding == "euc_jp" and "タ" not in text)
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "label", "text"), MISLABELLED)
def test_a_name_under_a_wrong_label_is_read_all_the_same(
    encoding: str, label: tuple[str, ...], text: str
) -> None:
    assert decode(text.encode(encoding), label) == text


@pytest.mark.parametrize(
    ("raw", "label", "text"),
    [
        ("Buc^Jérôme".encode("latin-1"), ("ISO_IR 100",), "Buc^Jérôme"),
        ("Äneas^Rüdiger".encode("latin-1"), ("ISO_IR 100",), "Äneas^Rüdiger"),
        ("ÅSTRÖM^ÉÈ".encode("latin-1"), ("ISO_IR 100",), "ÅSTRÖM^ÉÈ"),
        ("Διονυσιος".encode("iso8859-7"), ("ISO_IR 126",), "Διονυσιος"),
        ("Люкceмбypг".encode("iso8859-5"), ("ISO_IR 144",), "Люкceмбypг"),
        ("ŁĄCZYŃSKA".encode("iso8859-2"), ("ISO_IR 101",), "ŁĄCZYŃSKA"),
    ],
)
def test_a_right_label_is_believed(raw: bytes, label: tuple[str, ...], text: str) -> None:
    assert decode(raw, label) == text


@given(
    st.binary(max_size=60),
    st.sampled_from([(), ("ISO_IR 100",), ("", "ISO 2022 IR 87", "ISO 2022 IR 159"), ("GB18030",), ("?",)]),
)
def test_no_bytes_break_the_reading_and_every_character_has_its_place(
    raw: bytes, sets: tuple[str, ...]
) -> None:
    found = readings(raw, sets)
    assert found[0][0] == decode(raw, sets)
    for text, codec in found:
        where = places(raw.rstrip(b" \0"), sets, codec)
        if "".join(place[0] for place in where) == text:
            ends = [place[2] for place in where]
            assert ends == sorted(ends)


# The two others have their names in sequences only.
NAMED = sorted(set(DATA.glob("chr*.dcm")) - set(DATA.glob("chrSQ*.dcm")))


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.stem)
def test_the_name_comes_home_in_the_bytes_and_the_character_set_that_it_came_in(path: Path) -> None:
    identity = read_identity(path)
    kept = PatientIdentity.from_json(identity.to_json())
    assert kept == identity
    home = report_of(kept)
    before = parse_raw(path.read_bytes())
    assert home.value(0x00100010).rstrip(b" \0") == before.value(0x00100010).rstrip(b" \0")
    assert home.text(0x00080005) == before.text(0x00080005)


@pytest.mark.parametrize(
    "name", ["H.3.1", "H.3.2", "I.2", "J.1", "J.3", "K.2", "IR 159", "NEC", "beyond the BMP"]
)
def test_three_parts_of_a_name_survive_vault_report_page_search_and_order(name: str) -> None:
    raw, sets, text = EXAMPLES[name]
    data = encoded(
        ct_slice(SpecificCharacterSet=list(sets) if len(sets) > 1 else sets[0], PatientName="X"),
        {0x00100010: raw},
    )
    identity = PatientIdentity.from_json(identity_of(parse_raw(data)).to_json())
    assert identity.patient_name == text
    assert identity.patient_name_raw == raw
    home = report_of(identity)
    assert home.value(0x00100010).rstrip(b" \0") == raw
    person = shown(identity)
    ideographic = text.split("=")[1] if "=" in text else text
    assert person.name == ideographic.replace("^", " ")
    assert folded(person.name)
    assert sort_key(identity.patient_name)


def test_the_same_wrong_label_comes_home_too() -> None:
    raw = "髙﨑^花子".encode("cp932")
    data = encoded(ct_slice(SpecificCharacterSet="ISO_IR 100", PatientName="X"), {0x00100010: raw})
    identity = identity_of(parse_raw(data))
    assert identity.patient_name == "髙﨑^花子"
    home = report_of(identity)
    assert home.value(0x00100010).rstrip(b" \0") == raw
    assert home.text(0x00080005) == "ISO_IR 100"
