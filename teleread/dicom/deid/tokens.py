"""The pieces of text by which a patient can be known, and how to find them in text and in bytes."""

import mmap
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, permutations

import ahocorasick_rs

from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.spelling import (
    fold,
    folded_with_origin,
    half_width,
    hiragana,
    is_kana,
    kana_of,
    romaji_of,
    romaji_pattern,
)
from teleread.dicom.deid.words import (
    BORN,
    CLINICAL,
    CLINICAL_JA,
    COMMON,
    NUMBER_BEFORE,
    TITLES_BEFORE,
    TITLES_BEHIND,
)
from teleread.dicom.text import decode, places, readings

_SPLIT = re.compile(r"[\s^=,.;:_/\\()\[\]\-・，．、。]+")
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")

#: Escape sequences of ISO 2022 that begin a text in another set than ASCII (PS3.3 Tables C.12-3, C.12-4, and usual others).
_ESCAPES = (b"\x1b$B", b"\x1b$@", b"\x1b$(", b"\x1b$A", b"\x1b$)", b"\x1b(I", b"\x1b)I")
_ESCAPED = re.compile(rb"(?:\x1b(?:\$\(?[@ABCD]|\$\)[AC]|[()][BIJ])[^\x1b]{0,256})+")

_ERAS = (
    ("昭和", "昭", "S", "showa", 1925),
    ("平成", "平", "H", "heisei", 1988),
    ("大正", "大", "T", "taisho", 1911),
    ("明治", "明", "M", "meiji", 1867),
    ("令和", "令", "R", "reiwa", 2018),
)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip

#: Between the parts of a name, and between the digits of a number.
_GAP = r"[\s^,.・=&/_\-]{0,3}"
_NUMBER_GAP = r"[-\s./_]?"

#: Encodings in which a name could stand in a dataset, whatever its declared character set.
_ENCODINGS = (
    "utf-8",
    "cp932",
    "euc_jp",
    "utf-16-le",
    "utf-16-be",
    "gb18030",
    "euc_kr",
    "big5",
    "latin-1",
    "iso8859-5",
)
_WINDOW, _OVERLAP = 1 << 24, 1 << 10


def _is_latin(text: str) -> bool:
    return text.isascii()


def _is_clinical(text: str) -> bool:
    return text in CLINICAL or text in CLINICAL_JA


@dataclass(frozen=True, slots=True)
class _Part:
    """A word of a name, folded, and how it is found."""

    text: str
    pattern: str

    @property
    def bounded(self) -> str:
        if _is_latin(self.text):
            return rf"(?<![a-z])(?=[a-z'.\-]{{3}})(?:{self.pattern})(?![a-z])"
        if is_kana(self.text) and len(self.text) < 3:
            return rf"(?<![ァ-ー]){self.pattern}(?![ァ-ー])"
        return self.pattern

    @property
    def names_alone(self) -> bool:
        """Whether the word alone points to the patient."""
        if _is_clinical(self.text) or self.text in COMMON or len(set(self.text)) < 2:
            return False
        return len(self.text) >= (3 if _is_latin(self.text) else 2)

    @property
    def is_doubtful(self) -> bool:
        """Whether the word standing alone may or may not be the patient."""
        if self.names_alone or _is_clinical(self.text):
            return False
        return self.text in COMMON or (len(self.text) == 1 and not _is_latin(self.text))


def _part(text: str, *, japanese: bool) -> _Part:
    if not _is_latin(text):
        # 山 田 太 郎: names are spaced out to one width on forms.
        return _Part(text, r"\s?".join(map(re.escape, text)))
    patterns = [re.escape(text)]
    kana = kana_of(text) if japanese else ""
    if kana:
        patterns.append(romaji_pattern(kana, length_unknown=True))
    return _Part(text, "|".join(patterns))


def _read_romaji(kana: str) -> _Part | None:
    pattern = romaji_pattern(kana)
    return _Part(min(romaji_of(kana)), pattern) if pattern and len(kana) > 1 else None


