"""Golden files: a message of any released version is read for ever, and today's is written as it was."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teleread.errors import InvalidInput
from teleread.wire.critical import CriticalAcknowledgement, CriticalList, CriticalNotice
from teleread.wire.enrolment import EnrolmentAnswer, EnrolmentRequest
from teleread.wire.heartbeat import Heartbeat, HeartbeatAnswer
from teleread.wire.manifest import (
    HeldCount,
    ManifestAnswer,
    ManifestInstance,
    MissingInstance,
    StudyManifest,
    StudyStatus,
)
from teleread.wire.message import Message
from teleread.wire.orders import OrderAnswer, OrderNotice
from teleread.wire.packages import PackageList, ReportPackage
from teleread.wire.receipts import DeliveryReceipt, InstanceReceipt, PackageEvent

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 11, 23, 3, 4, 5, 678901, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 3, 5, 0, tzinfo=UTC)
A, B, C = "a" * 64, "b" * 64, "c" * 64
CT = "1.2.840.10008.5.1.4.1.1.2"

PACKAGE = ReportPackage(
    package_id="01J9ZC8QK3",
    case_number="4MZ09D83",
    study_instance_uid="2.25.1234",
    pseudonym="C36PV-4K2M7",
    accession="A0123456789AB",
    sex="M",
    age="067Y",
    version=1,
    kind="report",
    status="final",
    content_sha256=A,
    pdf_sha256=B,
    signed_at=AT,
    signer_name="読影 医師",
    title="CT 胸部",
    language="ja",
)
RECEIPT = DeliveryReceipt(
    package_id="01J9ZC8QK3",
    pdf_sha256=B,
    delivered_pdf_sha256=C,
    route="dicom_store",
    status="delivered",
    detail="PACS 0x0000",
    at=LATER,
)
CRITICAL = CriticalNotice(
    critical_id="5d1f0c2ab9e84d77a3c4e601",
    case_number="4MZ09D83",
    study_instance_uid="2.25.1234",
    pseudonym="C36PV-4K2M7",
    category="1",
    text="急性硬膜下血腫、正中偏位あり。",
    state="notified",
    raised_at=AT,
    told="例示 五郎",
    notified_at=LATER,
    acknowledge_by=LATER,
    responsible_doctor="例示 五郎",
    callback_phone="内線 2210",
)
MESSAGES: dict[str, Message] = {
    "critical_notice": CRITICAL,
    "critical_list": CriticalList(findings=(CRITICAL,)),
    "critical_acknowledgement": CriticalAcknowledgement(
        person="例示 五郎", account="reiji", acknowledged_at=LATER
    ),
    "study_manifest": StudyManifest(
        study_instance_uid="2.25.1234",
        pseudonym="C36PV-4K2M7",
        sex="M",
        modalities=("CT", "SR"),
        study_date="20261122",
        study_time="101112.5",
        age="067Y",
        study_description="胸部単純CT",
        accession="A0123456789AB",
        revision=2,
        closed=True,
        instances=(
            ManifestInstance(
                sop_instance_uid="2.25.1",
                series_instance_uid="2.25.2",
                sop_class_uid=CT,
                sha256=A,
                size=526336,
            ),
        ),
        held=(HeldCount(reason="burned_in", sop_class_uid="1.2.840.10008.5.1.4.1.1.7", count=3),),
        first_received_at=AT,
        last_received_at=LATER,
        evidence="quiet 30 s, no open association",
    ),
    "manifest_answer": ManifestAnswer(
        missing=(MissingInstance(sop_instance_uid="2.25.1", sha256=A),),
        state="receiving",
        case_number="4MZ09D83",
    ),
    "report_package": PACKAGE,
    "package_list": PackageList(packages=(PACKAGE,)),
    "instance_receipt": InstanceReceipt(
        sop_instance_uid="2.25.1", sha256=A, outcome="conflict", reason="other bytes"
    ),
    "delivery_receipt": RECEIPT,
    "package_event": PackageEvent(event="delivered", at=LATER, receipts=(RECEIPT,)),
    "enrolment_request": EnrolmentRequest(
        code="0123456789-00112233445566778899aabbccddeeff", csr_pem="-----BEGIN …", gateway_version="0.1.0"
    ),
    "enrolment_answer": EnrolmentAnswer(
        certificate_pem="-----BEGIN a",
        ca_pem="-----BEGIN b",
        signing_ca_pem="-----BEGIN c",
        gateway_url="https://127.0.0.1:8443",
        facility_code="north",
        facility_name="北病院",
        gateway_name="box 1",
        quiet_seconds=30,
    ),
    "heartbeat": Heartbeat(
        version="0.1.0",
        queue=3,
        held=1,
        disk_free_bytes=10**12,
        clock=AT,
        certificate_not_after=LATER,
        alarm="leak_check_failed",
    ),
    "heartbeat_answer": HeartbeatAnswer(now=AT),
    "order_notice": OrderNotice(
        order_id="7HJ2KX0Q4M9V",
        pseudonym="C36PV-4K2M7",
        accession="A0123456789AB",
        study_instance_uid="2.25.1234",
        study_date="20261122",
        modality="CT",
        body_part="胸部",
        examination="胸部単純CT",
        contrast="none",
        priority="urgent",
        clinical_question="右肺上葉結節の増大の有無。",
        history="8か月前のCTで8 mmの結節。",
        department="内科",
        responsible_doctor="例示 五郎",
        callback_phone="内線 2210",
        requested_at=AT,
    ),
    "study_status": StudyStatus(
        state="complete",
        case_number="4MZ09D83",
        display_status="ready",
        due_at=LATER,
        is_assigned=True,
        pause_reason="前回のCTを待っています。",
    ),
    "order_answer": OrderAnswer(outcome="matched", case_number="4MZ09D83"),
}
GOLDEN_FILES = sorted(GOLDEN.glob("v*/*.json"))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_as_its_golden_file(name: str) -> None:
    golden = json.loads((GOLDEN / "v1" / f"{name}.json").read_text("utf-8"))
    assert json.loads(json.dumps(MESSAGES[name].to_json())) == golden


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_file_is_read_as_the_message(name: str) -> None:
    golden = json.loads((GOLDEN / "v1" / f"{name}.json").read_text("utf-8"))
    assert type(MESSAGES[name]).from_json(golden) == MESSAGES[name]


def test_there_is_a_golden_file_for_each_message_and_a_message_for_each_file() -> None:
    assert {file.stem for file in GOLDEN_FILES} == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_unknown_fields_are_accepted_at_every_depth(name: str) -> None:
    def extended(value: object) -> object:
        if isinstance(value, dict):
            return {key: extended(item) for key, item in value.items()} | {"of_a_later_version": [1]}
        return [extended(item) for item in value] if isinstance(value, list) else value

    document = extended(MESSAGES[name].to_json())
    if isinstance(document, dict):
        assert type(MESSAGES[name]).from_json(document) == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_each_field_refuses_a_value_of_another_type(name: str) -> None:
    message = MESSAGES[name]
    for field in dataclasses.fields(message):  # type: ignore[arg-type]
        for wrong in ({"x": 1}, 1.5, "\0", ["\0", 3]):
            with pytest.raises(InvalidInput):
                type(message).from_json(message.to_json() | {field.name: wrong})


@pytest.mark.parametrize("name", MESSAGES)
def test_a_field_without_a_default_must_be_there(name: str) -> None:
    message = MESSAGES[name]
    for field in dataclasses.fields(message):  # type: ignore[arg-type]
        document = {key: value for key, value in message.to_json().items() if key != field.name}
        if field.default is dataclasses.MISSING:
            with pytest.raises(InvalidInput):
                type(message).from_json(document)
        else:
            type(message).from_json(document)
