"""A centre with work in it: cases of several facilities in every state, laid straight into the tables.

Nothing of it went through the services, so it proves nothing about them; it is there to be looked at and to be counted.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from teleread.domain.identifiers import new_case_number
from teleread.domain.turnaround import PROMISE, Priority
from teleread.storage.models.accounts import User
from teleread.storage.models.facilities import Facility, Gateway
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.reports import Report, ReportVersion
from teleread.storage.models.studies import Study
from teleread.storage.session import transaction

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

    from tests.web.conftest import House

#: Facilities of the pictures: code, name.
FACILITIES = {
    "midori": "あさひ岬クリニック",
    "kita": "若葉坂健診センター",
    "hibari": "北ひばり野病院",
    "hama": "みどりヶ浜総合病院",
    "tsubame": "つばめ島診療所",
}

PEOPLE = {
    "reader": "見本 花子",
    "second": "見本 次郎",
    "coordinator": "調整 一子",
    "admin": "管理 守",
    "midori": "例示 五郎",
    "kita": "例示 六郎",
}


@dataclass(frozen=True)
class Scene:
    """A case: how long ago it came, and how it stands."""

    minutes: int
    priority: str
    modality: str
    description: str
    question: str
    person: str
    facility: str
    state: str = "unassigned"
    assignee: str | None = None
    study: str = "complete"
    sex: str = "F"
    age: str = "067Y"


SCENES = (
    Scene(22, "stat", "CT", "HEAD PLAIN", "左片麻痺 突然発症 01:52。出血の有無、早期虚血変化。", "H49QX-2A7K1", "hama", "assigned", "reader", sex="M", age="071Y"),
    Scene(29, "stat", "CT", "CHEST-ABDOMEN CE", "背部激痛。大動脈解離は?", "K17TR-8M3B5", "hibari", study="receiving", age="064Y"),
    Scene(252, "urgent", "MR", "HEAD MRA", "めまい、複視。椎骨脳底動脈系の評価", "B24MN-6P8C2", "tsubame", age="058Y"),
    Scene(218, "urgent", "CT", "CHEST PLAIN", "発熱、右下葉 crackles。肺炎の広がり", "D91LK-3T5D8", "midori", "in_progress", "second", sex="M", age="083Y"),
    Scene(190, "urgent", "CT", "ABDOMEN CE", "右下腹部痛、WBC 14,800。虫垂炎?", "F78QW-1R6E4", "hama", "on_hold", "second", age="019Y"),
    Scene(70, "urgent", "MR", "L-SPINE", "馬尾症状の有無", "A52HH-9V4F7", "hibari", "assigned", "reader", sex="M", age="046Y"),
    Scene(1344, "routine", "MG", "BILATERAL 2V", "左C区 腫瘤触知", "E83DX-7W2G6", "hama", age="052Y"),
    Scene(1226, "routine", "CT", "ABDOMEN PLAIN", "尿管結石の再評価", "G65YT-2X9H3", "tsubame", sex="M", age="039Y"),
    Scene(1100, "routine", "MR", "RIGHT KNEE", "ACL損傷の疑い", "H19KB-5Y1J9", "hibari", sex="M", age="024Y"),
    Scene(900, "routine", "CR", "CHEST 2V", "術前スクリーニング", "B97FJ-3Z8K2", "midori", age="074Y"),
    Scene(700, "routine", "CT", "PARANASAL SINUS", "慢性副鼻腔炎 術前", "D48MC-6A5L1", "hama", sex="M", age="033Y"),
    Scene(240, "screening", "CR", "CHEST", "二重読影 第2読影", "C31SV-4B7M8", "hama", age="048Y"),
)  # fmt: skip


def _lay(
    engine: Engine,
    scenes: tuple[Scene, ...],
    facilities: dict[str, int],
    people: dict[str, int],
    at: datetime,
) -> list[str]:
    """Insert the cases and return their numbers."""
    numbers = [new_case_number(secrets.randbelow) for _ in scenes]
    with transaction(engine) as session:
        for number, scene in zip(numbers, scenes, strict=True):
            came = at - timedelta(minutes=scene.minutes)
            facility = facilities[scene.facility]
            study = session.execute(
                insert(Study).values(
                    facility_id=facility, study_instance_uid=f"2.25.{secrets.randbits(100)}", state=scene.study,
                    pseudonym=scene.person, sex=scene.sex, age=scene.age, study_date=came.strftime("%Y%m%d"),
                    study_time=came.strftime("%H%M%S"), study_description=scene.description,
                    modalities=[scene.modality], first_received_at=came, last_received_at=came,
                    completed_at=came if scene.study == "complete" else None, attributes={},
                )
            ).inserted_primary_key[0]  # fmt: skip
            done = scene.state == "completed"
            order = session.execute(
                insert(Order).values(
                    facility_id=facility, study_id=study, state="closed" if done else "matched", priority=scene.priority,
                    clinical_question=scene.question, department="内科", doctor="例示 五郎", created_at=came,
                )
            ).inserted_primary_key[0]  # fmt: skip
            assignee = people[scene.assignee] if scene.assignee else None
            reading = session.execute(
                insert(Reading).values(
                    case_number=number, facility_id=facility, order_id=order, study_id=study, state=scene.state,
                    assignee_id=assignee, due_at=came + PROMISE[Priority(scene.priority)], created_at=came,
                )
            ).inserted_primary_key[0]  # fmt: skip
            if done:
                report = session.execute(
                    insert(Report).values(order_id=order, created_at=came)
                ).inserted_primary_key[0]
                session.execute(
                    insert(ReportVersion).values(
                        report_id=report, reading_id=reading, version=1, status="final", revision=1,
                        sections={"findings": "異常所見なし。", "impression": "正常。"}, created_at=came, updated_at=came,
                        content={}, content_sha256="0" * 64, signed_at=came, signed_by=assignee,
                    )
                )  # fmt: skip
    return numbers


def _ids(engine: Engine) -> tuple[dict[str, int], dict[str, int]]:
    with transaction(engine, writes=False) as session:
        return (
            {code: number for number, code in session.execute(select(Facility.id, Facility.code))},
            {name: number for number, name in session.execute(select(User.id, User.username))},
        )


def name_house(house: House) -> None:
    """Give the house's facilities and people Japanese names."""
    for code in FACILITIES:
        house.gateway(code)
    with transaction(house.engine) as session:
        for code, name in FACILITIES.items():
            session.execute(update(Facility).where(Facility.code == code).values(name=name, language="ja"))
        for username, name in PEOPLE.items():
            session.execute(update(User).where(User.username == username).values(display_name=name))


