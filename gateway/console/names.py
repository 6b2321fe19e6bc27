"""Whose study it is, for pages and for search; kept in memory only, for the time that the console runs."""

import threading
from dataclasses import dataclass
from pathlib import Path

from gateway.console.search import haystack, matches, sort_key
from gateway.vault import Vault, VaultStudy
from teleread.dicom.deid.identity import PatientIdentity, read_identity
from teleread.errors import InvalidInput


@dataclass(frozen=True)
class ShownName:
    """A patient as a page shows them; `kana` is empty where the name has no phonetic group."""

    name: str
    kana: str
    patient_id: str
    birth_date: str
    sex: str
    sort_by: str


def shown(identity: PatientIdentity) -> ShownName:
    """Return what a page shows of an identity."""
    alphabetic, ideographic, phonetic = (_plain(group) for group in identity.name_groups)
    return ShownName(
        name=ideographic or alphabetic,
        kana=phonetic or (alphabetic if ideographic else ""),
        patient_id=identity.patient_id,
        birth_date=identity.birth_date,
        sex=identity.sex,
        sort_by=identity.patient_name,
    )


def _plain(group: str) -> str:
    return " ".join(part for part in group.split("^") if part.strip())


class Names:
    """The vault's studies, opened once and followed from then on."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._place = 0
        self._by_uid: dict[str, VaultStudy] = {}
        self._haystacks: dict[str, tuple[str, ...]] = {}
        self._by_file: dict[str, PatientIdentity | None] = {}

    def study(self, centre_study_uid: str | None) -> VaultStudy | None:
        """Return whose study it is, None when the vault does not know it."""
        self._follow()
        return self._by_uid.get(centre_study_uid or "")

    def of_file(self, path: Path, sha256: str) -> PatientIdentity | None:
        """Return what the header of a held file says; None when it cannot be read."""
        if sha256 not in self._by_file:
            try:
                self._by_file[sha256] = read_identity(path)
            except (InvalidInput, OSError):
                self._by_file[sha256] = None
        return self._by_file[sha256]

    def find(self, query: str) -> set[str]:
        """Return the centre's UIDs of the studies whose name, kana, ID or accession number fits a query."""
        self._follow()
        return {uid for uid, texts in list(self._haystacks.items()) if matches(query, texts)}

    def patients(self, query: str, limit: int) -> list[VaultStudy]:
        """Return patients that fit a query, each with the newest study."""
        found: dict[str, VaultStudy] = {}
        for uid in self.find(query):
            entry = self._by_uid[uid]
            known = found.get(entry.pseudonym)
            if known is None or known.identity.study_date < entry.identity.study_date:
                found[entry.pseudonym] = entry
        return sorted(found.values(), key=lambda entry: sort_key(entry.identity.patient_name))[:limit]

    def patient(self, patient_id: str) -> VaultStudy | None:
        """Return the newest study of a patient ID, None when the vault has none."""
        self._follow()
        entries = [entry for entry in list(self._by_uid.values()) if entry.identity.patient_id == patient_id]
        return max(entries, key=lambda entry: entry.identity.study_date, default=None)

    def _follow(self) -> None:
        with self._lock:
            for place, entry in self._vault.studies_after(self._place):
                self._by_uid[entry.centre_study_uid] = entry
                identity = entry.identity
                self._haystacks[entry.centre_study_uid] = haystack(
                    identity.patient_name, identity.patient_id, "", identity.accession_number
                )
                self._place = place
