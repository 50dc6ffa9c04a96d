"""Makes the accounts of projects, so that the launcher need not be one who may make, change and remove all accounts."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from sqlalchemy.orm import object_session
from tornado.web import HTTPError

from deploy.hub.names import LAUNCHER, PROJECTS


def join(user: Any) -> None:
    """Put a project's account into the group of all of them: that is as far as the roles of our services go."""
    session: Any = object_session(user)
    group = orm.Group.find(session, PROJECTS)
    if group is None:
        group = orm.Group(name=PROJECTS)
        session.add(group)
    if group not in user.groups:
        user.groups.append(group)
    session.commit()


class ProjectAccountHandler(APIHandler):  # type: ignore[misc]  # jupyterhub has no types
    """`POST /hub/api/project-accounts/project-…`: make the account unless it is there; the launcher's alone."""

    async def post(self, account: str) -> None:
        """An account that is there joins the group of projects, if an earlier version made it."""
        asker = self.current_user
        if not isinstance(asker, orm.Service) or asker.name != LAUNCHER:
            raise HTTPError(403, "Only the launcher makes projects.")
        user = self.find_user(account) or self.user_from_username(account)
        join(user.orm_user)
        self.set_status(204)