@dataclass(frozen=True, slots=True)
class _Name:
    """The words of one component group; `together` says whether they name somebody as a whole."""

    parts: tuple[_Part, ...]

    @property
    def together(self) -> bool:
        return len(self.parts) > 1 and not CLINICAL.issuperset(part.text for part in self.parts)

    def whole(self) -> Iterator[str]:
        """Yield patterns of two words of the name, in any order, joined or apart."""
        for first, second in permutations(self.parts[:4], 2):
            both = first.text + second.text
            if len(both) < (3 if _is_latin(both) else 2):
                continue
            edges = (r"(?<![a-z])", r"(?![a-z])") if _is_latin(both) else ("", "")
            yield f"{edges[0]}(?:{first.pattern}){_GAP}(?:{second.pattern}){edges[1]}"


def _names(name: str) -> list[_Name]:
    groups = [[fold(part) for part in _SPLIT.split(group) if part] for group in name.split("=")]
    groups = [[part for part in group if part] for group in groups]
    # Smith is no romaji; Rose would be, and is not Japanese beside it.
    japanese = any(not _is_latin(part) for group in groups for part in group) or all(
        kana_of(part) for group in groups for part in group
    )
    found = [_Name(tuple(_part(part, japanese=japanese) for part in group)) for group in groups if group]
    for group in groups:
        read = [_read_romaji(part) for part in group if is_kana(part)]
        if read and all(read):
            found.append(_Name(tuple(part for part in read if part is not None)))
    return found


def _number_pattern(number: str, *, shortest: int = 4) -> str:
    """Return a pattern of a number with and without its hyphens and leading zeros; empty for one that says nothing."""
    text = re.sub(r"[^\w]|_", "", fold(number.strip()))
    long_enough = len(text) >= (shortest if text.isdigit() else 3)
    if not long_enough or len(set(text)) < 2 or text in CLINICAL or not text.isalnum():
        return ""
    pieces: list[str] = []
    for run in re.findall(r"[0-9]+|[^0-9]+", text):
        digits = run.lstrip("0") if run.isdigit() else run
        zeros = len(run) - len(digits)
        # Of 0000123 the 123 stands everywhere; with a zero or more before it, it does not.
        needed = (
            0 if len(text) - zeros >= shortest or not text.isdigit() else min(zeros, shortest - len(digits))
        )
        lead = [f"0{{{needed},}}"] if zeros and needed else ["0*"] if run.isdigit() else []
        pieces += [*lead, _NUMBER_GAP.join(map(re.escape, digits))]
    body = pieces[0]
    for before, piece in pairwise(pieces):
        body += piece if before.startswith("0") and not before.isdigit() else _NUMBER_GAP + piece
    if not text.isdigit():
        return rf"(?<![a-z0-9]){body}(?![a-z0-9])"
    inside = r"(?<![0-9][-/])" if len(text) < 6 else ""
    behind = r"(?![-/][0-9])" if len(text) < 6 else ""
    if len(text) == 8 and re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])", text):
        body = text  # with bars between it would be a date
    return rf"(?<![0-9.]){inside}{body}(?![0-9.]*[0-9]){behind}"


def _labelled_number(number: str) -> str:
    text = re.sub(r"[^\w]|_", "", fold(number.strip())).lstrip("0")
    if not text.isdigit():
        return ""
    return _behind(NUMBER_BEFORE) + rf"0*{text}(?![0-9.]*[0-9])"


def _behind(words: Iterable[str]) -> str:
    # A look behind has one width; so there is one for each word and each usual mark.
    marks = ("", " ", ":", ": ", ".", ". ", " :", " : ", "[", "(")
    return "(?:" + "|".join(f"(?<={re.escape(word + mark)})" for word in words for mark in marks) + ")"


def _titled(part: _Part) -> Iterator[str]:
    edges = (r"(?<![a-z])", r"(?![a-z])") if _is_latin(part.text) else ("", "")
    body = f"(?:{part.pattern})"
    yield _behind(TITLES_BEFORE) + body + edges[1] + ("" if _is_latin(part.text) else r"(?![一-鿿ァ-ー])")
    yield (
        edges[0]
        + ("" if _is_latin(part.text) else r"(?<![一-鿿])")
        + body
        + f"(?={'|'.join(map(re.escape, TITLES_BEHIND))})"
    )


