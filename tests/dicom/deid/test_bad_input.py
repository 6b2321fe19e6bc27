"""Files that are broken or built to break their reader: each is held with its reason, none half-processed."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.deid.deidentify import HELD_REASONS, deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.raw import parse_raw
from tests.builders.datasets import ct_slice, encoded

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)
WHOLE = encoded(ct_slice(size=4))


def outcome(folder: Path, data: bytes) -> tuple[str, str]:
    (folder / "in.dcm").write_bytes(data)
    (folder / "out.dcm").unlink(missing_ok=True)
    result = deidentify_file(folder / "in.dcm", folder / "out.dcm", keys=KEYS)
    left = sorted(path.name for path in folder.iterdir())
    assert left == (["in.dcm", "out.dcm"] if result.outcome == "clean" else ["in.dcm"])
    assert result.outcome == "clean" or result.reason in HELD_REASONS
    return result.outcome, result.reason


@pytest.mark.parametrize("length", [0xFFFE, 0x8000, 0x0101, 1])
@pytest.mark.parametrize("tag", [0x00080008, 0x00081030, 0x00100010, 0x00280010])
def test_a_wrong_length_of_a_value_is_held(tmp_path: Path, tag: int, length: int) -> None:
    element = parse_raw(WHOLE).find(tag)
    assert element is not None
    data = bytearray(WHOLE)
    data[element.start + 6 : element.start + 8] = struct.pack("<H", length)
    state, reason = outcome(tmp_path, bytes(data))
    assert (state, reason) in {
        ("held", "truncated"),
        ("held", "unreadable"),
        ("held", "no_study_uid"),
        ("held", "no_pixel_data"),
    }


def test_a_length_of_four_bytes_that_goes_beyond_the_end_is_held(tmp_path: Path) -> None:
    element = parse_raw(WHOLE).find(0x7FE00010)
    assert element is not None
    for length in (0xFFFFFFFE, 0x7FFFFFFF, 1 << 20):
        data = bytearray(WHOLE)
        data[element.start + 8 : element.start + 12] = struct.pack("<L", length)
        assert outcome(tmp_path, bytes(data)) == ("held", "truncated")


@pytest.mark.parametrize("vr", [b"XX", b"ZZ", b"??", b"\0\0", b"DS"])
def test_a_vr_of_nobodys_is_read_or_held_and_never_a_leak(tmp_path: Path, vr: bytes) -> None:
    data = bytearray(encoded(ct_slice(size=4, StudyDescription="TAKASAKI CHEST")))
    element = parse_raw(bytes(data)).find(0x00081030)
    assert element is not None
    data[element.start + 4 : element.start + 6] = vr
    state, _ = outcome(tmp_path, bytes(data))
    assert state == "held" or b"takasaki" not in (tmp_path / "out.dcm").read_bytes().lower()


@pytest.mark.parametrize("sets", ["NO SUCH SET", "ISO_IR 999", "\\ISO 2022 IR 87\\ISO_IR 1"])
def test_an_unknown_character_set_is_held(tmp_path: Path, sets: str) -> None:
    data = encoded(ct_slice(size=4, PatientName="X"), {0x00080005: sets.encode()})
    assert outcome(tmp_path, data) == ("held", "unknown_character_set")
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 166"
    data = encoded(ct_slice(size=4, ProcedureCodeSequence=Sequence([item])))
    nested = data.replace(b"ISO_IR 166", b"ISO_IR 999")
    assert outcome(tmp_path, nested) == ("held", "unknown_character_set")


@pytest.mark.parametrize("sets", ["UTF-8", "shift-jis", "ISO-IR 100", "iso ir 192", ""])
def test_a_misspelt_character_set_hides_no_name(tmp_path: Path, sets: str) -> None:
    for encoding in ("cp932", "utf-8"):
        data = encoded(
            ct_slice(size=4, PatientName="X"),
            {
                0x00080005: sets.encode(),
                0x00100010: "=髙橋^花子".encode(encoding),
                0x00081030: "CT 花子".encode(encoding),
            },
        )
        assert outcome(tmp_path, data)[0] == "clean"
        assert "花子".encode(encoding) not in (tmp_path / "out.dcm").read_bytes()


@pytest.mark.parametrize(
    ("name", "held"),
    [("A" * 64, False), ("A" * 65, True), ("B^" + "C" * 5000, True), ("A" * 64 + "=" + "B" * 64, False)],
)
def test_a_name_of_more_than_64_characters_is_held(tmp_path: Path, name: str, held: bool) -> None:
    data = encoded(ct_slice(size=4, PatientName="X"), {0x00100010: name.encode()})
    assert outcome(tmp_path, data) == (("held", "name_too_long") if held else ("clean", ""))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, len(WHOLE) - 1), noise=st.binary(min_size=1, max_size=12))
def test_no_damage_raises_or_leaves_half_a_file(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes
) -> None:
    data = WHOLE[:at] + noise + WHOLE[at + len(noise) :]
    state, _ = outcome(tmp_path_factory.mktemp("damage"), data)
    assert state in ("clean", "held")