def furnish_night(house: House, at: datetime) -> list[str]:
    """Give a named house's gateways signs of life, and lay a night's cases."""
    with transaction(house.engine) as session:
        # Negative: the pictures take minutes, and a box that is fine is fine until the last of them.
        signs = zip(
            session.scalars(select(Gateway).order_by(Gateway.id)),
            (-900, -901, 11 * 60, -902, -903),
            strict=False,
        )
        for gateway, seconds in signs:
            gateway.certificate_sha256 = f"{gateway.id:064x}"
            gateway.certificate_not_after = at + timedelta(days=310)
            gateway.last_seen_at = at - timedelta(seconds=seconds)
            gateway.version, gateway.queue, gateway.held = "0.4.0", seconds % 4, 1 if seconds == -901 else 0
            gateway.disk_free_bytes = 200 * 10**9
    return _lay(house.engine, SCENES, *_ids(house.engine), at)


def furnish_years(engine: Engine, at: datetime, *, done: int, waiting: int) -> None:
    """Lay thousands of cases: `done` ones that lie behind, and `waiting` ones on the list of now."""
    facilities, people = _ids(engine)
    codes, readers = sorted(facilities), sorted(name for name in people if "reader" in name)
    finished = tuple(
        Scene(
            6000 + 30 * number, scene.priority, scene.modality, scene.description, scene.question,
            f"P{number % 2500:04d}-AAAA1", codes[number % len(codes)], "completed", readers[number % len(readers)],
        )
        for number in range(done) for scene in (SCENES[number % len(SCENES)],)
    )  # fmt: skip
    fresh = tuple(
        Scene(
            5 + 11 * number % 1300, scene.priority, scene.modality, scene.description, scene.question,
            f"P{number % 2500:04d}-AAAA1", codes[number % len(codes)],
        )
        for number in range(waiting) for scene in (SCENES[number % len(SCENES)],)
    )  # fmt: skip
    _lay(engine, finished + fresh, facilities, people, at)
