"""Reports on their way home: collected, named once, delivered once in effect, and reported back."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage
from pynetdicom import AE, evt

from gateway import reports as reports_module
from gateway.collect import Collector, NoticeSender
from gateway.deliver.base import NamedReport, Rejected, Route
from gateway.deliver.dicom_store import DICOMStoreRoute
from gateway.deliver.folder import FolderRoute
from gateway.deliver.registry import routes_of
from gateway.keys import GatewayKeys
from gateway.link import CentreLink
from gateway.reidentify import IdentityDoubt
from gateway.reports import Deliverer
from gateway.settings import PACSTarget
from gateway.spool import Spool
from gateway.status import status_of
from gateway.vault import Vault, VaultStudy
from teleread import clock
from teleread.dicom.deid.identity import PatientIdentity
from teleread.errors import Unavailable
from teleread.wire.packages import ReportPackage
from tests.gateway.centre import FakeCentre, client_context, running
from tests.gateway.facility import layout_of, settings_of

SIGNED = b"%PDF-1.7 signed by the reader"
PACKAGE = ReportPackage(
    package_id="P1",
    case_number="4MZ09D89",
    study_instance_uid="2.25.1234",
    pseudonym="C36PV-4K2M7",
    accession="",
    sex="M",
    age="067Y",
    version=1,
    kind="report",
    status="final",
    content_sha256="a" * 64,
    pdf_sha256=hashlib.sha256(SIGNED).hexdigest(),
    signed_at=datetime(2026, 11, 23, tzinfo=UTC),
    signer_name="読影 医師",
    title="CT",
    language="ja",
)
IDENTITY = PatientIdentity(
    specific_character_set=("", "ISO 2022 IR 87"),
    patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
    patient_name_raw="Yamada^Tarou=山田^太郎=やまだ^たろう".encode("iso2022_jp"),
    patient_id="0012345",
    patient_id_raw=b"0012345",
    birth_date="19590314",
    sex="M",
    study_instance_uid="1.2.392.200036.9116.2.5.1",
    study_date="20261101",
)


class Destination:
    """A way out that does what the test says."""

    kind = "dicom_store"
    target = "PACS"

    def __init__(self) -> None:
        self.troubles: list[Exception] = []
        self.received: list[tuple[str, str]] = []

    def deliver(self, report: NamedReport) -> str:
        if self.troubles:
            raise self.troubles.pop(0)
        self.received.append((report.sop_instance_uid, hashlib.sha256(report.dicom.read_bytes()).hexdigest()))
        return "0x0000"


class Home:
    """The half of a gateway that brings reports home."""

    def __init__(self, data: Path, link: CentreLink, routes: list[Route]) -> None:
        settings = settings_of(data)
        layout = layout_of(settings)
        keys = GatewayKeys.make(layout)
        self.later = timedelta()
        self.named = 0
        self.doubt: str | None = None
        self.spool = Spool(layout)
        self.vault = Vault(layout.vault_database, keys.vault)
        self.vault.link(VaultStudy("C36PV-4K2M7", "2.25.1234", "", IDENTITY))
        self.collector = Collector(self.spool, link, now=self.now)
        self.notices = NoticeSender(self.spool, link, now=self.now)
        self.deliverer = Deliverer(
            settings, self.spool, self.vault, keys, routes=routes, reidentify=self.name, now=self.now
        )

    def now(self) -> datetime:
        return clock.now() + self.later

    def name(self, package: ReportPackage, pdf: bytes, entry: VaultStudy) -> bytes:
        if self.doubt:
            raise IdentityDoubt(self.doubt)
        self.named += 1
        # Never the same twice, as a signature with its time is not.
        return pdf + f" named {entry.identity.patient_id} {self.named}".encode()

    def work(self) -> None:
        self.later += timedelta(seconds=1)
        self.collector.work()
        self.deliverer.work()
        self.notices.work()

    def state(self) -> tuple[str, str]:
        (row,) = self.spool.connection.execute("SELECT state, reason FROM package")
        return row["state"], row["reason"]

    def close(self) -> None:
        self.spool.close()
        self.vault.close()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[FakeCentre]:
    with running(FakeCentre(), tmp_path / "centre") as centre:
        centre.packages["P1"] = (PACKAGE, SIGNED)
        yield centre


@pytest.fixture
def link(tmp_path: Path, centre: FakeCentre) -> Iterator[CentreLink]:
    link = CentreLink(centre.url, client_context(centre, tmp_path / "client"))
    yield link
    link.close()


@pytest.fixture
def destination() -> Destination:
    return Destination()


@pytest.fixture
def home(tmp_path: Path, link: CentreLink, destination: Destination) -> Iterator[Home]:
    home = Home(tmp_path / "gateway", link, [destination, FolderRoute(tmp_path / "delivered")])
    yield home
    home.close()


def test_a_report_comes_home_and_the_centre_gets_its_receipts(
    home: Home, centre: FakeCentre, destination: Destination, tmp_path: Path
) -> None:
    home.work()
    assert home.state() == ("delivered", "")
    assert centre.event_names("P1") == ["handed_over", "delivered"]
    receipts = centre.events[-1][1].receipts
    named = (tmp_path / "delivered" / "4MZ09D89-v1.pdf").read_bytes()
    assert [(one.route, one.status, one.detail) for one in receipts] == [
        ("dicom_store", "delivered", "0x0000"),
        ("folder", "delivered", "durable"),
    ]
    assert {one.pdf_sha256 for one in receipts} == {PACKAGE.pdf_sha256}
    assert {one.delivered_pdf_sha256 for one in receipts} == {hashlib.sha256(named).hexdigest()}
    home.work()
    assert len(destination.received) == home.named == 1


def test_a_crash_after_sending_sends_the_same_bytes_under_the_same_uid(
    home: Home, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(reports_module, "receipts_of", cut)
        with pytest.raises(PowerCut):
            home.work()
    home.spool.connection.execute("UPDATE route SET delivered_at = NULL")
    home.spool.connection.execute("DELETE FROM route")
    home.work()
    assert home.state() == ("delivered", "")
    assert len(destination.received) == 2
    assert len(set(destination.received)) == 1
    assert home.named == 1


def test_a_crash_before_the_row_names_the_files_builds_them_anew(
    home: Home, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    real = reports_module.write_file

    def cut(path: Path, data: bytes) -> None:
        real(path, data)
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(reports_module, "write_file", cut)
        with pytest.raises(PowerCut):
            home.work()
    assert destination.received == []
    home.work()
    assert home.state() == ("delivered", "")
    assert len(destination.received) == 1


def test_a_destination_in_trouble_is_tried_again_and_the_other_is_not_served_twice(
    home: Home, centre: FakeCentre, destination: Destination
) -> None:
    destination.troubles = [Unavailable("no association"), Unavailable("no association")]
    home.work()
    assert home.state() == ("retrying", "no association")
    home.work()
    home.work()
    assert home.state() == ("delivered", "")
    assert centre.event_names("P1") == ["handed_over", "attempt_failed", "attempt_failed", "delivered"]
    assert home.named == 1


def test_a_destination_that_says_no_ends_it_with_an_alarm_and_a_retry_is_possible(
    home: Home, centre: FakeCentre, destination: Destination
) -> None:
    destination.troubles = [Rejected("the PACS answered 0x0122")]
    home.work()
    assert home.state() == ("failed", "the PACS answered 0x0122")
    assert centre.event_names("P1") == ["handed_over", "gave_up"]
    centre.packages["P1"] = (PACKAGE, SIGNED)
    home.work()
    assert home.state() == ("delivered", "")
    assert centre.event_names("P1")[2:] == ["handed_over", "delivered"]


def test_a_destination_that_says_no_does_not_keep_the_others_from_the_report(
    home: Home, centre: FakeCentre, destination: Destination, tmp_path: Path
) -> None:
    destination.troubles = [Rejected("the PACS answered 0x0122")]
    home.work()
    assert (tmp_path / "delivered" / "4MZ09D89-v1.pdf").is_file()
    assert home.state() == ("failed", "the PACS answered 0x0122")
    assert [one.route for one in centre.events[-1][1].receipts] == ["folder"]


@pytest.mark.parametrize("trouble", [Unavailable("no association"), KeyError("Yamada")])
def test_every_destination_is_tried_and_what_may_pass_is_tried_again(
    home: Home, centre: FakeCentre, destination: Destination, trouble: Exception
) -> None:
    other = Destination()
    other.target = "OTHER"
    home.deliverer._routes = [destination, other, *home.deliverer._routes[1:]]
    destination.troubles = [Rejected("0x0122"), Rejected("0x0122")]
    other.troubles = [trouble]
    home.work()
    word = "no association" if isinstance(trouble, Unavailable) else "KeyError"
    assert home.state() == ("retrying", f"0x0122; {word}")
    home.work()
    assert home.state() == ("failed", "0x0122")
    assert {one.route for one in centre.events[-1][1].receipts} == {"dicom_store", "folder"}


def test_a_newer_version_waits_until_the_older_one_has_arrived(
    home: Home, centre: FakeCentre, destination: Destination, tmp_path: Path
) -> None:
    home.deliverer._routes = [destination]
    # The centre lists the newer one first, and another case of the study waits for neither.
    centre.packages = {
        "P2": (replace(PACKAGE, package_id="P2", version=2, kind="correction"), SIGNED),
        "P1": (PACKAGE, SIGNED),
        "P3": (replace(PACKAGE, package_id="P3", case_number="5MZ09D8A", version=2), SIGNED),
    }
    destination.troubles = [Unavailable("no association"), Unavailable("no association")]
    home.work()
    home.work()
    home.work()
    home.work()
    rows = home.spool.connection.execute("SELECT package_id FROM package ORDER BY delivered_at, id")
    arrived = [row["package_id"] for row in rows]
    assert arrived.index("P1") < arrived.index("P2")
    assert len(destination.received) == 3
    names = [known for known, event in centre.events if event.event == "attempt_failed"]
    assert "P2" not in names


def test_a_report_that_no_one_takes_for_days_is_given_up(home: Home, destination: Destination) -> None:
    destination.troubles = [Unavailable("no association")] * 2
    home.work()
    home.later += timedelta(days=4)
    home.work()
    assert home.state() == ("failed", "no association")


def test_a_doubt_about_the_patient_holds_the_report_and_nothing_is_delivered(
    home: Home, centre: FakeCentre, destination: Destination, tmp_path: Path
) -> None:
    home.doubt = "pseudonym"
    home.work()
    assert home.state() == ("held", "pseudonym")
    assert centre.event_names("P1") == ["handed_over", "identity_doubt"]
    assert destination.received == []
    assert not list((tmp_path / "delivered").glob("*"))
    assert not list(home.spool.layout.outgoing.iterdir())


def test_a_report_of_a_study_that_the_vault_does_not_know_is_held(home: Home, centre: FakeCentre) -> None:
    centre.packages["P1"] = (replace(PACKAGE, study_instance_uid="2.25.99"), SIGNED)
    home.work()
    assert home.state() == ("held", "unknown_study")


def test_a_pdf_that_is_not_the_named_one_is_not_taken(home: Home, centre: FakeCentre) -> None:
    centre.packages["P1"] = (PACKAGE, SIGNED[:-1])
    home.work()
    assert centre.events == []
    centre.packages["P1"] = (PACKAGE, SIGNED)
    home.work()
    assert home.state() == ("delivered", "")


def test_a_package_that_cannot_be_read_is_given_up_and_the_others_come_home(
    home: Home, centre: FakeCentre
) -> None:
    centre.broken_packages = [
        PACKAGE.to_json() | {"package_id": "P0", "version": "one"},
        PACKAGE.to_json() | {"package_id": "../../x"},
        PACKAGE.to_json() | {"package_id": 7},
        "no package at all",
    ]
    home.work()
    assert home.state() == ("delivered", "")
    assert centre.event_names("P0") == ["handed_over", "gave_up"]
    reasons = [event.reason for known, event in centre.events if known == "P0"]
    assert "ReportPackage.version" in reasons[-1]
    assert {known for known, _ in centre.events} == {"P0", "P1"}
    home.work()
    assert centre.event_names("P0") == ["handed_over", "gave_up"]


def test_a_package_that_is_listed_again_and_still_unreadable_is_given_up_again(
    home: Home, centre: FakeCentre
) -> None:
    broken = [PACKAGE.to_json() | {"package_id": "P0", "kind": "poem"}]
    for listed in (broken, [], broken):
        centre.broken_packages = listed
        home.work()
    assert centre.event_names("P0") == ["handed_over", "gave_up"] * 2


@pytest.mark.parametrize("status", [404, 500])
def test_a_package_whose_pdf_is_not_to_be_had_does_not_stop_the_others(
    home: Home, centre: FakeCentre, status: int
) -> None:
    centre.packages = {"P0": (replace(PACKAGE, package_id="P0"), SIGNED), "P1": (PACKAGE, SIGNED)}
    centre.no_pdf["P0"] = status
    if status == 500:
        with pytest.raises(Unavailable):
            home.collector.work()
    else:
        home.collector.work()
    rows = home.spool.connection.execute("SELECT package_id FROM package").fetchall()
    assert [row["package_id"] for row in rows] == ["P1"]


def test_a_cut_line_delays_the_receipts_and_loses_none(home: Home, centre: FakeCentre) -> None:
    home.collector.work()
    home.deliverer.work()
    centre.failures = [503]
    with pytest.raises(Unavailable):
        home.notices.work()
    home.notices.work()
    assert centre.event_names("P1") == ["handed_over", "delivered"]


def test_a_centre_that_has_forgotten_is_told_again(home: Home, centre: FakeCentre) -> None:
    home.work()
    centre.packages["P1"] = (PACKAGE, SIGNED)
    home.work()
    assert centre.event_names("P1") == ["handed_over", "delivered"] * 2
    assert len(centre.events[-1][1].receipts) == 2


def test_a_list_from_before_the_last_notice_asks_for_no_other_try(
    home: Home, centre: FakeCentre, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination.troubles = [Rejected("the PACS answered 0x0122")]
    home.collector.work()
    home.deliverer.work()
    packages = home.collector._link.packages

    def overtaken() -> list[Any]:
        listed = packages()
        assert home.notices.work() == 2
        return listed

    with monkeypatch.context() as patch:
        patch.setattr(home.collector._link, "packages", overtaken)
        home.collector.work()
    assert home.state() == ("failed", "the PACS answered 0x0122")
    assert not list(home.spool.connection.execute("SELECT 1 FROM event WHERE actor = 'centre'"))
    home.work()
    assert home.state()[0] == "failed"
    centre.packages["P1"] = (PACKAGE, SIGNED)
    home.work()
    assert home.state() == ("delivered", "")


def test_the_status_names_the_delivered_files(home: Home) -> None:
    home.spool.connection.execute(
        "INSERT INTO study (facility_study_uid, centre_study_uid) VALUES ('1.2.3', '2.25.1234')"
    )
    home.spool.connection.execute(
        "INSERT INTO item (sop_instance_uid, sha256, size, sop_class_uid, transfer_syntax_uid, state,"
        " times_received, study_id, first_received_at, last_received_at) VALUES ('1', '1', 1, '', '', 'held', 1, 1, 5, 5)"
    )
    home.work()
    (entry,) = status_of(home.spool)["studies"]
    (delivery,) = entry["deliveries"]
    assert (delivery["state"], entry["case_number"]) == ("delivered", "4MZ09D89")
    ds = dcmread(delivery["report_dicom"])
    assert (ds.SOPInstanceUID, ds.StudyInstanceUID) == (
        delivery["sop_instance_uid"],
        IDENTITY.study_instance_uid,
    )
    assert str(ds.PatientName) == IDENTITY.patient_name
    assert (
        Path(delivery["report_pdf"]).read_bytes()
        in dcmread(delivery["report_dicom"]).EncapsulatedDocument + b"\0"
    )


def report(folder: Path, *, version: int = 1, pdf: bytes = b"%PDF-1.7 named") -> NamedReport:
    path = folder / f"{hashlib.sha256(pdf).hexdigest()}.pdf"
    path.write_bytes(pdf)
    return NamedReport("4MZ09D89", version, path, hashlib.sha256(pdf).hexdigest(), path, "", "2.25.5")


def test_the_folder_never_loses_what_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "delivered"
    route = FolderRoute(folder)
    route.deliver(report(tmp_path))
    route.deliver(report(tmp_path))
    assert [path.name for path in folder.iterdir()] == ["4MZ09D89-v1.pdf"]
    other = report(tmp_path, pdf=b"%PDF-1.7 other")
    route.deliver(other)
    route.deliver(other)
    assert {path.read_bytes() for path in folder.iterdir()} == {b"%PDF-1.7 named", b"%PDF-1.7 other"}
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        FolderRoute(tmp_path / "file" / "below").deliver(report(tmp_path))


def test_a_case_number_that_is_none_makes_no_path(tmp_path: Path) -> None:
    from teleread.errors import InvalidInput

    with pytest.raises(InvalidInput):
        FolderRoute(tmp_path).deliver(replace(report(tmp_path), case_number="../../x"))


class PACS:
    """A storage SCP of pynetdicom's own that answers what the test says."""

    def __init__(self, *classes: str) -> None:
        self.status = 0x0000
        self.seen: list[str] = []
        ae = AE(ae_title="PACS")
        for uid in classes:
            ae.add_supported_context(uid)
        self.server: Any = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.on_store)]
        )

    @property
    def target(self) -> PACSTarget:
        return PACSTarget("PACS", "127.0.0.1", self.server.server_address[1])

    def on_store(self, event: evt.Event) -> int:
        self.seen.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
        return self.status


