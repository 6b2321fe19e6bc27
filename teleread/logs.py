"""How a line of a log is written: one event, one line, whatever a peer or a file put into its words."""

import logging
import re

# C0, DEL and C1 controls, and the two separators at which editors break lines; the end of a line is written by the
# handler, after this.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """Writes control characters as escapes: no text can begin a second line, or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))
