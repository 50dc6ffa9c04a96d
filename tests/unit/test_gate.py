"""Who may launch what."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from launcher.errors import (
    BadUrl,
    LaunchClosed,
    LauncherError,
    NetworkBanned,
    PersonBanned,
    RepositoryBanned,
    RepositoryNotAllowed,
    TooOften,
)
from launcher.gate.gate import Gate
from launcher.gate.policy import Policy
from launcher.gate.resolved import Held
from launcher.model import Account, Kind, Record, ResolvedRepo
from launcher.operate.policy import pattern_of
from launcher.repos.aliases import Aliases
from launcher.repos.provider import Sites
from launcher.repos.providers import parse_spec, parse_url
from launcher.settings import Settings

if TYPE_CHECKING:
    from launcher.model import RepoRef

ADA, EVE = Account("ada", Kind.MEMBER, ("physics",)), Account("eve", Kind.MEMBER)
GUEST, PROGRAM, OPERATOR = (
    Account("guest-1", Kind.GUEST),
    Account("", Kind.ANONYMOUS),
    Account("operator", Kind.OPERATOR),
)
EVERYBODY = (ADA, EVE, GUEST, PROGRAM, OPERATOR)
NICE = parse_spec("gh", "ada/nice/main")
HERE = "192.0.2.1"


@dataclass
class Finds:
    """A `stages.Resolver` that finds this record, whatever the link."""

    record: Record

    async def resolve(self, ref: RepoRef, account: Account) -> ResolvedRepo:
        del account
        return ResolvedRepo(ref, "", "", record=self.record)


def gate(**policy: Any) -> Gate:
    """A site with this policy, whose links are read as the service reads them."""
    found = Policy.model_validate(policy)
    return Gate(lambda: found, time.monotonic, Aliases(Sites()))


def refusal(of: Gate, account: Account = ADA, ref: RepoRef = NICE, **more: bool) -> type[LauncherError] | None:
    """Why it may not; None: it may."""
    try:
        of.launch(account, HERE, ref, **more)
    except LauncherError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    "launch, may",
    [
        ({}, EVERYBODY),
        ({"open_to": "members"}, (ADA, EVE, OPERATOR)),
        ({"open_to": "groups", "groups": ["physics", "staff"]}, (ADA, OPERATOR)),
        ({"open_to": "groups", "groups": ["staff"], "people": ["eve", "guest-1"]}, (EVE, OPERATOR)),
        ({"open_to": "groups"}, (OPERATOR,)),
    ],
)
def test_who_may_launch(launch: dict[str, Any], may: tuple[Account, ...]) -> None:
    of = gate(launch=launch)
    assert tuple(one for one in EVERYBODY if refusal(of, one) is None) == may
    assert {refusal(of, one) for one in EVERYBODY if one not in may} <= {LaunchClosed}


def test_banned_people_are_told_why() -> None:
    of = gate(banned_people={"eve": "mining", "guest-1": ""}, launch={"people": ["eve"]})
    with pytest.raises(PersonBanned, match="mining"):
        of.launch(EVE, HERE, NICE)
    assert refusal(of, GUEST) is PersonBanned
    assert refusal(of, ADA) is refusal(of, PROGRAM) is None


def test_banned_networks() -> None:
    of = gate(banned_networks={"203.0.113.0/24": "a crawler"})
    of.enter("203.0.114.1")
    with pytest.raises(NetworkBanned, match="a crawler"):
        of.enter("203.0.113.77")


BANNED = {"gh": {"banned": ["^mallory/", "^ada/nice/"]}}
WAYS_TO_ADAS = [
    "https://github.com/ada/nice",
    "https://github.com/ada/nice.git",
    "https://github.com/ADA/Nice/",
    "http://github.com:443/ada/nice",
    "https://www.github.com//ada/./nice",
    "https://github.com/ada/%6eice",
    "git://github.com/ada/nice",
    "ssh://git@github.com/ada/nice.git",
    "git@github.com:ada/nice.git",
    "ssh://git@ssh.github.com:443/ada/nice.git",
    "https://github.com./ada/nice",
    "https://ｇithub。com/ada/nice",
    "https://GITHUB.COM:0443/ada%2Fnice",
]


@pytest.mark.parametrize("address", WAYS_TO_ADAS)
def test_what_is_banned_is_not_launched_by_another_name(address: str) -> None:
    of = gate(providers=BANNED)
    assert refusal(of, ref=parse_spec("git", f"{quote(address, safe='')}/main")) is RepositoryBanned
    assert refusal(of, ref=parse_spec("git", f"{quote('https://github.com/ada/other', safe='')}/main")) is None


LAB = "http://127.0.0.1:18992/lab/"
WAYS_TO_LABS = [
    "http://127.0.0.1:18992/lab/bad",
    "http://127.0.0.1:18992//lab/bad",
    "http://127.0.0.1:18992/./lab/bad",
    "http://127.0.0.1:18992/lab/./bad.git/",
    "http://127.0.0.1:18992/%6cab/%62ad",
    "http://127.0.0.1:18992/lab%2Fbad",
    "http://127.0.0.1:18992/%2F%2e/lab%5Cbad",
    "http://127.1:18992/lab/bad",
    "http://2130706433:18992/lab/bad",
    "http://0x7f000001:18992/lab/bad",
    "http://0X7F.1:18992/lab/bad",
    "http://017700000001:18992/lab/bad",
    "http://[::ffff:127.0.0.1]:18992/lab/bad",
    "http://[0:0::FFFF:7F00:1]:18992/lab/bad",
    "http://[::127.0.0.1]:18992/lab/bad",
    "http://１２７.1:018992//lab//bad",
]


def of_git(address: str) -> RepoRef:
    return parse_spec("git", f"{quote(address, safe='')}/main")


@pytest.mark.parametrize("address", WAYS_TO_LABS)
def test_an_address_is_banned_however_it_is_written(address: str) -> None:
    banned, counted = gate(providers={"git": {"banned": [f"^{LAB}"]}}), gate(rates={"per_repository": 1})
    assert refusal(banned, ref=of_git(address)) is RepositoryBanned
    with pytest.raises(RepositoryBanned):
        banned.leads_to(of_git(address).url)
    for other in (f"{LAB[:-2]}/bad", "http://127.2:18992/lab/bad", "http://127.0.0.1:18992/x/lab/bad"):
        assert refusal(banned, ref=of_git(other)) is None
    assert [refusal(counted, GUEST, of_git(one)) for one in (f"{LAB}bad", address)] == [None, TooOften]


@pytest.mark.parametrize("pattern", ["^{}", "^{}/", r"^{}\.git/main$"])
@pytest.mark.parametrize(
    "banned",
    ["http://git.example.org/lab/bad", "ssh://git@git.example.org/lab/bad", "git@git.example.org:lab/bad"],
)
@pytest.mark.parametrize(
    "address",
    ["https://git.example.org/lab/bad.git", "git@git.example.org:/lab/bad/", "ssh://git.example.org:2222/lab/bad"],
)
def test_a_ban_holds_over_each_protocol(pattern: str, banned: str, address: str) -> None:
    of = gate(providers={"git": {"banned": [pattern.format(banned)]}})
    assert refusal(of, ref=of_git(address)) is RepositoryBanned
    assert refusal(of, ref=of_git("https://git.example.org/lab/good")) is None


@pytest.mark.parametrize("address", ["https://git.example.org:8443/lab/bad.git", "git@git.example.org:lab/bad"])
def test_a_ban_of_a_repository_by_command_holds_by_all_its_names(address: str) -> None:
    provider, pattern = pattern_of(address, "", Settings())
    of = gate(providers={provider: {"banned": [pattern]}})
    for one in (address, "http://git.example.org/lab/bad/", "ssh://git@git.example.org:2222//lab/bad.git"):
        assert refusal(of, ref=of_git(one)) is RepositoryBanned
    assert refusal(of, ref=of_git("https://git.example.org/lab/bad2")) is None


@pytest.mark.parametrize(
    "link, banned",
    [
        ("git@altssh.gitlab.com:mallory/x.git", "gl"),
        ("ssh://git@altssh.gitlab.com:443/mallory/x", "gl"),
        ("ssh://git@ssh.github.com:443/mallory/x", "gh"),
        ("ssh://git@ghe.example.org:22/mallory//x", "gh"),
        ("https://ghe.example.org:8443/./mallory/x/", "gh"),
    ],
)
def test_a_ban_of_a_site_holds_at_all_its_doors(link: str, banned: str) -> None:
    sites = Sites(github="https://ghe.example.org:8443") if "ghe" in link else Sites()
    policy = Policy.model_validate({"providers": {banned: {"banned": ["^mallory(/|%2F)"]}}})
    of = Gate(lambda: policy, time.monotonic, Aliases(sites))
    assert refusal(of, ref=of_git(link)) is RepositoryBanned
    assert refusal(of, ref=of_git(link.replace("mallory", "ada"))) is None


@pytest.mark.parametrize(
    "address, may",
    [
        *((one, True) for one in WAYS_TO_LABS if not ("//lab" in one or "%2F" in one)),
        # What a host might read otherwise has to be allowed as it is.
        *((one, False) for one in WAYS_TO_LABS if "//lab" in one or "%2F" in one),
        ("http://127.0.0.1:18992/open/./../lab/bad", None),
        ("http://127.0.0.1:18992/lab/%2e%2e/other", None),
        ("http://127.0.0.1:18992/other/lab/bad", False),
        ("http://127.0.0.1:18993/lab/bad", False),
        ("https://127.0.0.1:18992/lab/bad", False),
        ("http://127.0.0.2:18992/lab/bad", False),
        ("ssh://git@127.0.0.1:18992/lab/bad", False),
        ("http://127.0.0.1:18992/./public/bad", False),
        ("http://127.0.0.1:18992///public/bad", False),
        ("http://127.0.0.1:18992/a/public/bad", True),
    ],
)
def test_what_is_allowed_is_no_more_however_it_is_written(address: str, may: bool | None) -> None:
    of = gate(providers={"git": {"allowed": [f"^{LAB}", "^http://127.0.0.1:18992/.+/public/"]}})
    if may is None:
        with pytest.raises(BadUrl):
            of_git(address)
        return
    assert refusal(of, ref=of_git(address)) is (None if may else RepositoryNotAllowed)


def test_what_is_banned_is_not_launched_by_pasting_it() -> None:
    of = gate(providers=BANNED)
    for address in ("github.com/ada/nice/tree/main", "git@github.com:ada/nice.git", "/v2/gh/ada/nice/HEAD"):
        assert refusal(of, ref=parse_url(address)) is RepositoryBanned


def test_a_ban_of_addresses_holds_for_named_providers() -> None:
    of = gate(providers={"git": {"banned": ["^https://github.com/ada/"]}})
    assert refusal(of, ref=NICE) is RepositoryBanned
    assert refusal(of, ref=parse_spec("gh", "bob/nice/main")) is None


ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "address",
    [f"https://gist.github.com/{ID}.git", f"https://gist.github.com/somebody/{ID}", f"git@gist.github.com:{ID}.git"],
)
def test_a_gist_is_banned_whoever_is_said_to_have_it(address: str) -> None:
    provider, pattern = pattern_of(f"https://gist.github.com/mallory/{ID}", "", Settings())
    of = gate(providers={provider: {"banned": [pattern]}})
    assert refusal(of, ref=parse_spec("git", f"{quote(address, safe='')}/HEAD")) is RepositoryBanned
    assert refusal(of, ref=parse_spec("gist", f"anybody/{ID}/HEAD")) is RepositoryBanned
    assert refusal(of, ref=parse_spec("gist", f"mallory/{ID[::-1]}/HEAD")) is None


def test_where_a_host_leads_on_to_is_banned_too() -> None:
    of = gate(providers=BANNED)
    of.leads_to("https://github.com/bob/nice.git")
    for address in ("https://github.com/ada/nice.git", "https://github.com/MALLORY/coins/"):
        with pytest.raises(RepositoryBanned):
            of.leads_to(address)


DOI = "10.5281/zenodo.3242074"


@pytest.mark.parametrize("provider", ["zenodo", "figshare", "dataverse"])
@pytest.mark.parametrize("spec", [DOI, DOI.upper(), quote(DOI, safe=""), f"https://doi.org/{DOI}", f"doi:{DOI}"])
def test_a_record_is_banned_whichever_provider_is_named(provider: str, spec: str) -> None:
    of = gate(providers={"zenodo": {"banned": [rf"^{re.escape(DOI)}$"]}})
    assert refusal(of, ref=parse_spec(provider, spec)) is RepositoryBanned
    assert refusal(of, ref=parse_spec(provider, f"{DOI}1")) is None


@pytest.mark.parametrize(
    "link, found",
    [
        (f"https://zenodo.org/records/{DOI.rpartition('.')[2]}", DOI),
        (
            "https://www.hydroshare.org/resource/142c59757ed54de1816777828c9716e7",
            "142c59757ed54de1816777828c9716e7 as of 2020",
        ),
        ("https://doi.org/10.7910/DVN/TJCLKP", "10.7910/DVN/TJCLKP version 1.0"),
        (
            "/v2/ckan/https%3A%2F%2Fdemo.ckan.org%2Fdataset%2Fsample-dataset-1",
            "demo.ckan.org/dataset/sample-dataset-1 as of 2020",
        ),
        (f"swh:1:rev:{'5' * 40}", f"swh:1:rev:{'5' * 40}"),
    ],
)
def test_a_record_is_banned_by_any_doi_that_leads_to_it(link: str, found: str) -> None:
    provider, pattern = pattern_of(link, "", Settings())
    of, other = gate(providers={provider: {"banned": [pattern]}}), parse_spec("zenodo", "10.1234/another")
    with pytest.raises(RepositoryBanned, match=r"10\.1234/another"):
        of.is_record(ADA, other, found)
    of.is_record(OPERATOR, other, found)
    of.is_record(ADA, other, "10.5281/zenodo.9")


@pytest.mark.parametrize("banned", [DOI, "10.5281/zenodo.3242073"])
async def test_a_version_is_banned_by_its_own_doi_and_by_that_of_all_versions(banned: str) -> None:
    """Whichever of them a link has, it turns out to be of this version."""
    provider, pattern = pattern_of(f"https://doi.org/{banned}", "", Settings())
    of = gate(providers={provider: {"banned": [pattern]}})
    finder = Finds(Record(DOI, 0, (), concept="10.5281/zenodo.3242073"))
    for doi in (DOI, "10.5281/zenodo.3242073", "10.1234/another"):
        with pytest.raises(RepositoryBanned, match=re.escape(doi)):
            await Held(finder, of).resolve(parse_spec("zenodo", doi), ADA)
        assert (await Held(finder, of).resolve(parse_spec("zenodo", doi), OPERATOR)).record == finder.record
    for other in (Record("10.5281/zenodo.9", 0, (), concept="10.5281/zenodo.8"), Record("10.5281/zenodo.9", 0, ())):
        assert (await Held(Finds(other), of).resolve(parse_spec("zenodo", "10.5281/zenodo.9"), ADA)).record == other


def test_people_are_banned_and_named_however_their_names_are_written() -> None:
    of = gate(banned_people={" Mallory": "mining"}, launch={"open_to": "groups", "people": ["EVE"]})
    assert refusal(of, Account("mallory", Kind.MEMBER)) is refusal(of, Account("MALLORY", Kind.MEMBER)) is PersonBanned
    assert refusal(of, EVE) is None


def test_one_repository_is_counted_as_one_however_it_is_written() -> None:
    of = gate(rates={"per_address": 0, "per_repository": 3})
    links = [NICE, parse_spec("gh", "Ada/NICE/main"), *(parse_spec("git", quote(way, safe="")) for way in WAYS_TO_ADAS)]
    assert [refusal(of, GUEST, one) for one in links] == [None] * 3 + [TooOften] * (len(links) - 3)
    assert refusal(of, GUEST, parse_spec("gh", "ada/other/main")) is None


def test_only_some_are_allowed() -> None:
    of = gate(providers={"gh": {"allowed": ["^ada/"]}, "git": {"allowed": ["^https?://(git.example.org|github.com)/"]}})
    assert refusal(of) is None
    assert refusal(of, ref=parse_spec("gh", "bob/nice/main")) is RepositoryNotAllowed
    assert refusal(of, ref=parse_spec("gh", "bob/ada/main")) is RepositoryNotAllowed
    assert refusal(of, ref=parse_spec("gl", "bob%2Fnice/main")) is None, "of other providers nothing is said"
    for address, why in (
        ("https://git.example.org/x", None),
        ("https://elsewhere.example.org/x", RepositoryNotAllowed),
        ("https://github.com/ada/nice", None),
        ("https://github.com/bob/nice", RepositoryNotAllowed),
    ):
        assert refusal(of, ref=parse_spec("git", f"{quote(address, safe='')}/main")) is why


def test_a_provider_is_closed() -> None:
    of = gate(providers={"zenodo": {"allowed": []}})
    assert refusal(of, ref=parse_spec("zenodo", "10.5281/zenodo.3242074")) is RepositoryNotAllowed


def test_a_record_is_banned_by_its_doi() -> None:
    of = gate(providers={"zenodo": {"banned": [r"^10\.5281/zenodo\.3242074"]}})
    assert refusal(of, ref=parse_spec("zenodo", "10.5281/zenodo.3242074")) is RepositoryBanned


def test_how_often() -> None:
    of = gate(rates={"per_address": 2, "per_person": 3, "per_repository": 0})
    assert [refusal(of, one) for one in (PROGRAM, GUEST, PROGRAM)] == [None, None, TooOften]
    assert [refusal(of, ADA) for _ in range(4)] == [None] * 3 + [TooOften]
    assert [refusal(of, OPERATOR) for _ in range(9)] == [None] * 9
    assert of.standing(OPERATOR, HERE) is None
    standing = of.standing(EVE, HERE)
    assert standing is not None
    assert (standing.limit, standing.remaining, standing.full_s) == (3, 3, 0)
    standing = of.standing(GUEST, HERE)
    assert standing is not None
    assert (standing.limit, standing.remaining) == (2, 0)
    assert 595 <= standing.full_s <= 600


def test_a_refused_launch_is_not_counted() -> None:
    of = gate(rates={"per_address": 1}, providers=BANNED)
    assert [refusal(of, GUEST) for _ in range(5)] == [RepositoryBanned] * 5
    assert refusal(of, GUEST, parse_spec("gh", "ada/other/main")) is None


def test_limits_change_while_it_runs() -> None:
    policies = [Policy.model_validate({"rates": {"per_address": 1}})]
    of = Gate(lambda: policies[-1], time.monotonic, Aliases(Sites()))
    assert [refusal(of, GUEST), refusal(of, GUEST)] == [None, TooOften]
    policies.append(Policy.model_validate({"rates": {"per_address": 10}}))
    assert refusal(of, GUEST) is TooOften or refusal(of, GUEST) is None
    policies.append(Policy.model_validate({"banned_networks": {"192.0.2.0/24": "us"}}))
    with pytest.raises(NetworkBanned):
        of.enter(HERE)
