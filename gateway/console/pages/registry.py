"""The pages of the console."""

from flask import Blueprint

from gateway.console.pages import flow, fonts, held, leaks, line, people, reports, request_form, sign_in


def blueprints() -> tuple[Blueprint, ...]:
    """Return every page."""
    return (
        sign_in.blueprint,
        flow.blueprint,
        reports.blueprint,
        held.blueprint,
        request_form.blueprint,
        line.blueprint,
        leaks.blueprint,
        people.blueprint,
        fonts.blueprint,
    )
