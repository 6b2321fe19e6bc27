"""Every byte that leaves a box, searched by code that shares nothing with the product's own scan."""

import re
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gateway.canaries import canaries
from gateway.last_look import LastLook
from gateway.link import CentreLink, Refused
from gateway.vault import Vault, VaultStudy
from teleread import clock
from teleread.dicom.deid.identity import PatientIdentity
from teleread.wire.heartbeat import ALARMS, Heartbeat
from teleread.wire.manifest import StudyManifest
from teleread.wire.orders import OrderNotice
from tests.gateway.centre import FakeCentre, client_context, running
from tests.gateway.facility import settings_of
from tests.gateway.test_forward import Box

DATA = Path(__file__).parents[1] / "data" / "dicom"
AT = clock.now()

#: Words that stand in names of test objects and in every other attribute.
_NOBODY = {
    "anonymous",
    "anonymized",
    "patient",
    "test",
    "phantom",
    "name",
    "first",
    "last",
    "mr",
    "ct",
    "nema",
}


def pieces(path: Path) -> set[bytes]:
    """This test's own idea of what names a patient: the raw bytes of the header, and usual encodings of its text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            raw = ds.get_item("PatientName")
            texts = [str(ds.get(keyword, "")) for keyword in ("PatientName", "PatientID", "AccessionNumber")]
            uids = [
                str(ds.get(keyword, ""))
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
            ]
        except Exception:  # noqa: BLE001 - broken files name nobody
            return set()
    found = {uid.encode("ascii") for uid in uids if uid.count(".") > 5}
    if raw is not None and isinstance(raw.value, bytes):
        found |= {word for word in re.split(rb"[\^=\s]+|\x1b[$()][)(]?[A-Z@]", raw.value) if len(word) >= 4}
    for word in (word for text in texts for word in re.split(r"[\^=\s,.]+", text)):
        if len(word) < (5 if word.isascii() else 2) or word.lower() in _NOBODY:
            continue
        for form in {word, unicodedata.normalize("NFKC", word), word.lower(), word.upper()}:
            found |= {
                form.encode(encoding, "ignore") for encoding in ("utf-8", "cp932", "euc_jp", "utf-16-le")
            }
    return {
        piece.lower()
        for piece in found
        if len(piece) >= 4 and piece.strip(b"0\0 ") and piece.lower().decode("latin-1") not in _NOBODY
    }


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[FakeCentre]:
    with running(FakeCentre(), tmp_path / "centre") as centre:
        yield centre


@pytest.mark.filterwarnings("ignore")
def test_no_piece_of_a_patient_is_in_any_request_of_real_files_and_canaries(
    tmp_path: Path, centre: FakeCentre
) -> None:
    settings = settings_of(tmp_path / "gateway", gateway_url=centre.url, quiet_seconds=3)
    link = CentreLink(centre.url, client_context(centre, tmp_path / "client"))
    said: list[bytes] = []
    link._client.event_hooks["request"].append(
        lambda request: said.append(f"{request.url} {request.headers.raw!r}".encode())
    )
    box = Box(settings, link)
    names = (
        "chrH31",
        "chrH32",
        "chrX1",
        "chrX2",
        "chrI2",
        "chrGreek",
        "chrFren",
        "CT_small",
        "MR_small_RLE",
        "image_dfl",
        "reportsi",
        "badVR",
    )
    files = [DATA / f"{name}.dcm" for name in names]
    flock = [canary for canary in canaries(3) if canary.data][::3]
    for data in [path.read_bytes() for path in files] + [canary.data for canary in flock]:
        box.take(data=data)
    box.clean()
    for _ in range(2):
        box.upload()
        box.pass_quiet_time()
    box.close()
    link.close()
    assert len(centre.stored) >= 12
    out = [*said, *centre.stored.values(), *(repr(one.to_json()).encode("utf-8") for one in centre.manifests)]
    everything = b"\n".join(out).lower()
    wanted = {piece for path in files for piece in pieces(path)} | {
        one for canary in flock for one in canary.needles
    }
    assert len(wanted) > 200
    assert sorted(piece for piece in wanted if piece in everything) == []
    assert any(b"heart" in one or b"studies" in one for one in said)


def test_the_search_does_find_a_patient() -> None:
    path = DATA / "chrH31.dcm"
    assert any(piece in path.read_bytes().lower() for piece in pieces(path))


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = Vault(tmp_path / "vault.sqlite3", b"k" * 32)
    identity = PatientIdentity(
        patient_name="OHNO^SHOICHI=大野^彰一=オオノ^ショウイチ",
        patient_id="0071234",
        study_instance_uid="1.2.392.7",
    )
    vault.link(VaultStudy("P", "2.25.1", "A", identity))
    vault.keep_form(
        "7HJ2KX0Q4M9V", {"patient_id": "0071234", "name": "大野 彰一", "kana": "オオノ ショウイチ"}
    )
    yield vault
    vault.close()


def manifest(**changes: Any) -> StudyManifest:
    return StudyManifest(
        **{
            "study_instance_uid": "2.25.1", "pseudonym": "P", "sex": "M", "modalities": ("CT",), "study_date": "20261101", "study_time": "",
            "age": "067Y", "study_description": "胸部CT", "accession": "", "revision": 1, "closed": True, "instances": (), "held": (),
            "first_received_at": AT, "last_received_at": AT, "evidence": "",
        } | changes
    )  # fmt: skip


def test_a_manifest_goes_without_a_description_that_names_the_patient(vault: Vault) -> None:
    last_look = LastLook(vault)
    assert last_look.manifest(manifest()).study_description == "胸部CT"
    for text in ("胸部CT 大野", "Ono, Syoiti", "ﾋﾀﾞﾘ ｵｵﾉ", "ID 71234"):
        assert last_look.manifest(manifest(study_description=text)).study_description == ""
    with pytest.raises(Refused):
        last_look.manifest(manifest(evidence="1.2.392.7"))
    assert (
        last_look.manifest(manifest(study_instance_uid="2.25.9", study_description="x")).study_description
        == "x"
    )


def test_a_request_that_names_the_patient_is_refused_at_the_last_moment(vault: Vault) -> None:
    notice = OrderNotice(
        order_id="7HJ2KX0Q4M9V", pseudonym="P", accession="", study_instance_uid="", study_date="", modality="CT", body_part="胸部",
        examination="", contrast="none", priority="routine", clinical_question="結節の経過", history="", department="",
        responsible_doctor="大野 医師", callback_phone="2210", requested_at=AT,
    )  # fmt: skip
    last_look = LastLook(vault)
    last_look.order(notice)
    for text in ("大野さんの経過", "おおの しょういち", "id:0071234"):
        with pytest.raises(Refused):
            last_look.order(OrderNotice.from_json(notice.to_json() | {"history": text}))


def test_a_heartbeat_has_no_field_that_could_hold_a_name() -> None:
    fields = Heartbeat.__dataclass_fields__
    words = {name for name, field in fields.items() if field.type is str}
    assert words == {"version"}
    assert ALARMS == ("", "leak_check_failed")
