"""Takes files from a disk, a CD or a ZIP: what C-STORE cannot carry, through the same door of the spool.

A medium is looked at as a whole before anything of it is taken. One with several patients waits for somebody to say which
of them is meant: a CD in the wrong hand is how a stranger's images get into a case.
"""

import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from uuid import uuid4

from gateway.children import Children
from gateway.durable import space_errors
from gateway.found import Found, found_below
from gateway.progress import Progress
from gateway.spool import Spool, arrival_of
from teleread.dicom.deid.identity import identity_of
from teleread.dicom.raw import BrokenDataset, RawFile, read_raw, text_before_the_break
from teleread.errors import InvalidInput, OutOfSpace

_CHUNK = 1 << 20

#: Media Storage Directory Storage (PS3.10 Section 8.6): the list of a medium, no instance.
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
_DIRECTORY_RECORDS, _REFERENCED_FILE_ID = 0x00041220, 0x00041500

#: A CD holds a few thousand files, a DVD 4.7 GB. What is beyond these is no medium that a hospital hands out.
ZIP_ENTRIES = 100_000
ZIP_MEMBER_BYTES = 8 * 2**30
ZIP_BYTES = 64 * 2**30
#: Deflate cannot do better than 1,032 to 1; images of nothing come near a hundred.
ZIP_RATIO = 500
_RATIO_COUNTS_FROM = 64 * 2**20
_ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})


@dataclass(frozen=True)
class Patient:
    """Whom a file says it is about; the issuer belongs to the ID (PS3.3 C.7.1.1)."""

    patient_id: str
    issuer: str = ""


@dataclass(frozen=True)
class Looked:
    """What a look at one file says.

    `kind` is ``instance``, ``broken`` (taken, and held with `reason` by the gateway), ``directory``, ``not_dicom`` or
    ``unreadable`` (with `reason`). `listed` has the paths that a DICOMDIR lists, from its folder.
    """

    kind: str
    reason: str = ""
    sha256: str = ""
    patient: Patient | None = None
    name: str = ""
    birth_date: str = ""
    study_uid: str = ""
    listed: tuple[str, ...] = ()


