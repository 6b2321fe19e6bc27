"""What a page asks of its surroundings: the console, and who is there."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from flask import current_app, g

from gateway.console.access import Action
from gateway.console.accounts import Person
from gateway.console.box import Console

P = ParamSpec("P")
R = TypeVar("R")


def console() -> Console:
    """Return the console of this site."""
    return cast("Console", current_app.extensions["console"])


def person() -> Person:
    """Return who is signed in; `security` let nobody else through."""
    return cast("Person", g.person)


def needs(action: Action) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a route with what it lets a person do; `security` refuses a route without a mark."""

    def marked(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return view(*args, **kwargs)

        call.needs = action  # type: ignore[attr-defined]
        return call

    return marked


def record(act: str, **detail: object) -> None:
    """Write what the person does into the record, before the page is sent."""
    who = person()
    here = console()
    here.store.record(who.username, who.from_where, act, detail, at=here.now())


def record_shown(page: str, pseudonyms: list[str]) -> None:
    """Write down whose names a page shows, by pseudonym; nothing when it shows none."""
    if pseudonyms:
        record("names.shown", page=page, pseudonyms=sorted(set(pseudonyms)))
