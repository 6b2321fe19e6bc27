"""The conformance report of a study: what its objects lack, and where they contradict each other.

Bad DICOM breaks viewers later, at somebody else's. So each clean file is looked at once, by its header, and the facility
sees on the study's page what its modality should be told of. Nothing is held for it.
"""

import sqlite3
from dataclasses import dataclass

from gateway.spool import Spool
from teleread.dicom.conformance import Missing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS missing_attribute (
    item_id INTEGER NOT NULL REFERENCES item,
    tag INTEGER NOT NULL,
    need INTEGER NOT NULL CHECK (need IN (1, 2)),
    PRIMARY KEY (item_id, tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_by_centre_sop ON item (centre_sop_uid);
CREATE INDEX IF NOT EXISTS item_by_centre_series ON item (centre_series_uid);
"""

#: Reasons of held items that mean: this file is of somebody else than the rest of its study.
_OTHER_PATIENT = ("two_patients", "other_patient", "pseudonym_taken")

_MISSING = """
SELECT tag, need, COUNT(*) AS files FROM missing_attribute
WHERE item_id IN (SELECT id FROM item WHERE study_id = ? AND state != 'discarded')
GROUP BY tag, need ORDER BY need, tag
"""
_OTHERS = f"""
SELECT reason, COUNT(*) AS files FROM item
WHERE study_id = ? AND state = 'held' AND reason IN ({", ".join("?" * len(_OTHER_PATIENT))})
GROUP BY reason ORDER BY reason
"""  # noqa: S608 - marks only
_TWICE = """
SELECT COUNT(*) FROM (
    SELECT 1 FROM item WHERE study_id = ? AND clean_sha256 IS NOT NULL
    GROUP BY centre_sop_uid HAVING COUNT(DISTINCT clean_sha256) > 1
)
"""
_SHARED_INSTANCE = """
SELECT COUNT(DISTINCT one.centre_sop_uid) FROM item AS one JOIN item AS other
    ON other.centre_sop_uid = one.centre_sop_uid AND other.study_id != one.study_id
WHERE one.study_id = ?
"""
_SHARED_SERIES = """
SELECT COUNT(DISTINCT one.centre_series_uid) FROM item AS one JOIN item AS other
    ON other.centre_series_uid = one.centre_series_uid AND other.study_id != one.study_id
WHERE one.study_id = ?
"""


@dataclass(frozen=True)
class Conformance:
    """What is wrong with a study's objects.

    Attributes
    ----------
    missing : tuple of (Missing, int)
        Attributes that are required and missing, and in how many files.
    other_patients : tuple of (str, int)
        Reasons of held files that are of another patient than their study, and how many.
    clashes : dict
        How often a UID stands for two things: ``versions`` (one SOP Instance UID, several contents), ``instances`` and
        ``series`` (the UID is also in another study). Only those that occur.
    """

    missing: tuple[tuple[Missing, int], ...]
    other_patients: tuple[tuple[str, int], ...]
    clashes: dict[str, int]

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.missing or self.other_patients or self.clashes)


def prepare(spool: Spool) -> None:
    """Make the tables where they are missing."""
    spool.connection.executescript(_SCHEMA)


def record_missing(connection: sqlite3.Connection, item_id: int, missing: tuple[Missing, ...]) -> None:
    """Keep what a clean file lacks, in place of what was kept of it before."""
    connection.execute("DELETE FROM missing_attribute WHERE item_id = ?", (item_id,))
    connection.executemany(
        "INSERT INTO missing_attribute (item_id, tag, need) VALUES (?, ?, ?)",
        [(item_id, one.tag, one.need) for one in missing],
    )


def conformance_of(spool: Spool, study_id: int) -> Conformance:
    """Return the report of a study as its files are now."""
    connection = spool.connection

    def count(query: str) -> int:
        return int(connection.execute(query, (study_id,)).fetchone()[0])

    clashes = {
        "versions": count(_TWICE),
        "instances": count(_SHARED_INSTANCE),
        "series": count(_SHARED_SERIES),
    }
    return Conformance(
        missing=tuple(
            (Missing(row["tag"], row["need"]), row["files"])
            for row in connection.execute(_MISSING, (study_id,))
        ),
        other_patients=tuple(
            (row["reason"], row["files"]) for row in connection.execute(_OTHERS, (study_id, *_OTHER_PATIENT))
        ),
        clashes={name: number for name, number in clashes.items() if number},
    )
