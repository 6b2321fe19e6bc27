"""The matrix of tenants: every route × kind of id × (own, another facility's, nobody's) × everybody who can ask.

Everything is taken from the URL map of both listeners. A route whose path has a part that `KINDS` does not know fails
`test_the_matrix_knows_every_kind_of_id`: whoever adds a kind of id says here what an own, a foreign and an unknown one
are.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from teleread import clock
from teleread.domain.access import PERSONS_ROLES, Role
from teleread.services import accounts, critical, saved_views
from teleread.storage.models.facilities import Gateway
from teleread.storage.models.readings import Reading
from teleread.storage.models.reports import Rendering
from teleread.storage.session import transaction
from teleread.web.app import create_app
from teleread.web.permissions import GATEWAY_ROUTES, PEOPLE_ROUTES, Door
from tests.builders.centre import Place, clean_study
from tests.web.conftest import BASE, SYSTEM, House, csrf

#: Parts of a path that are an id of something of a facility.
KINDS = frozenset(
    {
        "case_number",
        "rendering_id",
        "package_id",
        "order_id",
        "study_uid",
        "series_uid",
        "sop_uid",
        "facility_code",
        "gateway_name",
        "username",
        "critical_id",
        "view_id",
    }
)
#: Parts of a path that name nothing of a facility, and a value for each.
PLAIN = {
    "number": "1",
    "numbers": "1",
    "place": "7FE00010",
    "filename": "teleread.css",
    "name": "none.ttf",
    "build": "none",
    "key_id": "1",
    "session_id": "1",
    "act": "enable",
}
#: Well formed, and nobody's.
UNKNOWN = {
    "case_number": "00000000",
    "rendering_id": "0" * 32,
    "package_id": "0" * 32,
    "order_id": "0" * 32,
    "study_uid": "2.25.11111111111111111111",
    "series_uid": "2.25.11111111111111111111.1",
    "sop_uid": "2.25.11111111111111111111.1.1",
    "facility_code": "nowhere",
    "gateway_name": "nothing",
    "username": "no-such-person",
    "critical_id": "0" * 24,
    "view_id": "999999",
}
#: These end the asker's own session or belong to it, and name nothing.
_OWN_SESSION = frozenset({"auth.sign_out", "auth.lock"})


@dataclass
class Tenant:
    """One facility with a signed and delivered case, one under review, and everybody who asks in its name."""

    code: str
    ids: dict[str, str]
    secrets: set[str]
    gateway_der: bytes
    tokens: dict[str, str] = field(default_factory=dict)


class _TLSSocket:
    """Where gunicorn hands on the peer's certificate, the test client has this."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def getpeercert(self, *, binary_form: bool) -> bytes:
        assert binary_form
        return self._der


def _tenant(house: House, code: str, number: int) -> Tenant:
    place = Place(house.settings, house.engine, house.blobs, clock.now())
    place.gateway = place.facility(code)
    assert place.gateway.facility_id is not None
    place.facility_id = place.gateway.facility_id
    reader = place.person(f"reader-{code}", "reader")
    signed = clean_study(patient=f"P-{code}", number=number)
    signed_case = place.send(signed)
    package = place.package(signed_case, reader)
    open_study = clean_study(patient=f"Q-{code}", number=number + 1)
    case = place.send(open_study)
    page = place.review(case, reader, place.write(case, reader))
    with transaction(house.engine) as session:
        critical_id = critical.raise_finding(
            session, case, "1", f"finding of {code}", actor=reader.actor, at=place.at
        )
        view_id = saved_views.keep_view(
            session, f"view of {code}", "state=unassigned", actor=reader.actor, at=place.at
        ).id
    house.person(f"doctor-{code}", ["facility"], code)
    der = f"certificate of {code}".encode()
    with transaction(house.engine) as session:
        box = session.scalars(select(Gateway).where(Gateway.facility_id == place.facility_id)).one()
        box.certificate_sha256 = hashlib.sha256(der).hexdigest()
        gateway_name = box.name
        tokens = {
            scope: accounts.create_token(
                session,
                name=f"{scope}-{code}",
                scopes=[scope],
                expires_at=clock.now() + timedelta(days=1),
                facility_code=code,
                actor=SYSTEM,
                at=clock.now(),
            )
            for scope in ("dicomweb.read", "dicomweb.write")
        }
        rendering = session.scalars(select(Rendering).join(Rendering.version).join(Reading)).all()
        assert rendering
    ids = {
        "case_number": case,
        "rendering_id": page.rendering_id,
        "package_id": package.package_id,
        "order_id": hashlib.sha256(code.encode()).hexdigest()[:32],
        "study_uid": signed.study_instance_uid,
        "series_uid": signed.listed[0].series_instance_uid,
        "sop_uid": signed.listed[0].sop_instance_uid,
        "facility_code": code,
        "gateway_name": gateway_name,
        "username": f"doctor-{code}",
        "critical_id": critical_id,
        "view_id": str(view_id),
    }
    secrets = {
        case,
        signed_case,
        signed.study_instance_uid,
        open_study.study_instance_uid,
        signed.pseudonym,
        open_study.pseudonym,
        signed.listed[0].sop_instance_uid,
        page.rendering_id,
        package.package_id,
        f"{code} 病院",
        critical_id,
        f"view of {code}",
    }
    return Tenant(code, ids, secrets, der, tokens)


