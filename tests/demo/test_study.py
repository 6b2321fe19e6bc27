"""The synthetic study is what a Japanese CT would write."""

from datetime import datetime
from pathlib import Path

import pydicom

from teleread.demo.study import Patient, make_study, write_study

AT = datetime(2026, 11, 23, 10, 15, 0)  # noqa: DTZ001 - a modality's local time


def test_the_study_has_a_scout_and_two_series_of_forty_instances_in_all() -> None:
    instances = make_study(AT)
    assert len(instances) == 40
    assert len({ds.SOPInstanceUID for ds in instances}) == 40
    assert [len([ds for ds in instances if ds.SeriesNumber == n]) for n in (1, 2, 3)] == [1, 20, 19]
    assert {(ds.Rows, ds.Columns, ds.BitsAllocated) for ds in instances} == {(512, 512, 16)}


def test_the_name_is_written_with_the_escapes_of_iso_2022_ir_87(tmp_path: Path) -> None:
    raw = write_study(tmp_path, AT)[0].read_bytes()
    # PS3.5 Annex H.3.1: kanji between ESC $ B and ESC ( B, ASCII again before each delimiter.
    kanji = [
        b"\x1b$B" + word.encode("iso2022_jp")[3:-3] + b"\x1b(B"
        for word in ("架空川", "霧之助", "かくうがわ", "きりのすけ")
    ]
    assert b"KAKUUGAWA^KIRINOSUKE=" + kanji[0] + b"^" + kanji[1] + b"=" + kanji[2] + b"^" + kanji[3] in raw
    assert b"\\ISO 2022 IR 87" in raw


def test_a_standard_reader_reads_the_name_back(tmp_path: Path) -> None:
    ds = pydicom.dcmread(write_study(tmp_path, AT)[7])
    assert str(ds.PatientName) == Patient().name
    assert ds.PatientName.ideographic == "架空川^霧之助"


def test_two_studies_share_no_uid() -> None:
    first, second = make_study(AT), make_study(AT)
    assert not {ds.SOPInstanceUID for ds in first} & {ds.SOPInstanceUID for ds in second}
    assert first[0].StudyInstanceUID != second[0].StudyInstanceUID
