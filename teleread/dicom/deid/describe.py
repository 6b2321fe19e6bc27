"""Says what happens to each attribute under a profile, for the privacy officer of a facility."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from teleread.dicom.deid._table_e1_1 import ROWS
from teleread.dicom.deid.profile import (
    CODE_MEANINGS,
    READING_PROFILE,
    Action,
    Option,
    Profile,
    choices_for,
    edition,
    needs_of,
    table_action,
)
from teleread.dicom.deid.safe_private import SAFE


class Group(Enum):
    """How rows are put together for a reader, in this order."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    CLEANED = "cleaned"
    KEPT = "kept"


GROUP_WORDS = {
    Group.REMOVED: {"ja": "削除するもの", "en": "Removed"},
    Group.EMPTIED: {"ja": "空にするもの", "en": "Emptied"},
    Group.REPLACED: {"ja": "別の値に置き換えるもの", "en": "Replaced"},
    Group.CLEANED: {"ja": "患者の情報を除いて残すもの", "en": "Cleaned"},
    Group.KEPT: {"ja": "そのまま残すもの", "en": "Kept"},
}

ACTION_WORDS = {
    Action.REPLACE_DUMMY: {"ja": "ダミー値に置換", "en": "replaced by a dummy value"},
    Action.EMPTY: {"ja": "空にする", "en": "emptied"},
    Action.REMOVE: {"ja": "削除", "en": "removed"},
    Action.KEEP: {"ja": "保持", "en": "kept"},
    Action.CLEAN: {"ja": "患者の情報を除いて保持", "en": "kept without what names the patient"},
    Action.REPLACE_UID: {"ja": "UIDを置換", "en": "UIDs replaced, the same everywhere"},
    Action.SHIFT_DATE: {
        "ja": "患者ごとに決まった日数だけ前へずらす",
        "en": "shifted back by the patient's number of days",
    },
}

_GROUP_OF = {
    Action.REPLACE_DUMMY: Group.REPLACED,
    Action.EMPTY: Group.EMPTIED,
    Action.REMOVE: Group.REMOVED,
    Action.KEEP: Group.KEPT,
    Action.CLEAN: Group.CLEANED,
    Action.REPLACE_UID: Group.REPLACED,
    Action.SHIFT_DATE: Group.REPLACED,
}

#: What an IOD needs of an attribute (PS3.3) -> where that is.
_WHERE = {
    "2": {"ja": "属性が必須の種類では{what}", "en": "{what} where the kind of object needs it to be there"},
    "1": {"ja": "値が必須の種類では{what}", "en": "{what} where the kind of object needs a value"},
}

#: Where the object gets values of ours whatever the table's letter.
_OURS = {
    "00100010": {"ja": "仮名に置換", "en": "replaced by the pseudonym"},
    "00100020": {"ja": "仮名に置換", "en": "replaced by the pseudonym"},
    "00020003": {"ja": "新しいファイルメタ情報に新しいUID", "en": "the new UID, in a new file meta group"},
    "00080050": {"ja": "受付番号の仮名に置換", "en": "replaced by a pseudonym of the accession number"},
}
_SAFE_PRIVATE_WORDS = {
    "ja": "安全と知られている項目(PS3.15 表E.3.10-1)だけ保持、ほかは削除",
    "en": "kept where PS3.15 Table E.3.10-1 lists it as safe, else removed",
}

OPTION_WORDS: dict[Option, dict[str, str]] = {
    Option.RETAIN_PATIENT_CHARACTERISTICS: {
        "ja": "性別・年齢・身長・体重などを残す",
        "en": "sex, age, size, weight and the like stay",
    },
    Option.RETAIN_DEVICE_IDENTITY: {
        "ja": "装置の名前・番号・校正の日付を残す",
        "en": "names, numbers and calibration dates of devices stay",
    },
    Option.RETAIN_INSTITUTION_IDENTITY: {
        "ja": "施設の名前と住所を残す",
        "en": "name and address of the institution stay",
    },
    Option.RETAIN_UIDS: {
        "ja": "UIDを元のまま残す(施設内の記録から患者に戻れる)",
        "en": "UIDs stay as they are (whoever has the facility's records can go back to the patient)",
    },
    Option.RETAIN_SAFE_PRIVATE: {
        "ja": "安全と知られている装置固有の項目を残す",
        "en": "private attributes that are known to be safe stay",
    },
    Option.RETAIN_FULL_DATES: {"ja": "検査の日付と時刻を残す", "en": "dates and times stay as they are"},
    Option.RETAIN_MODIFIED_DATES: {
        "ja": "日付を患者ごとに決まった日数だけ前へずらす(研究用の書き出しだけ)",
        "en": "dates go back by a number of days of each patient (research exports only)",
    },
    Option.CLEAN_DESCRIPTORS: {
        "ja": "検査名・部位・コメントなどの文章から患者の情報を除いて残す",
        "en": "descriptions and comments stay without what names the patient",
    },
    Option.CLEAN_GRAPHICS: {
        "ja": "図形と注記から患者の情報を除いて残す。オーバーレイは文字を調べられないので削除",
        "en": "drawings and annotations stay without what names the patient; overlays go, since drawn text cannot be searched",
    },
    Option.CLEAN_STRUCTURED_CONTENT: {
        "ja": "構造化レポートの内容から患者の情報を除いて残す",
        "en": "contents of structured reports stay without what names the patient",
    },
}

