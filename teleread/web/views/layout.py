"""What every page gets: texts in its language, the theme, the person, and the places they may go to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import g, request, url_for

from teleread import clock
from teleread.dicomweb.context import centre
from teleread.domain.access import Action, allows
from teleread.services import accounts
from teleread.storage.session import transaction
from teleread.web.i18n import LANGUAGES, text, texts
from teleread.web.views.times import ZONE, ZONE_LABEL, moment

if TYPE_CHECKING:
    from flask import Flask

#: Menu: endpoint, text, action that opens it.
PLACES: tuple[tuple[str, str, Action], ...] = (
    ("worklist.worklist", "nav.worklist", Action.SEE_WORKLIST),
    ("coordination.coordination", "nav.coordination", Action.COORDINATE),
    ("facilities.status", "nav.status", Action.SEE_STATUS),
    ("contacts.facilities", "nav.contacts", Action.MANAGE_CONTACTS),
    ("admin.admin", "nav.admin", Action.MANAGE_FACILITIES),
    ("admin.users", "nav.users", Action.MANAGE_USERS),
    ("admin.audit_search", "nav.audit", Action.SEE_AUDIT),
)

#: Roles that work beside images begin in the dark; offices in the light (ui.md, section 2).
_DARK_ROLES = frozenset({"reader", "medical_director"})


@dataclass(frozen=True)
class Place:
    """One entry of the menu."""

    url: str
    text_key: str
    current: bool


def language() -> str:
    """Return the language of the page: the person's, else chosen here, else the browser's, else the centre's."""
    person = g.get("person")
    if person is not None:
        return str(person.language)
    chosen = request.cookies.get("teleread-language")
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES) or centre().settings.language


def theme() -> str:
    """Return the theme: the person's, else chosen here, else what suits the role."""
    person = g.get("person")
    if person is not None and person.theme:
        return str(person.theme)
    chosen = request.cookies.get("teleread-theme")
    if chosen in {"dark", "light"}:
        return chosen
    actor = g.get("actor")
    return "dark" if actor is None or not _DARK_ROLES.isdisjoint(actor.roles) else "light"


def _places() -> list[Place]:
    actor = g.get("actor")
    if actor is None:
        return []
    return [
        Place(url_for(endpoint), key, request.endpoint == endpoint)
        for endpoint, key, action in PLACES
        if allows(actor, action)
    ]


#: For so long after sign-in pages tell that a session in another browser has ended.
_TOLD_FOR = timedelta(seconds=60)


def _elsewhere(spoken: str) -> str:
    """Return from where and since when the person was signed in too; empty if nowhere, or it was told long enough."""
    person = g.get("person")
    if person is None or clock.now() - person.began_at > _TOLD_FOR:
        return ""
    idle = timedelta(seconds=centre().settings.idle_seconds)
    with transaction(centre().engine, writes=False) as db:
        ended = [
            (one.from_where, one.created_at) for one in accounts.sessions_ended_by(db, person, idle=idle)
        ]
    return "; ".join(
        text(spoken, "elsewhere.place", from_where=place, since=moment(since)) for place, since in ended
    )


def _context() -> dict[str, Any]:
    spoken = language()
    return {
        "language": spoken,
        "theme": theme(),
        "t": lambda key, **values: text(spoken, key, **values),
        "person": g.get("person"),
        "size": g.person.size if g.get("person") else 100,
        "idle_seconds": centre().settings.idle_seconds,
        "elsewhere": _elsewhere(spoken),
        "lock_texts": texts(spoken, "idle.") | texts(spoken, "ended.") | texts(spoken, "sign_in.act"),
        "places": _places(),
        "here": request.full_path.rstrip("?") if request.method == "GET" else request.path,
        "timezone_name": ZONE.key,
        "timezone_label": ZONE_LABEL,
        "clock_now": clock.now().astimezone(ZONE).strftime("%H:%M"),
    }


def install(app: Flask) -> None:
    """Hand the above to every template."""
    app.context_processor(_context)
