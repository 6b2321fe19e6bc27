"""De-identified CT studies that a viewer can show: with geometry, in each transfer syntax that readers meet."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from teleread import clock
from teleread.services import ingest
from teleread.storage.session import transaction
from teleread.wire.manifest import ManifestInstance, StudyManifest
from tests.web.conftest import ct_file

if TYPE_CHECKING:
    from tests.web.conftest import House

HTJ2KLossless = UID("1.2.840.10008.1.2.4.201")
SYNTAXES = {
    "raw": ExplicitVRLittleEndian,
    "jpeg_ls": JPEGLSLossless,
    "jpeg_2000": JPEG2000Lossless,
    "htj2k": HTJ2KLossless,
}
PSEUDONYM = "C36PV-4K2M7"

#: The square of `ct_file` for slice 1, 64 x 64, as an HTJ2K code stream; no library here writes one.
_HTJ2K_SQUARE = Path(__file__).parents[1] / "data" / "pictures" / "square-htj2k.j2c"


@dataclass(frozen=True)
class Sent:
    """A study at the centre."""

    case_number: str
    study_instance_uid: str
    sha256: tuple[str, ...]


def picture(study_uid: str, number: int, syntax: str = "raw", derivation: str = "") -> bytes:
    """Return a slice with its place in space, 2 mm from the next, in a transfer syntax of `SYNTAXES`."""
    dataset = pydicom.dcmread(io.BytesIO(ct_file(study_uid, number, pseudonym=PSEUDONYM)))
    dataset.FrameOfReferenceUID = f"{study_uid}.9"
    dataset.ImagePositionPatient = [-32.0, -32.0, -2.0 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    if derivation:
        dataset.DerivationDescription = derivation
    dataset.PixelSpacing, dataset.SliceThickness = [1.0, 1.0], 2.0
    if syntax == "htj2k":
        dataset.PixelData = encapsulate([_HTJ2K_SQUARE.read_bytes()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    elif syntax != "raw":
        dataset.compress(SYNTAXES[syntax], generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def send(
    house: House,
    *,
    slices: int = 5,
    syntax: str = "raw",
    facility: str = "midori",
    study_uid: str | None = None,
    complete: bool = True,
    derivation: str = "",
) -> Sent:
    """Send a study as the facility's gateway; complete, it becomes a case that can be read."""
    house.studies += 1
    uid = study_uid or f"2.25.{2 * 10**20 + house.studies}"
    gateway = house.gateway(facility)
    listed = []
    for number in range(1, slices + 1):
        data = picture(uid, number, syntax, derivation)
        part = house.blobs.new_part()
        part.write_bytes(data)
        receipt = ingest.store_instance(house.engine, house.blobs, part, actor=gateway, at=clock.now())
        part.unlink(missing_ok=True)
        assert receipt.outcome == "stored"
        listed.append(
            ManifestInstance(
                sop_instance_uid=receipt.sop_instance_uid,
                series_instance_uid=f"{uid}.1",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
            )
        )
    manifest = StudyManifest(
        study_instance_uid=uid,
        pseudonym=PSEUDONYM,
        sex="F",
        modalities=("CT",),
        study_date="20261123",
        study_time="162000",
        age="067Y",
        study_description="CHEST",
        accession="",
        revision=1,
        closed=complete,
        instances=tuple(listed),
        held=(),
        first_received_at=clock.now(),
        last_received_at=clock.now(),
        evidence="quiet 30 s, no open association",
    )
    with transaction(house.engine) as session:
        answer = ingest.receive_manifest(session, manifest, actor=gateway, at=clock.now())
    assert answer.case_number is not None
    return Sent(answer.case_number, uid, tuple(one.sha256 for one in listed))