def _alone(part: _Part) -> str:
    if _is_latin(part.text):
        return rf"(?<![a-z])(?:{part.pattern})(?![a-z])"
    return rf"(?<![一-鿿々ァ-ー가-힣]){part.pattern}(?![一-鿿々ァ-ー가-힣])"


def birth_date_forms(birth_date: str) -> tuple[str, ...]:
    """Return usual ways to write a date ``YYYYMMDD``, western and in Japanese eras, folded."""
    if not _is_date(birth_date):
        return ()
    year, month, day = birth_date[:4], birth_date[4:6], birth_date[6:]
    forms = {birth_date}
    for mark in "-/.":
        forms |= {mark.join((year, month, day)), mark.join((day, month, year)), mark.join((month, day, year))}
        forms.add(mark.join((year, str(int(month)), str(int(day)))))
    forms |= {f"{year}年{int(month)}月{int(day)}日", f"{year}年{month}月{day}日"}
    for name, _, letter, _, before in _ERAS:
        count = int(year) - before
        if 1 <= count <= 64:
            forms |= {f"{name}{count}年{int(month)}月{int(day)}日", f"{name}{count:02d}年{month}月{day}日"}
            forms |= {f"{letter}{count}.{int(month)}.{int(day)}", f"{letter}{count:02d}.{month}.{day}"}
    return tuple(sorted(fold(form) for form in forms))


