"""Links to records: what recorded answers of the providers mean, and every way in which a provider fails."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from launcher.errors import (
    AddressRefused,
    HostUnreachable,
    LauncherError,
    RateLimited,
    RecordElsewhere,
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
REAL = [name for name in WHOLE if recording(name)["kind"] == "recorded" and "{" not in recording(name)["spec"][1]]
DOI = "10.5281/zenodo.4924875"
DIRECTORY = "swh:1:dir:977fc4b98c0e85816348cebd3b12026407c368b6"
REVISION = "swh:1:rev:aafb16d69fd30ff58afdd69036a26047f3aebdc6"


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
    provider, spec = told["spec"]
    record = await found(providers, provider, spec.replace("{quoted base}", quote(providers.base, safe="")))
    assert (record.id, [(one.path, one.size, one.checksum) for one in record.files]) == expected(
        told, providers.base.partition("://")[2]
    )
    assert record.concept == told.get("concept", "")
    assert record.date > 10**9 or told.get("dateless")
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


async def test_zenodos_own_interface_says_it_in_other_words(providers: StandIn) -> None:
    """What all versions are cited by, as https://zenodo.org/schemas/record has it."""
    providers.zenodo(4924875, {"a": b"1"})
    record = json.loads(providers.answers["/api/records/4924875"].body)
    del record["pids"]
    providers.json("/api/records/4924875", record | {"doi": DOI, "conceptdoi": "10.5281/zenodo.4924874"})
    seen = await found(providers, "zenodo", DOI)
    assert (seen.id, seen.concept) == (DOI, "10.5281/zenodo.4924874")


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


async def test_many_who_ask_the_same_are_one_question(providers: StandIn) -> None:
    """A class that opens one link; also if the first of them leaves, and those who come a little later."""
    doi = providers.zenodo(1, {"a": b"1"})
    providers.answers["/api/records/1"] = replace(providers.answers["/api/records/1"], pause=0.3)
    ref = parse_spec("zenodo", doi, providers.sites)
    with resolving(providers.sites, fresh_s=60) as resolver:
        first, *others = [asyncio.create_task(resolver.resolve(ref)) for _ in range(50)]
        await asyncio.sleep(0.1)
        first.cancel()
        found = await asyncio.gather(*others)
        assert await resolver.resolve(ref) == found[0]
    assert providers.paths == ["/api/records/1", "/api/records/1/files"]


async def test_an_error_is_not_remembered(providers: StandIn) -> None:
    doi = providers.zenodo(1, {"a": b"1"})
    record = providers.answers.pop("/api/records/1")
    ref = parse_spec("zenodo", doi, providers.sites)
    with resolving(providers.sites, fresh_s=60) as resolver:
        with pytest.raises(RepositoryMissing):
            await resolver.resolve(ref)
        providers.answers["/api/records/1"] = record
        assert (await resolver.resolve(ref)).record


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
        (Said(status=429, headers={"Retry-After": "\u00b2"}), RateLimited, {"wait": ""}),
        (Said(status=429), RateLimited, {"wait": ""}),
        (Said(status=503, headers={"Retry-After": "7000"}), RateLimited, {"wait": "117 minutes"}),
        (Said(status=403, headers={"X-RateLimit-Remaining": "0"}), RateLimited, {"wait": ""}),
        (Said(b"<!doctype html><h1>Log in"), RecordUnfit, {"reason": "127.0.0.1 answers, but not with JSON"}),
        (Said(b"[1]"), RecordUnfit, {"reason": "its site answers, but not as one of InvenioRDM"}),
        (Said(b"{}"), RecordUnfit, {"reason": "its site answers, but not as one of InvenioRDM"}),
        (Said(b"[" * 100_000), RecordUnfit, {"reason": "127.0.0.1 answers, but not with JSON"}),
        (Said(b"[" + b"{}," * 2**20 + b"{}]"), RecordUnfit, {"reason": "its description has more than 300000 parts"}),
        (Said(b"[" + b"[]," * 2**20 + b"[]]"), RecordUnfit, {"reason": "its description has more than 300000 parts"}),
        (Said(b" " * (17 * 2**20)), HostUnreachable, {"reason": "it sends more than it said"}),
        (
            Said(b" " * (200 * 2**20), pieces=True),
            RecordUnfit,
            {"reason": "its description has more than 16777216 bytes"},
        ),
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
    assert isinstance(caught, RecordElsewhere)
    assert caught.host == "onlinelibrary.wiley.com"


