"""`make trials`: the promised figures at their full size, a JSON line each."""

import json
import sys
import tempfile
from pathlib import Path

from teleread.demo.road import Road
from tests.e2e.kills import VICTIMS, chosen, travel

KILLS = 20


def kills() -> bool:
    """kill -9 of gateway, web, worker and Redis at 20 random points: each report comes home once."""
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        road = Road(Path(folder), lambda line: sys.stderr.write(line + "\n"))
        try:
            road.start_centre()
            road.add_people(KILLS + 1)
            road.start_facility()
            calm = travel(road, KILLS)
            outcomes = [
                travel(road, n, chosen(n, list(VICTIMS)[n % len(VICTIMS)], calm.seconds))
                for n in range(KILLS)
            ]
        finally:
            road.stop()
    for outcome in outcomes:
        told = {"part": outcome.struck, "seconds": round(outcome.seconds, 1), "home": outcome.home}
        print(json.dumps({"trial": "kill", **told, "failures": outcome.failures}), flush=True)
    good = sum(outcome.home == 1 and not outcome.failures for outcome in outcomes)
    print(
        json.dumps(
            {"trial": "kills", "points": KILLS, "home_once": good, "calm_seconds": round(calm.seconds, 1)}
        )
    )
    return good == KILLS


TRIALS = {"kills": kills}


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(TRIALS)
    results = [TRIALS[name]() for name in wanted]  # all of them run, also after a failure
    sys.exit(0 if all(results) else 1)
