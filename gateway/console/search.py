"""Finding a person whichever way the name was typed: any kana, any width, any case, with or without gaps."""

import re
import unicodedata

from teleread.dicom.deid.spelling import fold, is_kana, kana_of

_HIRAGANA_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}

# Small kana for full size, and the marks that people leave out or mistake: ジョン and ジヨン meet.
_SMALL_TO_FULL = str.maketrans("ァィゥェォッャュョヮヵヶ", "アイウエオツヤユヨワカケ")

# Gaps, the component marks of PN (PS3.5 Section 6.2.1), and every bar that may be meant as a long vowel or a hyphen.
_GAPS = re.compile(r"[\s^=,.・･·'’ー―‐‑‒–—−ｰ\-_/]+")

# Forms of one character that stand in family names on different documents.
_SAME_CHARACTER = str.maketrans("髙﨑德邊邉齋齊澤濱廣國櫻與瀨𠮷", "高崎徳辺辺斎斉沢浜広国桜与瀬吉")


def folded(text: str) -> str:
    """Return the one form in which a query and a name are compared.

    Half and full width, hiragana and katakana, small and full-size kana, variant characters, case, and all
    gaps and hyphens make no difference.
    """
    before = ""
    # Taking a gap out may leave a letter and an accent that join; each round makes the text shorter or the last.
    while text != before:
        before = text
        text = unicodedata.normalize("NFKC", text).translate(_HIRAGANA_TO_KATAKANA).casefold()
        text = _GAPS.sub("", text.translate(_SMALL_TO_FULL).translate(_SAME_CHARACTER))
    return text


def haystack(name: str, patient_id: str, case_number: str, accession: str) -> tuple[str, ...]:
    """Return the folded texts that a study is found by.

    Parameters
    ----------
    name : str
        Value of (0010,0010), VR PN: up to three component groups.
    patient_id, case_number, accession : str
    """
    groups = [folded(group) for group in name.split("=")]
    numbers = [folded(patient_id), folded(case_number), folded(accession)]
    return tuple(text for text in (*groups, *numbers) if text)


def matches(query: str, texts: tuple[str, ...]) -> bool:
    """Say whether each word of a query stands in one of the folded texts."""
    words = [folded(word) for word in unicodedata.normalize("NFKC", query).split()]
    words = [word for word in words if word]
    return bool(words) and all(any(word in text for text in texts) for word in words)


def sort_key(name: str) -> tuple[int, str, str]:
    """Return the place of a name in the order of the fifty sounds; names without a reading come after.

    `name` is a PN; its phonetic group decides. Without one, romaji of Japanese names are read as kana, and kana in the
    ideographic group as they stand. Voiced sounds stand with their plain ones and decide last, and a long vowel is its
    vowel (JIS X 4061).
    """
    alphabetic, ideographic, phonetic = [*name.split("="), "", ""][:3]
    reading = phonetic or _kana_of_words(alphabetic) or (ideographic if is_kana(_plain(ideographic)) else "")
    if not reading:
        return 1, folded(ideographic or alphabetic), ""
    # The family name alone decides first: アベ サチ stands before アベイ.
    words = [fold(word) for word in reading.split("^") if word]
    first = "\0".join(_unvoiced(_with_vowels(_GAPS_BUT_LONG.sub("", word))) for word in words)
    return 0, first, "\0".join(words)


_GAPS_BUT_LONG = re.compile(r"[\s,.・'\-_]+")
_VOWEL_OF = {kana: row[0] for row in (
    "アカガサザタダナハバパマヤラワ", "イキギシジチヂニヒビピミリ", "ウクグスズツヅヌフブプムユルヴ", "エケゲセゼテデネヘベペメレ",
    "オコゴソゾトドノホボポモヨロヲ",
) for kana in row}  # fmt: skip


def _plain(text: str) -> str:
    return _GAPS.sub("", fold(text))


def _kana_of_words(romaji: str) -> str:
    words = [kana_of(fold(word)) for word in romaji.replace("-", "").split("^") if word]
    return "^".join(words) if words and all(words) else ""


def _with_vowels(kana: str) -> str:
    letters = ""
    for letter in kana:
        letters += _VOWEL_OF.get(letters[-1:], letter) if letter == "ー" else letter
    return letters


def _unvoiced(kana: str) -> str:
    apart = unicodedata.normalize("NFD", kana)
    return apart.replace("\u3099", "").replace("\u309a", "")
