"""Whom to tell at a facility about a critical finding: what an entry needs, and whom a message goes to.

The list of a facility is a ladder: its first person is called first, and each escalation reaches one more. One of them may be
the *second notified person*, who is told of everything that is late whatever the rung. Entries are staff, never patients.
"""

import re
import unicodedata
from collections.abc import Sequence

from teleread.domain.critical import NAME_LIMIT, Contact
from teleread.errors import InvalidInput

#: More rungs than this are not climbed within the shortest clock.
CONTACTS_LIMIT = 10
PHONE_LIMIT = 40
#: RFC 5321 Section 4.5.3.1.3: a path of 256 characters with its brackets.
MAIL_LIMIT = 254

# RFC 5322 Section 3.2.3, without quoted names: what a header takes as it is, and no list separator.
_MAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_LEAST_DIGITS = 2

NOBODY = Contact("", "")


def ladder_of(rows: Sequence[tuple[str, Contact]]) -> tuple[Contact, ...]:
    """Return the checked ladder that a form says, in the order of its position numbers.

    Parameters
    ----------
    rows : sequence of (str, Contact)
        Position as typed and entry, in the order of the form; empty entries are left out.

    Raises
    ------
    InvalidInput
        The field is the name of what is wrong, an underscore, and the row of the form from 1: ``phone_2``.
    """
    found: list[tuple[int, Contact]] = []
    seen: set[tuple[str, str]] = set()
    for row, (position, typed) in enumerate(rows, 1):
        contact = _tidy(typed)
        if not any((contact.name, contact.phone, contact.department, contact.mail)):
            continue
        _check(row, contact)
        place = unicodedata.normalize("NFKC", position).strip()
        if not (place.isascii() and place.isdigit() and 1 <= int(place[:4]) <= 99):
            raise InvalidInput(f"position_{row}", "has to be a number from 1 to 99", code="no_number")
        if (contact.name, contact.phone) in seen:
            raise InvalidInput(f"name_{row}", "stands in the list already", code="twice")
        seen.add((contact.name, contact.phone))
        found.append((int(place), contact))
    if len(found) > CONTACTS_LIMIT:
        raise InvalidInput(f"name_{len(rows)}", f"at most {CONTACTS_LIMIT} people", code="too_many")
    if sum(contact.is_second for _, contact in found) > 1:
        raise InvalidInput("second_1", "can be one person only", code="twice")
    return tuple(contact for _, contact in sorted(found, key=lambda one: one[0]))


def _tidy(contact: Contact) -> Contact:
    """Return the entry with digits and letters at half width where they are dialled or addressed, and single gaps."""
    return Contact(
        name=" ".join(contact.name.split()),
        phone=" ".join(unicodedata.normalize("NFKC", contact.phone).split()),
        department=" ".join(contact.department.split()),
        mail=unicodedata.normalize("NFKC", contact.mail).strip(),
        is_second=contact.is_second,
    )


def _check(row: int, contact: Contact) -> None:
    for field, text, limit, needed in (
        ("name", contact.name, NAME_LIMIT, True),
        ("phone", contact.phone, PHONE_LIMIT, True),
        ("department", contact.department, NAME_LIMIT, False),
        ("mail", contact.mail, MAIL_LIMIT, False),
    ):
        if needed and not text:
            raise InvalidInput(f"{field}_{row}", "is needed", code="missing")
        if len(text) > limit:
            raise InvalidInput(f"{field}_{row}", f"has at most {limit} characters", code="too_long")
        if not text.isprintable():
            raise InvalidInput(f"{field}_{row}", "has characters that cannot be printed", code="unprintable")
    if sum(one.isdigit() for one in contact.phone) < _LEAST_DIGITS:
        raise InvalidInput(f"phone_{row}", "is not a telephone number", code="no_phone")
    if contact.mail and (_MAIL.fullmatch(contact.mail) is None or ".." in contact.mail):
        raise InvalidInput(f"mail_{row}", "is not one mail address", code="no_mail")


def receivers(ladder: Sequence[Contact], escalations: int) -> tuple[Contact, ...]:
    """Return whom of the facility a message reaches: as many rungs as there were escalations, and the second one told.

    Nobody while nothing is late: until then people of the centre telephone and hear it read back.
    """
    if escalations < 1:
        return ()
    reached = list(ladder[:escalations])
    return tuple(reached + [one for one in ladder[escalations:] if one.is_second])
