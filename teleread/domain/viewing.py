"""Images and report of one case: what stands against signing when the screen may have shown something else."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Doubt(StrEnum):
    """A reason to stop before a signature."""

    #: Images of a study that is not of the case were on the screen. Nobody can wave this through.
    OTHER_STUDY_SHOWN = "other_study_shown"
    #: The viewer did not say what it shows.
    VIEWER_SILENT = "viewer_silent"
    #: No image of the case's own study is on the screen.
    STUDY_NOT_SHOWN = "study_not_shown"
    #: Images could not be loaded or decoded.
    IMAGES_FAILED = "images_failed"


@dataclass(frozen=True)
class Shown:
    """What the viewer says it has drawn at this moment.

    Parameters
    ----------
    answered : bool
        The viewer answered in time.
    studies : frozenset of str
        Study Instance UIDs (0020,000D) of the images in all viewports.
    failed : int
        Images that could not be loaded or decoded since the case was opened.
    """

    answered: bool
    studies: frozenset[str] = frozenset()
    failed: int = 0


def doubts(shown: Shown, *, study_instance_uid: str, allowed: Iterable[str]) -> tuple[Doubt, ...]:
    """Return what stands against signing, the gravest first.

    Parameters
    ----------
    study_instance_uid : str
        The case's own study.
    allowed : iterable of str
        Every study that may be on the screen: its own, and the priors of the same pseudonym.
    """
    if not shown.answered:
        return (Doubt.VIEWER_SILENT,)
    found = []
    if shown.studies - {study_instance_uid, *allowed}:
        found.append(Doubt.OTHER_STUDY_SHOWN)
    if study_instance_uid not in shown.studies:
        found.append(Doubt.STUDY_NOT_SHOWN)
    if shown.failed:
        found.append(Doubt.IMAGES_FAILED)
    return tuple(found)
