"""The profile: every row of PS3.15 Table E.1-1 under every option, against a reading of the table that is not the code's."""

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.deid import profile as profile_module
from teleread.dicom.deid._table_e1_1 import EDITION, ROWS
from teleread.dicom.deid.deidentify import DeidResult, deidentify_file, shifted_date
from teleread.dicom.deid.describe import Group, describe, grouped, table
from teleread.dicom.deid.profile import (
    CODE_MEANINGS,
    READING_PROFILE,
    Action,
    Option,
    Profile,
    action_for,
    choices_for,
    iod_of,
    profile_of,
)
from teleread.errors import InvalidInput
from tests.builders.datasets import ct_slice, write
from tests.dicom.deid import oracle
from tests.dicom.deid.oracle import DEPTHS, KEYS, OPTION_SETS, nested, walk
from tests.whole import every

#: A sixth of the rows for each set of options and depth, each time another one: together all of them.
STEP = 6


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("options", OPTION_SETS)
def test_each_row_is_done_as_the_table_says(tmp_path: Path, options: str, depth: int) -> None:
    first = (list(OPTION_SETS).index(options) * len(DEPTHS) + depth) % STEP
    rows = oracle.table()
    seen = list(walk(tmp_path, options, depth, every(STEP, rows[first:] + rows[:first])))
    assert len(seen) >= len(rows) // STEP
    assert [one for one in seen if not one.right] == []


def test_a_row_that_is_done_otherwise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = choices_for
    monkeypatch.setattr(
        profile_module,
        "choices_for",
        lambda tag, profile: Action.KEEP if tag == 0x00101040 else true(tag, profile),
    )
    action_for.cache_clear()
    try:
        rows = [row for row in oracle.table() if row["id"] in ("00101040", "00102154")]
        seen = {one.row: one for one in walk(tmp_path, "basic", 1, rows)}
    finally:
        action_for.cache_clear()
    assert (seen["00101040"].seen, seen["00101040"].right) == ("kept", False)
    assert seen["00102154"].right


def test_the_table_in_the_package_is_the_standard_s() -> None:
    assert EDITION == "2024b"
    keys = {
        "private" if row["id"].startswith("gggg") else row["id"].upper().replace("XX", "xx")
        for row in oracle.table()
    }
    assert {key for key, _, _, _ in ROWS} == keys
    assert len(ROWS) == len(keys) == 623
    assert {code for _, _, _, options in ROWS for code in options} == {option.value for option in Option}


CT, ENHANCED_CT, RT_PLAN, PET, GSPS = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.11.1",
)


@pytest.mark.parametrize(
    ("sop_class", "inside", "tag", "action"),
    [
        # By the module tables of PS3.3, read by hand: the type of the attribute in that IOD decides.
        (CT, 0, 0x00080023, Action.EMPTY),  # Content Date, Z/D, 2C in General Image
        (ENHANCED_CT, 0, 0x00080023, Action.REPLACE_DUMMY),  # 1 in Multi-frame Functional Groups
        (CT, 0, 0x00080021, Action.REMOVE),  # Series Date, X/D, 3 in General Series
        (PET, 0, 0x00080021, Action.REPLACE_DUMMY),  # 1 in PET Series
        (CT, 0, 0x00080022, Action.REMOVE),  # Acquisition Date, X/Z, 3 in General Image
        (PET, 0, 0x00080022, Action.EMPTY),  # 2 in PET Image
        (CT, 0, 0x00181000, Action.REMOVE),  # Device Serial Number, X/Z/D, 3 in General Equipment
        (ENHANCED_CT, 0, 0x00181000, Action.REPLACE_DUMMY),  # 1 in Enhanced General Equipment
        (RT_PLAN, 0, 0x300A0006, Action.REPLACE_DUMMY),  # RT Plan Date, X/D, 2 in RT General Plan
        (RT_PLAN, 0, 0x00081070, Action.EMPTY),  # Operators' Name, X/Z/D, 2 in RT Series
        (CT, 0, 0x00081070, Action.REMOVE),  # 3 in General Series
        (RT_PLAN, 0x300A00B0, 0x300A00B2, Action.EMPTY),  # Treatment Machine Name, X/Z, 2 in RT Beams
        (
            CT,
            0x00081072,
            0x00080080,
            Action.REPLACE_DUMMY,
        ),  # Institution Name, 1C in Person Identification Macro
        (GSPS, 0x00081115, 0x00081140, Action.REPLACE_UID),  # references stay references
        (CT, 0, 0x00081140, Action.REPLACE_UID),
    ],
)
def test_the_choice_is_made_by_the_type_in_the_iod(
    sop_class: str, inside: int, tag: int, action: Action
) -> None:
    assert action_for(tag, Profile(frozenset()), iod_of(sop_class), inside) is action


