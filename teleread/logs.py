"""How a line of a log is written: one event, one line, whatever a peer or a file put into its words."""

import logging
import re
import sys
import warnings

# C0, DEL and C1 controls, and the two separators at which editors break lines; the end of a line is written by the
# handler, after this.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """Writes control characters as escapes: no text can begin a second line, or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))


#: Loggers of the centre's own code.
OURS = ("teleread", "workers")


def set_up(level: str) -> None:
    """Log a process of the centre to standard error.

    Parameters
    ----------
    level : str
        Of our own loggers. Libraries tell warnings only, because what they tell beside quotes what they read; and the
        queue tells its jobs, which are names and ids.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger("rq").setLevel(logging.INFO)
    # Readers of files warn by quoting them.
    warnings.simplefilter("ignore")
