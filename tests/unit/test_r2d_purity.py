"""repo2docker's build packs: which files each reads, when those alone count, and the key and Dockerfile that follow.

The images themselves need conda's, R's and Julia's servers, which a closed network does not reach: here all is shown up
to the Dockerfile that repo2docker makes of exactly these files. What R's and Julia's packs ask an index on the internet
is answered by a stand-in.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.catalogue import BUILDERS
from builders.detect import find, look
from builders.interface import Inputs, Order, Workshop
from builders.labels import REVISION_LABEL, SOURCE_LABEL, TREE_LABEL
from builders.lines import Found
from builders.repo2docker import (
    packs,
    render,  # noqa: F401  # quiets what importing repo2docker warns of
)
from builders.repo2docker.builder import Repo2Docker, _labels
from builders.repo2docker.files import ANYWHERE, declaration
from tests.fixtures.specifications import (
    DATED,
    IMPURE,
    JULIA,
    NOT_PACKAGE,
    PACKAGE,
    PACKS,
    PIPFILE,
    PIPFILE_LOCK,
    PURE,
    YML,
    Texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builders.interface import Declaration

AMD = "linux/amd64"


def write(folder: Path, texts: Mapping[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            (folder / name).symlink_to(text[3:])
        else:
            (folder / name).write_text(text)
    return folder


def declared(folder: Path, texts: Mapping[str, str]) -> Declaration:
    found = declaration(write(folder, texts))
    assert found is not None
    return found


def key(folder: Path) -> str:
    return asyncio.run(find(folder, BUILDERS, AMD, Workshop(folder / "stores"), lambda _: None))[0].key


# --------------------------------------------------------------------------- which pack, which files
@pytest.mark.parametrize(
    "texts,name,read",
    [
        ({"requirements.txt": "six\n"}, "PythonBuildPack", "requirements.txt"),
        ({"runtime.txt": "python-3.11", "apt.txt": "git\n"}, "PythonBuildPack", "apt.txt runtime.txt"),
        ({"requirements.txt": "", "pyproject.toml": NOT_PACKAGE}, "PythonBuildPack", "pyproject.toml requirements.txt"),
        ({"requirements.txt": "", "pyproject.toml": "[tool.x]\n"}, "PythonBuildPack", "requirements.txt"),
        ({"binder/requirements.txt": "", "pyproject.toml": PACKAGE}, "PythonBuildPack", "binder/requirements.txt"),
        ({"environment.yml": YML, "requirements.txt": "", "setup.py": ""}, "CondaBuildPack", "environment.yml"),
        ({"environment.yml": YML, "environment.yaml": ""}, "CondaBuildPack", "environment.yml"),
        ({"environment.yaml": YML, "runtime.txt": "python-3.9"}, "CondaBuildPack", "environment.yaml"),
        ({"Pipfile": PIPFILE, "Pipfile.lock": PIPFILE_LOCK}, "PipfileBuildPack", "Pipfile Pipfile.lock"),
        ({"Pipfile": "", "runtime.txt": "r-4.1"}, "PythonBuildPack", "runtime.txt"),
        ({"install.R": "", "runtime.txt": DATED, "Pipfile": ""}, "RBuildPack", "install.R runtime.txt"),
        ({"environment.yml": YML, "runtime.txt": "r-2024-06-01"}, "RBuildPack", "environment.yml runtime.txt"),
        ({"DESCRIPTION": "Package: x\n"}, "RBuildPack", "DESCRIPTION"),
        ({"binder/apt.txt": "", "DESCRIPTION": ""}, "PythonBuildPack", "binder/apt.txt"),
        ({"install.R": "", "runtime.txt": "r-4.1"}, "PythonBuildPack", "runtime.txt"),
        (
            {"Project.toml": JULIA, "Manifest.toml": "", "environment.yml": YML, "install.R": ""},
            "JuliaProjectTomlBuildPack",
            "Manifest.toml Project.toml environment.yml",
        ),
        ({"REQUIRE": "IJulia\n", "requirements.txt": ""}, "JuliaRequireBuildPack", "REQUIRE"),
    ],
)
def test_the_pack_is_repo2dockers_own_choice_and_what_it_reads_declares(
    tmp_path: Path, texts: Texts, name: str, read: str
) -> None:
    directory = write(tmp_path / "d", texts)
    folder = "binder/" if (directory / "binder").is_dir() else ""
    found = [f"{folder}{one}" for one in ANYWHERE if (directory / folder / one).exists()]
    assert packs.pack(directory, folder, found).name == name
    assert theirs(directory) == name
    assert " ".join(declared(tmp_path / "d", {}).evidence) == read


def theirs(directory: Path) -> str:
    """The pack that repo2docker itself takes."""
    from repo2docker.app import Repo2Docker as Application  # noqa: PLC0415  # it is slow

    before = Path.cwd()
    os.chdir(directory)
    try:
        for one in Application().buildpacks:
            if one(base_image="x").detect():
                return str(one.__name__)
        return "PythonBuildPack"
    finally:
        os.chdir(before)


# --------------------------------------------------------------------------- pure or not
@pytest.mark.parametrize("texts", PURE, ids=[f"{min(texts)}-{place}" for place, texts in enumerate(PURE)])
def test_pure_where_these_files_alone_count(tmp_path: Path, texts: Texts) -> None:
    assert declared(tmp_path / "d", texts).tree == ()


@pytest.mark.parametrize("texts,why", IMPURE, ids=[f"{place}" for place, _ in enumerate(IMPURE)])
def test_the_whole_tree_where_in_doubt_and_why(tmp_path: Path, texts: Texts, why: str) -> None:
    assert why[:160] in declared(tmp_path / "d", texts).tree


def test_of_many_reasons_some_are_told(tmp_path: Path) -> None:
    tree = declared(tmp_path / "d", {"requirements.txt": "-e .\n" * 50}).tree
    assert (len(tree), tree[-1]) == (20, "and 31 more")


def test_a_value_that_names_others_many_times_is_not_written_out(tmp_path: Path) -> None:
    """Two to the power of forty words, where they are written out: from half a kilobyte."""
    lists = "".join(f"- &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    text = f"dependencies:\n- &a0 [x, x]\n{lists}- pip: [*a39]\nchannels: [*a39]\n"
    tree = declared(tmp_path / "d", {"environment.yml": text}).tree
    assert tree[:2] == (
        "environment.yml:41: the channel a list or a table may be a folder of the repository",
        "environment.yml:2: a list or a table is not understood",
    )


@pytest.mark.parametrize("value", ["a" * 60, "$a" * 40, "${a}" * 40, "$aaa" * 40, "a b " * 30])
def test_a_line_that_nearly_fits_takes_no_longer(tmp_path: Path, value: str) -> None:
    """A pattern that reads a text in many ways tries them all before it says no: here, until the test's end."""
    lines = (f'export A="{value}!', f"export A={value}!", f'export A="{value}"!')
    for place, line in enumerate(lines):
        assert declared(tmp_path / str(place), {"environment.yml": YML, "start": f"{line}\n"}).tree
    assert declared(tmp_path / "well", {"environment.yml": YML, "start": f'export A="{value}"\nexec "$@"\n'}).tree == ()


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("name", ["requirements.txt", "environment.yml", "Pipfile", "install.R", "start", "apt.txt"])
def test_whatever_a_file_says_it_is_read_without_a_fault(name: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "runtime.txt").write_text(DATED if name == "install.R" else "python-3.11")
        Path(folder, name).write_text(text, "utf-8", "replace", newline="")
        assert declaration(Path(folder)) is not None


