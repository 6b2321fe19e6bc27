"""The pages of the console."""

from flask import Blueprint

from gateway.console.pages import (
    critical,
    flow,
    fonts,
    held,
    leaks,
    leaving,
    line,
    people,
    reports,
    request_form,
    sign_in,
)


def blueprints() -> tuple[Blueprint, ...]:
    """Return every page."""
    return (
        sign_in.blueprint,
        flow.blueprint,
        reports.blueprint,
        critical.blueprint,
        held.blueprint,
        request_form.blueprint,
        line.blueprint,
        leaving.blueprint,
        leaks.blueprint,
        people.blueprint,
        fonts.blueprint,
    )
