"""Who may do what: one table of role and action, and the tenant rule."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from teleread.errors import NotAllowed, NotFound


class Role(StrEnum):
    """Parts that an actor can play."""

    READER = "reader"
    COORDINATOR = "coordinator"
    ADMINISTRATOR = "administrator"
    FACILITY = "facility"
    PRIVACY_OFFICER = "privacy_officer"
    MEDICAL_DIRECTOR = "medical_director"
    CLIENT = "client"
    GATEWAY = "gateway"
    SYSTEM = "system"


#: Roles that a person can hold; the rest belong to machines.
PERSONS_ROLES = frozenset(
    {
        Role.READER,
        Role.COORDINATOR,
        Role.ADMINISTRATOR,
        Role.FACILITY,
        Role.PRIVACY_OFFICER,
        Role.MEDICAL_DIRECTOR,
    }
)

#: Scopes that a bearer token can carry, and the actions they open.
SCOPES = frozenset({"dicomweb.read", "dicomweb.write"})


@dataclass(frozen=True)
class Actor:
    """The one who acts, handed to every service function.

    Parameters
    ----------
    kind : str
        ``user``, ``gateway``, ``token`` or ``system``.
    name : str
        User name, facility and gateway code, token name, or the name of the process; for records and pages.
    role : str
        The principal role.
    facility_id : int or None
        The tenant. None only for actors of the centre.
    from_where : str
        Address that the request came from, or ``local``.
    roles : frozenset of str
        Every role held; the principal one is always among them.
    scopes : frozenset of str
        Only for tokens.
    """

    kind: Literal["user", "gateway", "token", "system"]
    name: str
    role: str
    facility_id: int | None = None
    user_id: int | None = None
    gateway_id: int | None = None
    from_where: str = "local"
    roles: frozenset[str] = field(default=frozenset())
    scopes: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", frozenset({*self.roles, self.role}))

    def has(self, role: str) -> bool:
        """Say whether the actor holds `role`."""
        return role in self.roles


def system_actor(name: str) -> Actor:
    """Return the actor for what the centre does by itself, named after the process or sweep."""
    return Actor(kind="system", name=name, role=Role.SYSTEM)


class Action(StrEnum):
    """Acts that are checked by role."""

    SEE_WORKLIST = "see_worklist"
    SEE_CASE = "see_case"
    SEE_STATUS = "see_status"
    SEE_IMAGES = "see_images"
    STORE_INSTANCES = "store_instances"
    SEND_MANIFEST = "send_manifest"
    SEND_ORDER = "send_order"
    CLAIM = "claim"
    ASSIGN = "assign"
    RELEASE = "release"
    WRITE_REPORT = "write_report"
    SIGN_REPORT = "sign_report"
    READ_REPORT = "read_report"
    COORDINATE = "coordinate"
    ACCEPT_INCOMPLETE = "accept_incomplete"
    MOVE_DELIVERY = "move_delivery"
    COLLECT_PACKAGES = "collect_packages"
    MANAGE_FACILITIES = "manage_facilities"
    MANAGE_USERS = "manage_users"
    MANAGE_TOKENS = "manage_tokens"
    SEE_AUDIT = "see_audit"
    RAISE_CRITICAL = "raise_critical"
    NOTIFY_CRITICAL = "notify_critical"
    ACKNOWLEDGE_CRITICAL = "acknowledge_critical"
    CLOSE_CRITICAL = "close_critical"
    MANAGE_CONTACTS = "manage_contacts"
    MANAGE_OWN_ACCOUNT = "manage_own_account"


_R = Role
#: The whole of it: action → roles that may. A privacy officer can read this table.
ALLOWED: dict[Action, frozenset[Role]] = {
    Action.SEE_WORKLIST: frozenset({_R.READER, _R.COORDINATOR, _R.MEDICAL_DIRECTOR}),
    Action.SEE_CASE: frozenset({_R.READER, _R.COORDINATOR, _R.MEDICAL_DIRECTOR, _R.PRIVACY_OFFICER}),
    Action.SEE_STATUS: frozenset({_R.FACILITY, _R.COORDINATOR, _R.MEDICAL_DIRECTOR, _R.GATEWAY}),
    Action.SEE_IMAGES: frozenset({_R.READER, _R.MEDICAL_DIRECTOR, _R.PRIVACY_OFFICER, _R.CLIENT}),
    Action.STORE_INSTANCES: frozenset({_R.GATEWAY, _R.CLIENT}),
    Action.SEND_MANIFEST: frozenset({_R.GATEWAY}),
    Action.SEND_ORDER: frozenset({_R.GATEWAY}),
    Action.CLAIM: frozenset({_R.READER}),
    Action.ASSIGN: frozenset({_R.COORDINATOR, _R.SYSTEM}),
    Action.RELEASE: frozenset({_R.READER, _R.COORDINATOR}),
    Action.WRITE_REPORT: frozenset({_R.READER}),
    Action.SIGN_REPORT: frozenset({_R.READER}),
    Action.READ_REPORT: frozenset({_R.READER, _R.COORDINATOR, _R.MEDICAL_DIRECTOR, _R.FACILITY}),
    Action.COORDINATE: frozenset({_R.COORDINATOR, _R.MEDICAL_DIRECTOR}),
    Action.ACCEPT_INCOMPLETE: frozenset({_R.COORDINATOR}),
    Action.MOVE_DELIVERY: frozenset({_R.GATEWAY, _R.COORDINATOR, _R.SYSTEM}),
    Action.COLLECT_PACKAGES: frozenset({_R.GATEWAY}),
    Action.MANAGE_FACILITIES: frozenset({_R.ADMINISTRATOR, _R.SYSTEM}),
    Action.MANAGE_USERS: frozenset({_R.ADMINISTRATOR, _R.SYSTEM}),
    Action.MANAGE_TOKENS: frozenset({_R.ADMINISTRATOR, _R.SYSTEM}),
    Action.SEE_AUDIT: frozenset({_R.ADMINISTRATOR, _R.PRIVACY_OFFICER, _R.SYSTEM}),
    Action.RAISE_CRITICAL: frozenset({_R.READER, _R.COORDINATOR}),
    Action.NOTIFY_CRITICAL: frozenset({_R.READER, _R.COORDINATOR}),
    # A gateway vouches for the person who signed in at its console.
    Action.ACKNOWLEDGE_CRITICAL: frozenset({_R.FACILITY, _R.GATEWAY}),
    Action.CLOSE_CRITICAL: frozenset({_R.COORDINATOR, _R.FACILITY}),
    Action.MANAGE_CONTACTS: frozenset({_R.COORDINATOR, _R.ADMINISTRATOR, _R.SYSTEM}),
    Action.MANAGE_OWN_ACCOUNT: PERSONS_ROLES,
}

#: What a token's scope opens. A token does nothing else, whatever its maker may do.
SCOPE_OPENS: dict[str, frozenset[Action]] = {
    "dicomweb.read": frozenset({Action.SEE_IMAGES}),
    "dicomweb.write": frozenset({Action.STORE_INSTANCES}),
}


def allows(actor: Actor, action: Action) -> bool:
    """Say whether the table lets `actor` do `action`, tenant aside."""
    if actor.kind == "token" and not any(action in SCOPE_OPENS[scope] for scope in actor.scopes & SCOPES):
        return False
    return not actor.roles.isdisjoint(ALLOWED[action])


def require(actor: Actor, action: Action) -> None:
    """Raise NotAllowed unless the table lets `actor` do `action`."""
    if not allows(actor, action):
        raise NotAllowed(f"the role {actor.role} may not {action.value.replace('_', ' ')}")


def same_tenant(actor: Actor, facility_id: int | None) -> bool:
    """Say whether a thing of `facility_id` is within the actor's reach: a tenant sees only its own."""
    return actor.facility_id is None or actor.facility_id == facility_id


def require_tenant(actor: Actor, facility_id: int | None, what: str = "record") -> None:
    """Raise NotFound for another tenant's thing: the answer does not tell that it exists."""
    if not same_tenant(actor, facility_id):
        raise NotFound(f"there is no such {what}")