@pytest.fixture
def dicom_report(tmp_path: Path) -> NamedReport:
    from teleread.dicom.encapsulate import encapsulated_pdf

    data = encapsulated_pdf(
        b"%PDF-1.7 named",
        IDENTITY,
        sop_instance_uid="2.25.5",
        series_instance_uid="2.25.6",
        title="CT",
        at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    path = tmp_path / "report.dcm"
    path.write_bytes(data)
    return replace(report(tmp_path), dicom=path)


@pytest.fixture
def plain_pynetdicom(monkeypatch: pytest.MonkeyPatch) -> None:
    # The gateway's listener, if another test ran it in this process, has turned these on.
    monkeypatch.setattr("pynetdicom._config.STORE_RECV_CHUNKED_DATASET", False)
    monkeypatch.setattr("pynetdicom._config.UNRESTRICTED_STORAGE_SERVICE", False)


@pytest.mark.usefixtures("plain_pynetdicom")
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, None),
        (0xB000, None),
        (0x0111, None),
        (0xA700, Unavailable),
        (0x0110, Unavailable),
        (0x0122, Rejected),
        (0xA900, Rejected),
        (0xC000, Rejected),
    ],
)
def test_each_answer_of_the_pacs_has_its_meaning(
    dicom_report: NamedReport, status: int, outcome: type[Exception] | None
) -> None:
    pacs = PACS(EncapsulatedPDFStorage)
    pacs.status = status
    route = DICOMStoreRoute(pacs.target, "TELEREAD")
    try:
        if outcome is None:
            assert route.deliver(dicom_report) == f"0x{status:04X}"
        else:
            with pytest.raises(outcome):
                route.deliver(dicom_report)
        assert pacs.seen == ["2.25.5"]
    finally:
        pacs.server.shutdown()


@pytest.mark.usefixtures("plain_pynetdicom")
def test_a_pacs_that_takes_no_pdf_objects_rejects(dicom_report: NamedReport) -> None:
    pacs = PACS(CTImageStorage)
    try:
        with pytest.raises(Rejected):
            DICOMStoreRoute(pacs.target, "TELEREAD").deliver(dicom_report)
    finally:
        pacs.server.shutdown()


def test_the_routes_are_the_pacs_and_the_folder(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, pacs=(PACSTarget("PACS", "127.0.0.1", 104),))
    assert [(route.kind, route.target) for route in routes_of(settings)] == [
        ("dicom_store", "PACS@127.0.0.1:104"),
        ("folder", str(tmp_path / "delivered")),
    ]
