"""The texts of every error, word for word."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from launcher import errors, explain
from launcher.events import Stage

TAIL = ("Collecting numpy==99", "ERROR: No matching distribution found for numpy==99")

# error → title | what was seen | what to do
TEXTS: list[tuple[errors.LauncherError, int, str, str, str]] = [
    (
        errors.UnknownProvider("svn", ("gh", "gl", "git")),
        404,
        "Unknown provider",
        "The link names the provider “svn”.",
        "Use one of: gh, gl, git.",
    ),
    (
        errors.BadSpec("gh", "onlyuser", "user/repository/reference", "it has one part"),
        400,
        "The link does not have the form of its provider",
        "For the provider “gh” the link says “onlyuser”: it has one part.",
        "Write it as user/repository/reference.",
    ),
    (
        errors.BadUrl("ext::sh -c id", "it names a program"),
        400,
        "This is not the address of a repository",
        "The address is “ext::sh -c id”: it names a program.",
        "Give the address that `git clone` would take, for example https://example.org/group/name.git.",
    ),
    (
        errors.LocalPath("~/notes", "it is a path on one computer"),
        400,
        "This is a path on one computer",
        "“~/notes” is a path on somebody's own computer, which nobody else can reach.",
        "Push it to a git host first (GitHub, GitLab, Codeberg, …), then give its address there.",
    ),
    (
        errors.PublicationId("arXiv:2101.00001", "it names a publication", "arXiv"),
        400,
        "This names a publication, not a repository",
        "“arXiv:2101.00001” is of arXiv: it names a publication, and holds no files to launch.",
        (
            "Give the address of the repository with its code, or the DOI of its record on Zenodo, figshare, Dataverse "
            "or HydroShare: the publication often names it."
        ),
    ),
    (
        errors.SiteUnknown("https://osf.io/abc12", "it is a page of a site that is not known here", "OSF"),
        400,
        "What is on this site cannot be launched",
        (
            "“https://osf.io/abc12” is a page of OSF: it is not a git repository, and files of that site are not "
            "fetched here."
        ),
        (
            "Give the address of a git repository, or the DOI or page of a record on Zenodo, figshare, Dataverse, "
            "HydroShare, CKAN or Software Heritage."
        ),
    ),
    (
        errors.ArchiveFile("https://example.org/x.zip", "it is the address of a file", "zip"),
        400,
        "This is a file, not a repository",
        "“https://example.org/x.zip” is the address of a zip file, not of a git repository.",
        (
            "Give the address of the git repository that it was made from, or the DOI of a record that holds it on "
            "Zenodo, figshare, Dataverse or HydroShare."
        ),
    ),
    (
        errors.BadRef("--upload-pack=id", "it begins with “-”"),
        400,
        "This cannot be a branch, tag or commit",
        "The reference is “--upload-pack=id”: it begins with “-”.",
        "Give the name of a branch or tag, or a commit's id.",
    ),
    (
        errors.ProtocolRefused("file:///srv/x", "file", ("https", "ssh")),
        400,
        "This protocol is not allowed",
        "The address “file:///srv/x” uses file.",
        "Use one of: https, ssh.",
    ),
    (
        errors.AddressRefused("git.example.org", "10.0.0.7", "private"),
        403,
        "This address is not open to launches",
        "git.example.org leads to a private address.",
        "Use a repository on a public server, or ask the operator to list its network in `allowed_networks`.",
    ),
    (
        errors.AddressRefused("git.example.org", "10.0.0.7", "private", "https://git.example.org/a.git"),
        403,
        "This address is not open to launches",
        "git.example.org leads to a private address.\nhttps://git.example.org/a.git redirects there.",
        "Use a repository on a public server, or ask the operator to list its network in `allowed_networks`.",
    ),
    (
        errors.HostUnreachable("https://git.example.org/a.git", "no answer within 30 seconds"),
        502,
        "The repository's server does not answer",
        "Asking https://git.example.org/a.git failed: no answer within 30 seconds.",
        "Check the address. If it is right, try again later.",
    ),
    (
        errors.RepositoryMissing("https://git.example.org/a.git"),
        404,
        "There is no such repository",
        "The server of https://git.example.org/a.git says that it has no such repository, or none that is public.",
        "Check the spelling. If it is private: sign in, keep a token for its server, and open the link again.",
    ),
    (
        errors.CredentialRefused("https://git.example.org/a.git"),
        403,
        "Your credential does not open the repository",
        (
            "The server of https://git.example.org/a.git says that it has no such repository, "
            "or none that your credential may read."
        ),
        "Check the spelling. If it is right, make a new token that may read it, and keep that instead of the old one.",
    ),
    (
        errors.HostKeyUnknown("git@git.example.org:a.git"),
        502,
        "The repository's server may be another one",
        "The server of git@git.example.org:a.git shows a host key that this site does not know.",
        "Ask the operator to list it in `ssh_known_hosts`, or launch the repository by its https address.",
    ),
    (
        errors.ConnectFailed("https://git.example.org", "it gives no token (status 400)"),
        502,
        "The git host gave no token",
        "Asking https://git.example.org failed: it gives no token (status 400).",
        "Try again later. If it stays so, tell the operator, whose application there may have been changed.",
    ),
    (
        errors.CredentialMissing("5d"),
        404,
        "There is no such credential",
        "You keep no credential that is called “5d”.",
        "Look at the list of those that you keep.",
    ),
    (
        errors.CredentialDamaged(),
        500,
        "Your credential cannot be opened",
        "It was locked with a key that this site no longer has.",
        "Remove it and keep it anew.",
    ),
    (
        errors.CredentialsFull(20),
        409,
        "You keep too many credentials",
        "One person may keep 20.",
        "Remove one that you no longer use.",
    ),
    (
        errors.NamesNotProven(),
        403,
        "This site keeps no credentials",
        "People sign in here with one password that all share, under any name: anybody could use what yours keeps.",
        "Ask the operator for a way to sign in that proves who you are (`authenticator`).",
    ),
    (
        errors.PrivateNotHere(),
        403,
        "This site opens no private repositories",
        "It builds in the engine of its sessions, where anybody's build may start from every image.",
        "Ask the operator to give builds an engine of their own (`build_engine`).",
    ),
    (
        errors.RepositoryPrivate("https://git.example.org/a.git"),
        403,
        "The repository is private",
        "The server of https://git.example.org/a.git asks for a login.",
        "Make the repository public, or use one that is.",
    ),
    (
        errors.RefMissing("https://git.example.org/a.git", "mian", ("main", "maintenance")),
        404,
        "There is no such branch, tag or commit",
        (
            "https://git.example.org/a.git has no branch, tag or commit that is called exactly “mian”.\n"
            "It has: main, maintenance."
        ),
        "Correct the reference, or leave it out to get the repository's default branch.",
    ),
    (
        errors.RefMissing("https://git.example.org/a.git", "x"),
        404,
        "There is no such branch, tag or commit",
        "https://git.example.org/a.git has no branch, tag or commit that is called exactly “x”.",
        "Correct the reference, or leave it out to get the repository's default branch.",
    ),
    (
        errors.RefAmbiguous("https://git.example.org/a.git", "v1", ("refs/heads/v1", "refs/tags/v1")),
        400,
        "The reference means more than one thing",
        "In https://git.example.org/a.git, “v1” is: refs/heads/v1, refs/tags/v1.",
        "Write one of these in full.",
    ),
    (
        errors.RepositoryTooLarge("https://git.example.org/a.git", "files", 200000),
        413,
        "The repository is too large",
        "Fetching https://git.example.org/a.git passed the limit of 200000 files.",
        "Make the repository smaller, or ask the operator to raise the limit.",
    ),
    (
        errors.CheckoutRefused("https://git.example.org/a.git", "data/link", "it leads out of the repository"),
        422,
        "The repository's files cannot be used",
        "In https://git.example.org/a.git, “data/link” is refused: it leads out of the repository.",
        "Remove or rename the file in the repository.",
    ),
    (
        errors.SubmoduleFailed(
            "https://git.example.org/a.git", "libs/b", errors.AddressRefused("10.0.0.7", "10.0.0.7", "private")
        ),
        422,
        "A submodule cannot be had",
        "In https://git.example.org/a.git, the submodule “libs/b” cannot be had. 10.0.0.7 leads to a private address.",
        "Correct or remove it in `.gitmodules`. A network that is not open is the operator's to open.",
    ),
    (
        errors.SubmoduleFailed("https://h.org/a.git", "libs/b", errors.RepositoryBanned("git/https://h.org/b.git")),
        422,
        "A submodule cannot be had",
        (
            "In https://h.org/a.git, the submodule “libs/b” cannot be had. "
            "The operator of this site has closed “git/https://h.org/b.git”."
        ),
        "Correct or remove it in `.gitmodules`. A network that is not open is the operator's to open.",
    ),
    (
        errors.RateLimited("https://zenodo.org/api/records/1"),
        503,
        "The provider asks us to wait",
        "Too many questions came from here: https://zenodo.org/api/records/1 is not answered for now.",
        "Try again later.",
    ),
    (
        errors.RateLimited("https://zenodo.org/api/records/1", "2 minutes"),
        503,
        "The provider asks us to wait",
        (
            "Too many questions came from here: https://zenodo.org/api/records/1 is not answered for now.\n"
            "It says for how long: 2 minutes."
        ),
        "Try again later.",
    ),
    (
        errors.RecordGone("https://doi.org/10.5281/zenodo.1"),
        410,
        "The record was taken away",
        "The provider of https://doi.org/10.5281/zenodo.1 says that it was withdrawn or deleted.",
        "Look at the record's page, which may say why, or use another version of it.",
    ),
    (
        errors.RecordUnfit("https://doi.org/10.5281/zenodo.1", "the record has no files"),
        422,
        "This is no record that can be launched",
        "https://doi.org/10.5281/zenodo.1 cannot be launched: the record has no files.",
        "Give the DOI or the address of a public record that has files.",
    ),
    (
        errors.RecordElsewhere("https://doi.org/10.1038/x", "it leads elsewhere", "www.nature.com"),
        422,
        "This DOI leads to no archive that is understood here",
        (
            "https://doi.org/10.1038/x leads to www.nature.com, to a page of no archive that is known here: of a "
            "publication, perhaps."
        ),
        (
            "Give the DOI of a record on Zenodo (or another site of its kind), figshare, Dataverse or HydroShare, a "
            "link to CKAN or Software Heritage, or the address of a git repository."
        ),
    ),
    (
        errors.RecordDamaged("https://doi.org/10.5281/zenodo.1", "data.csv", "it is gone"),
        502,
        "A file of the record cannot be had",
        "In https://doi.org/10.5281/zenodo.1, “data.csv” cannot be had: it is gone.",
        "Try again later. If it stays so, tell the provider of the record.",
    ),
    (
        errors.LfsFailed(
            "https://git.example.org/a.git",
            "data/b.bin",
            errors.HostUnreachable("https://git.example.org/a.git/info/lfs", "it does not have the file"),
        ),
        422,
        "A large file cannot be had",
        (
            "In https://git.example.org/a.git, the Git LFS file “data/b.bin” cannot be had. "
            "Asking https://git.example.org/a.git/info/lfs failed: it does not have the file."
        ),
        (
            "Push it to its server (`git lfs push --all`), or correct `.lfsconfig`. "
            "A network that is not open is the operator's to open."
        ),
    ),
    (
        errors.EnvironmentConflict((".binder", "binder")),
        422,
        "The repository declares more than one environment",
        "It has: .binder, binder.",
        "Keep one of them and remove the others.",
    ),
    (
        errors.EnvironmentMissing(("Dockerfile", "environment.yml")),
        422,
        "The repository declares no environment",
        "None of these is there: Dockerfile, environment.yml.",
        "Add one of them to the repository.",
    ),
    (
        errors.EnvironmentMissing(
            ("Dockerfile", "environment.yml"),
            (
                "misspelt environment.yml my enviroment.yml",
                "alone flake.nix flake.lock",
                "hidden binder/ requirements.txt",
                "deeper environment.yml code/environment.yml",
                "unlocked uv.lock pyproject.toml",
                "conda-lock environment.yml conda-lock.yml",
                "devenv flake.nix devenv.nix",
                "pixi environment.yml pixi.lock",
                "poetry binder/requirements.txt poetry.lock",
                "renv runtime.txt renv.lock",
            ),
        ),
        422,
        "The repository declares no environment",
        (
            "None of these is there: Dockerfile, environment.yml.\n"
            "“my enviroment.yml” is nearly “environment.yml”: rename it, if that is what it is.\n"
            "“flake.lock” alone declares nothing: add “flake.nix” beside it.\n"
            "“requirements.txt” is not read, because there is a folder “binder/”, which declares nothing: "
            "move it there.\n"
            "“code/environment.yml” is not read, because it is in a folder: move it to “environment.yml”.\n"
            "“pyproject.toml” says what is wanted, and not what was chosen: run `uv lock` and commit “uv.lock”.\n"
            "“conda-lock.yml” is not read: run `conda-lock render --kind env` and commit what it writes as "
            "“environment.yml”.\n"
            "“devenv.nix” is not read: put the same packages into a “flake.nix”, and run `nix flake lock`.\n"
            "“pixi.lock” is not read: run `pixi workspace export conda-environment environment.yml` and commit "
            "“environment.yml”.\n"
            "“poetry.lock” is not read: run `poetry export --output binder/requirements.txt` (poetry-plugin-export) "
            "and commit “binder/requirements.txt”.\n"
            "“renv.lock” is not read: add “runtime.txt” (`r-4.4-2025-01-10`: R’s version and a date) and “install.R” "
            '(`install.packages("renv"); renv::restore()`).'
        ),
        "Add one of them to the repository.",
    ),
    (
        errors.AfreshPinned(("flake.lock", "flake.nix")),
        409,
        "Building afresh would change nothing",
        "All that flake.lock, flake.nix asks for is pinned: another build is the same environment.",
        "Launch it as it is, or change what it declares and commit that.",
    ),
    (
        errors.EnvironmentBroken("binder/environment.yml", "line 3 is not YAML"),
        422,
        "The environment cannot be read",
        "“binder/environment.yml”: line 3 is not YAML.",
        "Correct the file in the repository.",
    ),
    (
        errors.BuildFailed("repo2docker", "RUN pip install numpy==99", TAIL, 1),
        422,
        "The build failed",
        (
            "repo2docker ended with status 1.\n"
            "Step: RUN pip install numpy==99\n"
            "Its last lines:\n"
            "Collecting numpy==99\n"
            "ERROR: No matching distribution found for numpy==99"
        ),
        "Correct what the last lines complain about in the repository; the log has every line.",
    ),
    (
        errors.BuildFailed("repo2docker", "", (), 137),
        422,
        "The build failed",
        "repo2docker ended with status 137.",
        "Correct what the last lines complain about in the repository; the log has every line.",
    ),
    (
        errors.BaseImageMissing("example.org/none:1"),
        422,
        "The base image cannot be had",
        (
            "The environment builds on the image “example.org/none:1”, "
            "which does not exist or cannot be reached from here."
        ),
        "Correct its name in the repository, or ask the operator which images can be used.",
    ),
    (
        errors.BuildOutOfMemory(200 * 2**20, "[2/2] RUN make"),
        422,
        "The build ran out of memory",
        "Its steps may use 200 MiB of memory together, and wanted more.\nStep: [2/2] RUN make",
        (
            "Let the step do less at a time (fewer parallel jobs, smaller downloads), or ask the operator to raise "
            "`build_memory`."
        ),
    ),
    (
        errors.BuildTooManyProcesses(2048, ""),
        422,
        "The build started too many processes",
        "Its steps may have 2048 processes and threads at one time, and wanted more.",
        "Let the step do less at a time (fewer parallel jobs), or ask the operator to raise `build_processes`.",
    ),
    (
        errors.BuildDiskFull(3 * 2**29, ""),
        422,
        "The build wrote too much",
        "Its steps may write 1.5 GiB, and wrote more.",
        (
            "Make the environment smaller, remove what a step downloads in the same step, or ask the operator to raise "
            "`build_disk`."
        ),
    ),
    (
        errors.BuildLogTooLong(500, ""),
        422,
        "The build printed too much",
        "It was stopped after 500 bytes of output.",
        "Let the step print less (`--quiet`, or its output into a file).",
    ),
    (
        errors.BuildAddressClosed("10.0.0.5", ""),
        403,
        "The build asked for an address that is closed to builds",
        "It asked 10.0.0.5, which is not an address of the public internet.",
        (
            "Use a public address where this one is named: a Dockerfile, a lock file, an expression. For the steps of "
            "a Dockerfile, the operator may list the network in `egress_allowed_networks`."
        ),
    ),
    (
        errors.BuildTimeout(3600, "RUN sleep infinity"),
        504,
        "The build took too long",
        "It was stopped after 3600 seconds.\nStep: RUN sleep infinity",
        "Make the environment smaller, or ask the operator to raise `build_timeout_s`.",
    ),
    (
        errors.BuildBroken("it was killed by signal 9"),
        500,
        "The build was interrupted",
        "The builder itself broke: it was killed by signal 9.",
        "Launch again. If it happens again, tell the operator.",
    ),
    (
        errors.EngineDown("Docker did not answer within 5 seconds"),
        503,
        "The container engine does not answer",
        "Docker did not answer within 5 seconds.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    (
        errors.RegistryDown("registry.example.org", "connection refused"),
        503,
        "The image registry does not answer",
        "Asking registry.example.org failed: connection refused.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    (
        errors.ServerMissing("/usr/bin:/bin"),
        422,
        "The image has no notebook server",
        "No single-user server is on the image's PATH (/usr/bin:/bin).",
        "Install `jupyterhub` and `jupyterlab` in the environment.",
    ),
    (
        errors.UserUnfit("the server cannot be read"),
        422,
        "The image cannot run as an ordinary user",
        "As user 1000: the server cannot be read.",
        "Let the image's files be readable, and its programs runnable, by the user with id 1000.",
    ),
    (
        errors.VolumeUnfit("/workspace/work", "would hide the files of the workspace"),
        422,
        "The image declares a volume that no session can have",
        "The volume “/workspace/work” would hide the files of the workspace.",
        "Remove that `VOLUME` from the Dockerfile; where the image that it builds on declares it, use another one.",
    ),
    (
        errors.EnvironmentImpure("default.nix:3", "“currentTime” is another one at every evaluation", "Leave it out."),
        422,
        "The environment depends on more than the repository",
        "“default.nix:3”: “currentTime” is another one at every evaluation.",
        "Leave it out.",
    ),
    (
        errors.StoreUnfit("/nix/store/x-tool/run/pipe", "is a pipe"),
        422,
        "The environment holds what an image cannot carry",
        "In the store, “/nix/store/x-tool/run/pipe” is a pipe.",
        "Change the package that makes this file, or leave it out. If it changed by itself, tell the operator.",
    ),
    (
        errors.ServerNotBuilt(),
        503,
        "This site cannot run Nix and Guix environments yet",
        "The notebook server that goes into their images has not been built here.",
        "The operator builds it once, in a few minutes: `make setup`. Then launch again.",
    ),
    (
        errors.WorkspaceFailed("The disk is full"),
        500,
        "The workspace could not be made",
        "The disk is full. Nothing half-made was left.",
        "Launch again. If it happens again, tell the operator.",
    ),
    (
        errors.HubDown("No answer within 10 seconds"),
        503,
        "JupyterHub does not answer",
        "No answer within 10 seconds.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    (
        errors.SpawnRefused("This project is not yours"),
        403,
        "The session was refused",
        "This project is not yours.",
        "If you should have it, ask the operator.",
    ),
    (
        errors.SessionsFull(),
        503,
        "All places are taken",
        "As many sessions run as this machine carries, so no other one was started. What was launched is kept.",
        "Try again in a few minutes: a place is free as soon as somebody's session ends, one of yours too.",
    ),
    (
        errors.SpawnFailed("The server ended with status 1", ("Traceback", "ImportError: no module")),
        500,
        "The session did not start",
        "The server ended with status 1.\nIts last lines:\nTraceback\nImportError: no module",
        "Launch again. If it happens again, look at what the environment installs, or tell the operator.",
    ),
    (
        errors.SpawnTimeout(180),
        504,
        "The session did not start in time",
        "It did not answer within 180 seconds.",
        "Launch again. If it happens again, ask the operator to raise `session_start_timeout_s`.",
    ),
    (
        errors.DiskLow("data folder", "80 MiB", "1.0 GiB"),
        507,
        "There is too little room on this server",
        "The disk of the data folder has 80 MiB free; a new launch begins only with 1.0 GiB or more.",
        (
            "Try again later: links that you have opened before still lead to your files. "
            "Operators: make room; `repolaunch doctor` shows where."
        ),
    ),
    (
        errors.DiskFull("workspaces"),
        507,
        "A disk of this server is full",
        "There is no room left on the disk of the workspaces. What was saved before is kept.",
        "Try again later. Operators: make room; `repolaunch doctor` shows where.",
    ),
    (
        errors.DiskFull("container engine", "[2/2] RUN dd", ("dd: error writing 'x': No space left on device",)),
        507,
        "A disk of this server is full",
        (
            "There is no room left on the disk of the container engine. What was saved before is kept.\n"
            "Step: [2/2] RUN dd\nIts last lines:\ndd: error writing 'x': No space left on device"
        ),
        "Try again later. Operators: make room; `repolaunch doctor` shows where.",
    ),
    (
        errors.WorkspaceNearlyFull("18.2 GiB", "20.0 GiB"),
        507,
        "The workspace is nearly full",
        "It holds 18.2 GiB and may hold 20.0 GiB.",
        "Delete what you no longer need: beyond 20.0 GiB its session is stopped.",
    ),
    (
        errors.WorkspaceOver("20.4 GiB", "20.0 GiB", 15),
        507,
        "The workspace holds more than it may",
        "It holds 20.4 GiB and may hold 20.0 GiB.",
        "Delete what you no longer need within 15 minutes; else its session is stopped. No file is removed.",
    ),
    (
        errors.WorkspaceStopped("20.4 GiB", "20.0 GiB", 15),
        507,
        "The session was stopped: its workspace is too large",
        "It holds 20.4 GiB and may hold 20.0 GiB. Every file is as it was saved.",
        (
            "Start it again and delete what you no longer need: each time there are 15 minutes for that. "
            "Or ask the operator to raise `workspace_max_bytes`."
        ),
    ),
    (
        errors.DatabaseDown("It did not answer in time"),
        503,
        "The database does not answer",
        "It did not answer in time.",
        "Try again in a few minutes. Operators: run `repolaunch doctor`.",
    ),
    (
        errors.LaunchMissing("0" * 32),
        404,
        "There is no such launch",
        "No launch that you may see is called “00000000000000000000000000000000”.",
        "Open the link again to start one.",
    ),
    (
        errors.ProjectMissing("abc"),
        404,
        "There is no such project",
        "No project that you may see is called “abc”.",
        "Check the address, or open the link that made the project.",
    ),
    (
        errors.ProjectRuns("My “notes”"),
        409,
        "The project's session runs",
        "“My “notes”” has a session that runs, or is just starting or stopping, so it was not archived.",
        "Stop it first.",
    ),
    (
        errors.ProjectArchived("notes"),
        409,
        "The project is archived",
        "“notes” is archived: its files are kept, and no session of it starts.",
        "Take it back first, on the home page under “Archived”. Operators: `repolaunch unarchive`.",
    ),
    (
        errors.LinkTaken("notes"),
        409,
        "Another project has this link by now",
        "“notes” has the same link, which can lead to one project only.",
        "Archive that one first.",
    ),
    (
        errors.LoginRequired("/api/v1/login?next=%2F"),
        401,
        "Please log in",
        "It is not known who asks.",
        "Open /api/v1/login?next=%2F in a browser. Programs: send the header `Authorization: token …`.",
    ),
    (
        errors.Forbidden("stop this session"),
        403,
        "You may not do this",
        "Your account may not stop this session.",
        "Log in with another account, or ask the project's owner.",
    ),
    (
        errors.BuildTokenRefused("has expired"),
        403,
        "The build token is not good",
        "The build token has expired.",
        "Fetch the launch page again for a fresh one, or leave `build_token` out.",
    ),
    (
        errors.NotFromOurPage("do that"),
        403,
        "You may not do this",
        "Your account may not do that.",
        "Open the page again. Programs: send the `xsrf` of `/api/v1/me` as `X-XSRFToken`, or a token of their own.",
    ),
    (
        errors.BadRequest("body", "It is not JSON.", "a JSON object"),
        400,
        "The request cannot be understood",
        "body: It is not JSON.",
        "Expected: a JSON object.",
    ),
    (
        errors.TooOften("Your network address may bring 1200 new guests", 7),
        429,
        "Too many people at once",
        "Your network address may bring 1200 new guests within ten minutes, and no more for now.",
        "Wait 7 seconds and try again. Whoever signs in has a limit of their own.",
    ),
    (
        errors.QueueFull(1000, 12),
        503,
        "All places are taken",
        "1000 launches wait for one already, and no more can wait.",
        "Try again in 12 seconds, or when somebody's session has ended. What was launched is kept.",
    ),
    (
        errors.LaunchClosed("people who have signed in"),
        403,
        "You may not launch here",
        "This site is open to people who have signed in alone.",
        "Sign in with an account that may, or ask the operator.",
    ),
    (
        errors.RepositoryBanned("gh/ada/nice/main"),
        403,
        "This repository may not be launched here",
        "The operator of this site has closed “gh/ada/nice/main”.",
        "Ask the operator, or launch it elsewhere.",
    ),
    (
        errors.RepositoryNotAllowed("gh/ada/nice/main"),
        403,
        "This repository may not be launched here",
        "“gh/ada/nice/main” is not among the repositories that this site launches.",
        "Ask the operator to add it, or launch it elsewhere.",
    ),
    (
        errors.PersonBanned("mining."),
        403,
        "You may not launch here",
        "The operator of this site has closed it to your account: mining.",
        "Ask the operator.",
    ),
    (
        errors.NetworkBanned("a crawler"),
        403,
        "Your network is not answered here",
        "The operator of this site has closed it to requests from a crawler.",
        "Ask the operator, or come from another network.",
    ),
    (
        errors.PolicyBroken("it is not TOML", "line 2"),
        503,
        "The policy file cannot be read",
        "The policy file is broken; the last good one holds.\nWhy: it is not TOML.\nIt is in line 2 of the file.",
        "Operators: mend the file; it is read again at once.",
    ),
    (
        errors.BodyTooLarge(65536),
        413,
        "The request is too large",
        "Its body has more than 65536 bytes.",
        "Send less: nothing that this service takes is so long.",
    ),
    (
        errors.Stopped("ada"),
        409,
        "The launch was stopped",
        "It was stopped by ada.",
        "Launch again.",
    ),
]


def every_error() -> list[type[errors.LauncherError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    roots = {errors.LauncherError, errors.RetryLater}
    return [one for one in found if issubclass(one, errors.LauncherError) and one not in roots]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_row_and_a_test_of_its_text(kind: type[errors.LauncherError]) -> None:
    assert kind in explain.ROWS
    assert any(type(row[0]) is kind for row in TEXTS)


@pytest.mark.parametrize("kind", every_error())
def test_texts_name_only_facts_that_the_error_has(kind: type[errors.LauncherError]) -> None:
    row = explain.ROWS[kind]
    facts = set(kind.__dataclass_fields__)
    for text in (row.seen, row.todo, *(text for _, text in row.more)):
        assert {name for _, name, _, _ in Formatter().parse(text) if name} <= facts
    assert {name for name, _ in row.more} <= facts


@pytest.mark.parametrize("error, status, title, seen, todo", TEXTS, ids=lambda one: type(one).__name__)
def test_text(error: errors.LauncherError, status: int, title: str, seen: str, todo: str) -> None:
    told = explain.explain(error, Stage.RESOLVE)
    assert (told.status, told.title, told.seen, told.todo) == (status, title, seen, todo)
    assert told.link == f"/docs/errors#{told.code}"
    assert told.stage is Stage.RESOLVE


def test_codes_are_unique_and_plain() -> None:
    codes = [row.code for row in [*explain.ROWS.values(), *explain.SPOKEN]]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_an_unknown_exception_keeps_its_text_to_itself() -> None:
    told = explain.explain(RuntimeError("/srv/data/secrets/operator-token is wrong"), None)
    assert told.code == "internal"
    assert told.status == 500
    assert "srv" not in told.seen + told.todo + told.title


def test_a_parents_row_tells_of_its_children() -> None:
    class RefMissingToday(errors.RefMissing):
        pass

    assert explain.explain(RefMissingToday("u", "r")).code == "ref-missing"


@pytest.mark.parametrize(
    "fact, shown",
    [
        ("https://ada:hunter2@example.org/a", "https://example.org/a"),
        ("https://token@example.org/a", "https://example.org/a"),
        ("red \x1b[31mtext", "red \ufffd[31mtext"),
        ("turned \u202etxet", "turned \ufffdtxet"),
        ("{ref} {0} {x.y}", "{ref} {0} {x.y}"),
        ("x" * 600, "x" * 500 + "…"),
    ],
)
def test_facts_are_hostile(fact: str, shown: str) -> None:
    assert explain.explain(errors.RepositoryMissing(fact)).seen.startswith(f"The server of {shown} says")


def test_a_sentence_has_one_full_stop() -> None:
    assert explain.explain(errors.HubDown("It is asleep.")).seen == "It is asleep."
