"""teleread: a teleradiology reading-workflow platform."""

__version__ = "0.1.0"
