"""What may be asked of the build worker, and what may not."""

from __future__ import annotations

import json

import pytest

from builders.requests import VERBS, RequestWrong, format_request, parse_request

ID = "sha256:" + "a" * 64
GOOD: dict[str, str | int] = {
    "afresh": 1,
    "checkout": "0123456789abcdef-1",
    "commit": "c" * 40,
    "date": 1_700_000_000,
    "engine_id": ID,
    "image": f"127.0.0.1:5000/repolaunch/env@{ID}",
    "key": "b" * 64,
    "space": "e" * 32,
    "platform": "linux/arm64/v8",
    "source": "https://git.example/x?y=--label=z",
    "ref": "",
    "name": "refs/heads/ä",
    "tree": "git:" + "d" * 40 + "+lfs",
    "measure": "yes",
    "kind": "environment",
    "thing": ID,
    "place": "stores",
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_says_what_was_asked(verb: str) -> None:
    fields = {name: GOOD[name] for name in VERBS[verb]}
    request = parse_request(format_request(verb, fields))
    assert (request.verb, request.fields) == (verb, fields)


@pytest.mark.parametrize(
    "name,value",
    [
        ("afresh", 2),
        ("afresh", True),
        ("checkout", "../secrets"),
        ("ref", "a\nb"),
        ("name", None),
        ("tree", "a b"),
        ("checkout", "a/b"),
        ("checkout", "."),
        ("checkout", ".."),
        ("checkout", "-v"),
        ("checkout", ""),
        ("checkout", "a\n"),
        ("commit", "HEAD"),
        ("commit", "--output=/etc/x"),
        ("date", -1),
        ("date", True),
        ("date", "1"),
        ("engine_id", "debian:trixie"),
        ("engine_id", f"{ID}/../../containers/json"),
        ("image", "debian:trixie"),
        ("image", "--help@" + ID),
        ("image", "unix:///x y@" + ID),
        ("key", "b" * 63),
        ("key", "latest"),
        ("space", "../env"),
        ("space", "e" * 31),
        ("platform", "linux"),
        ("platform", "linux/amd64 --privileged"),
        ("source", "https://x\n--label=y"),
        ("source", "x" * 4097),
        ("source", None),
        ("thing", ".."),
        ("thing", "../secrets"),
        ("thing", "a/b"),
        ("thing", "-rf"),
        ("thing", ""),
        ("kind", "engine"),
        ("place", "workspaces"),
        ("measure", True),
    ],
)
def test_every_field_has_its_form(name: str, value: object) -> None:
    verb = next(verb for verb, names in VERBS.items() if name in names)
    fields = {field: GOOD[field] for field in VERBS[verb]} | {name: value}
    with pytest.raises(RequestWrong, match=f"the {name} is not of its form"):
        parse_request(json.dumps({"verb": verb, **fields}).encode())


@pytest.mark.parametrize(
    "line,reason",
    [
        (b"\xff\n", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]\n", "it is not an object"),
        (b'{"verb": "prune"}', "there is no such verb"),
        (b'{"verb": ["build"]}', "there is no such verb"),
        (b'{"verb": "registry", "host": "x"}', "the fields of registry are none"),
        (b'{"verb": "find"}', "the fields of find are key, space"),
    ],
)
def test_anything_else_is_refused(line: bytes, reason: str) -> None:
    with pytest.raises(RequestWrong) as caught:
        parse_request(line)
    assert caught.value.reason == reason
