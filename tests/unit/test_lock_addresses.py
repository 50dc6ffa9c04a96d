"""A Python, Julia or Pipenv lock file that names an address of this network is refused before anything is built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from builders import machine
from builders.addresses import is_private, place
from builders.errors import BuildAddressClosed, EnvironmentBroken
from builders.interface import Workshop
from builders.repo2docker import named
from builders.repo2docker.builder import Repo2Docker
from tests.fixtures.locks import PROJECT, REGISTRY, REQUIREMENTS, SIX, SIX_URL, SOURCE, WHEEL, pylock, uv_lock

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789012345678901234567890123456789"
LINE = f"six==1.17.0 --hash=sha256:{SIX}\n"


def locked(address: str) -> dict[str, str]:
    """A `uv.lock` with that address in the place of a wheel's."""
    return {"uv.lock": uv_lock().replace(SIX_URL, address), "pyproject.toml": PROJECT}


def of_uv(source: str, files: str = WHEEL) -> dict[str, str]:
    return {"uv.lock": uv_lock(source=source, files=files), "pyproject.toml": PROJECT}


async def detected(folder: Path, texts: dict[str, str]) -> None:
    """As `detect` looks at a directory of these files."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    builder = Repo2Docker()
    declared = builder.detect(folder)
    assert declared is not None
    await builder.inputs(folder, declared, "linux/amd64", Workshop(folder), print)


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's pip has no index of its own, unless a test says so."""
    monkeypatch.setattr(machine, "pip_settings", lambda: "[global]\n")


@pytest.mark.parametrize(
    "texts,address,step",
    [
        (locked("http://10.0.0.5/six-1.17.0-py3-none-any.whl"), "10.0.0.5", "uv.lock:22: six"),
        (
            {"uv.lock": uv_lock(files=SOURCE.replace("https://files.pythonhosted.org", "http://10.0.0.5") + WHEEL)}
            | {"pyproject.toml": PROJECT},
            "10.0.0.5",
            "uv.lock:20: six",
        ),
        (of_uv('{ registry = "http://10.0.0.5/simple" }'), "10.0.0.5", "uv.lock:19: six"),
        (of_uv(f'{{ git = "https://10.0.0.5/six.git?rev=1#{COMMIT}" }}'), "10.0.0.5", "uv.lock:19: six"),
        (of_uv(f'{{ git = "ssh://git@10.0.0.5/six.git?rev=1#{COMMIT}" }}'), "10.0.0.5", "uv.lock:19: six"),
        (of_uv('{ url = "http://10.0.0.5/six-1.17.0.whl" }'), "10.0.0.5", "uv.lock:19: six"),
        (
            {f"binder/{name}": text for name, text in locked("http://10.0.0.5/x.whl").items()},
            "10.0.0.5",
            "binder/uv.lock:22: six",
        ),
        (
            {"pylock.toml": pylock().replace(SIX_URL, "http://169.254.169.254/latest/six.whl")},
            "169.254.169.254",
            "pylock.toml:8: six",
        ),
        (
            {"pylock.toml": pylock(f'vcs = {{ type = "git", url = "https://10.0.0.5/x", commit-id = "{COMMIT}" }}\n')},
            "10.0.0.5",
            "pylock.toml:8: six",
        ),
        # Of another platform, and written so that the text has no address in it.
        (
            {"pylock.toml": pylock().replace(SIX_URL, r"http:\u002f\u002f10.0.0.5/six.whl")},
            "10.0.0.5",
            "pylock.toml: six",
        ),
        (
            {"requirements.txt": f"{LINE}x @ http://10.0.0.5/x.whl --hash=sha256:{SIX}\n"},
            "10.0.0.5",
            "requirements.txt:2",
        ),
        (
            {"requirements.txt": f"{LINE}x@git+ssh://git@10.0.0.5/x --hash=sha256:{SIX}\n"},
            "10.0.0.5",
            "requirements.txt:2",
        ),
        ({"requirements.txt": f"--index-url http://10.0.0.5/simple\n{LINE}"}, "10.0.0.5", "requirements.txt:1"),
        ({"requirements.txt": f"# x\n-i=http://10.0.0.5/simple\n{LINE}"}, "10.0.0.5", "requirements.txt:2"),
        ({"requirements.txt": f"--extra-index-url=http://10.0.0.5/\n{LINE}"}, "10.0.0.5", "requirements.txt:1"),
        ({"requirements.txt": f"{REQUIREMENTS}--find-links http://10.0.0.5/\n"}, "10.0.0.5", "requirements.txt:4"),
        ({"requirements.txt": f"{REQUIREMENTS}-f \\\n  http://10.0.0.5/\n"}, "10.0.0.5", "requirements.txt:4"),
        (
            {"Pipfile": "", "Pipfile.lock": json.dumps({"_meta": {"sources": [{"url": "http://10.0.0.5/simple"}]}})},
            "10.0.0.5",
            "Pipfile.lock:1",
        ),
        (
            {"Project.toml": "", "Manifest.toml": '[[deps.X]]\nrepo-url = "git@10.0.0.5:x/X.jl.git"\n'},
            "10.0.0.5",
            "Manifest.toml:2",
        ),
    ],
)
async def test_a_lock_that_names_an_address_of_this_network_is_refused(
    tmp_path: Path, texts: dict[str, str], address: str, step: str
) -> None:
    with pytest.raises(BuildAddressClosed) as caught:
        await detected(tmp_path, texts)
    assert (caught.value.address, caught.value.step) == (address, step)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "192.168.1.1:8080",
        "somebody@10.0.0.5",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  # read, not bound
        "224.0.0.1",
        "[::1]",
        "[fd00::1]",
        "[fe80::1%25eth0]",
        "[::ffff:10.0.0.5]",
        "[2002:a00:5::]",
        "[64:ff9b::a00:5]",
        "localhost",
        "LOCALHOST.",
        "x.localhost",
        "wiki.internal",
        "metadata.google.internal",
        "printer.local",
        "intranet",
        "%31%30.0.0.5",
        "\uff11\uff10.0.0.5",
        "10\u30020\u30020\u30025",
    ],
)
@pytest.mark.parametrize("way", ["http://", "HTTPS://", "https:/", "http:\\\\", "https:", "git+ssh://"])
async def test_however_it_is_written(tmp_path: Path, host: str, way: str) -> None:
    if way == "git+ssh://" and "%" in host:
        host = "10.0.0.5"
    found = pylock().replace(f'"{SIX_URL}"', f"'{way}{host}/six.whl'")
    with pytest.raises(BuildAddressClosed) as caught:
        await detected(tmp_path, {"pylock.toml": found})
    assert caught.value.step == "pylock.toml:8: six"


