"""How a person's session ends, and how many a person may have."""

from enum import StrEnum


class Ending(StrEnum):
    """Why a session lets nobody in any more. The first two are seen from its times; the others are written down."""

    EXPIRED = "expired"
    LOCKED = "locked"
    SIGNED_OUT = "signed_out"
    #: The person signed in in another browser: one person, one session (no terminal stays open behind one's back).
    ELSEWHERE = "elsewhere"
    #: The person ended it from another browser, or signed in again in this one.
    BY_PERSON = "by_person"
    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    #: Somebody else closed the account, or changed roles or factors.
    ACCOUNT = "account"


#: What the sign-in page says about, once. Nobody needs to be told of the own act.
TOLD = frozenset({Ending.EXPIRED, Ending.LOCKED, Ending.ELSEWHERE, Ending.PASSWORD, Ending.ACCOUNT})
