"""Says to the centre what belongs to a study, and when that is all.

A study is closed when the facility's quiet time has passed since its last instance, nothing that arrived in
that time waits for de-identification, and no open association's latest instance is of this study. An
instance after that makes a new revision. What is held is told at once, also while instances still arrive: somebody may
be waiting for the study.
"""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.link import CentreLink, Refused
from gateway.retry import next_try
from gateway.settings import GatewaySettings
from gateway.spool import Spool, milliseconds, moment
from teleread.errors import Unavailable
from teleread.wire.manifest import HeldCount, ManifestAnswer, ManifestInstance, StudyManifest
from teleread.wire.message import is_uid

_log = logging.getLogger(__name__)

# States of a study at the centre in which it still waits for something of ours.
_WAITING = {"", "receiving", "incomplete"}

_NOTHING_HELD = "[]"


class ManifestSender:
    """Watches the studies and sends their manifests."""

    def __init__(
        self, settings: GatewaySettings, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._link = link
        self._now = now

    def work(self) -> int:
        """Send the manifests that are due, and return how many were sent."""
        studies = self._spool.connection.execute(
            "SELECT * FROM study WHERE settled = 0 AND centre_study_uid IS NOT NULL AND manifest_due_at <= ?",
            (milliseconds(self._now()),),
        ).fetchall()
        return sum(self._look_at(study) for study in studies)

    def _look_at(self, study: sqlite3.Row) -> bool:
        items = self._spool.connection.execute(
            "SELECT * FROM item WHERE study_id = ? ORDER BY id", (study["id"],)
        ).fetchall()
        closed, evidence = self._is_quiet(study["id"], max(item["last_received_at"] for item in items))
        digest = content_digest(items)
        changed = digest != study["sent_digest"]
        uploaded = not any(item["state"] == "clean" for item in items)
        first = study["revision"] == 0 and any(item["state"] == "acknowledged" for item in items)
        late = changed and study["sent_closed"]
        close = closed and (changed or not study["sent_closed"])
        # Of a study of which all is held the centre waits for ever, and asking it brings nothing.
        listed = bool(instances_of(items))
        asked = study["sent_closed"] and uploaded and listed and study["centre_state"] in _WAITING
        held = json.dumps([one.to_json() for one in held_of(items)])
        holds_more = held not in (_NOTHING_HELD, self._held_told(study["id"]))
        if not (first or late or close or asked or holds_more):
            if study["sent_closed"] and uploaded and not changed:
                self._settle(study["id"], len(items))
            return False
        revision = study["revision"] + 1 if study["revision"] == 0 or late else study["revision"]
        manifest = manifest_of(study, items, revision=revision, closed=closed, evidence=evidence)
        try:
            answer = self._link.put_manifest(manifest)
        except (Unavailable, Refused) as problem:
            self._failed(study, problem.message)
            return False
        self._sent(study, manifest, digest, answer, held)
        if closed and uploaded and answer.state not in _WAITING:
            self._settle(study["id"], len(items))
        return True

    def _is_quiet(self, study_id: int, last_received_at: int) -> tuple[bool, str]:
        connection = self._spool.connection
        end = last_received_at + int(self._settings.quiet_seconds * 1000)
        if milliseconds(self._now()) < end:
            return False, "instances still arrive"
        waiting = connection.execute(
            "SELECT 1 FROM item WHERE state = 'received' AND first_received_at <= ? LIMIT 1", (end,)
        ).fetchone()
        if waiting is not None:
            return False, "instances wait for de-identification"
        sending = connection.execute(
            "SELECT 1 FROM association AS a WHERE closed_at IS NULL AND ? ="
            " (SELECT study_id FROM item WHERE association_id = a.id ORDER BY last_received_at DESC, id DESC LIMIT 1)",
            (study_id,),
        ).fetchone()
        if sending is not None:
            return False, "an association that sends this study is open"
        return True, f"quiet {self._settings.quiet_seconds:g} s, no open association"

    def _failed(self, study: sqlite3.Row, reason: str) -> None:
        attempts = study["manifest_attempts"]
        with self._spool.writing() as connection:
            connection.execute(
                "UPDATE study SET manifest_attempts = ?, manifest_due_at = ? WHERE id = ?",
                (attempts + 1, next_try(self._settings, attempts, at=self._now()), study["id"]),
            )
        _log.warning("manifest of study %s not sent, will try again: %s", study["centre_study_uid"], reason)

    def _held_told(self, study_id: int) -> str:
        row = self._spool.connection.execute(
            "SELECT held FROM held_told WHERE study_id = ?", (study_id,)
        ).fetchone()
        return str(row["held"]) if row else _NOTHING_HELD

    def _sent(
        self, study: sqlite3.Row, manifest: StudyManifest, digest: str, answer: ManifestAnswer, held: str
    ) -> None:
        # Until the centre says that it has all, it is asked again, ever more slowly.
        asks_again = manifest.closed and answer.state in _WAITING
        attempts = study["manifest_attempts"] + 1 if asks_again else 0
        due = next_try(self._settings, attempts, at=self._now()) if asks_again else 0
        with self._spool.writing() as connection:
            connection.execute(
                "UPDATE study SET revision = ?, sent_digest = ?, sent_closed = ?, centre_state = ?,"
                " case_number = coalesce(?, case_number), manifest_attempts = ?, manifest_due_at = ? WHERE id = ?",
                (
                    manifest.revision,
                    digest,
                    manifest.closed,
                    answer.state,
                    answer.case_number,
                    attempts,
                    due,
                    study["id"],
                ),
            )
            connection.execute("INSERT OR REPLACE INTO held_told VALUES (?, ?)", (study["id"], held))
            for missing in answer.missing:
                connection.execute(
                    "UPDATE item SET outcome = 'missing'"
                    " WHERE study_id = ? AND state = 'acknowledged' AND centre_sop_uid = ? AND clean_sha256 = ?",
                    (study["id"], missing.sop_instance_uid, missing.sha256),
                )

    def _settle(self, study_id: int, items: int) -> None:
        # Only if no instance came to the study since it was looked at.
        with self._spool.writing() as connection:
            connection.execute(
                "UPDATE study SET settled = 1, uploaded_at ="
                " (SELECT max(acknowledged_at) FROM item WHERE study_id = study.id)"
                " WHERE id = ? AND ? = (SELECT count(*) FROM item WHERE study_id = study.id)",
                (study_id, items),
            )


def instances_of(items: list[sqlite3.Row]) -> tuple[ManifestInstance, ...]:
    """Return the instances that are or will be at the centre, each digest once."""
    found: dict[tuple[str, str], ManifestInstance] = {}
    for item in items:
        if item["state"] in {"clean", "acknowledged", "purged"}:
            found[item["centre_sop_uid"], item["clean_sha256"]] = ManifestInstance(
                sop_instance_uid=item["centre_sop_uid"],
                series_instance_uid=item["centre_series_uid"],
                sop_class_uid=item["sop_class_uid"],
                sha256=item["clean_sha256"],
                size=item["clean_size"],
            )
    return tuple(found.values())


def held_of(items: list[sqlite3.Row]) -> tuple[HeldCount, ...]:
    """Return what stays at the facility, by reason and class."""
    counts: dict[tuple[str, str], int] = {}
    for item in items:
        if item["state"] in {"held", "discarded"}:
            sop_class_uid = item["sop_class_uid"] if is_uid(item["sop_class_uid"]) else ""
            key = (item["reason"] or item["state"], sop_class_uid)
            counts[key] = counts.get(key, 0) + 1
    return tuple(
        HeldCount(reason=reason, sop_class_uid=sop_class_uid, count=count)
        for (reason, sop_class_uid), count in sorted(counts.items())
    )


def content_digest(items: list[sqlite3.Row]) -> str:
    """Return a digest of what a manifest would list."""
    listed: list[Any] = sorted((one.sop_instance_uid, one.sha256) for one in instances_of(items))
    listed.append([one.to_json() for one in held_of(items)])
    return hashlib.sha256(json.dumps(listed).encode("utf-8")).hexdigest()


def manifest_of(
    study: sqlite3.Row, items: list[sqlite3.Row], *, revision: int, closed: bool, evidence: str
) -> StudyManifest:
    """Return the manifest of a study from its row and its items' rows; where all is held, without a summary."""
    summary = json.loads(study["summary"])
    return StudyManifest(
        study_instance_uid=study["centre_study_uid"],
        pseudonym=study["pseudonym"],
        sex=summary.get("sex", ""),
        modalities=tuple(summary.get("modalities", ())),
        study_date=summary.get("study_date", ""),
        study_time=summary.get("study_time", ""),
        age=summary.get("age", ""),
        study_description=summary.get("study_description", ""),
        accession=summary.get("accession", ""),
        revision=revision,
        closed=closed,
        instances=instances_of(items),
        held=held_of(items),
        first_received_at=moment(min(item["first_received_at"] for item in items)),
        last_received_at=moment(max(item["last_received_at"] for item in items)),
        evidence=evidence,
    )
