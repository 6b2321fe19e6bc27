"""The pages of the console."""

from flask import Blueprint

from gateway.console.pages import flow, fonts, held, line, people, reports, request_form, rules, sign_in


def blueprints() -> tuple[Blueprint, ...]:
    """Return every page."""
    return (
        sign_in.blueprint,
        flow.blueprint,
        reports.blueprint,
        held.blueprint,
        rules.blueprint,
        request_form.blueprint,
        line.blueprint,
        people.blueprint,
        fonts.blueprint,
    )
