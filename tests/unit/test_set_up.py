"""The set-up's own promises: locks name no host, machine settings are read as they are written."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from builders import machine

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
NPM_LOCKS = [path for path in (ROOT / "deploy/proxy", ROOT / "frontend") if (path / "package-lock.json").is_file()]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_python_lock_has_exact_versions_with_hashes_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==[^ ]+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert "://" not in text


def test_what_is_tested_is_what_runs() -> None:
    def versions(name: str) -> set[str]:
        lines = (ROOT / f"requirements/{name}.lock").read_text().splitlines()
        return {line.split()[0] for line in lines if re.match(r"[a-z0-9]", line)}

    assert versions("runtime") - versions("dev") == set()


def test_hub_and_server_are_the_same_version() -> None:
    def hub(name: str) -> list[str]:
        return re.findall(r"^jupyterhub==(\S+)", (ROOT / f"requirements/{name}.lock").read_text(), re.MULTILINE)

    assert hub("runtime") == hub("singleuser") != []


@pytest.mark.parametrize("folder", NPM_LOCKS, ids=lambda path: path.name)
def test_an_npm_lock_has_hashes_and_names_no_host(folder: Path) -> None:
    text = (folder / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in text
    assert '"resolved"' not in text


def _certificate(folder: Path, name: str) -> str:
    target = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-days", "2", "-keyout", str(folder / "key.pem"), "-out", str(target)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return target.read_text()


def test_only_certificates_that_the_distribution_did_not_bring_are_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private = _certificate(tmp_path, "public"), _certificate(tmp_path, "private")
    distribution = tmp_path / "distribution"
    distribution.mkdir()
    (distribution / "public.crt").write_text("# the same one, spaced otherwise\n" + public.replace("\n", "\r\n"))
    bundle = tmp_path / "bundle.crt"
    bundle.write_text(public + "\n# ours\n" + private)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setattr(machine, "_DISTRIBUTION", distribution)

    handed_on = machine.extra_certificates()

    assert list(machine.blocks(handed_on)) == [ssl.PEM_cert_to_DER_cert(private)]


def test_a_machine_without_own_authorities_hands_on_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(machine, "_SYSTEM_BUNDLES", ())
    assert machine.extra_certificates() == ""


@pytest.mark.parametrize(
    "listed,expected",
    [
        ("", "[global]\n"),
        ("global.index-url='https://index.example/simple'", "[global]\nindex-url = https://index.example/simple\n"),
        (
            "global.extra-index-url='file:///srv/wheels https://two.example/simple'\n:env:.trusted-host='two.example'",
            "[global]\nextra-index-url = https://two.example/simple\ntrusted-host = two.example\n",
        ),
        ("global.extra-index-url='file:///srv/wheels'\nglobal.cert='/etc/ca.pem'", "[global]\n"),
        (
            "global.extra-index-url='\\nhttps://a.example\\nhttps://b.example'",
            "[global]\nextra-index-url = https://a.example https://b.example\n",
        ),
        (
            ":env:.index-url='https://asked.example'\nglobal.index-url='https://index.example'",
            "[global]\nindex-url = https://asked.example\n",
        ),
    ],
)
def test_pip_settings_that_mean_something_in_a_container(listed: str, expected: str) -> None:
    assert machine.pip_conf(listed) == expected


def test_set_up_with_an_unknown_word_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.main(["passwords"]) == 2
    assert "python -m builders.machine certificates" in capsys.readouterr().err


STAND_IN = """#!/bin/sh
# Stands in for pytest: LANE fails as often as it says.
for word in "$@"; do case "$word" in cache_dir=*) lane=${word##*/} ;; esac; done
echo "$lane" >>"$RUNS"
[ "$lane" = "$FAILS" ] && [ "$(grep -cx "$lane" "$RUNS")" -le "$TIMES" ] && exit 1
exit 0
"""


@pytest.mark.parametrize(
    "lane, times, status, runs",
    [("none", 0, 0, 2), ("real", 1, 0, 3), ("others", 1, 0, 3), ("real", 2, 1, 3), ("others", 2, 1, 3)],
)
def test_a_run_is_well_when_every_lane_is(tmp_path: Path, lane: str, times: int, status: int, runs: int) -> None:
    """What passes when it is run again, alone, is well; what fails twice is not. Pytest is stood in for."""
    setup = tmp_path / "deploy/setup"
    setup.mkdir(parents=True)
    for name in ("test.sh", "lib.sh"):
        shutil.copy(ROOT / "deploy/setup" / name, setup)
    program = tmp_path / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    for path, text in ((setup / "lint.sh", "#!/bin/sh\n"), (program, STAND_IN)):
        path.write_text(text)
        path.chmod(0o755)
    about = {"PATH": os.environ["PATH"], "RUNS": str(tmp_path / "runs"), "FAILS": lane, "TIMES": str(times)}
    done = subprocess.run([setup / "test.sh"], env=about, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    assert len((tmp_path / "runs").read_text().splitlines()) == runs