# --------------------------------------------------------------------------- the key
BASE: Texts = {"binder/environment.yml": YML, "binder/apt.txt": "git\n", "a.ipynb": "{}", "src/x.py": "", "b c.txt": ""}


@given(st.sampled_from(["a.ipynb", "src/x.py", "b c.txt", "new/file"]), st.binary(max_size=50))
@settings(max_examples=25, deadline=None)
def test_content_never_changes_the_key_of_a_pure_specification(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = key(write(Path(folder, "d"), BASE))
        (Path(folder, "d", name)).parent.mkdir(exist_ok=True)
        Path(folder, "d", name).write_bytes(data)
        assert key(Path(folder, "d")) == first


@given(st.sampled_from(["binder/environment.yml", "binder/apt.txt"]), st.data())
@settings(max_examples=25, deadline=None)
def test_one_byte_of_a_specification_changes_it(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = key(write(Path(folder, "d"), BASE))
        body = bytearray(Path(folder, "d", name).read_bytes())
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] ^= data.draw(st.integers(1, 127))
        Path(folder, "d", name).write_bytes(body)
        assert key(Path(folder, "d")) != first


@given(st.permutations(sorted(BASE)), st.sampled_from([0o000, 0o022, 0o077]), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_order_umask_and_clock_do_not_change_it(names: list[str], mask: int, now: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = key(write(Path(folder, "d"), BASE))
        before = os.umask(mask)
        try:
            other = write(Path(folder, "other"), {name: BASE[name] for name in names})
        finally:
            os.umask(before)
        for path in other.rglob("*"):
            os.utime(path, (now, now))
        assert key(other) == first


def test_neither_host_nor_user_change_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = key(write(tmp_path / "d", BASE))
    for name in ("HOME", "USER", "HOSTNAME", "LANG", "TZ"):
        monkeypatch.setenv(name, "/nowhere")
    shutil.copytree(tmp_path / "d", tmp_path / "another place")
    if os.geteuid() == 0:
        for path in (tmp_path / "another place").rglob("*"):
            os.chown(path, 1234, 1234)
    assert key(tmp_path / "another place") == first


def test_what_a_link_leads_to_counts_not_the_link(tmp_path: Path) -> None:
    """Of lock files too."""
    texts = {"binder/requirements.txt": "-> ../pins.txt", "pins.txt": "six\n"}
    first = key(write(tmp_path / "d", texts))
    (tmp_path / "d/pins.txt").write_text("seven\n")
    assert key(tmp_path / "d") != first
    assert key(write(tmp_path / "e", {"binder/requirements.txt": "six\n"})) == first


# --------------------------------------------------------------------------- the Dockerfile
def rendered(directory: Path, scratch: Path) -> dict[str, bytes]:
    """What is handed to Docker for a directory: the Dockerfile, and all files with their modes."""
    scratch.mkdir()
    _, found = look(directory, BUILDERS)
    about = Found("repo2docker", "1", found.evidence, "0" * 64, AMD, tree=found.tree)
    order = Order(directory, about, Inputs(""), "x:y", {}, 0, Workshop(directory))
    context = Repo2Docker()._read(order, scratch, lambda _: None)  # what `build` builds
    with tarfile.open(context.source) as archive:
        files = [member for member in archive if member.isfile() and "build_script_files" not in member.name]
        return {f"{one.name} {one.mode:o}": (archive.extractfile(one) or io.BytesIO()).read() for one in files}


@pytest.fixture
def stand_in_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-in for two indexes on the internet: of Julia's versions, and of R's snapshots."""
    from repo2docker.buildpacks import JuliaProjectTomlBuildPack, RBuildPack  # noqa: PLC0415  # `render` quiets it first

    monkeypatch.setattr(JuliaProjectTomlBuildPack, "all_julias", ["1.6.7", "1.10.5"])
    monkeypatch.setattr(RBuildPack, "get_rspm_snapshot_url", lambda *_: "https://packages.example.org/2024-06-01")


@pytest.mark.usefixtures("stand_in_index")
@pytest.mark.parametrize("texts,step", PACKS, ids=[min(texts) for texts, _ in PACKS])
def test_the_build_of_a_pure_specification_is_given_these_files_alone(tmp_path: Path, texts: Texts, step: str) -> None:
    content = {"notebook.ipynb": "{}", "data/x.csv": "1", ".gitignore": "", ".dockerignore": "apt.txt"}
    given_ = rendered(write(tmp_path / "d", texts | content), tmp_path / "s")
    assert {name.split()[0] for name in given_ if name.startswith("src/")} == {f"src/{name}" for name in texts}
    assert step in given_["Dockerfile 644"].decode()
    before = os.umask(0o077)
    try:
        again = rendered(write(tmp_path / "other", texts), tmp_path / "s2")
    finally:
        os.umask(before)
    assert again == given_


@pytest.mark.parametrize("tree,named", [((), False), (("setup.py: it is installed",), True)])
def test_an_image_of_a_specification_is_no_commits(tmp_path: Path, tree: tuple[str, ...], *, named: bool) -> None:
    """It must not give a workspace its content: other commits share it."""
    about = Found("repo2docker", "1", ("x",), "0" * 64, AMD, tree=tree)
    given_ = {REVISION_LABEL: "c" * 40, SOURCE_LABEL: "https://git.example/a", "mine": "yes"}
    labels = _labels(Order(tmp_path, about, Inputs(""), "x:y", given_, 0, Workshop(tmp_path)), "git:1" if tree else "")
    assert labels.get(TREE_LABEL) == ("git:1" if named else None)
    assert labels.get("mine") == ("yes" if named else None)
    assert not {REVISION_LABEL, SOURCE_LABEL} & labels.keys()  # a fork with these files has this image too


def test_the_build_of_another_sees_the_tree(tmp_path: Path) -> None:
    texts = {"requirements.txt": "-e .\n", "setup.py": "", "data/x.csv": "1"}
    assert {"src/data/x.csv 644", "src/setup.py 644"} <= set(rendered(write(tmp_path / "d", texts), tmp_path / "s"))


# --------------------------------------------------------------------------- the docs
def test_the_table_of_packs_in_the_docs_is_the_codes() -> None:
    text = Path(__file__).parents[2].joinpath("docs/explanation/repo2docker.md").read_text()
    rows = [line.split("|")[1:] for line in text.splitlines() if line.startswith("|") and "BuildPack" in line]
    told = {
        row[0].strip(): ({*row[1].split("`")[1::2], *row[2].split("`")[1::2]}, {*row[3].split("`")[1::2]})
        for row in rows
    }
    for pack in (packs.JULIA, packs.JULIA_REQUIRE, packs.R, packs.CONDA, packs.PIPFILE, packs.PYTHON):
        read, root = told.pop(pack.name)
        assert (read - set(packs.DESCRIPTION.split()) - {"r-…"}, root) == (
            set(pack.reads) - set(packs.ALWAYS),
            set(pack.root),
        )
    assert told == {}
