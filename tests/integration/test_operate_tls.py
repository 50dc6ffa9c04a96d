"""TLS at the public proxy: people, sessions' websockets, renewal, and pairs that do not fit."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from launcher.operate.checks import check
from launcher.operate.installation import free_port, open_installation
from launcher.settings import SettingWrong, load
from tests.fixtures.registry import RunningRegistry, _certificate, _Pair
from tests.fixtures.service import Service, phases, visiting
from tests.integration.test_operate_up import repolaunch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fixtures.repos import GitHost


def pair_in(folder: Path) -> _Pair:
    folder.mkdir(exist_ok=True)
    return _certificate(folder)


@pytest.fixture
def with_tls(tmp_path: Path, registry: RunningRegistry) -> Iterator[Service]:
    pair = pair_in(tmp_path / "tls")
    one = Service(tmp_path / "data", free_port(), tls=ssl.create_default_context(cafile=str(pair.certificate_file)))
    one.env |= {
        "REPOLAUNCH_REGISTRY": registry.host,
        "REPOLAUNCH_REGISTRY_TLS": "false",
        "REPOLAUNCH_TLS_CERTIFICATE": str(pair.certificate_file),
        "REPOLAUNCH_TLS_KEY": str(pair.key_file),
        "REPOLAUNCH_REDIRECT_PORT": str(free_port()),
    }
    try:
        yield one
    finally:
        one.remove()


@pytest.mark.engine
async def test_a_session_over_tls_and_a_renewed_certificate(
    with_tls: Service, git_daemon: GitHost, tmp_path: Path
) -> None:
    await asyncio.to_thread(with_tls.start)
    repo = git_daemon.make_repo(files={"Dockerfile": "FROM localhost/repolaunch/base:1\n"})
    async with visiting(with_tls) as visitor:
        await visitor.enter()
        plain = {cookie.key for cookie in visitor.http.cookie_jar if not cookie["secure"]}
        assert plain <= {"_xsrf"}, "which opens nothing by itself"
        events = await visitor.launch(repo.url)
        assert phases(events)[-1] == "ready", events[-1]
        session = await visitor.session(events[-1]["url"])
        assert await session.run("print(6 * 7)") == "42\n"  # by wss
        http = f"http://127.0.0.1:{with_tls.env['REPOLAUNCH_REDIRECT_PORT']}/v2/x?y=z"
        async with visitor.http.get(http, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (301, f"{with_tls.base_url}/v2/x?y=z")
        done = await asyncio.to_thread(repolaunch, "projects", "--data", str(with_tls.data))
        assert events[-1]["project"] in done.stdout, done.stderr

        # A renewal: first half of it, then all; the proxy is not started again.
        proxy = with_tls.child("proxy").pid
        old = await asyncio.to_thread(served, with_tls.port)
        new = await asyncio.to_thread(pair_in, tmp_path / "renewed")
        shutil.copy(new.certificate_file, with_tls.env["REPOLAUNCH_TLS_CERTIFICATE"])
        await until_said(with_tls, "The renewed certificate cannot be used, the old one stays: ")
        assert await asyncio.to_thread(served, with_tls.port) == old
        shutil.copy(new.key_file, with_tls.env["REPOLAUNCH_TLS_KEY"])
        await until_said(with_tls, "The renewed certificate is used.")
        assert await asyncio.to_thread(served, with_tls.port) == new.certificate_file.read_text()
        assert with_tls.child("proxy").pid == proxy
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        async with visiting(with_tls) as stranger:  # trusts the old certificate only
            await stranger.enter()


def served(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))


async def until_said(service: Service, words: str) -> None:
    deadline = time.monotonic() + 40
    while words not in (service.data / "logs" / "proxy.log").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


# ------------------------------------------------------------------ what is refused
def wrong(tmp_path: Path) -> dict[str, tuple[dict[str, Any], str]]:
    one, other = pair_in(tmp_path / "one"), pair_in(tmp_path / "other")
    certificate, key = str(one.certificate_file), str(one.key_file)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", key, "-out", str(locked)],
        check=True, capture_output=True,
    )  # fmt: skip
    both = {"tls_certificate": certificate, "tls_key": key}
    return {
        "no key": ({"tls_certificate": certificate}, "tls_key is '', which cannot be: a certificate and"),
        "no certificate": ({"tls_key": key}, "tls_certificate is '', which cannot be: a certificate and its key are"),
        "nothing there": (both | {"tls_key": "/nowhere"}, "tls_key is '/nowhere', which cannot be: the file cannot be"),
        "another's key": (both | {"tls_key": str(other.key_file)}, "it does not belong to the certificate in /"),
        "a locked key": (both | {"tls_key": str(locked)}, "the pair cannot be read (PEM)"),
        "no PEM": (both | {"tls_certificate": __file__}, "the pair cannot be read (PEM)"),
        "plain address": (both | {"public_url": "http://x.example"}, "with a certificate it begins with https"),
        "nowhere to lead": ({"redirect_port": 80}, "which cannot be: there is no TLS port to lead to"),
    }  # fmt: skip


async def test_a_pair_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    installation = open_installation(tmp_path / "data")
    for name, (values, sentence) in wrong(tmp_path).items():
        with pytest.raises(SettingWrong) as raised:
            await check(installation, load(None, {}, **values))
        assert sentence in str(raised.value), name