def test_a_class_that_the_standard_no_longer_has_keeps_what_any_iod_needs() -> None:
    assert (
        action_for(0x00080023, Profile(frozenset()), iod_of("1.2.840.10008.5.1.4.1.1.3"))
        is Action.REPLACE_DUMMY
    )


def run(
    folder: Path,
    dataset: Dataset,
    profile: Profile = READING_PROFILE,
    raw_values: dict[int, bytes] | None = None,
) -> tuple[DeidResult, Dataset]:
    result = deidentify_file(
        write(dataset, folder / "in.dcm", raw_values), folder / "out.dcm", keys=KEYS, profile=profile
    )
    assert result.outcome == "clean", result.reason
    return result, pydicom.dcmread(folder / "out.dcm")


@pytest.mark.parametrize("options", OPTION_SETS)
def test_the_codes_of_the_options_and_the_state_of_the_dates_are_written(
    tmp_path: Path, options: str
) -> None:
    codes = OPTION_SETS[options]
    _, after = run(tmp_path, ct_slice(), Profile(frozenset(Option(code) for code in codes)))
    items = after.DeidentificationMethodCodeSequence
    assert [item.CodeValue for item in items] == ["113100", *codes]
    assert all(item.CodeMeaning == CODE_MEANINGS[item.CodeValue] for item in items)
    assert after.PatientIdentityRemoved == "YES"
    assert "PS3.15" in after.DeidentificationMethod
    wanted = "MODIFIED" if "113107" in codes else "UNMODIFIED" if "113106" in codes else "REMOVED"
    assert after.LongitudinalTemporalInformationModified == wanted


@pytest.mark.parametrize("depth", DEPTHS)
def test_private_blocks_stay_only_by_creator_and_number(tmp_path: Path, depth: int) -> None:
    inner = Dataset()
    # Two blocks of one group, the safe one not the first; and a creator of that name in another group.
    other = inner.private_block(0x0019, "SECRET MAKER", create=True)
    other.add_new(0x0C, "LO", "secret")
    safe = inner.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    safe.add_new(0x0C, "IS", "1000")
    safe.add_new(0x08, "LO", "secret")
    inner.private_block(0x0021, "SIEMENS MR HEADER", create=True).add_new(0x0C, "LO", "secret")
    named = inner.private_block(0x0043, "GEMS_PARM_01", create=True)
    named.add_new(0x27, "SH", "TAKASAKI")
    hidden = Dataset()
    hidden.PatientName = "secret"
    inner.private_block(0x7E01, "HOLOGIC, Inc.", create=True).add_new(0x10, "SQ", Sequence([hidden]))
    dataset = ct_slice()
    dataset.update(nested(inner, depth) if depth else inner)
    _, after = run(tmp_path, dataset, Profile(frozenset({Option.RETAIN_SAFE_PRIVATE})))
    for _ in range(depth):
        after = after.SharedFunctionalGroupsSequence[0]
    left = {element.tag: str(element.value) for element in after if element.tag.is_private}
    # The block of GE keeps its reservation: whether anything is left in it is seen only when its value is.
    assert left == {0x00190011: "SIEMENS MR HEADER", 0x0019110C: "1000", 0x00430010: "GEMS_PARM_01"}
    assert b"secret" not in (tmp_path / "out.dcm").read_bytes().lower()


def test_dates_of_a_patient_go_back_together_and_others_by_other_days(tmp_path: Path) -> None:
    profile = Profile(READING_PROFILE.options - {Option.RETAIN_FULL_DATES} | {Option.RETAIN_MODIFIED_DATES})
    item = Dataset()
    item.ScheduledProcedureStepStartDate = "20260401"
    dataset = ct_slice(
        AcquisitionDateTime="20260511101500.25+0900",
        RequestAttributesSequence=Sequence([item]),
    )
    # No row of the table, and a date all the same.
    dataset.DateOfGainCalibration = "20260101"
    # The form of ACR-NEMA, which is still seen.
    _, after = run(tmp_path, dataset, profile, {0x00080020: b"2026.05.11"})
    days = oracle._shift("20260511", after.SeriesDate)
    assert days
    assert after.StudyDate == after.SeriesDate
    assert after.AcquisitionDateTime == after.SeriesDate + "101500.25+0900"
    assert (
        oracle._shift("20260401", after.RequestAttributesSequence[0].ScheduledProcedureStepStartDate) == days
    )
    assert oracle._shift("20260101", after.DateOfGainCalibration) == days
    assert after.StudyTime == "101500"
    assert (after.PatientAge, after.PatientBirthDate) == ("067Y", "")
    _, other = run(tmp_path, ct_slice(patient_id="TR-9"), profile)
    assert oracle._shift("20260511", other.SeriesDate) != days


