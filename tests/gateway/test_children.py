"""Children that read files from outside: one that dies takes nothing with it."""

import os

from gateway.children import Children, Crashed


def fatal_for(number: int) -> int:
    if number == 1:
        os._exit(1)
    if number == 2:
        raise ValueError(number)
    return number


def test_a_file_that_kills_its_child_costs_only_itself() -> None:
    children = Children(fatal_for, processes=1)
    answers = dict(children.answers((number, (number,)) for number in range(4)))
    children.close()
    assert list(answers) == [0, 1, 2, 3]
    assert isinstance(answers[1], Crashed)
    assert isinstance(answers[2], ValueError)
    assert (answers[0], answers[3]) == (0, 3)
