"""What the requests of the facility say about patients: the scrub looks for it beside what a header says."""

import sqlite3
import threading

from gateway.dates import parse_date
from gateway.spool import Spool
from gateway.vault import Vault
from teleread.dicom.deid.identity import PatientIdentity, plain_id
from teleread.dicom.deid.tokens import tokens_of
from teleread.errors import InvalidInput, NotFound

#: Patients of more requests than this at once would fill the children's errands.
_AT_ONCE = 16


def identity_of_request(form: dict[str, str]) -> PatientIdentity:
    """Return what was typed about the patient of a request."""
    name, kana = (
        "^".join(form.get(field, "").replace("=", " ").replace("^", " ").split())
        for field in ("name", "kana")
    )
    return PatientIdentity(
        patient_name=f"={name}={kana}",
        patient_id=form.get("patient_id", ""),
        birth_date=_birth_date(form.get("birth_date", "")),
        accession_number=form.get("accession", ""),
        phones=tuple(filter(None, (form.get("phone", ""),))),
        addresses=tuple(filter(None, (form.get("address", ""),))),
    )


def _birth_date(typed: str) -> str:
    try:
        return parse_date(typed, field="birth_date")
    except InvalidInput:
        return ""


class KnownFromRequests:
    """The patients of the requests and drafts, kept in memory only and followed from then on."""

    def __init__(self, spool: Spool, vault: Vault) -> None:
        self._spool = spool
        self._vault = vault
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._by_id: dict[str, dict[str, PatientIdentity]] = {}

    def of(self, patient_id: str) -> tuple[PatientIdentity, ...]:
        """Return what requests say about a patient, the newest first; nothing when none does."""
        if not plain_id(patient_id):
            return ()
        with self._lock:
            self._follow()
            known = self._by_id.get(plain_id(patient_id), {})
            return tuple(dict.fromkeys(reversed(known.values())))[:_AT_ONCE]

    def adds_to(self, identity: PatientIdentity) -> tuple[PatientIdentity, ...]:
        """Return what requests say about a patient that the header does not; identities from `of`."""
        header = tokens_of(identity)

        def is_new(told: PatientIdentity) -> bool:
            return (
                not tokens_of(told).own <= header.own
                or not {*told.phones, *told.addresses} <= {*identity.phones, *identity.addresses}
                or bool(told.birth_date and told.birth_date != identity.birth_date)
            )

        return tuple(told for told in self.of(identity.patient_id) if is_new(told))

    def _follow(self) -> None:
        try:
            rows = self._spool.connection.execute(
                "SELECT order_id, changed_at FROM request ORDER BY id"
            ).fetchall()
        except sqlite3.OperationalError:
            return  # a box that has never had a console has no such table
        for row in rows:
            if self._seen.get(row["order_id"]) == row["changed_at"]:
                continue
            self._seen[row["order_id"]] = row["changed_at"]
            try:
                identity = identity_of_request(self._vault.form(row["order_id"]))
            except (NotFound, InvalidInput):
                continue
            for known in self._by_id.values():
                known.pop(row["order_id"], None)
            self._by_id.setdefault(plain_id(identity.patient_id), {})[row["order_id"]] = identity
