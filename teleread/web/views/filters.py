"""The worklist's filter: what the address says, which rows it lets through, and the same address with one value more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from teleread.web.views.cases import CaseRow

SIGNED = frozenset({"final", "delivered", "acknowledged", "addended", "delivery_held", "delivery_failed"})
_SOON_MINUTES = 60

#: Views that everybody has, by the key that opens them: name → which rows.
VIEWS: dict[str, Callable[[CaseRow], bool]] = {
    "mine": lambda row: row.is_mine and row.display_status not in SIGNED,
    "pinned": lambda row: row.pinned,
    "soon": lambda row: row.left.minutes is not None and row.left.minutes <= _SOON_MINUTES,
    "open": lambda row: row.display_status not in SIGNED | {"cancelled"},
    "signed": lambda row: row.display_status in SIGNED,
}
DEFAULT_VIEW = "open"

#: What can be chosen, in the order of the rail: name in the address → the row's value.
FACETS: dict[str, Callable[[CaseRow], str]] = {
    "state": lambda row: row.display_status,
    "priority": lambda row: row.priority.text_key.removeprefix("priority."),
    "modality": lambda row: row.modality,
    "facility": lambda row: row.facility,
}

_VALUES_LIMIT = 20
_VALUE_LENGTH = 100


@dataclass(frozen=True)
class Filter:
    """A view and chosen values of facets; of several values of one facet any will do.

    Parameters
    ----------
    view : str
        Of `VIEWS`.
    chosen : mapping
        Facet → values; facets without a choice have no entry.
    words : str
        Part of a case number or of the clinical question; empty for any.
    """

    view: str
    chosen: Mapping[str, tuple[str, ...]]
    words: str = ""

    @classmethod
    def read(cls, arguments: Mapping[str, list[str]]) -> Filter:
        """Return the filter of an address; what is unknown in it is left away."""
        view = next(iter(arguments.get("view", ())), DEFAULT_VIEW)
        chosen = {}
        for facet in FACETS:
            values = [one for one in arguments.get(facet, ()) if 0 < len(one) <= _VALUE_LENGTH]
            if values:
                chosen[facet] = tuple(dict.fromkeys(values))[:_VALUES_LIMIT]
        words = " ".join(next(iter(arguments.get("q", ())), "").split())[:_VALUE_LENGTH]
        return cls(view if view in VIEWS else DEFAULT_VIEW, chosen, words)

    @property
    def is_plain(self) -> bool:
        """Say whether nothing is chosen beside the view."""
        return not self.chosen and not self.words

    def query(self) -> str:
        """Return the filter as an address holds it; the same filter gives the same text."""
        pairs = [("view", self.view)]
        pairs += [(facet, value) for facet in FACETS for value in sorted(self.chosen.get(facet, ()))]
        if self.words:
            pairs.append(("q", self.words))
        return urlencode(pairs)

    def toggled(self, facet: str, value: str) -> Filter:
        """Return the filter with one value more, or less if it was chosen."""
        values = self.chosen.get(facet, ())
        now = tuple(one for one in values if one != value) if value in values else (*values, value)
        rest = {name: kept for name, kept in self.chosen.items() if name != facet}
        return Filter(self.view, rest | ({facet: now} if now else {}), self.words)

    def without_words(self) -> Filter:
        """Return the filter for any words."""
        return Filter(self.view, self.chosen)

    def lets(self, row: CaseRow, *, but: str = "") -> bool:
        """Say whether a row is shown; `but` leaves one facet out, to count its values."""
        if not VIEWS[self.view](row):
            return False
        if any(FACETS[facet](row) not in values for facet, values in self.chosen.items() if facet != but):
            return False
        wanted = self.words.casefold()
        number = wanted.replace(" ", "").upper()
        return not wanted or wanted in row.question.casefold() or number in row.case_number

    def counts(self, rows: Iterable[CaseRow], facet: str) -> dict[str, int]:
        """Return how many rows each value of a facet would show; chosen values stay in sight at nought."""
        counted = Counter(FACETS[facet](row) for row in rows if self.lets(row, but=facet))
        for value in self.chosen.get(facet, ()):
            counted.setdefault(value, 0)
        return {value: counted[value] for value in sorted(counted) if value}