#: What the table does not say and this software does, under every profile.
NOTES: tuple[dict[str, str], ...] = (
    {
        "ja": "表の決まりはシーケンスの中でもすべての深さで同じように使います。",
        "en": "The rules hold in sequences of every depth.",
    },
    {
        "ja": "表にない人名(VR PN)は空にし、表にない参照のUID(VR UI)は置き換えます。",
        "en": "Names of persons (VR PN) that the table does not list are emptied, and UIDs (VR UI) that refer to things are replaced.",
    },
    {
        "ja": "規格(PS3.6)にない属性、長さの要素、オーバーレイとカーブは削除します。",
        "en": "Attributes that PS3.6 does not know, group lengths, overlays and curves are removed.",
    },
    {
        "ja": "ファイルの先頭128バイトは空にし、ファイルメタ情報は新しく書きます。",
        "en": "The first 128 bytes of a file are emptied, and its meta information is written anew.",
    },
    {
        "ja": "表で残す文章も、その患者の氏名・ID・生年月日・電話・住所を探して除きます。最後に全体をもう一度調べ、見つかれば送らずに保留します。",
        "en": "Texts that stay are searched for this patient's name, ID, birth date, phone and address; at the end everything is searched once more, and what is found holds the object.",
    },
    {
        "ja": "文書を内包するもの、画像に氏名が写り込みうるものは、施設の人が確認するまで保留します。",
        "en": "Objects that enclose a document, and images that may show a name, wait for a person of the facility.",
    },
)

_GROUP_TAGS = {"50xxxxxx": 0x50003000, "60xx3000": 0x60003000, "60xx4000": 0x60004000, "private": 0x00091001}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table under a profile.

    Attributes
    ----------
    key : str
        Eight hexadecimal digits, with x for the numbers of a repeating group, or ``private``.
    letters : str
        The table's word under the profile, such as ``X/Z/D``, ``K`` or ``C``.
    words : dict
        What is done, by language.
    """

    key: str
    name: str
    letters: str
    group: Group
    words: dict[str, str]

    @property
    def tag(self) -> str:
        """The tag as people write it: ``(0010,0010)``."""
        return self.key if self.key == "private" else f"({self.key[:4]},{self.key[4:]})"


def tag_of(key: str) -> int:
    """Return a tag that a row of the table is about; the first of a repeating group."""
    return _GROUP_TAGS[key] if key in _GROUP_TAGS else int(key, 16)


def _words(tag: int, choices: Action | dict[str, Action] | None) -> tuple[Group, dict[str, str]]:
    if not isinstance(choices, dict):
        action = choices or Action.KEEP
        return _GROUP_OF[action], ACTION_WORDS[action]
    said = [(need, choices[need]) for need in ("", "2", "1") if need in needs_of(tag)]
    told: list[Action] = [said[0][1]]
    phrases = {language: [words] for language, words in ACTION_WORDS[told[0]].items()}
    for need, action in said[1:]:
        if action in told:
            continue
        told.append(action)
        for language, words in ACTION_WORDS[action].items():
            phrases[language].append(_WHERE[need][language].format(what=words))
    marks = {"ja": "。", "en": "; "}
    return _GROUP_OF[told[0]], {language: marks[language].join(each) for language, each in phrases.items()}


def table(profile: Profile = READING_PROFILE) -> Iterator[Row]:
    """Yield every row of the table, in the order of the tags."""
    for key, name, _, _ in ROWS:
        group, words = _words(tag_of(key), choices_for(tag_of(key), profile))
        if key in _OURS:
            group, words = Group.REPLACED, _OURS[key]
        if key == "private" and group is Group.CLEANED:
            words = _SAFE_PRIVATE_WORDS
        yield Row(key, name, table_action(key, profile), group, words)


def grouped(profile: Profile = READING_PROFILE, query: str = "") -> dict[Group, list[Row]]:
    """Return the rows by what is done; with a query, those whose tag, name or words hold all its words."""
    wanted = query.casefold().split()
    answer: dict[Group, list[Row]] = {group: [] for group in Group}
    for row in table(profile):
        text = " ".join((row.tag, row.key, row.name, *row.words.values())).casefold()
        if all(word in text for word in wanted):
            answer[row.group].append(row)
    return answer


def safe_creators(profile: Profile) -> tuple[str, ...]:
    """Return the private creators of which anything may stay under a profile."""
    if Option.RETAIN_SAFE_PRIVATE not in profile.options:
        return ()
    return tuple(sorted({creator for creator, _ in SAFE}))


def describe(profile: Profile = READING_PROFILE, language: str = "en") -> str:
    """Return the whole description as lines of text; a row is tag, name, letters and words parted by tabs."""
    lines = [f"DICOM PS3.15 {edition()}, Table E.1-1"]
    for code in profile.codes:
        words = next((f": {OPTION_WORDS[o][language]}" for o in profile.options if o.value == code), "")
        lines.append(f"{code} {CODE_MEANINGS[code]}{words}")
    lines += ["", *(note[language] for note in NOTES)]
    lines += [f"- {creator}" for creator in safe_creators(profile)]
    for group, rows in grouped(profile).items():
        lines += ["", f"{GROUP_WORDS[group][language]} ({len(rows)})"]
        lines += [f"{row.tag}\t{row.name}\t{row.letters}\t{row.words[language]}" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(describe(language=sys.argv[1] if len(sys.argv) > 1 else "en"))
