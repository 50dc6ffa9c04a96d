"""Links to records: what recorded answers of the providers mean, and every way in which a provider fails."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from launcher.errors import (
    AddressRefused,
    HostUnreachable,
    LauncherError,
    RateLimited,
    RecordGone,
    RecordUnfit,
    RepositoryMissing,
    RepositoryPrivate,
)
from launcher.repos.addresses import AddressPolicy
from launcher.repos.providers import SITES, parse_spec
from launcher.repos.records.api import Api
from launcher.repos.records.resolver import RecordResolver
from tests.fixtures.providers import RECORDINGS, Said, StandIn, recording, resolving
from tests.fixtures.trees import PROTOCOLS

if TYPE_CHECKING:
    from launcher.model import Record

NAMES = sorted(path.stem for path in RECORDINGS.glob("*.json"))
WHOLE = [name for name in NAMES if "spec" in recording(name)]
REAL = [name for name in WHOLE if recording(name)["kind"] == "recorded"]
DOI = "10.5281/zenodo.4924875"


async def found(host: StandIn, provider: str, spec: str, timeout_s: float = 30) -> Record:
    """What a link's record is."""
    with resolving(host.sites, timeout_s) as resolver:
        record = (await resolver.resolve(parse_spec(provider, spec, host.sites))).record
    assert record is not None
    return record


async def failure(host: StandIn, spec: str = DOI, provider: str = "zenodo", timeout_s: float = 30) -> LauncherError:
    """What looking for a record fails with."""
    with pytest.raises(LauncherError) as caught:
        await found(host, provider, spec, timeout_s)
    return caught.value


