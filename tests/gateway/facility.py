"""What the gateway's tests are built from: a facility with synthetic patients."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from gateway.layout import Layout
from gateway.settings import GatewaySettings, KnownSender

T = TypeVar("T")
STUDY_UID = "1.2.392.200036.9116.2.5.1"


def settings_of(data: Path, **changes: Any) -> GatewaySettings:
    """Return settings for tests: any free port, one known sender, short times."""
    data.mkdir(parents=True, exist_ok=True)
    settings = GatewaySettings(
        data=data,
        ae_title="TELEREAD",
        port=0,
        known_senders=(KnownSender("PACS", "127.0.0.1"),),
        pacs=(),
        deliver_folder=data / "delivered",
        centre_url="https://127.0.0.1:1",
        gateway_url="https://127.0.0.1:1",
        facility_code="north",
        facility_name="北病院",
        gateway_name="box",
        quiet_seconds=0.3,
        collect_seconds=0.1,
        heartbeat_seconds=0.2,
        retry_seconds=0.05,
        retry_limit_seconds=0.2,
        minimum_free_bytes=0,
        high_water_percent=100.0,
    )
    return replace(settings, **changes)


def layout_of(settings: GatewaySettings) -> Layout:
    """Return the folders of a gateway, made."""
    layout = Layout(settings.data)
    layout.make()
    return layout


def instance(
    number: int = 1,
    *,
    study_uid: str = STUDY_UID,
    patient_id: str = "0012345",
    pixels: bytes = b"\x01\x02" * 64,
    **changes: Any,
) -> Dataset:
    """Return a small CT instance of a synthetic patient."""
    ds = Dataset()
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = f"{study_uid}.1.{number}"
    ds.StudyInstanceUID = study_uid
    ds.SeriesInstanceUID = f"{study_uid}.1"
    ds.StudyDate = "20261101"
    ds.StudyTime = "101500"
    ds.AccessionNumber = "ACC20261101"
    ds.Modality = "CT"
    ds.StudyDescription = "CHEST"
    ds.ReferringPhysicianName = "Suzuki^Ichiro"
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    ds.PatientID = patient_id
    ds.PatientBirthDate = "19590314"
    ds.PatientSex = "M"
    ds.PatientAge = "067Y"
    ds.StudyID = "77"
    ds.SeriesNumber = 1
    ds.InstanceNumber = number
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = 8
    ds.Columns = 8
    ds.BitsAllocated = 16
    ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    ds.add_new(0x7FE00010, "OW", pixels)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta = meta
    return ds


def file_bytes(ds: Dataset) -> bytes:
    """Return the instance as a DICOM file (PS3.10)."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


@contextmanager
def association(
    port: int,
    *,
    calling: str = "PACS",
    called: str = "TELEREAD",
    contexts: tuple[str, ...] = (CTImageStorage,),
) -> Iterator[Association]:
    """Open an association to the gateway as the facility's PACS does."""
    ae = AE(ae_title=calling)
    for uid in contexts:
        ae.add_requested_context(uid, ExplicitVRLittleEndian)
    assoc = ae.associate("127.0.0.1", port, ae_title=called)
    raw = assoc.dul.socket.socket if assoc.dul.socket is not None else None
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
        if raw is not None:
            # pynetdicom forgets the socket of an association that the other side has cut.
            raw.close()


def send(port: int, *datasets: Dataset, calling: str = "PACS") -> list[int]:
    """Send instances over one association and return the answers."""
    classes = tuple({ds.SOPClassUID for ds in datasets})
    with association(port, calling=calling, contexts=classes) as assoc:
        assert assoc.is_established
        return [assoc.send_c_store(ds).Status for ds in datasets]


def wait_until(condition: Callable[[], T], *, seconds: float = 20.0) -> T:
    """Return the condition's value as soon as it is true; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
