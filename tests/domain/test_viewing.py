"""What stands against signing when the screen may have shown something else."""

import pytest

from teleread.domain.viewing import Doubt, Shown, doubts

OWN, PRIOR, FOREIGN = "2.25.1", "2.25.2", "2.25.3"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (Shown(True, frozenset({OWN})), ()),
        (Shown(True, frozenset({OWN, PRIOR})), ()),
        (Shown(False), (Doubt.VIEWER_SILENT,)),
        (Shown(True), (Doubt.STUDY_NOT_SHOWN,)),
        (Shown(True, frozenset({PRIOR})), (Doubt.STUDY_NOT_SHOWN,)),
        (Shown(True, frozenset({OWN, FOREIGN})), (Doubt.OTHER_STUDY_SHOWN,)),
        (Shown(True, frozenset({FOREIGN})), (Doubt.OTHER_STUDY_SHOWN, Doubt.STUDY_NOT_SHOWN)),
        (Shown(True, frozenset({OWN}), failed=2), (Doubt.IMAGES_FAILED,)),
        # A viewer that did not answer is believed in nothing.
        (Shown(False, frozenset({OWN})), (Doubt.VIEWER_SILENT,)),
    ],
)
def test_images_of_the_case_raise_no_doubt_and_others_do(shown: Shown, expected: tuple[Doubt, ...]) -> None:
    assert doubts(shown, study_instance_uid=OWN, allowed=(OWN, PRIOR)) == expected
