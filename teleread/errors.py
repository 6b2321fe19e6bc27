# The names say what happened, as the architecture lists them; "Error" would only lengthen them.
# ruff: noqa: N818
"""The one tree of errors. Each has a stable `code` for logs and JSON; no message carries patient identity.

The edges map a class once to their own language: `web/errors.py` and `dicomweb/errors.py` to HTTP, `gateway/scp.py` to
a DIMSE status, `workers/` to "give up" or "try again".
"""


class TelereadError(Exception):
    """Base of every error that a caller of teleread may want to catch.

    Parameters
    ----------
    message : str
        One sentence that a coordinator can act on. Never a name, an ID or a birth date.
    code : str, optional
        Stable identifier for logs and JSON; each class has its own default.
    """

    code = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message or self.__class__.__name__)
        self.message = message or self.__class__.__name__
        if code is not None:
            self.code = code


class NotFound(TelereadError):
    """There is no such thing, or it belongs to another tenant."""

    code = "not_found"


class NotAllowed(TelereadError):
    """The role or the tenant rule forbids it."""

    code = "not_allowed"


class NotSignedIn(TelereadError):
    """No session, an expired session, or sign-in refused; the message never says which part was wrong."""

    code = "not_signed_in"


class ReauthenticationFailed(NotAllowed):
    """Password or one-time code given for a signature was not accepted."""

    code = "reauthentication_failed"


class PasswordIsInitial(NotAllowed):
    """The person has to choose a password of their own first."""

    code = "password_is_initial"


class InvalidInput(TelereadError):
    """The caller's data is wrong.

    Parameters
    ----------
    field : str
        Name of the field as the caller knows it.
    reason : str
        What is wrong with it, without repeating the value (it may be an identity).
    """

    code = "invalid_input"

    def __init__(self, field: str, reason: str, *, code: str | None = None) -> None:
        super().__init__(f"{field}: {reason}", code=code)
        self.field = field
        self.reason = reason


class TransitionNotAllowed(TelereadError):
    """The workflow table has no such transition for this state, event and role."""

    code = "transition_not_allowed"


class StateChangedMeanwhile(TelereadError):
    """Somebody else was first: a compare-and-set lost, or a draft was written on a stale revision.

    Parameters
    ----------
    newest : object, optional
        What is stored now, so that the caller can show the difference.
    """

    code = "state_changed_meanwhile"

    def __init__(self, message: str = "", *, newest: object = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.newest = newest


class Incomplete(TelereadError):
    """The manifest is not met, or something required is still on its way."""

    code = "incomplete"


class IdentityLeak(TelereadError):
    """Identity was found where none may be."""

    code = "identity_leak"


class OutOfSpace(TelereadError):
    """The disk or a quota is full."""

    code = "out_of_space"


class Unavailable(TelereadError):
    """The other side is down or did not answer in time."""

    code = "unavailable"