def expected(told: dict[str, Any], host: str) -> tuple[str, list[tuple[str, int, str]]]:
    """What a recording says that it means."""
    return told["id"].replace("{host}", host), [(name, size, digest) for name, size, digest in told["files"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_names_its_origin(name: str) -> None:
    told = recording(name)
    assert told["kind"] in {"recorded", "from documentation"}
    assert "https://" in told["origin"]


@pytest.mark.parametrize("name", WHOLE)
async def test_what_a_provider_answered_is_understood(providers: StandIn, name: str) -> None:
    told = recording(name)
    providers.play(name)
    record = await found(providers, *told["spec"])
    assert (record.id, [(one.path, one.size, one.checksum) for one in record.files]) == expected(
        told, providers.base.partition("://")[2]
    )
    assert record.date > 10**9
    assert all(one.url.startswith(providers.base) for one in record.files)
    assert set(providers.paths) == set(told["answers"]), "every answer of the recording is asked for, and no other"


@pytest.mark.long
@pytest.mark.skipif(not os.environ.get("TEST_PROVIDERS_REAL"), reason="it needs the internet: make test-providers-real")
@pytest.mark.parametrize("name", REAL)
async def test_the_real_provider_answers_so_still(name: str) -> None:
    told = recording(name)
    api = Api(AddressPolicy(), PROTOCOLS)
    try:
        record = (await RecordResolver(api, SITES).resolve(parse_spec(*told["spec"]))).record
    finally:
        api.close()
    assert record is not None
    assert (record.id, [(one.path, one.size, one.checksum) for one in record.files]) == expected(told, "")


async def test_an_answer_that_has_not_changed_is_not_sent_again(providers: StandIn) -> None:
    providers.zenodo(1, {"a": b"1"})
    record = providers.answers["/api/records/1"]
    providers.answers["/api/records/1"] = Said(record.body, headers={"ETag": '"1"'})
    with resolving(providers.sites) as resolver:
        ref = parse_spec("zenodo", "10.5281/zenodo.1", providers.sites)
        first = await resolver.resolve(ref)
        assert await resolver.resolve(ref) == first
        assert [headers.get("If-None-Match") for path, headers in providers.asked if path == "/api/records/1"] == [
            None,
            '"1"',
        ]
        providers.answers["/api/records/1"] = Said(record.body.replace(b"2024", b"2023"), headers={"ETag": '"2"'})
        changed = await resolver.resolve(ref)
    assert first.record
    assert changed.record
    assert changed.record.date < first.record.date, "what has changed is taken as it is now"


async def test_the_doi_of_all_versions_leads_to_the_latest(providers: StandIn) -> None:
    """The id of all versions answers with a redirect to the record of the latest."""
    providers.play("zenodo")
    providers.answers["/api/records/4924874"] = Said(
        status=302, headers={"Location": f"{providers.base}/api/records/4924875"}
    )
    assert (await found(providers, "zenodo", "10.5281/zenodo.4924874")).id == DOI


@pytest.mark.parametrize(
    "said,error,facts",
    [
        (Said(status=404), RepositoryMissing, {}),
        (Said(status=410), RecordGone, {}),
        (Said(status=403), RepositoryPrivate, {}),
        (Said(status=401), RepositoryPrivate, {}),
        (Said(status=500), HostUnreachable, {"reason": "it answers with status 500"}),
        (Said(status=429, headers={"Retry-After": "50"}), RateLimited, {"wait": "50 seconds"}),
        (Said(status=429, headers={"Retry-After": "3000"}), RateLimited, {"wait": "50 minutes"}),
        (Said(status=429), RateLimited, {"wait": ""}),
        (Said(status=503, headers={"Retry-After": "7000"}), RateLimited, {"wait": "117 minutes"}),
        (Said(status=403, headers={"X-RateLimit-Remaining": "0"}), RateLimited, {"wait": ""}),
        (Said(b"<!doctype html><h1>Log in"), RecordUnfit, {"reason": "127.0.0.1 answers, but not with JSON"}),
        (Said(b"[1]"), RecordUnfit, {"reason": "its site answers, but not as one of InvenioRDM"}),
        (Said(b"{}"), RecordUnfit, {"reason": "its site answers, but not as one of InvenioRDM"}),
        (Said(b"[" * 100_000), RecordUnfit, {"reason": "127.0.0.1 answers, but not with JSON"}),
        (Said(b" " * (17 * 2**20)), HostUnreachable, {"reason": "it sends more than it said"}),
        (Said(b" " * (200 * 2**20), pieces=True), RecordUnfit, {}),
        (Said(status=302, headers={"Location": "/api/records/4924875"}), HostUnreachable, {}),
        (Said(status=302, headers={"Location": "http://10.0.0.1/x"}), AddressRefused, {"address": "10.0.0.1"}),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Said) else None,
)
async def test_what_a_provider_may_answer_instead(
    providers: StandIn, said: Said, error: type[LauncherError], facts: dict[str, str]
) -> None:
    providers.answers["/api/records/4924875"] = said
    caught = await failure(providers)
    assert type(caught) is error
    assert {name: getattr(caught, name) for name in facts} == facts


async def test_a_provider_that_says_nothing(providers: StandIn) -> None:
    providers.answers["/api/records/4924875"] = Said(b"{}", pause=3)
    caught = await failure(providers, timeout_s=0.5)
    assert isinstance(caught, HostUnreachable)
    assert caught.reason == "it did not answer within 0.5 seconds"


async def test_a_record_without_files(providers: StandIn) -> None:
    caught = await failure(providers, providers.zenodo(7, {}))
    assert isinstance(caught, RecordUnfit)
    assert caught.reason == "the record has no files"


async def test_a_doi_that_there_is_not(providers: StandIn) -> None:
    assert type(await failure(providers, "10.5072/nothing")) is RepositoryMissing


async def test_a_doi_of_something_else(providers: StandIn) -> None:
    providers.play("doi")
    caught = await failure(providers, "10.1002/chem.202000622")
    assert isinstance(caught, RecordUnfit)
    assert caught.reason == "it leads to onlinelibrary.wiley.com, to a page that is of no record known here"


@pytest.mark.parametrize("values", [[], [{"type": "HS_ADMIN"}], "x", [{"type": "URL", "data": {"value": 5}}]])
async def test_a_doi_that_leads_nowhere(providers: StandIn, values: object) -> None:
    providers.answers["/api/handles/10.5072/x?type=URL"] = Said(json.dumps({"values": values}).encode())
    assert isinstance(await failure(providers, "10.5072/x"), RecordUnfit)
