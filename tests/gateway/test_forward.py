"""De-identification, upload and manifest against a small centre with real TLS."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from gateway.deidentify import Deidentifier
from gateway.forward import Forwarder
from gateway.keys import GatewayKeys
from gateway.link import CentreLink
from gateway.manifest import ManifestSender
from gateway.reasons import text_of
from gateway.settings import GatewaySettings
from gateway.spool import Arrival, Spool
from gateway.vault import Vault
from teleread import clock
from tests.gateway.centre import FakeCentre, client_context, running
from tests.gateway.facility import STUDY_UID, file_bytes, instance, layout_of, settings_of, wait_until


class Box:
    """A gateway without its listener, driven step by step, with a clock that the test moves."""

    def __init__(self, settings: GatewaySettings, link: CentreLink) -> None:
        layout = layout_of(settings)
        self.spool = Spool(layout)
        self.keys = GatewayKeys.make(layout)
        self.vault = Vault(layout.vault_database, self.keys.vault)
        self.began = clock.now()
        self.later = timedelta()
        self.deidentifier = Deidentifier(self.spool, self.vault, self.keys, now=self.now, processes=1)
        self.forwarder = Forwarder(settings, self.spool, link, now=self.now)
        self.manifests = ManifestSender(settings, self.spool, link, now=self.now)

    def restart(self) -> None:
        """End and begin again, as after a power cut: only what is on disk is known."""
        layout = self.spool.layout
        self.deidentifier.close()
        self.spool.close()
        self.vault.close()
        self.spool = Spool(layout)
        self.vault = Vault(layout.vault_database, GatewayKeys.load(layout).vault)
        self.deidentifier = Deidentifier(self.spool, self.vault, self.keys, now=self.now, processes=1)
        self.forwarder._spool = self.manifests._spool = self.spool

    def now(self) -> datetime:
        # Only the test moves it: on a loaded machine real seconds would pass the quiet time by themselves.
        return self.began + self.later

    def take(self, *datasets: Dataset, data: bytes | None = None, association_id: int | None = None) -> None:
        for content in [file_bytes(ds) for ds in datasets] + ([data] if data is not None else []):
            part = self.spool.part()
            part.write(content)
            self.spool.accept(part, Arrival("", "", "", association_id), at=self.now())

    def clean(self) -> None:
        while self.deidentifier.work():
            pass

    def upload(self) -> None:
        self.later += timedelta(seconds=1)
        self.forwarder.work(wait=True)

    def pass_quiet_time(self) -> None:
        self.later += timedelta(seconds=5)
        self.manifests.work()

    def states(self) -> list[tuple[str, str]]:
        rows = self.spool.connection.execute("SELECT state, reason FROM item ORDER BY id")
        return [(row["state"], row["reason"]) for row in rows]

    def close(self) -> None:
        self.deidentifier.close()
        self.forwarder.close()
        self.spool.close()
        self.vault.close()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[FakeCentre]:
    with running(FakeCentre(), tmp_path / "centre") as centre:
        yield centre


@pytest.fixture
def box(tmp_path: Path, centre: FakeCentre) -> Iterator[Box]:
    settings = settings_of(tmp_path / "gateway", gateway_url=centre.url, quiet_seconds=3)
    link = CentreLink(centre.url, client_context(centre, tmp_path / "client"))
    box = Box(settings, link)
    yield box
    box.close()
    link.close()


def test_what_arrives_at_the_centre_has_no_identity_and_the_vault_knows_whose_it_is(
    box: Box, centre: FakeCentre
) -> None:
    box.take(instance(1), instance(2))
    box.clean()
    box.upload()
    assert box.states() == [("acknowledged", ""), ("acknowledged", "")]
    assert len(centre.stored) == 2
    for (uid, digest), data in centre.stored.items():
        assert hashlib.sha256(data).hexdigest() == digest
        for trace in (b"Yamada", "山田".encode("iso2022_jp"), b"0012345", b"19590314", STUDY_UID.encode()):
            assert trace not in data
        ds = dcmread(BytesIO(data))
        assert ds.SOPInstanceUID == uid
        entry = box.vault.study(str(ds.StudyInstanceUID))
        assert (entry.identity.patient_id, entry.pseudonym) == ("0012345", ds.PatientID)
        assert entry.accession_pseudonym == ds.AccessionNumber
        assert "山田" in entry.identity.patient_name


def test_an_instance_stays_until_a_receipt_names_its_digest(box: Box, centre: FakeCentre) -> None:
    box.take(instance())
    box.clean()
    centre.lie_about_digests = True
    box.upload()
    assert [state for state, _ in box.states()] == ["clean"]
    centre.lie_about_digests = False
    box.upload()
    assert [state for state, _ in box.states()] == ["acknowledged"]


def test_a_cut_line_and_a_centre_in_trouble_are_tried_again(box: Box, centre: FakeCentre) -> None:
    box.take(instance())
    box.clean()
    for trouble in (None, 500, 503, 403, 429):
        centre.failures.append(trouble)
        box.upload()
        assert [state for state, _ in box.states()] == ["clean"]
    box.upload()
    assert [state for state, _ in box.states()] == ["acknowledged"]
    assert list(centre.counts.values()) == [1]


def test_only_the_refused_instance_of_a_refused_request_is_held(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1), instance(2), instance(3))
    box.clean()
    row = box.spool.connection.execute("SELECT clean_sha256 FROM item WHERE id = 2").fetchone()
    centre.whole_request_refused_for.add(row[0])
    box.upload()
    assert box.states() == [("acknowledged", ""), ("held", "refused_by_centre"), ("acknowledged", "")]


def test_a_failure_that_may_pass_is_no_refusal(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1), instance(2))
    box.clean()
    digests = [row[0] for row in box.spool.connection.execute("SELECT clean_sha256 FROM item ORDER BY id")]
    centre.refuse = {digests[0]: 0xA700, digests[1]: 0xC000}
    box.upload()
    assert box.states()[0][0] == "clean"
    assert box.states()[1] == ("held", "refused_by_centre")
    centre.refuse = {}
    box.upload()
    assert box.states()[0] == ("acknowledged", "")


def test_a_part_whose_uid_the_centre_cannot_read_is_known_by_its_digest_and_blocks_no_other(
    box: Box, centre: FakeCentre
) -> None:
    box.take(instance(1), instance(2), instance(3))
    box.clean()
    digests = [row[0] for row in box.spool.connection.execute("SELECT clean_sha256 FROM item ORDER BY id")]
    centre.unread = {digests[1], digests[2]}
    centre.refuse = {digests[1]: 0xC000}
    box.upload()
    assert box.states() == [("acknowledged", ""), ("held", "refused_by_centre"), ("acknowledged", "")]


def test_a_receipt_of_another_form_leaves_only_its_own_instance_waiting(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1), instance(2))
    box.clean()
    digests = [row[0] for row in box.spool.connection.execute("SELECT clean_sha256 FROM item ORDER BY id")]
    centre.odd_outcome = digests[0]
    box.upload()
    assert [state for state, _ in box.states()] == ["clean", "acknowledged"]


def test_a_row_that_another_request_has_settled_takes_no_receipt_of_its_batch_back(
    box: Box, centre: FakeCentre
) -> None:
    box.take(instance(1), instance(2), instance(3))
    box.clean()
    rows = box.spool.connection.execute("SELECT * FROM item ORDER BY id").fetchall()
    box.forwarder._send(rows[:1])
    box.forwarder._send(rows[:2])
    centre.failures = [503]
    box.forwarder._send(rows)
    assert [state for state, _ in box.states()] == ["acknowledged", "acknowledged", "clean"]
    centre.refuse = {rows[0]["clean_sha256"]: 0xC000}
    box.forwarder._send(rows)
    assert [state for state, _ in box.states()] == ["acknowledged"] * 3
    outcomes = [row[0] for row in box.spool.connection.execute("SELECT outcome FROM item ORDER BY id")]
    assert outcomes == ["stored"] * 3


def test_what_a_request_that_just_ends_has_brought_is_not_sent_again(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1))
    box.clean()
    box.forwarder._guard = EndOfARequest(box)  # type: ignore[assignment]
    box.later += timedelta(seconds=1)
    assert box.forwarder.work(wait=True) == 0
    assert list(centre.counts.values()) == [1]


class EndOfARequest:
    """A guard that the end of another request gets before everybody else."""

    def __init__(self, box: Box) -> None:
        self.box: Box | None = box

    def __enter__(self) -> None:
        box, self.box = self.box, None
        if box is not None:
            box.forwarder._send(box.spool.connection.execute("SELECT * FROM item").fetchall())

    def __exit__(self, *_: object) -> None:
        """Let the next one in."""


def test_two_versions_under_one_uid_are_both_sent(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1), instance(1, pixels=b"\x09\x09" * 64))
    box.clean()
    box.upload()
    assert len(centre.stored) == 2
    assert len({uid for uid, _ in centre.stored}) == 1
    outcomes = {row[0] for row in box.spool.connection.execute("SELECT outcome FROM item")}
    assert outcomes == {"stored", "conflict"}


def test_broken_files_are_held_with_their_reason_and_nothing_of_them_leaves(
    box: Box, centre: FakeCentre
) -> None:
    whole = file_bytes(instance(9))
    box.take(data=b"this is a letter, not an image" * 10)
    box.take(data=whole[:-40])
    box.take(instance(3, PatientID=""))
    box.clean()
    box.upload()
    assert [state for state, _ in box.states()] == ["held"] * 3
    assert [reason for _, reason in box.states()] == ["not_dicom", "truncated", "no_patient_id"]
    assert centre.stored == {}
    assert not list(box.spool.layout.clean.iterdir())


def test_a_known_patient_id_with_another_birth_date_is_held(box: Box) -> None:
    box.take(instance(1), instance(1, study_uid="1.2.3.4.5", PatientBirthDate="19700101"))
    box.clean()
    assert box.states() == [("clean", ""), ("held", "other_patient")]


def test_two_patients_in_one_study_are_held(box: Box) -> None:
    box.take(instance(1), instance(2, patient_id="9988776"))
    box.clean()
    assert box.states() == [("clean", ""), ("held", "two_patients")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"patient_id": "9988776"}, "two_patients"),
        ({"PatientBirthDate": "19700101"}, "other_patient"),
        ({"PatientSex": "F"}, "other_patient"),
        ({"study_uid": "1.2.3.4.5", "PatientBirthDate": "19700101"}, "other_patient"),
        ({"study_uid": "1.2.3.4.5", "PatientSex": "F"}, "other_patient"),
    ],
)
def test_a_restart_forgets_neither_whose_a_study_is_nor_who_a_patient_is(
    box: Box, centre: FakeCentre, changes: dict[str, str], reason: str
) -> None:
    box.take(instance(1))
    box.clean()
    box.restart()
    box.take(instance(2, **changes))
    box.clean()
    assert box.states() == [("clean", ""), ("held", reason)]
    box.upload()
    assert len(centre.stored) == 1
    assert len(list(box.spool.layout.clean.iterdir())) == 1


def test_the_held_instance_of_another_patient_changes_nothing_in_the_vault(box: Box) -> None:
    box.take(instance(1))
    box.clean()
    (row,) = box.spool.connection.execute("SELECT centre_study_uid FROM study")
    before = box.vault.study(row[0])
    box.take(instance(2, patient_id="9988776"), instance(3, PatientSex="F"))
    box.clean()
    assert box.vault.study(row[0]) == before
    assert box.vault.counts() == (1, 1)


def test_a_file_that_kills_its_reader_is_held_and_the_others_go_on(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.deidentify.clean_file", die_on_the_second)
    box.take(instance(1), instance(2), instance(3))
    box.clean()
    assert box.states() == [("clean", ""), ("held", "crashed"), ("clean", "")]


def test_the_death_of_an_idle_reader_stops_nothing(box: Box) -> None:
    box.take(instance(1))
    box.clean()
    pool = box.deidentifier._pool
    assert pool is not None
    for process in list(pool._processes.values()):
        process.kill()
    wait_until(lambda: pool._broken)
    box.take(instance(2), instance(3))
    box.clean()
    assert box.states() == [("clean", "")] * 3


def test_a_received_file_that_is_gone_is_held_and_the_others_go_on(box: Box) -> None:
    box.take(instance(1), instance(2))
    (row,) = box.spool.connection.execute("SELECT sha256 FROM item WHERE id = 1")
    box.spool.received_path(row[0]).unlink()
    box.clean()
    assert box.states() == [("held", "file_unreadable"), ("clean", "")]
    assert text_of("file_unreadable", "ja") != "file_unreadable"


def test_trouble_with_the_disk_leaves_an_item_for_later_and_the_others_go_on(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.take(instance(1), instance(2))
    monkeypatch.setattr("gateway.deidentify._BATCH", 1)
    with monkeypatch.context() as patch:
        patch.setattr("gateway.deidentify.clean_file", fail_on_the_first)
        box.clean()
    assert box.states() == [("received", ""), ("clean", "")]
    box.clean()
    assert box.states() == [("received", ""), ("clean", "")]
    box.later += timedelta(seconds=5)
    box.clean()
    assert box.states() == [("clean", "")] * 2


def fail_on_the_first(source: Path, target: Path, keys: object, **rest: object) -> object:
    import errno

    from gateway.deidentify import clean_file

    if dcmread(source).InstanceNumber == 1:
        raise OSError(errno.EIO, "Input/output error")
    return clean_file(source, target, keys, **rest)  # type: ignore[arg-type]


def die_on_the_second(source: Path, target: Path, keys: object, **rest: object) -> object:
    import os

    from gateway.deidentify import clean_file

    if dcmread(source).InstanceNumber == 2:
        os._exit(9)
    return clean_file(source, target, keys, **rest)  # type: ignore[arg-type]


def test_a_manifest_opens_with_the_first_upload_and_closes_after_the_quiet_time(
    box: Box, centre: FakeCentre
) -> None:
    box.take(instance(1), instance(2), instance(3, PatientID=""))
    box.clean()
    box.upload()
    box.manifests.work()
    box.pass_quiet_time()
    assert [(m.closed, m.revision) for m in centre.manifests] == [(False, 1), (True, 1)]
    last = centre.manifests[-1]
    assert {(one.sop_instance_uid, one.sha256) for one in last.instances} == set(centre.stored)
    assert [(held.reason, held.count) for held in last.held] == [("no_patient_id", 1)]
    assert (last.sex, last.age, last.study_date, last.modalities) == ("M", "067Y", "20261101", ("CT",))
    (study,) = box.spool.connection.execute("SELECT * FROM study WHERE centre_study_uid IS NOT NULL")
    assert (study["case_number"], study["centre_state"], study["settled"]) == ("4MZ09D89", "complete", 1)
    box.pass_quiet_time()
    assert len(centre.manifests) == 2


def test_a_truncated_file_counts_as_held_in_the_study_that_its_header_names(
    box: Box, centre: FakeCentre
) -> None:
    box.take(instance(1), data=file_bytes(instance(9))[:-40])
    box.clean()
    box.upload()
    box.pass_quiet_time()
    assert [(held.reason, held.count) for held in centre.manifests[-1].held] == [("truncated", 1)]
    rows = box.spool.connection.execute("SELECT study_id FROM item").fetchall()
    assert len({row[0] for row in rows}) == 1


def test_the_centre_hears_of_a_study_of_which_everything_is_held(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1, BurnedInAnnotation="YES"), instance(2, BurnedInAnnotation="YES"))
    box.clean()
    (study,) = box.spool.connection.execute("SELECT * FROM study")
    assert box.vault.study(study["centre_study_uid"]).identity.patient_id == "0012345"
    centre.manifest_answer[study["centre_study_uid"]] = {"state": "receiving"}
    for _ in range(3):
        box.pass_quiet_time()
    (manifest,) = centre.manifests
    assert (manifest.closed, manifest.revision, manifest.instances) == (True, 1, ())
    assert [(held.reason, held.count) for held in manifest.held] == [("burned_in", 2)]
    text = str(manifest.to_json())
    assert not [trace for trace in ("0012345", "19590314", "Yamada", STUDY_UID) if trace in text]
    box.take(instance(3))
    box.clean()
    box.upload()
    box.pass_quiet_time()
    assert (centre.manifests[-1].revision, len(centre.manifests[-1].instances)) == (2, 1)
    assert centre.manifests[-1].pseudonym == manifest.pseudonym


@pytest.mark.parametrize(
    "changes", [{"PatientBirthDate": "19700101"}, {"PatientSex": "F"}, {"PatientID": ""}]
)
def test_a_study_of_which_all_is_held_and_nobody_knows_whose_it_is_stays_unsaid(
    box: Box, centre: FakeCentre, changes: dict[str, str]
) -> None:
    box.take(instance(1), instance(1, study_uid="1.2.3.4.5", BurnedInAnnotation="YES", **changes))
    box.clean()
    box.upload()
    box.pass_quiet_time()
    assert {manifest.held for manifest in centre.manifests} == {()}
    assert box.vault.counts() == (1, 1)


def test_an_open_association_that_sends_the_study_keeps_it_open(box: Box, centre: FakeCentre) -> None:
    number = box.spool.opened("PACS", "127.0.0.1", at=box.now())
    box.take(instance(1), association_id=number)
    box.clean()
    box.upload()
    box.pass_quiet_time()
    assert [m.closed for m in centre.manifests] == [False]
    box.take(instance(1, study_uid="1.2.3.4.5"), association_id=number)
    box.clean()
    box.pass_quiet_time()
    assert [m.closed for m in centre.manifests] == [False, True]
    box.spool.closed(number, at=box.now())
    box.upload()
    box.pass_quiet_time()
    assert len({m.study_instance_uid for m in centre.manifests if m.closed}) == 2


def test_what_is_held_is_told_at_once_though_the_study_still_arrives(box: Box, centre: FakeCentre) -> None:
    number = box.spool.opened("PACS", "127.0.0.1", at=box.now())
    box.take(instance(1), instance(2, BurnedInAnnotation="YES"), association_id=number)
    box.clean()
    box.manifests.work()
    box.manifests.work()
    (told,) = centre.manifests
    assert (told.closed, [(one.reason, one.count) for one in told.held]) == (False, [("burned_in", 1)])
    box.take(instance(3, BurnedInAnnotation="YES"), association_id=number)
    box.clean()
    box.manifests.work()
    assert [(m.closed, m.held[0].count) for m in centre.manifests] == [(False, 1), (False, 2)]
    # The held ones keep the rest from nothing: the study goes on and closes.
    box.spool.closed(number, at=box.now())
    box.upload()
    box.pass_quiet_time()
    last = centre.manifests[-1]
    assert (last.closed, len(last.instances), last.held[0].count) == (True, 1, 2)


def test_a_late_instance_makes_a_new_revision(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1))
    box.clean()
    box.upload()
    box.pass_quiet_time()
    box.take(instance(2))
    box.clean()
    box.manifests.work()
    box.upload()
    box.pass_quiet_time()
    assert [(m.closed, m.revision, len(m.instances)) for m in centre.manifests] == [
        (True, 1, 1),
        (False, 2, 2),
        (True, 2, 2),
    ]


def test_what_the_centre_has_lost_is_sent_again(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1), instance(2))
    box.clean()
    box.upload()
    lost = next(iter(centre.stored))
    del centre.stored[lost]
    box.pass_quiet_time()
    box.upload()
    assert lost in centre.stored
    box.pass_quiet_time()
    (study,) = box.spool.connection.execute("SELECT * FROM study")
    assert (study["centre_state"], study["settled"]) == ("complete", 1)


def test_an_answer_that_cannot_be_read_delays_its_own_study_only(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1), instance(1, study_uid="1.2.3.4.5"))
    box.clean()
    box.upload()
    rows = box.spool.connection.execute("SELECT centre_study_uid FROM study ORDER BY id").fetchall()
    first, second = (row[0] for row in rows)
    centre.manifest_answer[first] = {"state": 7}
    box.pass_quiet_time()
    assert [m.study_instance_uid for m in centre.manifests] == [first, second]
    centre.manifest_answer.clear()
    box.pass_quiet_time()
    rows = box.spool.connection.execute("SELECT settled FROM study ORDER BY id").fetchall()
    assert [row[0] for row in rows] == [1, 1]


def test_a_manifest_that_found_nobody_is_sent_later(box: Box, centre: FakeCentre) -> None:
    box.take(instance(1))
    box.clean()
    box.upload()
    centre.failures = [500]
    box.pass_quiet_time()
    assert centre.manifests == []
    wait_until(lambda: box.pass_quiet_time() or centre.manifests)
    assert centre.manifests[-1].closed
