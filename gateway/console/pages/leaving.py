"""What leaves the facility: each attribute under this facility's profile, for its privacy officer."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from gateway.console.access import Action
from gateway.console.context import console, needs
from gateway.console.lettering import language
from teleread.dicom.deid.describe import (
    GROUP_WORDS,
    NOTES,
    OPTION_WORDS,
    grouped,
    safe_creators,
)
from teleread.dicom.deid.profile import CODE_MEANINGS, Option, edition

blueprint = Blueprint("leaving", __name__)

_QUERY_LIMIT = 64


@blueprint.get("/leaving")
@needs(Action.READ_PROFILE)
def leaving() -> ResponseReturnValue:
    """Show the profile, all of it or the rows that a query finds."""
    profile = console().settings.deidentification.profile
    # The words of the table name nobody, so a query may stand in the address and be printed and passed on.
    query = request.args.get("q", "")[:_QUERY_LIMIT].strip()
    spoken = language()
    return render_template(
        "leaving.html",
        query=query,
        edition=edition(),
        basic=CODE_MEANINGS["113100"],
        options=[
            (
                option.value,
                CODE_MEANINGS[option.value],
                OPTION_WORDS[option][spoken],
                option in profile.options,
            )
            for option in Option
        ],
        notes=[note[spoken] for note in NOTES],
        creators=safe_creators(profile),
        groups=[
            (group.value, GROUP_WORDS[group][spoken], rows) for group, rows in grouped(profile, query).items()
        ],
        spoken=spoken,
    )