@dataclass
class Asker:
    """Somebody who asks, and for which facility (none: the centre's own people, or nobody at all)."""

    name: str
    tenant: str | None
    ask: Callable[..., TestResponse]


@dataclass
class World:
    """Two facilities, and everybody who can ask at each listener."""

    house: House
    gateway_app: Flask
    own: Tenant
    other: Tenant

    def people(self) -> Iterator[Asker]:
        """Yield every role, every kind of token of both facilities' own and the centre's, and nobody."""

        def by(client: FlaskClient, headers: dict[str, str]) -> Callable[..., TestResponse]:
            return lambda path, method: client.open(path, method=method, base_url=BASE, headers=headers)

        def person(name: str) -> Callable[..., TestResponse]:
            client = self.house.signed_in(name)
            return by(client, {"X-CSRFToken": csrf(client, "/nowhere")})

        yield Asker("nobody", "", by(self.house.client(), {}))
        for role in sorted(PERSONS_ROLES - {Role.FACILITY}):
            yield Asker(role, None, person(f"matrix-{role}"))
        yield Asker("facility", self.own.code, person(f"doctor-{self.own.code}"))
        for scope, token in self.own.tokens.items():
            yield Asker(scope, self.own.code, by(self.house.client(), {"Authorization": f"Bearer {token}"}))

    def gateways(self) -> Iterator[Asker]:
        """Yield the own facility's gateway, and one without a certificate."""
        client = self.gateway_app.test_client()
        there = {"gunicorn.socket": _TLSSocket(self.own.gateway_der)}
        for name, tenant, environ in (("gateway", self.own.code, there), ("stranger", "", {})):
            yield Asker(
                name,
                tenant,
                lambda path, method, environ=environ: client.open(
                    path, method=method, base_url=BASE, environ_overrides=environ
                ),
            )


@pytest.fixture(scope="module")
def world(house: House) -> Iterator[World]:
    own, other = _tenant(house, "own-clinic", 7001), _tenant(house, "other-clinic", 7101)
    for role in sorted(PERSONS_ROLES - {Role.FACILITY}):
        house.person(f"matrix-{role}", [role])
    app = create_app(house.settings, listener="gateway", engine=house.engine)
    yield World(house, app, own, other)
    app.extensions["teleread"].renderer.close()


@dataclass(frozen=True)
class Route:
    """One method of one rule of the URL map."""

    endpoint: str
    method: str
    rule: str

    @property
    def parts(self) -> list[str]:
        return re.findall(r"<(?:[^:<>]+:)?([^<>]+)>", self.rule)

    def path(self, ids: dict[str, str]) -> str:
        return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", lambda part: (PLAIN | ids)[part[1]], self.rule)


