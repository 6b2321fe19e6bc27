"""Is a study complete? The manifest against what arrived."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The answer, with its reason.

    Parameters
    ----------
    is_met : bool
    reason : str
        ``met``, ``no_manifest``, ``manifest_open``, ``missing``, ``unlisted`` (something came that the manifest does
        not know yet: a newer one is on its way) or ``nothing_readable`` (the facility holds every instance back:
        there is nothing to read until a person decides).
    missing : tuple of (SOP Instance UID, SHA-256)
        What the manifest lists and the centre does not have.
    """

    is_met: bool
    reason: str
    missing: tuple[tuple[str, str], ...] = ()


def judge(
    listed: Iterable[tuple[str, str]] | None, *, is_closed: bool, stored: Mapping[str, AbstractSet[str]]
) -> Verdict:
    """Compare a manifest with what is stored.

    Parameters
    ----------
    listed : iterable of (SOP Instance UID, SHA-256), or None
        What the gateway says it sends; None before the first manifest.
    is_closed : bool
        Whether the gateway says that this is all.
    stored : mapping of SOP Instance UID to a set of SHA-256
        Every copy that the centre has. A UID that came with different bytes has several; any of them answers the
        manifest, and which one is shown is not asked here.
    """
    if listed is None:
        return Verdict(is_met=False, reason="no_manifest")
    wanted = tuple(listed)
    missing = tuple((uid, digest) for uid, digest in wanted if digest not in stored.get(uid, frozenset()))
    if missing:
        return Verdict(is_met=False, reason="missing", missing=missing)
    if not is_closed:
        return Verdict(is_met=False, reason="manifest_open")
    if not stored.keys() <= {uid for uid, _ in wanted}:
        return Verdict(is_met=False, reason="unlisted")
    if not wanted:
        return Verdict(is_met=False, reason="nothing_readable")
    return Verdict(is_met=True, reason="met")
