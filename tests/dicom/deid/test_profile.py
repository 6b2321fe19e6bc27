"""Every row of PS3.15 Table E.1-1 under the reading profile, at several depths, with an independent reader of the output."""

from pathlib import Path

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.deid._table_e1_1 import EDITION, ROWS
from teleread.dicom.deid.deidentify import DeidResult, deidentify_file
from teleread.dicom.deid.describe import describe, tag_of
from teleread.dicom.deid.profile import (
    READING_PROFILE,
    Action,
    FacilityKeys,
    Option,
    Profile,
    action_for,
    table_action,
)
from tests.builders.datasets import ct_slice, write

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)

#: A value of each VR that stands for somebody's, and can be known again in the output.
VALUES = {
    "AE": "SECRETAE", "AS": "067Y", "CS": "SECRETCODE", "DA": "20200102", "DT": "20200102030405", "TM": "030405",
    "DS": "12.5", "IS": "125", "PN": "QUIET^PERSON", "UR": "urn:secret",
    "OB": b"SECRET", "OW": b"SECRET", "UN": b"SECRET", "US": 125, "SS": 125, "UL": 125, "SL": 125, "FL": 12.5,
    "FD": 12.5, "OF": b"\0\0\x48\x41", "OD": bytes(8), "OL": bytes(4), "AT": 0x00100010, "SV": 125, "UV": 125, "OV": bytes(8),
}  # fmt: skip

#: Set by the profile itself, or judged before it.
OURS = {"00100010", "00100020", "00080050"}
HELD = {"00420011"}
#: Placed in file meta, command or directory: nothing of them belongs into a dataset.
NOT_A_DATASET = {"00001000", "00001001", "00020003", "00041511"}
#: The instance could not be filed without them.
NEEDED = {"00080018", "0020000D", "0020000E"}

ORDINARY = [
    key
    for key, _, _, _ in ROWS
    if key.isalnum()
    and "x" not in key
    and key not in OURS | HELD | NOT_A_DATASET | NEEDED
    and key != "private"
]


def vr_of(key: str) -> str:
    return DicomDictionary[int(key, 16)][0][:2]


def put(dataset: Dataset, key: str) -> None:
    vr = vr_of(key)
    tag = int(key, 16)
    if vr == "SQ":
        item = Dataset()
        item.CodeValue = "SECRETCODE"
        item.CodeMeaning = "secret meaning"
        item.ReferencedSOPInstanceUID = "1.2.3.4.5.678"
        dataset.add_new(tag, "SQ", Sequence([item]))
    elif vr in ("LO", "SH", "LT", "ST", "UC", "UT"):
        dataset.add_new(tag, vr, f"secret {tag:08x}"[-16:])
    elif vr == "UI":
        # Of its own: a UID kept in one place and replaced in another is held, rightly.
        dataset.add_new(tag, vr, f"1.2.3.4.5.{tag}")
    else:
        dataset.add_new(tag, vr, VALUES[vr])


def nested(inner: Dataset, depth: int) -> Dataset:
    for _ in range(depth):
        outer = Dataset()
        # A sequence that the table does not list.
        outer.SharedFunctionalGroupsSequence = Sequence([inner])
        inner = outer
    return inner


def run(
    folder: Path, keys: list[str], depth: int, profile: Profile = READING_PROFILE
) -> tuple[DeidResult, Dataset]:
    inner = Dataset()
    for key in keys:
        put(inner, key)
    dataset = ct_slice()
    if depth:
        dataset.update(nested(inner, depth))
    else:
        dataset.update(inner)
    source = write(dataset, folder / "in.dcm")
    result = deidentify_file(source, folder / "out.dcm", keys=KEYS, profile=profile)
    assert result.outcome == "clean", result.reason
    found = pydicom.dcmread(folder / "out.dcm")
    for _ in range(depth):
        found = found.SharedFunctionalGroupsSequence[0]
    return result, found


