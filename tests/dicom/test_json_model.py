"""DICOM JSON against pydicom's own, and the rules that viewers depend on."""

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.json_model import dataset_json
from tests.builders.datasets import ct_slice, write

DATA = Path(__file__).parents[1] / "data" / "dicom"


def test_text_is_unicode_and_pixels_are_a_uri(tmp_path: Path) -> None:
    answer = dataset_json(
        write(ct_slice(), tmp_path / "a.dcm"), bulk_uri=lambda path: f"https://centre/{path}"
    )
    assert answer["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert answer["00100010"]["Value"] == [
        {"Alphabetic": "TAKASAKI^HANAKO", "Ideographic": "髙﨑^花子", "Phonetic": "たかさき^はなこ"}
    ]
    assert answer["7FE00010"] == {"vr": "OW", "BulkDataURI": "https://centre/7FE00010"}
    assert answer["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    assert answer["00280010"] == {"vr": "US", "Value": [16]}
    assert answer["00280030"]["Value"] == [0.7, 0.7]
    assert answer["00200013"]["Value"] == [1]
    assert list(answer) == sorted(answer)


def test_sequences_and_long_values_have_paths_of_their_own(tmp_path: Path) -> None:
    item = Dataset()
    item.add_new(0x54001010, "OW", b"\1\2" * 1000)
    dataset = ct_slice()
    dataset.WaveformSequence = Sequence([Dataset(), item])
    seen: list[str] = []

    def uri(path: str) -> str:
        seen.append(path)
        return path

    dataset_json(write(dataset, tmp_path / "a.dcm"), bulk_uri=uri)
    assert seen == ["54000100/1/54001010", "7FE00010"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "CT_small",
        "MR_small_bigendian",
        "MR_small_implicit",
        "rtplan",
        "test-SR",
        "chrH32",
        "chrX1",
        "image_dfl",
    ],
)
def test_real_files_read_as_pydicom_reads_them(name: str) -> None:
    path = DATA / f"{name}.dcm"
    ours = dataset_json(path, bulk_uri=lambda _: "bulk")
    json.dumps(ours, allow_nan=False)
    theirs = pydicom.dcmread(path).to_json_dict(
        bulk_data_element_handler=lambda _: "bulk", bulk_data_threshold=1025
    )
    compared = 0
    for key, value in theirs.items():
        if (
            int(key, 16) & 0x10000
            or key.endswith("0000")
            or "InlineBinary" in value
            or key in ("00080005", "7FE00010")
        ):
            continue
        if value["vr"] in ("SQ", "UN", "PN"):
            assert len(ours[key].get("Value", [])) == len(value.get("Value", []))
            continue
        texts = [str(each) for each in value.get("Value", []) if each not in (None, "")]
        assert [str(each) for each in ours[key].get("Value", []) if each is not None] == texts, key
        compared += 1
    assert compared > 10
