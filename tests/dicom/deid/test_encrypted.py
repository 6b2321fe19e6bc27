"""The originals that an object carries: sealed, and back byte for byte with the right key only."""

from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.encrypted import (
    Opener,
    RecipientKey,
    envelope,
    has_originals,
    make_recipient,
    read_recipients,
    with_originals_back,
)
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.raw import MAX_DEPTH, parse_raw, read_raw
from teleread.errors import InvalidInput
from teleread.signatures import make_ca
from tests.builders.datasets import ct_slice, write

DATA = Path(__file__).parents[2] / "data" / "dicom"
AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def facility() -> RecipientKey:
    return make_recipient("facility", at=AT)


@pytest.fixture(scope="module")
def stranger() -> RecipientKey:
    return make_recipient("facility", at=AT)


def keys(recipient: RecipientKey) -> FacilityKeys:
    return FacilityKeys(b"u" * 32, b"p" * 32, recipient.certificate_pem)


def test_every_real_file_comes_back_byte_for_byte(facility: RecipientKey, tmp_path: Path) -> None:
    opener = Opener(facility)
    came_back = 0
    for source in sorted(DATA.glob("*.dcm")):
        result = deidentify_file(source, tmp_path / "clean", keys=keys(facility), pixels_looked_at=True)
        if result.outcome != "clean":
            continue
        restored = with_originals_back(read_raw(tmp_path / "clean"), opener)
        original = source.read_bytes()
        if restored.exact:
            assert b"".join(restored.pieces) == original, source.name
        else:
            # Of a deflated file every element comes back, and the bytes of the dataset with them.
            assert b"".join(restored.pieces).endswith(bytes(parse_raw(original).data)), source.name
        came_back += 1
    assert came_back > 25


def test_the_sealed_object_tells_nothing_and_reads_as_dicom(facility: RecipientKey, tmp_path: Path) -> None:
    source = write(ct_slice(), tmp_path / "in.dcm")
    deidentify_file(source, tmp_path / "out.dcm", keys=keys(facility))
    data = (tmp_path / "out.dcm").read_bytes()
    for trace in (b"TAKASAKI", b"TR-0071234", b"ACC771234", "花子".encode()):
        assert trace not in data
    (item,) = pydicom.dcmread(tmp_path / "out.dcm").EncryptedAttributesSequence
    assert item.EncryptedContentTransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    # PS3.15 E.1.1: RSA carries the key, AES-256 in CBC mode hides the content.
    for oid in ("2a864886f70d010703", "2a864886f70d010101", "60864801650304012a"):
        assert bytes.fromhex(oid) in item.EncryptedContent
    assert not has_originals(read_raw(source))


def test_another_key_opens_nothing(facility: RecipientKey, stranger: RecipientKey, tmp_path: Path) -> None:
    deidentify_file(write(ct_slice(), tmp_path / "in.dcm"), tmp_path / "out.dcm", keys=keys(facility))
    with pytest.raises(InvalidInput) as caught:
        with_originals_back(read_raw(tmp_path / "out.dcm"), Opener(stranger))
    assert caught.value.code == "wrong_key"
    with pytest.raises(InvalidInput) as caught:
        Opener(RecipientKey(stranger.key_pem, facility.certificate_pem))
    assert caught.value.code == "wrong_key"
    # The same certificate with another key does not even pretend.
    both = RecipientKey(stranger.key_pem, facility.certificate_pem + stranger.certificate_pem)
    with pytest.raises(InvalidInput):
        with_originals_back(read_raw(tmp_path / "out.dcm"), Opener(both))


def test_every_recipient_opens_it(facility: RecipientKey, stranger: RecipientKey) -> None:
    sealed = envelope(b"who it is", facility.certificate_pem + stranger.certificate_pem)
    assert Opener(facility).open(sealed) == Opener(stranger).open(sealed) == b"who it is"


def test_what_is_sealed_belongs_to_one_object_as_it_left(facility: RecipientKey, tmp_path: Path) -> None:
    opener = Opener(facility)
    clean = []
    for number, name in enumerate(("Sato^A", "Mori^B")):
        source = write(ct_slice(PatientName=name, SOPInstanceUID=f"1.2.3.{number}"), tmp_path / "in.dcm")
        deidentify_file(source, tmp_path / "out.dcm", keys=keys(facility))
        clean.append(pydicom.dcmread(tmp_path / "out.dcm"))
    one, other = clean
    one.EncryptedAttributesSequence, other.Rows = other.EncryptedAttributesSequence, 1
    for changed in clean:
        changed.save_as(tmp_path / "changed.dcm")
        with pytest.raises(InvalidInput) as caught:
            with_originals_back(read_raw(tmp_path / "changed.dcm"), opener)
        assert caught.value.code == "changed_since"


def test_masked_pixels_stay_and_are_told(facility: RecipientKey, tmp_path: Path) -> None:
    source = write(ct_slice(), tmp_path / "in.dcm")
    deidentify_file(source, tmp_path / "out.dcm", keys=keys(facility))
    masked = pydicom.dcmread(tmp_path / "out.dcm")
    masked.PixelData = bytes(len(masked.PixelData))
    masked.save_as(tmp_path / "masked.dcm")
    restored = with_originals_back(read_raw(tmp_path / "masked.dcm"), Opener(facility))
    assert (restored.exact, restored.pixels_changed) == (False, True)
    assert b"TR-0071234" in b"".join(restored.pieces)


def test_the_deepest_nesting_that_is_taken_comes_back_too(facility: RecipientKey, tmp_path: Path) -> None:
    inner = pydicom.Dataset()
    inner.PatientComments = "deep"
    for _ in range(MAX_DEPTH - 1):
        outer = pydicom.Dataset()
        outer.RequestAttributesSequence = [inner]
        inner = outer
    source = write(ct_slice(RequestAttributesSequence=[inner]), tmp_path / "in.dcm")
    result = deidentify_file(source, tmp_path / "out.dcm", keys=keys(facility))
    assert result.outcome == "clean"
    restored = with_originals_back(read_raw(tmp_path / "out.dcm"), Opener(facility))
    assert b"".join(restored.pieces) == source.read_bytes()


def test_only_rsa_certificates_are_taken() -> None:
    for pem in (make_ca("elliptic", at=AT).certificate_pem, b"-----BEGIN"):
        with pytest.raises(InvalidInput):
            read_recipients(pem)
