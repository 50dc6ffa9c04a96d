"""How wrong requests are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher import errors
from launcher.explain.row import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS: Final[Mapping[type[errors.LauncherError], Row]] = {
    errors.LaunchMissing: Row(
        "launch-missing",
        404,
        "There is no such launch",
        "No launch that you may see is called “{id}”.",
        "Open the link again to start one.",
    ),
    errors.ProjectMissing: Row(
        "project-missing",
        404,
        "There is no such project",
        "No project that you may see is called “{id}”.",
        "Check the address, or open the link that made the project.",
    ),
    errors.ProjectRuns: Row(
        "project-runs",
        409,
        "The project's session runs",
        "“{title}” has a session that runs, or is just starting or stopping, so it was not archived.",
        "Stop it first.",
    ),
    errors.ProjectArchived: Row(
        "project-archived",
        409,
        "The project is archived",
        "“{title}” is archived: its files are kept, and no session of it starts.",
        "Take it back first, on the home page under “Archived”. Operators: `repolaunch unarchive`.",
    ),
    errors.LinkTaken: Row(
        "link-taken",
        409,
        "Another project has this link by now",
        "“{other}” has the same link, which can lead to one project only.",
        "Archive that one first.",
    ),
    errors.LoginRequired: Row(
        "login-required",
        401,
        "Please log in",
        "It is not known who asks.",
        "Open {login} in a browser. Programs: send the header `Authorization: token …`.",
    ),
    errors.Forbidden: Row(
        "forbidden",
        403,
        "You may not do this",
        "Your account may not {what}.",
        "Log in with another account, or ask the project's owner.",
    ),
    errors.NotFromOurPage: Row(
        "not-from-our-page",
        403,
        "You may not do this",
        "Your account may not {what}.",
        "Open the page again. Programs: send the `xsrf` of `/api/v1/me` as `X-XSRFToken`, or a token of their own.",
    ),
    errors.BuildTokenRefused: Row(
        "build-token-refused",
        403,
        "The build token is not good",
        "The build token {reason}.",
        "Fetch the launch page again for a fresh one, or leave `build_token` out.",
    ),
    errors.BadRequest: Row(
        "bad-request",
        400,
        "The request cannot be understood",
        "{where}: {seen}",
        "Expected: {form}.",
    ),
    errors.BodyTooLarge: Row(
        "body-too-large",
        413,
        "The request is too large",
        "Its body has more than {limit} bytes.",
        "Send less: nothing that this service takes is so long.",
    ),
    errors.Stopped: Row(
        "stopped",
        409,
        "The launch was stopped",
        "It was stopped by {by}.",
        "Launch again.",
    ),
}
