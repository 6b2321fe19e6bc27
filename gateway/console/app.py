"""The facility's console: a small site on the box, for people of the facility on its own network."""

from pathlib import Path

from flask import Flask
from jinja2 import StrictUndefined

from gateway.console import lettering, security
from gateway.console.box import Console
from gateway.console.pages.registry import blueprints
from teleread.resources import templates_folder

#: The longest form is two texts of 10,000 characters, in percent signs nine bytes each.
FORM_LIMIT_BYTES = 512 * 1024


def create_app(console: Console) -> Flask:
    """Return the site."""
    app = Flask(
        __name__,
        template_folder=str(templates_folder() / "gateway"),
        static_folder=str(Path(__file__).with_name("static")),
    )
    app.config["MAX_CONTENT_LENGTH"] = FORM_LIMIT_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = FORM_LIMIT_BYTES
    app.jinja_env.undefined = StrictUndefined
    app.extensions["console"] = console
    security.init_app(app)
    lettering.init_app(app)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
    return app