@pytest.mark.parametrize("values", [[], [{"type": "HS_ADMIN"}], "x", [{"type": "URL", "data": {"value": 5}}]])
async def test_a_doi_that_leads_nowhere(providers: StandIn, values: object) -> None:
    providers.answers["/api/handles/10.5072/x?type=URL"] = Said(json.dumps({"values": values}).encode())
    assert isinstance(await failure(providers, "10.5072/x"), RecordUnfit)


# --------------------------------------------------------------------------- what is each provider's own
async def test_a_file_of_a_dataset_leads_to_the_dataset(providers: StandIn) -> None:
    providers.play("dataverse")
    handle = {
        "values": [
            {"type": "URL", "data": {"value": f"{providers.base}/file.xhtml?persistentId=doi:10.7910/DVN/TJCLKP/X"}}
        ]
    }
    providers.json("/api/handles/10.7910/DVN/TJCLKP/X?type=URL", handle)
    told = {"status": "OK", "data": {"datasetVersion": {"datasetPersistentId": "doi:10.7910/DVN/TJCLKP"}}}
    asked = "/api/files/:persistentId/?persistentId=doi:10.7910/DVN/TJCLKP/X&returnDatasetVersion=true"
    providers.json(asked, told)
    assert (await found(providers, "dataverse", "10.7910/DVN/TJCLKP/X")).id == "10.7910/DVN/TJCLKP version 4.0"
    del providers.answers[asked]
    assert type(await failure(providers, "10.7910/DVN/TJCLKP/X", "dataverse")) is RepositoryMissing


async def test_a_dataset_that_was_withdrawn(providers: StandIn) -> None:
    providers.play("dataverse")
    path = "/api/datasets/:persistentId/?persistentId=doi:10.7910/DVN/TJCLKP"
    body = providers.answers[path].body
    providers.answers[path] = Said(body.replace(b"RELEASED", b"DEACCESSIONED"))
    assert type(await failure(providers, "10.7910/DVN/TJCLKP", "dataverse")) is RecordGone


async def test_a_version_of_an_article_and_all_its_files(providers: StandIn) -> None:
    """The article lists ten files at most; a link to a file elsewhere is none of its files."""
    file = {"size": 1, "is_link_only": False, "computed_md5": "0" * 32}
    listed = [{**file, "id": number, "name": f"f{number}"} for number in range(12)]
    listed.append({**file, "id": 99, "name": "elsewhere", "is_link_only": True})
    article = {"version": 2, "published_date": "2024-02-29T12:00:00Z", "doi": "10.1184/R1/7.v2", "files": listed[:10]}
    providers.json("/v2/articles/12345/versions/2", article)
    providers.json("/v2/articles/12345/versions/2/files?page=1&page_size=1000", listed)
    page = f"{providers.base}/articles/dataset/A_title/12345/2"
    providers.json("/api/handles/10.1184/R1/7?type=URL", {"values": [{"type": "URL", "data": {"value": page}}]})
    record = await found(providers, "figshare", "10.1184/R1/7")
    assert record.id == "10.1184/R1/7.v2"
    assert [one.path for one in record.files] == [f"f{number}" for number in range(12)]
    assert record.files[3].url == f"{providers.base}/v2/file/download/3"


async def test_a_dataset_as_it_is_now(providers: StandIn) -> None:
    providers.play("ckan")
    [told] = providers.answers.values()
    providers.answers["/api/3/action/package_show?id=sea"] = told
    record = await found(providers, "ckan", quote(f"{providers.base}/dataset/sea", safe=""))
    assert len(record.files) == 3
    old = await found(
        providers, "ckan", quote(f"{providers.base}/dataset/sea/history/00000000-0000-0000-0000-000000000001", safe="")
    )
    assert old.files == record.files


