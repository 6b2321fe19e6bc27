"""What a report consists of, and what may be signed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teleread.errors import InvalidInput

#: Sections of a report, in the order in which they are written and printed.
SECTIONS = ("clinical_question", "technique", "comparison", "findings", "impression", "recommendation")

#: Sections without which nothing is signed.
REQUIRED_SECTIONS = ("findings", "impression")

#: Characters a section may hold; far above any report that was seen.
SECTION_LIMIT = 20_000

KINDS = ("report", "addendum", "correction")


def clean_sections(sections: Mapping[str, object]) -> dict[str, str]:
    """Return the sections as they are stored: known keys only, every key present, line ends as ``\\n``.

    Raises
    ------
    InvalidInput
        An unknown section, a value that is not text, a text that is too long, or a control character.
    """
    unknown = sorted(set(sections) - set(SECTIONS))
    if unknown:
        raise InvalidInput("sections", "an unknown section was given")
    cleaned = {}
    for name in SECTIONS:
        value = sections.get(name, "")
        if not isinstance(value, str):
            raise InvalidInput(name, "has to be text")
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > SECTION_LIMIT:
            raise InvalidInput(name, f"is longer than {SECTION_LIMIT} characters")
        # No control character has a meaning in a report, and U+0000 and lone surrogates cannot be stored.
        if any(
            (ord(c) < 0x20 and c not in "\n\t") or ord(c) == 0x7F or 0xD800 <= ord(c) < 0xE000 for c in text
        ):
            raise InvalidInput(name, "holds a control character")
        cleaned[name] = text
    return cleaned


def missing_sections(sections: Mapping[str, str]) -> tuple[str, ...]:
    """Return the required sections that hold nothing but blanks."""
    return tuple(name for name in REQUIRED_SECTIONS if not sections.get(name, "").strip())


@dataclass(frozen=True)
class SigningFacts:
    """What is known when somebody wants to sign.

    Parameters
    ----------
    sections : mapping of str to str
    study_state : str
    study_revision, seen_revision : int
        Revision of the study now, and the one whose images the reader last saw or acknowledged.
    incomplete_reason : str
        The reader's reason to sign although the study is not complete; empty if none was given.
    """

    sections: Mapping[str, str]
    study_state: str
    study_revision: int
    seen_revision: int
    incomplete_reason: str = ""


def signing_obstacles(facts: SigningFacts) -> tuple[str, ...]:
    """Return why the report may not be signed as final: stable codes, none when it may.

    ``section_empty:<name>``, ``images_added`` (the study has images the reader has not acknowledged),
    ``study_incomplete`` (no reason given), ``study_quarantined``.
    """
    obstacles = [f"section_empty:{name}" for name in missing_sections(facts.sections)]
    if facts.seen_revision != facts.study_revision:
        obstacles.append("images_added")
    if facts.study_state in {"quarantined", "rejected"}:
        obstacles.append("study_quarantined")
    elif facts.study_state in {"receiving", "incomplete"} and not facts.incomplete_reason.strip():
        obstacles.append("study_incomplete")
    return tuple(obstacles)


def canonical_bytes(content: Mapping[str, Any]) -> bytes:
    """Return the one byte string of a content: JSON with sorted keys, no spare space, UTF-8."""
    return json.dumps(
        content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def canonical_digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical bytes of a content, in hexadecimal: what a signature is about."""
    return hashlib.sha256(canonical_bytes(content)).hexdigest()
