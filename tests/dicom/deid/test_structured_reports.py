"""SR trees and presentation states keep their shape while names go."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
from tests.builders.datasets import ct_slice, write

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)


def code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return Sequence([item])


def content(kind: str, meaning: str, **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = kind
    item.ConceptNameCodeSequence = code("121071", meaning)
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def report() -> Dataset:
    dataset = ct_slice(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        Modality="SR",
        ImageType=None,
        PixelData=None,
        Rows=None,
        Columns=None,
    )
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = "1.2.3.4.5"
    container = content(
        "CONTAINER",
        "Findings",
        ContentSequence=Sequence(
            [
                content("TEXT", "Finding", TextValue="Nodule of 8 mm in the right upper lobe"),
                content("TEXT", "History", TextValue="Takasaki Hanako, born 1959-02-03, has a cough"),
                content("PNAME", "Observer", PersonName="SUZUKI^JIRO"),
                content("IMAGE", "Source", ReferencedSOPSequence=Sequence([reference])),
                content("NUM", "Length"),
            ]
        ),
    )
    dataset.ValueType = "CONTAINER"
    dataset.ConceptNameCodeSequence = code("126000", "Imaging Measurement Report")
    dataset.ContentSequence = Sequence([container])
    observer = Dataset()
    observer.VerifyingObserverName = "SUZUKI^JIRO"
    observer.VerifyingOrganization = "Somewhere Hospital"
    observer.VerificationDateTime = "20260511120000"
    observer.VerifyingObserverIdentificationCodeSequence = code("J-77", "Suzuki Jiro")
    dataset.VerifyingObserverSequence = Sequence([observer])
    return dataset


def test_a_report_keeps_its_tree_and_loses_its_people(tmp_path: Path) -> None:
    result = deidentify_file(write(report(), tmp_path / "in.dcm"), tmp_path / "out.dcm", keys=KEYS)
    assert result.outcome == "clean"
    after = pydicom.dcmread(tmp_path / "out.dcm")
    items = after.ContentSequence[0].ContentSequence
    assert [item.ValueType for item in items] == ["TEXT", "TEXT", "PNAME", "IMAGE", "NUM"]
    assert items[0].TextValue == "Nodule of 8 mm in the right upper lobe"
    assert items[1].TextValue == ", born , has a cough"
    assert str(items[2].PersonName) == "REMOVED"
    assert items[3].ReferencedSOPSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")
    assert items[4].ConceptNameCodeSequence[0].CodeMeaning == "Length"
    observer = after.VerifyingObserverSequence[0]
    assert (str(observer.VerifyingObserverName), observer.VerifyingOrganization) == ("REMOVED", "REMOVED")
    assert observer.VerificationDateTime == "20260511120000"
    data = (tmp_path / "out.dcm").read_bytes().lower()
    assert b"suzuki" not in data
    assert b"j-77" not in data


def coded(code: str, kind: str, **values: object) -> Dataset:
    item = content(kind, "any words of a facility's own", **values)
    item.ConceptNameCodeSequence[0].CodeValue = code
    return item


def test_a_concept_that_names_somebody_loses_its_words_and_a_code_its_name(tmp_path: Path) -> None:
    kinds = Dataset()
    kinds.CodeValue, kinds.CodingSchemeDesignator, kinds.CodeMeaning = "T-1", "99X", "Takasaki's lung"
    dataset = report()
    dataset.ContentSequence[0].ContentSequence = Sequence(
        [
            coded("121029", "TEXT", TextValue="Somebody Else"),
            coded("121009", "TEXT", TextValue="Somewhere Hospital"),
            coded("121016", "TEXT", TextValue="Serial 77"),
            coded("121031", "DATE", Date="19600101"),
            coded("121071", "CODE", ConceptCodeSequence=Sequence([kinds])),
            coded("121012", "UIDREF", UID="1.2.3.4.5.6.7"),
            coded("121071", "TEXT", TextValue="No nodule"),
        ]
    )
    assert (
        deidentify_file(write(dataset, tmp_path / "in.dcm"), tmp_path / "out.dcm", keys=KEYS).outcome
        == "clean"
    )
    items = pydicom.dcmread(tmp_path / "out.dcm").ContentSequence[0].ContentSequence
    assert [item.ValueType for item in items] == ["TEXT", "TEXT", "TEXT", "DATE", "CODE", "UIDREF", "TEXT"]
    assert [items[at].TextValue for at in (0, 1, 2, 6)] == ["REMOVED", "REMOVED", "Serial 77", "No nodule"]
    assert items[3].Date == "19000101"
    assert "akasaki" not in items[4].ConceptCodeSequence[0].CodeMeaning
    assert items[4].ConceptCodeSequence[0].CodeValue == "T-1"
    assert items[5].UID.startswith("2.25.")


def test_drawn_text_of_a_presentation_state_is_cleaned(tmp_path: Path) -> None:
    text = Dataset()
    text.UnformattedTextValue = "HANAKO: see arrow"
    layer = Dataset()
    layer.GraphicLayer = "LAYER1"
    layer.TextObjectSequence = Sequence([text])
    state = ct_slice(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1",
        PixelData=None,
        GraphicAnnotationSequence=Sequence([layer]),
        ContentCreatorName="SUZUKI^JIRO",
    )
    assert (
        deidentify_file(write(state, tmp_path / "in.dcm"), tmp_path / "out.dcm", keys=KEYS).outcome == "clean"
    )
    after = pydicom.dcmread(tmp_path / "out.dcm")
    assert after.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue == ": see arrow"
    assert after.ContentCreatorName == ""


def test_sequences_hidden_in_un_are_entered(tmp_path: Path) -> None:
    # PS3.5 6.2.2: implicit little endian inside, whatever the file is.
    inner = b"\x10\x00\x10\x00\x10\x00\x00\x00TAKASAKI^HANAKO "
    inner += b"\x08\x00\x55\x11\x0a\x00\x00\x001.2.3.4.5\x00"
    item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    hidden = b"\x00\x52\x29\x92UN\0\0" + len(item).to_bytes(4, "little") + item
    source = write(ct_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5", PixelData=None), tmp_path / "in.dcm")
    source.write_bytes(source.read_bytes() + hidden)
    assert deidentify_file(source, tmp_path / "out.dcm", keys=KEYS).outcome == "clean"
    found = pydicom.dcmread(tmp_path / "out.dcm")[0x52009229].value[0]
    assert found.PatientName == ""
    assert found.ReferencedSOPInstanceUID.startswith("2.25.")
