"""Says what happens to each attribute under a profile, for the privacy officer of a facility."""

import sys
from collections.abc import Iterator

from teleread.dicom.deid._table_e1_1 import ROWS
from teleread.dicom.deid.profile import (
    CODE_MEANINGS,
    READING_PROFILE,
    Action,
    Profile,
    action_for,
    edition,
    table_action,
)

ACTION_WORDS = {
    Action.REPLACE_DUMMY: {"ja": "ダミー値に置換", "en": "replaced by a dummy value"},
    Action.EMPTY: {"ja": "空にする", "en": "emptied"},
    Action.REMOVE: {"ja": "削除", "en": "removed"},
    Action.KEEP: {"ja": "保持", "en": "kept"},
    Action.CLEAN: {"ja": "患者の情報を除いて保持", "en": "kept without what names the patient"},
    Action.REPLACE_UID: {"ja": "UIDを置換", "en": "UIDs replaced, the same everywhere"},
}

#: Where the object gets values of ours whatever the table's letter.
_OURS = {
    "00100010": {"ja": "仮名に置換", "en": "replaced by the pseudonym"},
    "00100020": {"ja": "仮名に置換", "en": "replaced by the pseudonym"},
    "00080050": {"ja": "受付番号の仮名に置換", "en": "replaced by a pseudonym of the accession number"},
}

_GROUP_TAGS = {"50xxxxxx": 0x50003000, "60xx3000": 0x60003000, "60xx4000": 0x60004000, "private": 0x00091001}


def tag_of(key: str) -> int:
    """Return a tag that a row of the table is about; the first of a repeating group."""
    return _GROUP_TAGS[key] if key in _GROUP_TAGS else int(key, 16)


def rows(profile: Profile = READING_PROFILE, language: str = "en") -> Iterator[tuple[str, str, str, str]]:
    """Yield (tag, attribute name, the table's letters under the profile, what is done in words)."""
    for key, name, _, _ in ROWS:
        action = action_for(tag_of(key), profile)
        words = _OURS.get(key) or (ACTION_WORDS[action] if action is not None else ACTION_WORDS[Action.KEEP])
        yield key, name, table_action(key, profile), words[language]


def describe(profile: Profile = READING_PROFILE, language: str = "en") -> str:
    """Return the whole description as lines of text."""
    lines = [f"DICOM PS3.15 {edition()}, Table E.1-1"]
    lines += [f"{code} {CODE_MEANINGS[code]}" for code in profile.codes]
    lines += [f"{key}\t{name}\t{letters}\t{words}" for key, name, letters, words in rows(profile, language)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(describe(language=sys.argv[1] if len(sys.argv) > 1 else "en"))