def _is_date(text: str) -> bool:
    return re.fullmatch(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", text) is not None and text != "19000101"


def _kanji_number(number: int) -> str:
    tens, ones = divmod(number, 10)
    digits = " 一二三四五六七八九"
    return (("" if tens < 2 else digits[tens]) + "十" if tens else "") + (digits[ones] if ones else "")


def _date_patterns(birth_date: str) -> list[str]:
    """Return patterns of every usual way to write a date ``YYYYMMDD``, over folded text."""
    if not _is_date(birth_date):
        return []
    year, month, day = (int(part) for part in (birth_date[:4], birth_date[4:6], birth_date[6:]))
    m, d = (f"0?{number}" if number < 10 else str(number) for number in (month, day))
    word = f"(?:{_MONTHS[month - 1]}|{_MONTHS[month - 1][:3]})"
    start, end = r"(?<![0-9.])", r"(?![0-9])"
    rest = rf"\s?[-/.,年]\s?{m}\s?[-/.,月]\s?{d}(?:\s?日)?{end}"
    day_word = rf"{d}(?:[a-z]{{2}})?"  # 14th
    found = [
        rf"{start}{birth_date}{end}",
        rf"{start}{year}{rest}",
        rf"{start}{year}[ ]{m}[ ]{d}{end}",
        rf"{start}(?:{d}[-/. ]{m}|{m}[-/. ]{d})[-/. ]{year}{end}",
        rf"{start}(?:{year % 100:02d}[-/.]{m}[-/.]{d}|(?:{d}[-/.]{m}|{m}[-/.]{d})[-/.]{year % 100:02d}){end}(?!\.[0-9])",
        rf"{start}{day_word}[-\s,.]{{0,3}}{word}[-\s,.]{{0,3}}{year}{end}",
        rf"(?<![a-z]){word}[-\s,.]{{0,3}}{day_word}[-\s,.]{{1,3}}{year}{end}",
        rf"{start}{year}[-\s,.]{{0,3}}{word}[-\s,.]{{0,3}}{d}{end}",
    ]
    for name, short, letter, romaji, before in _ERAS:
        count = year - before
        if not 1 <= count <= 64:
            continue
        years = f"0?{count}" if count < 10 else str(count)
        years = f"(?:{years}|元)" if count == 1 else years
        era = f"(?:{name}|{short}|(?<![a-z0-9])(?:{letter.lower()}|{romaji}))"
        found += [
            rf"{era}\s?[.']?\s?{years}{rest}",
            rf"{era}{count:02d}{month:02d}{day:02d}{end}",
            rf"{name}{'元' if count == 1 else _kanji_number(count)}年{_kanji_number(month)}月{_kanji_number(day)}日",
            # Without the era it is a date of birth only where the text says so.
            rf"{_behind(BORN)}{years}{rest}",
            rf"{start}{years}{rest}(?=\s?(?:生|born))",
        ]
    return found


def _phone_pattern(number: str) -> str:
    digits = re.sub(r"[^0-9]", "", fold(number))
    if digits.startswith("81") and "+" in number:
        digits = "0" + digits[2:]
    if len(digits) < 7 or len(set(digits)) < 2:
        return ""
    gap = r"[-\s().]{0,2}"
    body = gap.join(digits)
    if digits.startswith("0"):
        body = rf"(?:{body}|\+?81{gap}(?:\(0\))?{gap}{gap.join(digits[1:])})"
    return rf"\(?(?<![0-9]){body}(?![0-9])"


#: Where the part of a Japanese address begins that is about a house, and the words between its numbers.
_AREA = re.compile(r"^.*?(?:東京都|北海道|(?:京都|大阪)府|[一-鿿]{2,3}県)")
_BLOCK = r"(?:-|丁目|番地|番|号|ノ|の|\s)"


def _address_patterns(address: str) -> Iterator[str]:
    """Yield patterns of an address as a whole, of the part inside its prefecture, and of its postal code."""
    text = " ".join(fold(address).replace("^", " ").replace("=", " ").split())
    postal = re.search(r"(?:〒\s?)?([0-9]{3})-?([0-9]{4})(?![0-9-])", text)
    if postal is not None and re.search("[^ -~]", text):
        yield rf"(?:〒\s?)?(?<![0-9-]){postal[1]}-?{postal[2]}(?![0-9-])"
        text = (text[: postal.start()] + text[postal.end() :]).strip()
    pieces = {text, _AREA.sub("", text).strip()} | {piece.strip() for piece in text.split(",")}
    for piece in sorted(pieces, key=len, reverse=True):
        words = re.findall(r"[0-9]+|[^0-9\s\-]+", re.sub(r"丁目|番地|番|号", " ", piece))
        # A street without a number, a town: many live there.
        if len("".join(words)) < 6 or not any(word.isdigit() for word in words) or len(words) < 2:
            continue
        body = rf"{_BLOCK}{{0,3}}[\s,]{{0,2}}".join(re.escape(word) for word in words)
        yield rf"(?<![0-9]){body}(?![0-9])"


def _never() -> re.Pattern[str]:
    return re.compile(r"(?!)")


def _either(patterns: Iterable[str]) -> re.Pattern[str]:
    parts = sorted({pattern for pattern in patterns if pattern}, key=lambda pattern: (-len(pattern), pattern))
    return re.compile("|".join(parts)) if parts else _never()


def _spellings(token: str) -> set[str]:
    forms = {token}
    if any("ァ" <= character <= "ヶ" for character in token):
        forms |= {hiragana(token), half_width(token)}
    return forms


@dataclass(frozen=True, slots=True)
class ByteForm:
    """A piece of identity as bytes, lower case.

    `letters` is how many characters it has, `bounded` whether it counts only where no letter or digit goes on.
    """

    data: bytes
    kind: str
    text: str
    letters: int
    bounded: bool


def _byte_forms(token: str, kind: str) -> Iterator[ByteForm]:
    for form in _spellings(token):
        latin = _is_latin(form)
        if len(form) < (4 if latin else 2):
            continue
        for encoding in _ENCODINGS:
            try:
                raw = form.encode(encoding)
            except UnicodeEncodeError:
                continue
            if len(raw) >= 4:
                yield ByteForm(
                    raw.lower(), kind, form, len(form), latin and (len(form) < 6 or form.isdigit())
                )


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of identity in bytes: where it begins and ends, and what it is."""

    start: int
    end: int
    form: ByteForm


@dataclass(frozen=True, slots=True)
class IdentityTokens:
    """What to look for, prepared once a patient.

    Attributes
    ----------
    own : frozenset of str
        Folded words and numbers that name this patient.
    pattern : re.Pattern
        Finds in folded text what is cut: the patient, birth date, phone, address, and people around the patient.
    own_pattern : re.Pattern
        Finds what holds an instance: the patient, birth date, phone, address, and words that may be the patient.
    sure_pattern : re.Pattern
        `own_pattern` without the doubtful words.
    kinds : tuple
        (kind, pattern) for each of ``name``, ``id``, ``birth date``, ``phone``, ``address``, ``doubtful``.
    forms : tuple of ByteForm
        Names and numbers encoded in every likely character set.
    """

    own: frozenset[str]
    pattern: re.Pattern[str]
    own_pattern: re.Pattern[str]
    sure_pattern: re.Pattern[str]
    kinds: tuple[tuple[str, re.Pattern[str]], ...]
    forms: tuple[ByteForm, ...]
    _automaton: ahocorasick_rs.BytesAhoCorasick = field(repr=False, compare=False)
    _known: dict[tuple[bytes, tuple[str, ...], str], bytes | tuple[str, str] | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    def in_text(self, text: str, *, own_only: bool = False) -> bool:
        """Whether a text holds a token."""
        return (self.own_pattern if own_only else self.pattern).search(fold(text)) is not None

    def told_in(self, text: str, *, doubtful: bool = True) -> tuple[str, str] | None:
        """Return the kind and the characters of the first piece that holds an instance, None when there is none."""
        pattern = self.own_pattern if doubtful else self.sure_pattern
        if pattern.search(fold(text)) is None:
            return None
        folded, origin = folded_with_origin(text)
        for kind, each in self.kinds:
            match = each.search(folded)
            if match is not None and (doubtful or kind != "doubtful"):
                return kind, text[origin[match.start()][0] : origin[match.end() - 1][1]]
        return "name", ""

    def told_in_value(
        self, value: bytes, character_sets: tuple[str, ...], *, doubtful: bool = True
    ) -> tuple[str, str] | None:
        """Like `told_in` for a value of an element, read in every way it may have been meant."""
        key = (value, character_sets, "doubtful" if doubtful else "sure")
        known = self._known.get(key, b"")
        if not isinstance(known, bytes):
            return known
        told = None
        for place, (text, _) in enumerate(readings(value, character_sets)):
            # Read wrongly, a text has any single character; only as it was declared is one worth a doubt.
            told = self.told_in(text, doubtful=doubtful and place == 0)
            if told is not None:
                break
        self._remember(key, told)
        return told

    def spans(self, text: str, *, own_only: bool = False) -> list[tuple[int, int]]:
        """Return start and end of what is to be cut from a text; `own_only` leaves the people around the patient."""
        pattern = self.sure_pattern if own_only else self.pattern
        if pattern.search(fold(text)) is None:
            return []
        folded, origin = folded_with_origin(text)
        found: list[tuple[int, int]] = []
        for match in pattern.finditer(folded):
            start, end = origin[match.start()][0], origin[match.end() - 1][1]
            # 大野^ショウイチ: the mark between two pieces goes with them.
            if found and (start <= found[-1][1] or _BETWEEN.fullmatch(text, found[-1][1], start)):
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            elif end > start:
                found.append((start, end))
        return found

    def without(self, text: str) -> str:
        """Return a text with the tokens taken out and the rest as it was; empty when they cannot be taken out."""
        for _ in range(_ROUNDS):
            spans = [_with_blank(text, start, end) for start, end in self.spans(text)]
            if not spans:
                return text
            text = "".join(character for at, character in enumerate(text) if not _inside(at, spans))
        return ""

    def cleaned(self, value: bytes, character_sets: tuple[str, ...], *, own_only: bool = False) -> bytes:
        """Return a value with the tokens taken out, every other byte as it was; the same object when there are none.

        Text is never encoded anew. Empty when what names somebody cannot be told from the rest.
        """
        key = (value, character_sets, "own" if own_only else "all")
        known = self._known.get(key)
        if isinstance(known, bytes):
            return value if known == value else known
        answer = value
        for _ in range(_ROUNDS):
            found = self._cut_once(answer, character_sets, own_only=own_only)
            if found is None:
                break
            answer = found
        else:
            answer = b""
        self._remember(key, answer)
        return answer

    def _cut_once(self, value: bytes, character_sets: tuple[str, ...], *, own_only: bool) -> bytes | None:
        for text, codec in readings(value, character_sets):
            spans = self.spans(text, own_only=own_only)
            if not spans:
                continue
            where = places(value.rstrip(b" \0"), character_sets, codec)
            if "".join(place[0] for place in where) != text:
                return b""
            kept = bytearray()
            at = 0
            for start, end in (_with_blank(text, *span) for span in spans):
                for _, begun, ended in where[start:end]:
                    # What stands between two characters is an escape sequence, and goes on to count.
                    kept += value[at:begun]
                    at = ended
            kept += value[at:]
            rest = bytes(kept)
            return rest if decode(rest, character_sets).strip(" \0　") else b""
        return None

    def _remember(
        self, key: tuple[bytes, tuple[str, ...], str], answer: bytes | tuple[str, str] | None
    ) -> None:
        # Descriptions are the same in every slice of a series; texts of their own in each do not pile up.
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known[key] = answer

    def found_in_bytes(self, data: bytes | mmap.mmap) -> Iterator[Found]:
        """Yield every encoded token in bytes of unknown meaning."""
        read_to = 0
        for at in range(0, max(len(data), 1), _WINDOW - _OVERLAP):
            window = bytes(data[at : at + _WINDOW]).lower()
            for index, start, end in self._automaton.find_matches_as_indexes(window, overlapping=True):
                if index < len(self.forms):
                    form = self.forms[index]
                    if not form.bounded or _stands_alone(window, start, end, form):
                        yield Found(at + start, at + end, form)
                elif at + start >= read_to and (match := _ESCAPED.match(data, at + start)) is not None:
                    read_to = match.end()
                    told = self.told_in(decode(match.group(), ()), doubtful=False)
                    if told is not None:
                        form = ByteForm(match.group(), *told, len(told[1]), bounded=False)
                        yield Found(match.start(), match.end(), form)

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes of unknown meaning hold an encoded token."""
        return next(self.found_in_bytes(data), None) is not None


_ROUNDS = 8
_BETWEEN = re.compile(r"[ 　^,.・=&/_\-]{1,3}")
_REMEMBERED = 20_000


def _stands_alone(data: bytes, start: int, end: int, form: ByteForm) -> bool:
    wide = 2 if len(form.data) == 2 * form.letters else 1
    before, behind = data[max(0, start - wide) : start], data[end : end + wide]
    around = [bytes(byte for byte in side if byte) for side in (before, behind)]
    if form.text.isdigit():
        return not any(side.isdigit() for side in around)
    return not any(side.isalpha() for side in around)


def _with_blank(text: str, start: int, end: int) -> tuple[int, int]:
    """Take one of the two blanks along that would meet where the words between them are cut."""
    blank_behind = end < len(text) and text[end] in " 　"
    if blank_behind and (start == 0 or text[start - 1] in " 　\\\n"):
        return start, end + 1
    if start and text[start - 1] in " 　" and (end == len(text) or text[end] in "\\\n\r"):
        return start - 1, end
    return start, end


def _inside(at: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in spans)


@lru_cache(maxsize=64)
def tokens_of(identity: PatientIdentity, also: tuple[PatientIdentity, ...] = ()) -> IdentityTokens:
    """Return what to look for in the objects of a patient.

    Parameters
    ----------
    identity : PatientIdentity
        Of the header.
    also : tuple of PatientIdentity
        What else is known of the same patient, as from a request form.
    """
    everything = (identity, *also)
    names = [
        name
        for each in everything
        for text in (each.patient_name, *each.other_names)
        for name in _names(text)
    ]
    numbers = {number for each in everything for number in (each.patient_id, each.accession_number)}
    numbers = {number for number in numbers if number.strip("0 -")}
    patterns = {
        "name": [pattern for name in names for pattern in _sure_patterns(name)],
        "id": [find(number) for number in numbers for find in (_number_pattern, _labelled_number)],
        "birth date": [pattern for each in everything for pattern in _date_patterns(each.birth_date)],
        "phone": [_phone_pattern(phone) for each in everything for phone in each.phones],
        "address": [
            pattern
            for each in everything
            for address in each.addresses
            for pattern in _address_patterns(address)
        ],
    }
    doubtful = [
        _alone(part)
        for name in names
        for part in name.parts
        if part.is_doubtful and (name.together or len(name.parts) == 1)
    ]
    sure = [pattern for each in patterns.values() for pattern in each]
    others = [pattern for each in everything for pattern in _patterns_of_others(each)]
    own = {part.text for name in names for part in name.parts if part.names_alone}
    own |= {fold(number.strip()) for number in numbers if _number_pattern(number)}
    forms = tuple({form.data: form for form in _all_byte_forms(everything, names)}.values())
    return IdentityTokens(
        own=frozenset(own),
        pattern=_either([*sure, *others]),
        own_pattern=_either([*sure, *doubtful]),
        sure_pattern=_either(sure),
        kinds=tuple((kind, _either(each)) for kind, each in (patterns | {"doubtful": doubtful}).items()),
        forms=forms,
        _automaton=ahocorasick_rs.BytesAhoCorasick(
            [form.data for form in forms] + [escape.lower() for escape in _ESCAPES],
            implementation=ahocorasick_rs.Implementation.DFA,
        ),
    )


def _sure_patterns(name: _Name) -> Iterator[str]:
    if name.together:
        yield from name.whole()
    for part in name.parts:
        if part.names_alone:
            yield part.bounded
        elif name.together or (len(name.parts) == 1 and part.text not in CLINICAL):
            yield from _titled(part)


def _patterns_of_others(identity: PatientIdentity) -> Iterator[str]:
    """Yield patterns of people around the patient, of further numbers, and of the place."""
    for name in (name for person in identity.people for name in _names(person)):
        if name.together:
            yield from name.whole()
        for part in name.parts:
            if part.names_alone and (len(part.text) >= 4 or not _is_latin(part.text)):
                yield part.bounded
    for number in identity.other_numbers:
        yield _number_pattern(number)
    if len(identity.institution_name) >= 4:
        yield re.escape(fold(identity.institution_name))


def _all_byte_forms(everything: tuple[PatientIdentity, ...], names: list[_Name]) -> Iterator[ByteForm]:
    for each in everything:
        for text in (each.patient_name, *each.other_names):
            for group in text.split("="):
                yield from _name_byte_forms([word for word in _SPLIT.split(group) if word])
        for number in (each.patient_id, each.accession_number):
            bare = re.sub(r"[\s\-]", "", number)
            for form in {number.strip(), bare, bare.lstrip("0")}:
                if len(form) >= 6 and len(set(form)) > 1:
                    yield from _byte_forms(form, "id")
        # Eight digits alone are the date of anything else as well.
        for form in (
            form for form in birth_date_forms(each.birth_date) if len(form) >= 8 and not form.isdigit()
        ):
            yield from _byte_forms(form, "birth date")
    kana = {
        part.text
        for name in names
        for part in name.parts
        if is_kana(part.text) and part.names_alone and len(part.text) > 2
    }
    for romaji in {romaji for word in kana for romaji in romaji_of(word)} - CLINICAL - COMMON:
        yield from _byte_forms(romaji, "name")


def _name_byte_forms(words: list[str]) -> Iterator[ByteForm]:
    for word in words:
        if _Part(fold(word), "").names_alone:
            # As written, not only folded: 髙 has other bytes than 高.
            for form in {word, fold(word)}:
                yield from _byte_forms(form, "name")
    if len(words) > 1 and not CLINICAL.issuperset(map(fold, words)):
        for first, second in ((words[0], words[1]), (words[1], words[0])):
            for mark in ("", " ", "^"):
                yield from _byte_forms(f"{first}{mark}{second}", "name")


def uids_in(data: bytes) -> set[bytes]:
    """Return everything in bytes that has the form of a UID of four components or more."""
    return set(_UID.findall(data))