def _routes(app: Flask) -> list[Route]:
    return [
        Route(rule.endpoint, method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"})
    ]


def _size(answer: TestResponse, path: str, asked: dict[str, str]) -> tuple[int, int]:
    """Return status and length of an answer without what it repeats of the question, and without its random parts."""
    text = answer.get_data().decode("utf-8", "replace").replace(path, "")
    # A number of few digits stands in every page; the page repeats it in the path alone.
    for value in sorted((one for one in asked.values() if len(one) > 3), key=len, reverse=True):
        text = text.replace(value, "")
    text = re.sub(r'content="[0-9a-f]{64}"|value="[^"]{40,}"|\d\d:\d\d', "", text)
    return answer.status_code, len(text)


def test_the_matrix_knows_every_kind_of_id(house: House) -> None:
    gateway_app = create_app(house.settings, listener="gateway", engine=house.engine)
    for app in (house.app, gateway_app):
        unknown = {part for route in _routes(app) for part in route.parts} - KINDS - PLAIN.keys()
        assert unknown == set()
    gateway_app.extensions["teleread"].renderer.close()


def _cells(world: World, app: Flask, askers: Iterator[Asker]) -> Iterator[tuple[Any, ...]]:
    routes = [route for route in _routes(app) if route.endpoint not in _OWN_SESSION]
    for asker, route in itertools.product(askers, routes):
        # A change of an own thing would change what the next cell finds; what is asked about first is the foreign.
        for whose, ids in (("other", world.other.ids), ("none", UNKNOWN), ("own", world.own.ids)):
            if whose == "own" and (route.method != "GET" or asker.tenant is None):
                continue
            if whose != "other" and not set(route.parts) & KINDS:
                continue
            path = route.path(ids)
            answer = asker.ask(path, route.method)
            yield asker, route, whose, answer, _size(answer, path, ids)
            answer.close()


@pytest.mark.parametrize("listener", ["people", "gateway"])
def test_no_cell_of_the_matrix_leaks(world: World, listener: str) -> None:
    people = listener == "people"
    app = world.house.app if people else world.gateway_app
    table = PEOPLE_ROUTES if people else GATEWAY_ROUTES
    seen: dict[tuple[str, Route], dict[str, tuple[int, int]]] = {}
    cells, leaks, own_found = 0, [], 0
    for asker, route, whose, answer, size in _cells(
        world, app, world.people() if people else world.gateways()
    ):
        cells += 1
        seen.setdefault((asker.name, route), {})[whose] = size
        where = (asker.name, route.method, route.rule, whose, answer.status_code)
        is_open = table[route.endpoint].door in {Door.OPEN, Door.OPEN_FORM}
        if asker.tenant is not None and whose == "other":
            text = answer.get_data().decode("utf-8", "replace")
            asked = set(world.other.ids.values())
            told = {secret for secret in world.other.secrets - asked if secret in text}
            is_let_in = answer.status_code < 400 and "/sign-in" not in answer.headers.get("Location", "")
            # A search within a study that one may not see finds nothing, as in one that is not there.
            is_let_in = is_let_in and answer.get_data() != b"[]"
            if told or (set(route.parts) & KINDS and is_let_in and not is_open):
                leaks.append((*where, told))
        if asker.tenant == "" and answer.status_code < 300 and not is_open:
            leaks.append((*where, "open to nobody"))
        if asker.tenant and whose == "own" and answer.status_code == 200:
            own_found += 1
    for (name, route), sizes in seen.items():
        # The centre's own people see every facility; between what they may see there is no secret.
        is_tenant = name in {"facility", "dicomweb.read", "dicomweb.write", "gateway", "nobody", "stranger"}
        if is_tenant and "none" in sizes and sizes["other"] != sizes["none"]:
            leaks.append((name, route.method, route.rule, "told apart", sizes))
    assert leaks == []
    assert cells > (300 if people else 20)
    assert own_found >= 2


def test_queries_by_another_facilitys_ids_find_nothing(world: World) -> None:
    askers = {asker.name: asker for asker in world.people() if asker.tenant}
    own, other = world.own.ids, world.other.ids
    for query in ("StudyInstanceUID", "0020000D", "SeriesInstanceUID", "SOPInstanceUID"):
        kind = {"SeriesInstanceUID": "series_uid", "SOPInstanceUID": "sop_uid"}.get(query, "study_uid")
        level = {"series_uid": "series", "sop_uid": "instances"}.get(kind, "studies")
        found = askers["dicomweb.read"].ask(f"/dicom-web/{level}?{query}={own[kind]}", "GET")
        assert (found.status_code, len(found.json or [])) == (200, 1), query
        for value in (other[kind], UNKNOWN[kind]):
            hidden = askers["dicomweb.read"].ask(f"/dicom-web/{level}?{query}={value}", "GET")
            assert hidden.status_code in {200, 204}
            assert (hidden.json or []) == [], query
