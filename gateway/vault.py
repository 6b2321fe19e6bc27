"""Pseudonym and identity: the only place where they meet.

One SQLite database at the facility. Identities are sealed with AES-256-GCM under a key in a file of its
own; a patient is found by a keyed digest of issuer and ID, so that the file alone tells nothing. The database names the
key that its values are sealed by, and changes the key in one transaction.
"""

import hashlib
import hmac
import json
import os
import sqlite3
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.durable import connect, space_errors, sync_folder, transaction
from gateway.keys import GatewayKeys, key_id, next_vault_key, settle_vault_key
from gateway.layout import Layout
from teleread.dicom.deid.identity import PatientIdentity
from teleread.errors import InvalidInput, NotFound, TelereadError, Unavailable

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
CREATE TABLE IF NOT EXISTS uids (
    id INTEGER PRIMARY KEY,
    centre_study_uid TEXT NOT NULL REFERENCES study,
    sealed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS uids_by_study ON uids (centre_study_uid);
CREATE TABLE IF NOT EXISTS sealing (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    key_id TEXT NOT NULL
);
"""

_NONCE = 12

#: Original UIDs come an instance a row; so many rows of a study become one, which packs them ten times closer.
_ROWS_OF_UIDS = 256
_STUDIES_IN_MIND = 16


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
        self._use(key)
        self._lock = threading.Lock()
        self._uids_in_mind: OrderedDict[str, set[str]] = OrderedDict()
        with space_errors():
            self._connection = connect(path)
            self._connection.executescript(_SCHEMA)
            self._name_the_key()
            sync_folder(path.parent)
        path.chmod(0o600)

    @classmethod
    def of(cls, layout: Layout, keys: GatewayKeys) -> "Vault":
        """Return the vault of a gateway, by the key that it is sealed by also when a change of keys was cut off."""
        vault = cls(layout.vault_database, keys.vault)
        in_force = vault._key_in_force()
        if in_force == key_id(keys.vault):
            return vault
        for key in keys.other_vault_keys:
            if key_id(key) == in_force:
                vault._use(key)
                return vault
        vault.close()
        raise InvalidInput("vault.key", "is not the key of this vault; restore it from the backup")

    @staticmethod
    def remove_empty(layout: Layout) -> None:
        """Remove a vault that knows nobody, with the key that it would have been sealed by."""
        for beside in ("", "-wal", "-shm"):
            layout.vault_database.with_name(layout.vault_database.name + beside).unlink(missing_ok=True)
        sync_folder(layout.data)

    def _use(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._lookup_key = hmac.new(key, b"lookup", hashlib.sha256).digest()
        self._key_id = key_id(key)

    def _name_the_key(self) -> None:
        """Say by which key a new vault, or one of an earlier release, is sealed."""
        sample = self._connection.execute("SELECT * FROM patient LIMIT 1").fetchone()
        try:
            if sample is not None:
                self._sealing.open(sample["pseudonym"], sample["sealed"])
        except InvalidTag:
            return
        self._connection.execute("INSERT INTO sealing VALUES (1, ?) ON CONFLICT DO NOTHING", (self._key_id,))

    def _key_in_force(self) -> str:
        row = self._connection.execute("SELECT key_id FROM sealing").fetchone()
        return str(row[0]) if row else ""

    def _check_key(self) -> None:
        """Refuse to write by a key that another process has changed meanwhile; inside a transaction."""
        if self._key_in_force() != self._key_id:
            raise Unavailable("the vault's key was changed; start the gateway again")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def link(self, entry: VaultStudy, uids: Iterable[str] = ()) -> None:
        """Make the link of a study to its patient durable, before anything of the study may leave.

        Parameters
        ----------
        entry : VaultStudy
        uids : iterable of str
            Original UIDs that stand replaced in what leaves. They cannot be worked out from the new ones.

        Raises
        ------
        LinkDoubt
            `other_patient`: the ID is known with another birth date or sex. `two_patients`: the study is
            known of another patient. `pseudonym_taken`: another patient has this pseudonym.
        """
        with self._lock:
            with transaction(self._connection) as connection:
                self._check_key()
                self._link_patient(connection, entry)
                self._link_study(connection, entry)
                known = self._known_uids(entry.centre_study_uid)
                new = set(uids) - known
                if new:
                    self._add_uids(connection, entry.centre_study_uid, new)
            # Only what is durable counts as known.
            known |= new

    def _link_study(self, connection: sqlite3.Connection, entry: VaultStudy) -> None:
        row = connection.execute(
            "SELECT pseudonym FROM study WHERE centre_study_uid = ?", (entry.centre_study_uid,)
        ).fetchone()
        if row is None:
            sealed = self._seal(entry.centre_study_uid, entry.identity.to_json())
            connection.execute(
                "INSERT INTO study VALUES (?, ?, ?, ?)",
                (entry.centre_study_uid, entry.pseudonym, entry.accession_pseudonym, sealed),
            )
        elif row["pseudonym"] != entry.pseudonym:
            raise LinkDoubt("the study is known of another patient", code="two_patients")

    def _known_uids(self, centre_study_uid: str) -> set[str]:
        known = self._uids_in_mind.get(centre_study_uid)
        if known is None:
            known = self._uids_in_mind[centre_study_uid] = self._read_uids(centre_study_uid)
            if len(self._uids_in_mind) > _STUDIES_IN_MIND:
                self._uids_in_mind.popitem(last=False)
        self._uids_in_mind.move_to_end(centre_study_uid)
        return known

    def _read_uids(self, centre_study_uid: str) -> set[str]:
        rows = self._connection.execute(
            "SELECT sealed FROM uids WHERE centre_study_uid = ?", (centre_study_uid,)
        ).fetchall()
        return {uid for row in rows for uid in self._open_uids(centre_study_uid, row["sealed"])}

    def _add_uids(self, connection: sqlite3.Connection, centre_study_uid: str, new: set[str]) -> None:
        (rows,) = connection.execute(
            "SELECT count(*) FROM uids WHERE centre_study_uid = ?", (centre_study_uid,)
        ).fetchone()
        if rows >= _ROWS_OF_UIDS:
            new = new | self._read_uids(centre_study_uid)
            connection.execute("DELETE FROM uids WHERE centre_study_uid = ?", (centre_study_uid,))
        connection.execute(
            "INSERT INTO uids (centre_study_uid, sealed) VALUES (?, ?)",
            (centre_study_uid, self._seal_uids(centre_study_uid, new)),
        )

    def uids(self, centre_study_uid: str) -> frozenset[str]:
        """Return the original UIDs that were replaced in a study; empty for one linked by an earlier release."""
        with self._lock:
            return frozenset(self._read_uids(centre_study_uid))

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
            self._check_key()
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
        """Write a consistent copy, also while the gateway works.

        Its values are sealed by the vault's key like those of the vault itself. The key is not in it: keep it apart.
        """
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

    def restore(self, source: Path, *, keys: Iterable[bytes] = ()) -> int:
        """Add what a backup has and the vault lacks; return how many studies came back.

        Nothing that the vault knows is changed, so an old backup can do no harm.

        Parameters
        ----------
        source : Path
        keys : iterable of bytes
            Further keys that the vault has had: a backup of their time is sealed anew as it is taken.

        Raises
        ------
        InvalidInput
            The file is not a backup, or was made with another key.
        """
        if not source.is_file():
            raise InvalidInput("source", "there is no such file")
        rows = _read_backup(source)
        then = self._that_sealed(rows, keys)
        # All of it is opened before any of it is taken: half a restore would look like a whole one.
        plain = {
            name: [self._opened(_SEALED_ROWS[name](row), row["sealed"], then) for row in rows[name]]
            for name in rows
        }
        lookups = {
            row["pseudonym"]: self._lookup_of(text)
            for row, text in zip(rows["study"], plain["study"], strict=True)
        }
        sealed = {
            name: [
                self._sealed_anew(name, row, text, lookups)
                for row, text in zip(rows[name], plain[name], strict=True)
            ]
            for name in rows
        }
        with self._lock, transaction(self._connection) as connection:
            self._check_key()
            self._uids_in_mind.clear()
            for values in sealed["patient"]:
                connection.execute("INSERT INTO patient VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)
            for values in sealed["form"]:
                connection.execute("INSERT INTO form VALUES (?, ?) ON CONFLICT DO NOTHING", values)
            before = connection.total_changes
            for values in sealed["study"]:
                connection.execute("INSERT INTO study VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", values)
            came_back = connection.total_changes - before
            for values in sealed["uids"]:
                new = set(self._open_uids(values[0], values[1])) - self._read_uids(values[0])
                if new:
                    self._add_uids(connection, values[0], new)
            return came_back

    def _that_sealed(self, rows: dict[str, list[sqlite3.Row]], keys: Iterable[bytes]) -> "_Sealing":
        """Return what opens a backup: this vault's own key, or one that it has had."""
        candidates = [_Sealing(self._cipher, self._lookup_key), *map(_Sealing.of, keys)]
        first = next(((name, row) for name in _SEALED_ROWS for row in rows[name]), None)
        if first is None:
            return candidates[0]
        for candidate in candidates:
            try:
                candidate.open(_SEALED_ROWS[first[0]](first[1]), first[1]["sealed"])
            except InvalidTag:
                continue
            return candidate
        raise InvalidInput("vault", "an entry does not open with this key")

    def _sealed_anew(
        self, table: str, row: sqlite3.Row, plain: bytes, lookups: dict[str, bytes]
    ) -> tuple[Any, ...]:
        """Return the columns of a row, sealed by the key of now; those of `uids` without their number."""
        values = {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118 - a Row is no mapping
        values["sealed"] = self._sealing.seal(_SEALED_ROWS[table](row), plain)
        if table == "patient":
            values["lookup"] = lookups.get(row["pseudonym"], row["lookup"])
        return tuple(values.values())

    def _lookup_of(self, identity_json: bytes) -> bytes:
        identity = PatientIdentity.from_json(json.loads(identity_json))
        return self._sealing.lookup(identity.issuer_of_patient_id, identity.patient_id)

    def rotate(self, layout: Layout) -> int:
        """Change the vault's key, and return how many values are sealed anew. The gateway has to stand still.

        The new key is durable before a value is sealed with it, and every value changes in one transaction that also
        names the key. Whenever the machine dies, one of the keys on the disk opens the whole vault, and a second call
        goes on from there.
        """
        key = next_vault_key(layout)
        sealed = 0
        if self._key_id != key_id(key):
            before, after = _Sealing(self._cipher, self._lookup_key), _Sealing.of(key)
            with self._lock, transaction(self._connection) as connection:
                self._check_key()
                sealed = self._seal_all(connection, before, after)
                connection.execute("UPDATE sealing SET key_id = ?", (key_id(key),))
            self._use(key)
        # The old values must not be found in free pages or in the write-ahead log.
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        settle_vault_key(layout, key)
        return sealed

    def _seal_all(self, connection: sqlite3.Connection, before: "_Sealing", after: "_Sealing") -> int:
        lookups: dict[str, bytes] = {}
        sealed = 0
        for table, row in self._all_rows(connection):
            row_key = _SEALED_ROWS[table](row)
            plain = self._opened(row_key, row["sealed"], before)
            if table == "study":
                identity = PatientIdentity.from_json(json.loads(plain))
                lookups[row["pseudonym"]] = after.lookup(identity.issuer_of_patient_id, identity.patient_id)
            connection.execute(
                f"UPDATE {table} SET sealed = ? WHERE rowid = ?",  # noqa: S608
                (after.seal(row_key, plain), row["place"]),
            )
            sealed += 1
        # A patient is found by a digest under the key; the ID itself stands in the studies only.
        for pseudonym, lookup in lookups.items():
            connection.execute("UPDATE patient SET lookup = ? WHERE pseudonym = ?", (lookup, pseudonym))
        return sealed

    @staticmethod
    def _all_rows(connection: sqlite3.Connection) -> Iterator[tuple[str, sqlite3.Row]]:
        for table in _SEALED_ROWS:
            place = 0
            while rows := connection.execute(
                f"SELECT rowid AS place, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1000",  # noqa: S608
                (place,),
            ).fetchall():
                yield from ((table, row) for row in rows)
                place = rows[-1]["place"]

    def settle_keys(self, layout: Layout, keys: GatewayKeys) -> None:
        """Put the key files in order after a change of keys that was cut off."""
        for key in (keys.vault, *keys.other_vault_keys):
            if key_id(key) == self._key_id:
                settle_vault_key(layout, key)

    def _lookup(self, issuer: str, patient_id: str) -> bytes:
        return self._sealing.lookup(issuer, patient_id)

    @property
    def _sealing(self) -> "_Sealing":
        return _Sealing(self._cipher, self._lookup_key)

    def _seal(self, row_key: str, value: dict[str, Any]) -> bytes:
        return self._sealing.seal(row_key, json.dumps(value).encode("utf-8"))

    def _open(self, row_key: str, sealed: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._opened(row_key, sealed))
        return answer

    def _seal_uids(self, centre_study_uid: str, uids: Iterable[str]) -> bytes:
        text = "\n".join(sorted(uids)).encode("utf-8", "surrogateescape")
        return self._sealing.seal(f"uids {centre_study_uid}", zlib.compress(text, 9))

    def _open_uids(self, centre_study_uid: str, sealed: bytes) -> list[str]:
        text = zlib.decompress(self._opened(f"uids {centre_study_uid}", sealed))
        return text.decode("utf-8", "surrogateescape").split("\n")

    def _opened(self, row_key: str, sealed: bytes, sealing: "_Sealing | None" = None) -> bytes:
        try:
            return (sealing or self._sealing).open(row_key, sealed)
        except InvalidTag:
            raise InvalidInput("vault", "an entry does not open with this key") from None


@dataclass(frozen=True)
class _Sealing:
    """What one key does."""

    cipher: AESGCM
    lookup_key: bytes

    @classmethod
    def of(cls, key: bytes) -> "_Sealing":
        return cls(AESGCM(key), hmac.new(key, b"lookup", hashlib.sha256).digest())

    def seal(self, row_key: str, plain: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        # The row's key is authenticated too: a sealed value moved to another row does not open.
        return nonce + self.cipher.encrypt(nonce, plain, row_key.encode("ascii"))

    def open(self, row_key: str, sealed: bytes) -> bytes:
        """Return the plain value, or raise InvalidTag."""
        return self.cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], row_key.encode("ascii"))

    def lookup(self, issuer: str, patient_id: str) -> bytes:
        text = f"{len(issuer)}:{issuer}{patient_id}"
        return hmac.new(self.lookup_key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()


#: Table -> the key of a row, which is authenticated with its value.
_SEALED_ROWS: dict[str, Callable[[sqlite3.Row], str]] = {
    "study": lambda row: str(row["centre_study_uid"]),
    "patient": lambda row: str(row["pseudonym"]),
    "form": lambda row: f"form {row['order_id']}",
    "uids": lambda row: f"uids {row['centre_study_uid']}",
}


def _read_backup(source: Path) -> dict[str, list[sqlite3.Row]]:
    """Return the rows of a backup by table; a backup of an earlier release lacks some tables."""
    backup = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    backup.row_factory = sqlite3.Row
    try:
        names = {row["name"] for row in backup.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"patient", "study"} <= names:
            raise InvalidInput("source", "this is not a backup of a vault")
        return {
            table: backup.execute(f"SELECT * FROM {table}").fetchall() if table in names else []  # noqa: S608
            for table in _SEALED_ROWS
        }
    except sqlite3.DatabaseError:
        raise InvalidInput("source", "this is not a backup of a vault") from None
    finally:
        backup.close()
