"""Reading messages that are not what they should be."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.errors import InvalidInput
from teleread.wire.enrolment import OneTimeCode, ca_fingerprint
from teleread.wire.heartbeat import HeartbeatAnswer
from teleread.wire.manifest import MissingInstance, StudyManifest
from teleread.wire.receipts import InstanceReceipt

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_no_document_at_all_does_more_harm_than_invalid_input(document: object) -> None:
    with pytest.raises(InvalidInput):
        StudyManifest.from_json(document)


@pytest.mark.parametrize(
    "uid", ["", "1", "1.", "1..2", "1.02", "1.2 ", "1.2\n", "a.b", "1." + "2" * 63, "１.２", "../../etc"]
)
def test_what_is_not_a_uid_is_refused(uid: str) -> None:
    with pytest.raises(InvalidInput):
        MissingInstance.from_json({"sop_instance_uid": uid, "sha256": "0" * 64})


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_what_is_not_a_digest_is_refused(digest: str) -> None:
    with pytest.raises(InvalidInput):
        MissingInstance.from_json({"sop_instance_uid": "1.2", "sha256": digest})


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(InvalidInput):
        InstanceReceipt.from_json({"sop_instance_uid": "1.2", "sha256": "0" * 64, "outcome": "perhaps"})


def test_only_a_refused_instance_is_not_stored() -> None:
    outcomes = {"stored": True, "already_stored": True, "conflict": True, "refused": False}
    for outcome, stored in outcomes.items():
        assert InstanceReceipt(sop_instance_uid="1.2", sha256="0" * 64, outcome=outcome).is_stored is stored


@pytest.mark.parametrize("text", ["2026-11-23T03:04:05", "yesterday", "", 5, None])
def test_a_time_without_its_offset_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput):
        HeartbeatAnswer.from_json({"now": text})


def test_a_time_of_another_zone_is_read_as_utc() -> None:
    answer = HeartbeatAnswer.from_json({"now": "2026-11-23T12:00:00+09:00"})
    assert answer.now == datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert answer.to_json() == {"now": "2026-11-23T03:00:00Z"}


def test_the_complaint_names_the_field_and_not_the_value() -> None:
    with pytest.raises(InvalidInput) as caught:
        MissingInstance.from_json({"sop_instance_uid": "山田太郎", "sha256": "0" * 64})
    assert "sop_instance_uid" in str(caught.value) or "sop_instance_uid" in caught.value.field
    assert "山田" not in str(caught.value)


def test_a_one_time_code_is_read_as_people_type_it() -> None:
    code = OneTimeCode(secret="0123456789", ca_fingerprint=ca_fingerprint(b"der"))
    assert OneTimeCode.parse(f"  {str(code).lower()} \n") == code
    assert code.names(b"der")
    assert not code.names(b"another")


@pytest.mark.parametrize(
    "text", ["", "0123456789", "0123456789-00", "O123456789-" + "0" * 32, "-" + "0" * 32]
)
def test_what_is_not_a_one_time_code_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        OneTimeCode.parse(text)