@pytest.mark.parametrize(
    ("value", "earlier"),
    [
        ("20260301", "20260227"),
        ("2026.03.01", "20260227"),
        ("202603", "202602"),
        ("2026", "2025"),
        ("20260301101500.5+0900", "20260227101500.5+0900"),
        ("20260231", ""),
        ("00010101", ""),
        ("soon", ""),
        ("", ""),
    ],
)
def test_a_date_goes_back_and_says_no_more_than_it_said(value: str, earlier: str) -> None:
    assert shifted_date(value, 2) == earlier


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(
    "keyword", ["PatientName", "PatientID", "AccessionNumber", "SOPInstanceUID", "StudyInstanceUID"]
)
def test_identity_in_nested_items_does_not_survive(tmp_path: Path, keyword: str, depth: int) -> None:
    inner = Dataset()
    setattr(inner, keyword, "1.2.3.4.5.6" if keyword.endswith("UID") else "SECRET")
    dataset = ct_slice()
    dataset.update(nested(inner, depth))
    _, after = run(tmp_path, dataset)
    for _ in range(depth):
        after = after.SharedFunctionalGroupsSequence[0]
    assert not after[keyword].value or str(after[keyword].value).startswith("2.25.")


@pytest.mark.parametrize("depth", DEPTHS)
def test_overlays_curves_and_private_elements_are_removed(tmp_path: Path, depth: int) -> None:
    inner = Dataset()
    inner.add_new(0x50003000, "OW", b"SECRET")
    inner.add_new(0x60023000, "OW", b"SECRET")
    inner.add_new(0x60024000, "LT", "secret comment")
    inner.private_block(0x0009, "SECRET MAKER", create=True).add_new(0x01, "LO", "secret")
    dataset = ct_slice()
    dataset.update(nested(inner, depth) if depth else inner)
    run(tmp_path, dataset)
    assert b"secret" not in (tmp_path / "out.dcm").read_bytes().lower()


def test_the_reading_profile_keeps_what_a_reader_needs() -> None:
    keep = {0x00100040: "sex", 0x00101010: "age", 0x00080020: "study date", 0x00081010: "station name"}
    assert {action_for(tag) for tag in keep} == {Action.KEEP}
    assert action_for(0x00081030) is Action.CLEAN
    assert action_for(0x00100030) is Action.EMPTY


def test_an_attribute_that_the_standard_does_not_know_is_removed() -> None:
    assert action_for(0x00100FFE) is Action.REMOVE


def test_options_are_read_by_name_and_by_code() -> None:
    assert profile_of(["Retain_Full_Dates", "113108"], field="options").codes == (
        "113100",
        "113106",
        "113108",
    )
    assert profile_of((option.setting for option in READING_PROFILE.options), field="o") == READING_PROFILE


@pytest.mark.parametrize(
    ("options", "research", "words"),
    [
        (["retain_full_dates", "retain_modified_dates"], True, "exclude each other"),
        (["retain_modified_dates"], False, "research exports"),
        (["clean_pixel_data"], False, "always masked or held"),
        (["113102"], True, "takes a face out"),
        (["retain_everything"], False, "is no option"),
    ],
)
def test_options_that_cannot_be_are_refused_with_the_reason(
    options: list[str], research: bool, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        profile_of(options, field="deidentification.options", research=research)
    assert caught.value.field == "deidentification.options"


def test_modified_dates_are_for_research() -> None:
    assert "113107" in profile_of(["retain_modified_dates"], field="options", research=True).codes


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("options", ["basic", "reading", "all, modified dates"])
def test_the_description_names_every_row_once(options: str, language: str) -> None:
    profile = Profile(frozenset(Option(code) for code in OPTION_SETS[options]))
    lines = describe(profile, language).splitlines()
    assert len([line for line in lines if line.count("\t") == 3]) == len(ROWS)
    assert sum(map(len, grouped(profile).values())) == len(ROWS)


def test_the_description_says_what_an_option_changes() -> None:
    def of(profile: Profile) -> dict[str, tuple[Group, str]]:
        return {row.key: (row.group, row.words["en"]) for row in table(profile)}

    plain, kept = of(Profile(frozenset())), of(Profile(frozenset({Option.RETAIN_INSTITUTION_IDENTITY})))
    assert kept["00080080"] == (Group.KEPT, "kept")
    group, words = plain["00080080"]
    assert group is Group.REMOVED
    assert "dummy value where the kind of object needs a value" in words
    assert of(Profile(frozenset({Option.RETAIN_MODIFIED_DATES})))["00080020"][0] is Group.REPLACED
    assert "E.3.10-1" in of(Profile(frozenset({Option.RETAIN_SAFE_PRIVATE})))["private"][1]


def test_a_row_is_found_by_tag_name_and_action() -> None:
    found = grouped(READING_PROFILE, "(0008,1030)")
    assert [row.name for rows in found.values() for row in rows] == ["Study Description"]
    assert [row.key for rows in grouped(READING_PROFILE, "birth DATE").values() for row in rows] == [
        "00100030"
    ]
    assert sum(map(len, grouped(READING_PROFILE, "仮名に置換").values())) == 3
