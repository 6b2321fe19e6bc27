"""Who may do what at the console; what is not in the table is not allowed."""

from enum import StrEnum


class Role(StrEnum):
    """Parts that a person of the facility can have; one person may have several."""

    OPERATOR = "operator"
    DOCTOR = "doctor"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """Things that a page lets a person do."""

    SEE = "see"
    REQUEST = "request"
    DECIDE_HELD = "decide_held"
    SEND_REPORT = "send_report"
    RELEASE_REPORT = "release_report"
    ACKNOWLEDGE_CRITICAL = "acknowledge_critical"
    HAND_OVER_CRITICAL = "hand_over_critical"
    RELEASE_SENDING = "release_sending"
    TEST_LINK = "test_link"
    READ_PROFILE = "read_profile"
    MANAGE_USERS = "manage_users"
    READ_AUDIT = "read_audit"


_ALL = frozenset(Role)

ALLOWED: dict[Action, frozenset[Role]] = {
    Action.SEE: _ALL,
    Action.REQUEST: frozenset({Role.OPERATOR, Role.DOCTOR}),
    Action.DECIDE_HELD: frozenset({Role.OPERATOR}),
    Action.SEND_REPORT: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.RELEASE_REPORT: frozenset({Role.OPERATOR, Role.DOCTOR}),
    Action.ACKNOWLEDGE_CRITICAL: frozenset({Role.DOCTOR}),
    Action.HAND_OVER_CRITICAL: _ALL,
    Action.RELEASE_SENDING: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.TEST_LINK: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.READ_PROFILE: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.MANAGE_USERS: frozenset({Role.ADMINISTRATOR}),
    Action.READ_AUDIT: frozenset({Role.ADMINISTRATOR}),
}


def is_allowed(action: Action, roles: frozenset[str]) -> bool:
    """Say whether somebody with these roles may do it."""
    return not ALLOWED[action].isdisjoint(roles)
