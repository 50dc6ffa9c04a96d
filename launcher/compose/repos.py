"""From a link to a checkout: addresses, people's credentials, those who resolve."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from launcher.credentials.keyring import Keyring, applications, closed_by
from launcher.credentials.oauth import OAuth
from launcher.credentials.vault import Vault
from launcher.gate.resolved import Held
from launcher.repos.addresses import AddressPolicy
from launcher.repos.archived import ArchivedResolver
from launcher.repos.budget import Limits
from launcher.repos.checkouts import GitCheckouts
from launcher.repos.private import PrivateResolver
from launcher.repos.providers import PROVIDERS, parse_url
from launcher.repos.records.api import Api
from launcher.repos.records.resolver import ByProvider, RecordResolver
from launcher.repos.resolver import GitResolver

if TYPE_CHECKING:
    from launcher.builds.run import Builders
    from launcher.compose.common import Common
    from launcher.settings import Settings


class Repos:
    """Those who read repositories."""

    def __init__(self, common: Common, archive: Builders | None) -> None:
        """`archive`: where what is launched is kept; None: nowhere."""
        settings, folder = common.settings, common.data / "checkouts"
        self.addresses = addresses = AddressPolicy(settings.allowed_networks, settings.allowed_endpoints)
        self.keyring = _keyring(common)
        self.keyring.closed = closed_by(settings)
        self.oauth = self.keyring.oauth = OAuth(applications(settings), time.time)
        self.checkouts = GitCheckouts(
            folder, addresses, settings.allowed_protocols, _limits(settings), archive=archive, keyring=self.keyring
        )
        self.checkouts.mind(common.gate.leads_to)
        asking = (addresses, settings.allowed_protocols, settings.resolve_timeout_s, folder)
        self.api = Api(*asking, settings.provider_fresh_s)
        self.git = GitResolver(*asking, known_hosts=settings.ssh_known_hosts)
        self.git.mind(common.gate.leads_to)
        records = frozenset(row.id for row in PROVIDERS.values() if row.is_record)
        self.finder = ByProvider(self.git, RecordResolver(self.api, common.sites), records)
        """Finds what anybody may read."""
        self.private = private = PrivateResolver(self.finder, self.git, self.keyring)
        """Finds what a person may read."""
        self.resolver = Held(ArchivedResolver(private, archive) if archive else private, common.gate)


def _keyring(common: Common) -> Keyring:
    known = common.given.secrets
    cloned = partial(parse_url, sites=common.sites)
    return Keyring(
        common.rows.credentials,
        Vault(known.credentials_key, known.namespace_secret),
        time.time,
        lambda text: cloned(text).url,
        common.settings.ssh_known_hosts,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.checkout_max_bytes,
        settings.checkout_max_files,
        settings.checkout_timeout_s,
        settings.checkout_max_submodules,
    )