def letters_allow(letters: str, key: str, after: Dataset) -> bool:
    """What the table's letters allow, judged by pydicom's view of the output and not by our code."""
    element = after.get(int(key, 16))
    vr = vr_of(key)
    before = Dataset()
    put(before, key)
    same = element is not None and element == before[int(key, 16)]
    for letter in letters.replace("U*", "U").split("/"):
        if letter == "X" and element is None:
            return True
        if letter == "Z" and element is not None and element.is_empty:
            return True
        if letter == "D" and element is not None and not element.is_empty and not same:
            return True
        if letter == "U" and element is not None and not element.is_empty:
            uid = element.value[0].ReferencedSOPInstanceUID if vr == "SQ" else element.value
            if str(uid).startswith("2.25."):
                return True
        if letter in "KC" and element is not None:
            if vr != "SQ" and same:
                return True
            # What is inside a kept sequence has rows of its own.
            if vr == "SQ" and element.value[0].CodeValue == "SECRETCODE":
                return str(element.value[0].ReferencedSOPInstanceUID).startswith("2.25.")
    return False


PROFILES = {
    "reading": READING_PROFILE,
    "basic": Profile(frozenset()),
    "institution": Profile(frozenset({Option.RETAIN_INSTITUTION_IDENTITY})),
}


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", list(PROFILES))
def test_each_row_is_done_as_the_table_says(tmp_path: Path, name: str, depth: int) -> None:
    profile = PROFILES[name]
    wrong = []
    # Alone in a file each, so that one row cannot hide another; in groups, to be quick.
    for start in range(0, len(ORDINARY), 40):
        keys = ORDINARY[start : start + 40]
        _, after = run(tmp_path, keys, depth, profile)
        wrong += [key for key in keys if not letters_allow(table_action(key, profile), key, after)]
    assert wrong == []


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("key", sorted(OURS | NEEDED))
def test_identity_in_nested_items_does_not_survive(tmp_path: Path, key: str, depth: int) -> None:
    _, after = run(tmp_path, [key], depth)
    element = after.get(int(key, 16))
    assert element is not None
    assert element.is_empty or str(element.value).startswith("2.25.")


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_overlays_curves_and_private_elements_are_removed(tmp_path: Path, depth: int) -> None:
    inner = Dataset()
    inner.add_new(0x50003000, "OW", b"SECRET")
    inner.add_new(0x60023000, "OW", b"SECRET")
    inner.add_new(0x60024000, "LT", "secret comment")
    inner.private_block(0x0009, "SECRET MAKER", create=True).add_new(0x01, "LO", "secret")
    dataset = ct_slice()
    dataset.update(nested(inner, depth) if depth else inner)
    result = deidentify_file(write(dataset, tmp_path / "in.dcm"), tmp_path / "out.dcm", keys=KEYS)
    assert result.outcome == "clean"
    assert b"secret" not in (tmp_path / "out.dcm").read_bytes().lower()


def test_the_table_has_all_rows_of_its_edition() -> None:
    assert EDITION == "2024b"
    assert len(ROWS) == 623
    assert len({key for key, _, _, _ in ROWS}) == 623
    assert {basic for _, _, basic, _ in ROWS} <= {"X", "Z", "D", "U", "X/Z", "X/D", "X/Z/D", "Z/D", "X/Z/U*"}


def test_the_generator_adds_the_rows_that_the_source_lacks() -> None:
    keys = {key for key, _, _, _ in ROWS}
    assert {"00102161", "300A0054"} <= keys


def test_the_reading_profile_keeps_what_a_reader_needs() -> None:
    keep = {0x00100040: "sex", 0x00101010: "age", 0x00080020: "study date", 0x00081010: "station name"}
    assert {action_for(tag) for tag in keep} == {Action.KEEP}
    assert action_for(0x00081030) is Action.CLEAN
    assert action_for(0x00100030) is Action.EMPTY


def test_an_attribute_that_the_standard_does_not_know_is_removed() -> None:
    assert action_for(0x00100FFE) is Action.REMOVE


def test_the_description_names_every_row_once_in_both_languages() -> None:
    for language in ("ja", "en"):
        lines = describe(language=language).splitlines()
        assert len([line for line in lines if line.count("\t") == 3]) == len(ROWS)
    assert all(action_for(tag_of(key)) is not None for key, _, _, _ in ROWS)
