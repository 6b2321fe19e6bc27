"""Matching of queries: what a client asked for, as data, and whether a value answers it.

PS3.4 C.2.2.2 (single value, list of UIDs, universal, wildcard, range) as QIDO-RS writes it (PS3.18 Section 8.3.4,
10.6.1.2). Storage turns the same data into SQL; `answers` is the meaning in plain Python.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from teleread.dicom.attributes import BY_KEY, BY_KEYWORD, IndexedAttribute
from teleread.errors import InvalidInput

_RANGE_VRS = frozenset({"DA", "TM", "DT"})
_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_MAX_LIMIT = 1000

#: Range ends that are open sort before and after every date and time.
_EARLIEST, _LATEST = "", "99999999999999"


class Kind(Enum):
    """Matching of PS3.4 C.2.2.2.1 to C.2.2.2.5."""

    SINGLE = "single"
    LIST = "list"
    WILDCARD = "wildcard"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key.

    Attributes
    ----------
    values : tuple of str
        The value; the values of a list; the pattern; or the two ends of a range, both inclusive.
    """

    attribute: IndexedAttribute
    kind: Kind
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A whole question. Universal matching (an empty value) leaves no `Match` behind."""

    matches: tuple[Match, ...]
    include: tuple[str, ...]
    include_all: bool
    limit: int
    offset: int


def attribute_of(name: str) -> IndexedAttribute | None:
    """Return the indexed attribute of a keyword or eight hexadecimal digits, None for one that is not indexed.

    Raises
    ------
    InvalidInput
        PS3.6 knows no such attribute.
    """
    attribute = BY_KEYWORD.get(name) or BY_KEY.get(name.upper())
    if attribute is not None:
        return attribute
    last = name.rsplit(".", maxsplit=1)[-1]
    if tag_for_keyword(last) is None and not (
        re.fullmatch(r"[0-9A-Fa-f]{8}", last) and keyword_for_tag(int(last, 16))
    ):
        raise InvalidInput("query", "names an attribute that DICOM does not know", code="unknown_attribute")
    return None


def match_of(attribute: IndexedAttribute, text: str) -> Match | None:
    """Return how a value is matched, None for universal matching.

    Raises
    ------
    InvalidInput
        A range with more than two ends, or with none.
    """
    text = text.strip()
    if text in ("", '""'):
        return None
    if attribute.vr in _RANGE_VRS and "-" in text:
        ends = text.split("-")
        if len(ends) != 2 or not any(ends):
            raise InvalidInput(attribute.keyword, "is no range of dates or times", code="bad_range")
        return Match(attribute, Kind.RANGE, (ends[0] or _EARLIEST, ends[1] or _LATEST))
    if attribute.vr == "UI" or attribute.keyword == "Modality":
        parts = tuple(part.strip() for part in re.split(r"[,\\]", text) if part.strip())
        if len(parts) > 1:
            return Match(attribute, Kind.LIST, parts)
    if attribute.vr in _WILDCARD_VRS and re.search(r"[*?]", text):
        return None if set(text) == {"*"} else Match(attribute, Kind.WILDCARD, (text,))
    return Match(attribute, Kind.SINGLE, (text,))


def _whole_number(name: str, text: str, *, most: int) -> int:
    if not text.isdigit():
        raise InvalidInput(name, "is not a whole number", code="bad_number")
    return min(int(text), most)


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """Return the question in the query part of a QIDO-RS URI.

    Parameters
    ----------
    parameters : iterable of (name, value)
        As decoded from the URI, repeated names repeated.

    Raises
    ------
    InvalidInput
        An attribute that DICOM does not know, one that cannot be matched here, or a malformed value.
    """
    matches: list[Match] = []
    include: list[str] = []
    include_all = False
    numbers = {"limit": _MAX_LIMIT, "offset": 0}
    for name, value in parameters:
        if name in numbers:
            numbers[name] = _whole_number(name, value, most=_MAX_LIMIT if name == "limit" else 1 << 31)
        elif name == "includefield":
            include_all = include_all or value == "all"
            fields = [field for field in value.split(",") if field and field != "all"]
            include += [found.key for found in map(attribute_of, fields) if found is not None]
        elif name == "fuzzymatching":
            # Pseudonyms have no sound; PS3.18 8.3.4.2 lets a server not offer it.
            continue
        else:
            attribute = attribute_of("Modality" if name in ("ModalitiesInStudy", "00080061") else name)
            if attribute is None:
                raise InvalidInput("query", "asks for an attribute that is not indexed", code="not_indexed")
            match = match_of(attribute, value)
            if match is not None:
                matches.append(match)
    return Query(tuple(matches), tuple(include), include_all, numbers["limit"], numbers["offset"])


def wildcard_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression for ``*`` and ``?`` (PS3.4 C.2.2.2.4), case-insensitive as for PN."""
    pieces = {"*": ".*", "?": "."}
    return re.compile(
        "".join(pieces.get(character) or re.escape(character) for character in text),
        re.IGNORECASE | re.DOTALL,
    )


def answers(match: Match, values: Sequence[str]) -> bool:
    """Whether an attribute with these values answers a matching key; any one of several values is enough."""
    if match.kind is Kind.RANGE:
        low, high = match.values
        # A shorter end means the whole of what it names: 1030 ends with 10:30:59.
        return any(low <= value and value[: len(high)] <= high for value in values if value)
    if match.kind is Kind.WILDCARD:
        pattern = wildcard_pattern(match.values[0])
        return any(pattern.fullmatch(value) is not None for value in values)
    if match.attribute.vr == "PN":
        return any(value.casefold() == match.values[0].casefold() for value in values)
    return any(value in match.values for value in values)
