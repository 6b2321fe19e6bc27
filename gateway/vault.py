"""Pseudonym and identity: the only place where they meet.

One SQLite database at the facility. Identities are sealed with AES-256-GCM under a key in a file of its
own; a patient is found by a keyed digest of issuer and ID, so that the file alone tells nothing.
"""

import hashlib
import hmac
import json
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.durable import connect, space_errors, sync_folder, transaction
from teleread.dicom.deid.identity import PatientIdentity
from teleread.errors import InvalidInput, NotFound, TelereadError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS patient (
    pseudonym TEXT PRIMARY KEY,
    lookup BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS study (
    centre_study_uid TEXT PRIMARY KEY,
    pseudonym TEXT NOT NULL REFERENCES patient,
    accession_pseudonym TEXT NOT NULL,
    sealed BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS form (
    order_id TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
);
"""

_NONCE = 12


class LinkDoubt(TelereadError):  # noqa: N818 - the name says what happened, as in teleread.errors
    """The link between pseudonym and patient is not certain; `code` is the reason to hold the instance."""


@dataclass(frozen=True)
class VaultStudy:
    """Whose study it is: what goes out of the facility on the left, who it is on the right."""

    pseudonym: str
    centre_study_uid: str
    accession_pseudonym: str
    identity: PatientIdentity


class Vault:
    """The vault of one facility; safe to use from several threads."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._cipher = AESGCM(key)
        self._lookup_key = hmac.new(key, b"lookup", hashlib.sha256).digest()
        self._lock = threading.Lock()
        with space_errors():
            self._connection = connect(path)
            self._connection.executescript(_SCHEMA)
            sync_folder(path.parent)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def link(self, entry: VaultStudy) -> None:
        """Make the link of a study to its patient durable, before anything of the study may leave.

        Raises
        ------
        LinkDoubt
            `other_patient`: the ID is known with another birth date or sex. `two_patients`: the study is
            known of another patient. `pseudonym_taken`: another patient has this pseudonym.
        """
        with self._lock, transaction(self._connection) as connection:
            self._link_patient(connection, entry)
            row = connection.execute(
                "SELECT pseudonym FROM study WHERE centre_study_uid = ?", (entry.centre_study_uid,)
            ).fetchone()
            if row is not None:
                if row["pseudonym"] != entry.pseudonym:
                    raise LinkDoubt("the study is known of another patient", code="two_patients")
                return
            sealed = self._seal(entry.centre_study_uid, entry.identity.to_json())
            connection.execute(
                "INSERT INTO study VALUES (?, ?, ?, ?)",
                (entry.centre_study_uid, entry.pseudonym, entry.accession_pseudonym, sealed),
            )

    def _link_patient(self, connection: sqlite3.Connection, entry: VaultStudy) -> None:
        identity = entry.identity
        lookup = self._lookup(identity.issuer_of_patient_id, identity.patient_id)
        told = {"birth_date": identity.birth_date, "sex": identity.sex}
        row = connection.execute("SELECT * FROM patient WHERE lookup = ?", (lookup,)).fetchone()
        if row is None:
            taken = connection.execute("SELECT 1 FROM patient WHERE pseudonym = ?", (entry.pseudonym,))
            if taken.fetchone() is not None:
                raise LinkDoubt("another patient has this pseudonym", code="pseudonym_taken")
            connection.execute(
                "INSERT INTO patient VALUES (?, ?, ?)",
                (entry.pseudonym, lookup, self._seal(entry.pseudonym, told)),
            )
            return
        known = self._open(row["pseudonym"], row["sealed"])
        if any(known[name] and told[name] and known[name] != told[name] for name in told):
            raise LinkDoubt("this patient ID is known with another birth date or sex", code="other_patient")
        if row["pseudonym"] != entry.pseudonym:
            raise LinkDoubt("this patient has another pseudonym", code="other_patient")
        merged = {name: known[name] or told[name] for name in told}
        if merged != known:
            connection.execute(
                "UPDATE patient SET sealed = ? WHERE lookup = ?",
                (self._seal(entry.pseudonym, merged), lookup),
            )

    def study(self, centre_study_uid: str) -> VaultStudy:
        """Return whose study it is, or raise NotFound."""
        with self._lock:
            row = self._connection.execute(
                "SELECT * FROM study WHERE centre_study_uid = ?", (centre_study_uid,)
            ).fetchone()
        if row is None:
            raise NotFound("the vault does not know this study")
        return VaultStudy(
            pseudonym=row["pseudonym"],
            centre_study_uid=row["centre_study_uid"],
            accession_pseudonym=row["accession_pseudonym"],
            identity=PatientIdentity.from_json(self._open(row["centre_study_uid"], row["sealed"])),
        )

    def studies_after(self, place: int) -> list[tuple[int, VaultStudy]]:
        """Return the studies linked after a place in the order of arrival, each with its own place; 0 for all."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT rowid AS place, * FROM study WHERE rowid > ? ORDER BY rowid", (place,)
            ).fetchall()
        return [
            (
                row["place"],
                VaultStudy(
                    pseudonym=row["pseudonym"],
                    centre_study_uid=row["centre_study_uid"],
                    accession_pseudonym=row["accession_pseudonym"],
                    identity=PatientIdentity.from_json(self._open(row["centre_study_uid"], row["sealed"])),
                ),
            )
            for row in rows
        ]

    def keep_form(self, order_id: str, form: dict[str, str]) -> None:
        """Keep what a person typed about a patient for a request; a later text replaces the earlier one."""
        sealed = self._seal(f"form {order_id}", form)
        with self._lock, transaction(self._connection) as connection:
            connection.execute(
                "INSERT INTO form VALUES (?, ?) ON CONFLICT (order_id) DO UPDATE SET sealed = excluded.sealed",
                (order_id, sealed),
            )

    def form(self, order_id: str) -> dict[str, str]:
        """Return what was typed for a request, or raise NotFound."""
        with self._lock:
            row = self._connection.execute(
                "SELECT sealed FROM form WHERE order_id = ?", (order_id,)
            ).fetchone()
        if row is None:
            raise NotFound("there is no such request")
        return self._open(f"form {order_id}", row["sealed"])

    def forget_form(self, order_id: str) -> None:
        """Remove what was typed for a draft that is given up."""
        with self._lock, transaction(self._connection) as connection:
            connection.execute("DELETE FROM form WHERE order_id = ?", (order_id,))

    def counts(self) -> tuple[int, int]:
        """Return how many patients and studies the vault knows."""
        with self._lock:
            row = self._connection.execute(
                "SELECT (SELECT count(*) FROM patient), (SELECT count(*) FROM study)"
            ).fetchone()
        return row[0], row[1]

    def backup(self, target: Path) -> None:
        """Write a consistent copy, also while the gateway works. The key is not in it: keep it apart."""
        beside = target.with_name(target.name + ".part")
        with space_errors(), self._lock:
            try:
                copy = sqlite3.connect(beside)
                try:
                    self._connection.backup(copy)
                    # One plain file, without a write-ahead log beside it.
                    copy.execute("PRAGMA journal_mode=DELETE")
                finally:
                    copy.close()
                beside.chmod(0o600)
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
                beside.replace(target)
                sync_folder(target.parent)
            finally:
                beside.unlink(missing_ok=True)

    def restore(self, source: Path) -> int:
        """Add what a backup has and the vault lacks; return how many studies came back.

        Nothing that the vault knows is changed, so an old backup can do no harm.

        Raises
        ------
        InvalidInput
            The file is not a backup, or was made with another key.
        """
        if not source.is_file():
            raise InvalidInput("source", "there is no such file")
        backup = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        backup.row_factory = sqlite3.Row
        try:
            patients = backup.execute("SELECT * FROM patient").fetchall()
            studies = backup.execute("SELECT * FROM study").fetchall()
            # A backup of an earlier release has no requests.
            has_forms = backup.execute("SELECT 1 FROM sqlite_master WHERE name = 'form'").fetchone()
            forms = backup.execute("SELECT * FROM form").fetchall() if has_forms else []
        except sqlite3.DatabaseError:
            raise InvalidInput("source", "this is not a backup of a vault") from None
        finally:
            backup.close()
        # All of it is opened before any of it is taken: half a restore would look like a whole one.
        for row in (*patients, *studies):
            self._open(row[0], row["sealed"])
        for row in forms:
            self._open(f"form {row['order_id']}", row["sealed"])
        with self._lock, transaction(self._connection) as connection:
            for row in patients:
                connection.execute("INSERT INTO patient VALUES (?, ?, ?) ON CONFLICT DO NOTHING", tuple(row))
            for row in forms:
                connection.execute("INSERT INTO form VALUES (?, ?) ON CONFLICT DO NOTHING", tuple(row))
            before = connection.total_changes
            for row in studies:
                connection.execute("INSERT INTO study VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", tuple(row))
            return connection.total_changes - before

    def _lookup(self, issuer: str, patient_id: str) -> bytes:
        text = f"{len(issuer)}:{issuer}{patient_id}"
        return hmac.new(self._lookup_key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()

    def _seal(self, row_key: str, value: dict[str, Any]) -> bytes:
        nonce = os.urandom(_NONCE)
        # The row's key is authenticated too: a sealed value moved to another row does not open.
        text = json.dumps(value).encode("utf-8")
        return nonce + self._cipher.encrypt(nonce, text, row_key.encode("ascii"))

    def _open(self, row_key: str, sealed: bytes) -> dict[str, Any]:
        try:
            text = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], row_key.encode("ascii"))
        except InvalidTag:
            raise InvalidInput("vault", "an entry does not open with this key") from None
        answer: dict[str, Any] = json.loads(text)
        return answer