@pytest.mark.parametrize(
    "texts",
    [
        locked("https://wheels.example.org/six-1.17.0-py3-none-any.whl"),
        of_uv(REGISTRY),
        of_uv(f'{{ git = "https://example.org/six.git?rev=1#{COMMIT}" }}', ""),
        {"pylock.toml": pylock().replace(SIX_URL, "http://1.1.1.1/six-1.17.0-py3-none-any.whl")},
        {"pylock.toml": pylock() + '\n[tool.notes]\nmade = "http://localhost:8000/"\n'},
        {"pylock.toml": f"# http://10.0.0.5/\n{pylock()}"},
        {
            "requirements.txt": f"# --index-url http://10.0.0.5\n--extra-index-url https://more.example.org/simple\n{LINE}"
        },
        # Only a wish: the walls of the build are the operator's to open.
        {"requirements.txt": "--index-url http://10.0.0.5/simple\nsix\n"},
    ],
)
async def test_what_is_none_of_this_network_is_read(
    tmp_path: Path, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builders.repo2docker.locked.builder.Locked.ground", staticmethod(_grounded))
    await detected(tmp_path, texts)


@pytest.mark.parametrize(
    "texts,step,address",
    [
        (locked("file:///srv/six.whl"), "uv.lock:22: six", "file:///srv/six.whl"),
        (locked("file:/srv/six.whl"), "uv.lock:22: six", "file:/srv/six.whl"),
        (of_uv(f'{{ git = "git+file:///srv/six#{COMMIT}" }}'), "uv.lock:19: six", f"git+file:///srv/six#{COMMIT}"),
        ({"requirements.txt": f"--index-url file:///srv\n{LINE}"}, "requirements.txt:1", "file:///srv"),
    ],
)
async def test_a_file_is_no_address(tmp_path: Path, texts: dict[str, str], step: str, address: str) -> None:
    with pytest.raises(EnvironmentBroken) as caught:
        await detected(tmp_path, texts)
    assert caught.value.path == step
    assert caught.value.reason == f"it fetches “{address}”, and only http, https and git addresses are fetched"


async def test_the_sites_own_index_is_allowed_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.repo2docker.locked.builder.Locked.ground", staticmethod(_grounded))
    said = (
        "[global]\nextra-index-url = https://two.example http://mirror:8081/more\nindex-url = http://10.0.0.5/simple\n"
    )
    monkeypatch.setattr(machine, "pip_settings", lambda: said)
    await detected(tmp_path, of_uv('{ registry = "http://10.0.0.5/simple" }'))
    await detected(tmp_path, locked("http://mirror:8081/files/six-1.17.0-py3-none-any.whl"))
    for other in (
        "http://10.0.0.6/x",
        "https://10.0.0.5/x",
        "http://10.0.0.5:8080/x",
        "http://mirror/x",
        "http://x:y/z",
    ):
        with pytest.raises(BuildAddressClosed):
            await detected(tmp_path, locked(f"{other}/six-1.17.0-py3-none-any.whl"))


def test_pip_is_asked_once_and_only_where_somebody_has_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def settings() -> str:
        asked.append(1)
        return "[global]\nindex-url = http://10.0.0.5/\n"

    monkeypatch.setattr(machine, "pip_settings", settings)
    (tmp_path / "uv.lock").write_text(uv_lock())
    named.check(tmp_path, ("uv.lock",))
    assert not asked
    (tmp_path / "uv.lock").write_text(uv_lock().replace("https://files.pythonhosted.org", "http://10.0.0.5"))
    named.check(tmp_path, ("uv.lock",))
    assert len(asked) == 1


@pytest.mark.parametrize(
    "name,text", [("uv.lock", "= no"), ("pylock.toml", "a = " + "[" * 5000), ("Pipfile.lock", "{")]
)
def test_what_cannot_be_read_names_nothing(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    named.check(tmp_path, (name,))


def test_a_place() -> None:
    assert place("git@[fd00::1]:x") == ("fd00::1", "ssh")
    assert place("git+https://Example.org:8443/x") == ("example.org", "git+https")
    assert place("http:\\\\example.org\\@10.0.0.5/x") == ("example.org", "http")
    assert place("x:[y") == ("", "x")
    assert not is_private("b\u00fccher.example")


async def _grounded() -> str:
    return "sha256:0"
