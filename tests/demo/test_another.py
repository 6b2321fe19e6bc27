"""One more study for the demo that is up."""

from pathlib import Path

import pydicom
import pytest

from teleread.demo import another
from teleread.demo.study import write_study


def test_without_a_demo_it_says_what_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        another.main(["--data", str(tmp_path)])
    assert "make demo" in capsys.readouterr().err


def test_the_patient_has_a_name_in_three_groups_that_can_be_written(tmp_path: Path) -> None:
    patient = another.invented_patient()
    files = write_study(tmp_path, another.facility_time(), patient)
    name = pydicom.dcmread(files[0], stop_before_pixels=True).PatientName
    assert [str(group) for group in name.components] == patient.name.split("=")
