"""Words, times and names in the language of the person who reads them."""

from datetime import datetime, timedelta
from typing import Any

from flask import Flask, g, request

from gateway.console.context import console
from gateway.console.dates import written_date
from gateway.console.flow import WALL
from gateway.console.words import TEXTS
from gateway.reasons import text_of
from gateway.reidentify import DOUBTS
from gateway.spool import moment

LANGUAGE_COOKIE = "teleread-language"
_COLUMNS = {"ja": 0, "en": 1}


def init_app(app: Flask) -> None:
    """Give the templates their words."""
    app.jinja_env.globals |= {
        "t": t,
        "language": language,
        "reason_text": reason_text,
        "clock": clock_of,
        "day_and_clock": day_and_clock,
        "day_and_clock_ms": lambda value: day_and_clock(moment(value)),
        "ago": ago,
        "state_text": state_text,
        "is_late": lambda at: at < console().now(),
        "time_to": lambda at: span(abs(at - console().now()), "for"),
        "age_text": age_text,
        "birth": lambda value: written_date(value, language()),
    }
    app.context_processor(_everywhere)


def language() -> str:
    """Return the language of this page: chosen before, else the person's own, else the browser's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in _COLUMNS:
        return chosen
    person = g.get("person")
    if person is not None:
        return str(person.language)
    return request.accept_languages.best_match(("ja", "en"), default="ja")


def t(key: str, **values: object) -> str:
    """Return a text in the language of the page."""
    return TEXTS[key][_COLUMNS[language()]].format(**values)


def state_text(display_status: str) -> str:
    """Return the centre's word for a case; a word of a later release is shown as unknown, never hidden."""
    key = f"state.{display_status}"
    return t(key if key in TEXTS else "state.unknown")


def reason_text(code: str) -> str:
    """Return why something is held, in words."""
    if code in DOUBTS:
        return DOUBTS[code][_COLUMNS[language()]]
    return text_of(code, language())


def clock_of(at: datetime | None) -> str:
    """Return the time of day on the facility's wall."""
    return at.astimezone(WALL).strftime("%H:%M") if at else ""


def day_and_clock(at: datetime | None) -> str:
    """Return the time of day, with the day when that is not today."""
    if at is None:
        return ""
    there = at.astimezone(WALL)
    today = console().now().astimezone(WALL).date()
    return there.strftime("%H:%M") if there.date() == today else there.strftime("%m-%d %H:%M")


def ago(at: datetime | None) -> str:
    """Return how long ago something was, in one unit."""
    if at is None:
        return t("never")
    return span(console().now() - at, "ago")


def span(length: timedelta, kind: str) -> str:
    """Return a length of time in one unit; `kind` is `ago` or `for`."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size * (1 if unit != "days" else 2):
            return t(f"{kind}.{unit}", number=seconds // size)
    return t(f"{kind}.seconds", number=seconds)


def age_text(age: int | None) -> str:
    """Return an age in years."""
    return t("age", number=age) if age is not None else ""


def _everywhere() -> dict[str, Any]:
    from gateway.console.flow import counts_of, urgent_held
    from gateway.watch import contact_of

    here = console()
    answer: dict[str, Any] = {
        "facility_name": here.settings.facility_name,
        "person": g.get("person"),
        "wall_clock": clock_of(here.now()),
    }
    if answer["person"] is not None:
        contact = contact_of(here.spool)
        silent = contact.heard_at is None or here.now() - contact.heard_at > timedelta(
            seconds=max(90.0, 3 * here.settings.heartbeat_seconds)
        )
        answer |= {
            "counts": counts_of(here.spool, at=here.now()),
            "urgent_held": urgent_held(here.spool),
            "contact": contact,
            "is_silent": silent,
        }
    return answer
