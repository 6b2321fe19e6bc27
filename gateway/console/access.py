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
    MANAGE_RULES = "manage_rules"
    SEND_REPORT = "send_report"
    RELEASE_REPORT = "release_report"
    TEST_LINK = "test_link"
    MANAGE_USERS = "manage_users"
    READ_AUDIT = "read_audit"


_ALL = frozenset(Role)

ALLOWED: dict[Action, frozenset[Role]] = {
    Action.SEE: _ALL,
    Action.REQUEST: frozenset({Role.OPERATOR, Role.DOCTOR}),
    Action.DECIDE_HELD: frozenset({Role.OPERATOR}),
    Action.MANAGE_RULES: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.SEND_REPORT: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.RELEASE_REPORT: frozenset({Role.OPERATOR, Role.DOCTOR}),
    Action.TEST_LINK: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Action.MANAGE_USERS: frozenset({Role.ADMINISTRATOR}),
    Action.READ_AUDIT: frozenset({Role.ADMINISTRATOR}),
}


def is_allowed(action: Action, roles: frozenset[str]) -> bool:
    """Say whether somebody with these roles may do it."""
    return not ALLOWED[action].isdisjoint(roles)