@dataclass
class Summary:
    """What became of a medium. `patients` is for the terminal alone."""

    taken: int = 0
    duplicate: int = 0
    held: Counter[str] = field(default_factory=Counter)
    not_dicom: int = 0
    directories: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    of_others: int = 0
    not_listed: int = 0
    missing: int = 0
    patients: Counter[Patient] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Return what a person reads."""
        held, unreadable = self.held.total(), self.unreadable.total()
        lines = [f"{self.taken} taken, {self.duplicate} were here already"]
        if held:
            lines.append(f"{held} of them will be held: {_counts(self.held)}")
        if self.of_others:
            lines.append(f"{self.of_others} of other patients, left")
        lines.append(f"{self.not_dicom} not DICOM, left")
        if unreadable:
            lines.append(f"{unreadable} could not be read: {_counts(self.unreadable)}")
        if self.directories:
            lines.append(
                f"DICOMDIR: {self.not_listed} files are not on its list and were looked at all the same,"
                f" {self.missing} on its list are missing"
            )
        return lines


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(counter.items()))


class SeveralPatients(InvalidInput):
    """Nothing was taken: somebody has to say whose files are meant. `patients` is for the terminal alone."""

    def __init__(self, patients: Counter[Patient], why: str) -> None:
        super().__init__("medium", f"{why}; nothing was taken", code="several_patients")
        self.patients = patients


def import_medium(
    path: Path,
    spool: Spool,
    *,
    now: Callable[[], datetime],
    patients: Sequence[str] = (),
    all_patients: bool = False,
    all_files: bool = False,
    processes: int | None = None,
) -> Summary:
    """Take a file, every file below a folder, or every file of a ZIP; it can be said again after any interruption.

    Parameters
    ----------
    path : Path
        File, folder (a CD with or without DICOMDIR) or ZIP.
    spool : Spool
        What is taken is durable there when this returns.
    patients : sequence of str
        Patient IDs to take; the files of all others are left.
    all_patients : bool
        Somebody has looked: every patient on the medium is meant.
    all_files : bool
        Take what is not DICOM too, so that it is held and counted.

    Raises
    ------
    SeveralPatients
        The medium, or one study on it, has more than one patient, or one ID has two names or birth dates.
    InvalidInput
        There is nothing, the ZIP is damaged, encrypted or built to fill the disk, or no file is of `patients`.
    OutOfSpace
        What was taken before stays.
    """
    with _files_of(path, spool) as files:
        looked = _look_at(files, processes)
        summary = Summary()
        for _, seen in looked:
            if seen.patient is not None:
                summary.patients[seen.patient] += 1
        wanted = set(summary.patients) if all_patients else _wanted(looked, summary.patients, patients)
        _check_lists(looked, summary)
        _take(
            looked,
            wanted,
            spool,
            summary,
            now=now,
            only=bool(patients) and not all_patients,
            all_files=all_files,
        )
    return summary


def _look_at(files: list[Found], processes: int | None) -> list[tuple[Found, Looked]]:
    progress = Progress(len(files))
    looked: list[tuple[Found, Looked]] = []
    with closing(Children(look_at, processes=processes)) as children:
        for found, answer in children.answers((found, (found,)) for found in files):
            if isinstance(answer, Exception):
                # What breaks its reader goes where every such file goes: into the spool, to be held.
                looked.append((found, Looked("broken", "crashed", _sha256(found.path))))
            else:
                looked.append((found, answer))
            progress.count("looked at")
    progress.done()
    # What belongs together arrives together, so that no study is taken for complete too early.
    return sorted(looked, key=lambda one: (one[1].study_uid, one[0].name))


def _wanted(
    looked: list[tuple[Found, Looked]], counted: Counter[Patient], ids: Sequence[str]
) -> set[Patient]:
    if ids:
        wanted = {patient for patient in counted if patient.patient_id in ids}
        for patient_id in ids:
            if not any(patient.patient_id == patient_id for patient in wanted):
                raise InvalidInput("--patient", "no file on the medium has this patient ID")
        chosen = [seen for _, seen in looked if seen.patient in wanted]
    else:
        wanted = set(counted)
        chosen = [seen for _, seen in looked]
    why = _mixed(chosen, several=bool(ids))
    if why:
        raise SeveralPatients(counted, why)
    return wanted


def _mixed(looked: list[Looked], *, several: bool) -> str:
    """Return why somebody has to look at who is on the medium; empty when it is one patient, or those asked for."""
    told = [seen for seen in looked if seen.patient is not None and seen.patient.patient_id]
    if len({seen.patient for seen in told}) > 1 and not several:
        return "there are several patients on it"
    studies: dict[str, set[Patient | None]] = {}
    names: dict[Patient | None, set[str]] = {}
    days: dict[Patient | None, set[str]] = {}
    for seen in told:
        studies.setdefault(seen.study_uid, set()).add(seen.patient)
        names.setdefault(seen.patient, set()).update({_plain(seen.name)} - {""})
        days.setdefault(seen.patient, set()).update({seen.birth_date} - {""})
    if any(len(found) > 1 for found in studies.values()):
        return "one study on it has several patients"
    if any(len(found) > 1 for found in names.values()):
        return "one patient ID on it has several names"
    if any(len(found) > 1 for found in days.values()):
        return "one patient ID on it has several birth dates"
    return ""


def _plain(name: str) -> str:
    """Return a name without what differs from one device to the next: case, gaps, empty components, further groups."""
    return re.sub(r"[\s^]+", " ", name.split("=", maxsplit=1)[0] or name.replace("=", " ")).strip().casefold()


def _check_lists(looked: list[tuple[Found, Looked]], summary: Summary) -> None:
    listed: set[str] = set()
    for found, seen in looked:
        if seen.kind == "directory":
            summary.directories += 1
            folder = PurePosixPath(found.name).parent
            listed |= {_on_any_disk(str(folder / name)) for name in seen.listed}
    if not summary.directories:
        return
    there = {_on_any_disk(found.name) for found, seen in looked if seen.kind in {"instance", "broken"}}
    summary.not_listed, summary.missing = len(there - listed), len(listed - there)


def _on_any_disk(name: str) -> str:
    """Return a path as ISO 9660 and its many drivers all understand it: without case and version number."""
    return re.sub(r"\.?;[0-9]+$", "", name).casefold()


def _take(
    looked: list[tuple[Found, Looked]],
    wanted: set[Patient],
    spool: Spool,
    summary: Summary,
    *,
    now: Callable[[], datetime],
    only: bool,
    all_files: bool,
) -> None:
    progress = Progress(len(looked))
    for found, seen in looked:
        if seen.kind == "unreadable":
            summary.unreadable[seen.reason] += 1
        elif seen.kind in {"not_dicom", "directory"} and not all_files:
            summary.not_dicom += seen.kind == "not_dicom"
        elif seen.patient not in wanted and (only or seen.patient is not None):
            summary.of_others += 1
        else:
            _take_one(found, seen, spool, summary, now=now)
        progress.count("done")
    progress.done()


def _take_one(
    found: Found, seen: Looked, spool: Spool, summary: Summary, *, now: Callable[[], datetime]
) -> None:
    known = spool.connection.execute("SELECT 1 FROM item WHERE sha256 = ?", (seen.sha256,)).fetchone()
    if known is not None:
        summary.duplicate += 1
        return
    part = spool.part()
    try:
        try:
            with found.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    part.write(chunk)
        except OSError:
            summary.unreadable["file_unreadable"] += 1
            return
        if part.sha256 != seen.sha256 and part.size:
            # Not the file whose patient was looked at; a full disk, which also cuts it, is told by accept().
            part.keep()
            summary.unreadable["changed_meanwhile"] += 1
            return
        spool.accept(part, arrival_of(found.path), at=now())
    finally:
        part.close()
    summary.taken += 1
    if seen.reason:
        summary.held[seen.reason] += 1


# One file


def look_at(found: Found) -> Looked:
    """Say what a file is and whose; in a child process, because it comes from outside."""
    if found.problem:
        return Looked("unreadable", found.problem)
    sha256 = _sha256(found.path)
    if not sha256:
        return Looked("unreadable", "file_unreadable")
    try:
        raw = read_raw(found.path)
    except BrokenDataset as broken:
        if broken.code == "not_dicom":
            return Looked("not_dicom", broken.code, sha256)
        patient_id = text_before_the_break(found.path, 0x00100020)
        return Looked(
            "broken",
            broken.code,
            sha256,
            Patient(patient_id) if patient_id else None,
            study_uid=text_before_the_break(found.path, 0x0020000D),
        )
    if raw.meta.get(0x00020002, b"").strip(b" \0").decode("latin-1") == _DIRECTORY_CLASS:
        return Looked("directory", "directory", sha256, listed=tuple(_listed(raw)))
    identity = identity_of(raw)
    return Looked(
        "instance",
        "" if identity.patient_id else "no_patient_id",
        sha256,
        Patient(identity.patient_id, identity.issuer_of_patient_id) if identity.patient_id else None,
        identity.patient_name,
        identity.birth_date,
        identity.study_instance_uid,
    )


def _listed(raw: RawFile) -> Iterator[str]:
    records = raw.find(_DIRECTORY_RECORDS)
    for item in (records.items or ()) if records else ():
        for element in item.elements:
            if element.tag == _REFERENCED_FILE_ID:
                value = raw.data[element.value_at : element.value_end].decode("latin-1")
                yield "/".join(part.strip(" \0") for part in value.split("\\"))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


# What is handed over


@contextmanager
def _files_of(path: Path, spool: Spool) -> Iterator[list[Found]]:
    if path.is_dir():
        yield list(found_below(path))
    elif path.is_file() and zipfile.is_zipfile(path):
        _remove_leftovers(spool)
        folder = spool.layout.spool / f"import-{os.getpid()}-{uuid4().hex}"
        folder.mkdir(mode=0o700)
        try:
            yield list(_unpacked(path, folder))
        finally:
            shutil.rmtree(folder)
    elif path.is_file():
        yield [Found(path, path.name)]
    else:
        raise InvalidInput("PATH", "there is no such file or folder")


def _remove_leftovers(spool: Spool) -> None:
    """Remove what an import that was killed had unpacked."""
    for folder in spool.layout.spool.glob("import-*"):
        owner = folder.name.split("-")[1]
        if not (owner.isdigit() and Path(f"/proc/{owner}").exists()):
            shutil.rmtree(folder, ignore_errors=True)


def _unpacked(path: Path, folder: Path) -> Iterator[Found]:
    """Unpack a ZIP under numbers, never under the names in it, and yield what is there."""
    try:
        with space_errors(), zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_archive(members, path.stat().st_size, shutil.disk_usage(folder).free)
            for number, member in enumerate(members):
                problem = _problem_of(member)
                target = folder / str(number)
                if not problem:
                    _unpack(archive, member, target)
                yield Found(target, member.filename, problem)
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error, lzma.LZMAError) as problem:
        raise InvalidInput("PATH", "the ZIP is damaged") from problem


def _check_archive(members: Iterable[zipfile.ZipInfo], size: int, free: int) -> None:
    members = list(members)
    total = sum(member.file_size for member in members)
    if len(members) > ZIP_ENTRIES:
        raise InvalidInput("PATH", f"the ZIP has more than {ZIP_ENTRIES} files", code="zip_bomb")
    if total > ZIP_BYTES or any(member.file_size > ZIP_MEMBER_BYTES for member in members):
        raise InvalidInput("PATH", "the ZIP unpacks to more than any medium holds", code="zip_bomb")
    if total > _RATIO_COUNTS_FROM and total > size * ZIP_RATIO:
        raise InvalidInput("PATH", "the ZIP is built to fill the disk", code="zip_bomb")
    if total > free // 2:
        raise OutOfSpace("the ZIP unpacks to more than half of the free space")


def _problem_of(member: zipfile.ZipInfo) -> str:
    parts = re.split(r"[/\\]", member.filename)
    mode = member.external_attr >> 16
    if member.flag_bits & 0x1:
        return "encrypted"
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        return "link" if stat.S_ISLNK(mode) else "no_file"
    if ".." in parts or not parts[0] or ":" in parts[0] or "\0" in member.orig_filename:
        return "unsafe_name"
    return "" if member.compress_type in _ZIP_METHODS else "unknown_compression"


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    with archive.open(member) as packed, target.open("wb") as file:
        left = member.file_size
        while chunk := packed.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile
            file.write(chunk)