async def test_software_heritage_packs_a_directory_when_it_is_asked(providers: StandIn) -> None:
    """It is asked once to begin, then whether it has ended; what it may say instead is told."""
    providers.play("swh-directory")
    path = f"/api/1/vault/flat/{DIRECTORY}/"
    done = providers.answers[path]
    providers.answers[path] = Said(done.body.replace(b"done", b"pending"))
    waiting = asyncio.create_task(found(providers, "swh", DIRECTORY))
    while len(providers.asked) < 2:
        await asyncio.sleep(0.02)
    providers.answers[path] = done
    assert (await waiting).tree == DIRECTORY[10:]
    assert [one for _, headers in providers.asked if (one := headers.get("Content-Length"))] == ["2"], "one POST"
    providers.answers[path] = Said(done.body.replace(b"done", b"failed"))
    failed = await failure(providers, DIRECTORY, "swh")
    assert isinstance(failed, RecordUnfit)
    assert failed.reason == "Software Heritage could not pack its files"
    providers.answers[path] = Said(status=404)
    assert type(await failure(providers, DIRECTORY, "swh")) is RepositoryMissing


@pytest.mark.parametrize(
    "branches,reason",
    [
        ({}, "the snapshot has no branch that is its default"),
        ({"HEAD": {"target": "HEAD", "target_type": "alias"}}, "the snapshot's default branch leads to itself"),
        (
            {"HEAD": {"target": "refs/heads/x", "target_type": "alias"}},
            "the snapshot has no branch that is its default",
        ),
        ({"HEAD": {"target": "0" * 40, "target_type": "content"}}, "it leads to no directory"),
        ({"HEAD": {"target": "../../x", "target_type": "directory"}}, "its site answers, but not as Software Heritage"),
    ],
)
async def test_snapshots_that_lead_nowhere(providers: StandIn, branches: dict[str, Any], reason: str) -> None:
    providers.json(f"/api/1/snapshot/{'1' * 40}/", {"branches": branches})
    caught = await failure(providers, f"swh:1:snp:{'1' * 40}", "swh")
    assert isinstance(caught, RecordUnfit)
    assert caught.reason == reason


@pytest.mark.parametrize(
    "provider,spec,path",
    [
        ("swh-directory", DIRECTORY, f"/api/1/vault/flat/{DIRECTORY}/"),
        ("swh-revision", REVISION, f"/api/1/revision/{REVISION[10:]}/"),
        ("dataverse", "10.7910/DVN/TJCLKP", "/api/datasets/:persistentId/?persistentId=doi:10.7910/DVN/TJCLKP"),
        ("figshare", "10.6084/m9.figshare.14763051", "/v2/articles/14763051"),
        ("hydroshare", "142c59757ed54de1816777828c9716e7", "/hsapi/resource/142c59757ed54de1816777828c9716e7/files/"),
        ("ckan", "", "/api/3/action/package_show?id=sea"),
    ],
)
async def test_answers_of_another_form(providers: StandIn, provider: str, spec: str, path: str) -> None:
    """Nothing that a provider may say is an error of ours; a page that asks for a login is no record."""
    providers.play(provider)
    provider = provider.partition("-")[0]
    spec = spec or quote(f"{providers.base}/dataset/sea", safe="")
    for body in (b"{}", b"[]", b"null", b'{"data": 5, "result": 5, "results": [5], "files": [5]}', b"<html>", b'"x"'):
        providers.answers[path] = Said(body)
        assert type(await failure(providers, spec, provider)) is RecordUnfit, body
    for status, error in (
        (404, RepositoryMissing),
        (403, RepositoryPrivate),
        (429, RateLimited),
        (500, HostUnreachable),
    ):
        providers.answers[path] = Said(b"{}", status)
        assert type(await failure(providers, spec, provider)) is error
