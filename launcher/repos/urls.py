"""Addresses of repositories: parsed strictly, written back in one form, and shown without secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from launcher.errors import BadUrl, ProtocolRefused

PROTOCOLS = ("http", "https", "git", "ssh")
"""What may be used unless an operator says otherwise. `file` is the only other one that can be."""

DEFAULT_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}
LONGEST = 2000
"""Characters of an address: what browsers and proxies carry without trouble."""
LONGEST_HREF = 16_000
"""Characters of the address of a file: object stores sign theirs."""

_HELPER = re.compile(r"(?P<helper>[A-Za-z0-9][A-Za-z0-9+.-]*)::")
_FULL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^@/?#]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]?#\\]*)(?::(?P<port>[0-9]*))?(?P<path>/.*)?"
)
_HREF = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^@/?#]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]?#\\]*)(?::(?P<port>[0-9]*))?(?P<rest>[/?].*)?"
)
_SCP = re.compile(r"(?:(?P<user>[^@/:]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\[\]\\]+):(?P<path>.*)")
_OTHER_SCHEME = re.compile(
    r"(?i)(?P<scheme>about|blob|bzr|chrome|cid|cvs|data|doi|ed2k|facetime|ftps?|geo|gopher|hdl|hg|imap|info|ircs?|isbn|"
    r"javascript|ldap|magnet|mailto|news|nntp|pop|rsync|s3|sftp|sips?|skype|smb|sms|svn|swh|tel|telnet|urn|vbscript|"
    r"view-source|vscode|webcal|wss?|xmpp):(?![\s]|//)"
)
"""Schemes of other things than repositories, which the form `host:path` would swallow."""
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff]")

_REDACTIONS = (
    (re.compile(r"(?i)\b(ssh://[^\s/:@'\"]+):[^\s/@'\"]*@"), r"\1@"),
    (re.compile(r"(?i)\b((?!ssh)[a-z][a-z0-9+.-]*://)[^\s/'\"<>]*@"), r"\1"),
    (re.compile(r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|gl[a-z]{2,5}-[\w.-]{16,})"), "[secret]"),
    (re.compile(r"(?i)([?&](?:\w*token|password|secret|key|sig|signature)=)[^\s&'\"]+"), r"\1[secret]"),
    (re.compile(r"(?i)\b(authorization:\s*\w+\s+)[^\s'\"]+"), r"\1[secret]"),
)


def redact(text: str) -> str:
    """The text without credentials: those of addresses, tokens by their known forms, `Authorization` headers."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


@dataclass(frozen=True, slots=True)
class Address:
    """A repository's address in its parts. Guarantees: no password, a host that is a name or an IP, no `..`."""

    protocol: str
    user: str
    """Of ssh only; `""` otherwise."""
    host: str
    """Lower case, without brackets; `""` for file."""
    port: int
    path: str
    """As git is given it: percent-encoded, begins with `/` unless it is relative to an ssh account's home."""

    @property
    def netloc(self) -> str:
        """user@host:port, as an address writes it, the usual port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = "" if self.port == DEFAULT_PORTS.get(self.protocol, 0) else f":{self.port}"
        return f"{user}{host}{port}"

    def __str__(self) -> str:
        """The address in its one form; `host:path` where the path is relative to the account's home."""
        if self.protocol == "ssh" and not self.path.startswith("/"):
            return f"{self.netloc}:{self.path}"
        return f"{self.protocol}://{self.netloc}{self.path}"


def decode(text: str) -> str:
    """Percent-decode, strictly. Raises ValueError, whose text says what is wrong."""
    if bad := _BAD_ESCAPE.search(text):
        msg = f"{bad[0]} is not a percent-escape"
        raise ValueError(msg)
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        msg = "its percent-escapes are not UTF-8"
        raise ValueError(msg) from None


def split(url: str, protocols: tuple[str, ...] = PROTOCOLS) -> Address:
    """Read a repository's address. Raises BadUrl and ProtocolRefused; their facts carry no credentials."""
    if len(url) > LONGEST:
        raise BadUrl(redact(url[:100]) + "…", f"it is longer than {LONGEST} characters")
    if helper := _HELPER.match(url):
        raise ProtocolRefused(redact(url), helper["helper"].lower(), protocols)
    if other := _OTHER_SCHEME.match(url):
        raise ProtocolRefused(redact(url), other["scheme"].lower(), protocols)
    if unseen := _UNSEEN.search(url):
        what = "a space" if unseen[0] == " " else f"the character U+{ord(unseen[0]):04X}"
        raise BadUrl(redact(url), f"it holds {what}")
    if url.startswith("/"):
        return _file(url, url, protocols)
    if match := _FULL.fullmatch(url):
        return _full(url, match, protocols)
    if "://" not in url and (match := _SCP.fullmatch(url)):
        return _scp(url, match, protocols)
    raise BadUrl(redact(url), "it has not the form protocol://host/path")


@dataclass(frozen=True, slots=True)
class Href:
    """An address that a server gave for a file: not a repository's, it may have a query."""

    protocol: str
    host: str
    port: int
    rest: str
    """Path and query, as the server wrote them."""

    def __str__(self) -> str:
        """In its one form: what was checked is what is asked."""
        return str(Address(self.protocol, "", self.host, self.port, self.rest))


def split_href(url: str, protocols: tuple[str, ...]) -> Href:
    """Read such an address. Raises BadUrl and ProtocolRefused; their facts carry neither query nor credentials."""
    shown = redact(url.partition("?")[0])[:200]
    match = _HREF.fullmatch(url) if len(url) <= LONGEST_HREF and not _UNSEEN.search(url) and url.isascii() else None
    if match is None:
        raise BadUrl(shown, "it is not the address of a file")
    protocol = match["scheme"].lower()
    if protocol not in protocols:
        raise ProtocolRefused(shown, protocol, protocols)
    port = int(match["port"] or DEFAULT_PORTS[protocol])
    if not 0 < port < 2**16:
        raise BadUrl(shown, f"{port} is not a port")
    _user(shown, protocol, match["user"])
    rest = (match["rest"] or "/").partition("#")[0]
    rest = rest if rest.startswith("/") else f"/{rest}"
    return Href(protocol, _host(shown, match["host"]), port, rest)


def _full(url: str, match: re.Match[str], protocols: tuple[str, ...]) -> Address:
    protocol = match["scheme"].lower()
    path = match["path"] or ""
    if protocol == "file":
        if match["host"] or match["user"] is not None or match["port"] is not None:
            raise BadUrl(redact(url), "a file address has no host")
        return _file(url, path, protocols)
    if protocol not in protocols or protocol not in DEFAULT_PORTS:
        raise ProtocolRefused(redact(url), protocol, protocols)
    port = int(match["port"] or DEFAULT_PORTS[protocol])
    if not 0 < port < 2**16:
        raise BadUrl(redact(url), f"{port} is not a port")
    _check_path(url, path, empty="/")
    return Address(protocol, _user(url, protocol, match["user"]), _host(url, match["host"]), port, path)


def is_of_other_scheme(text: str) -> bool:
    """Whether a text begins as an address of something that no repository is (`javascript:…`, `mailto:…`)."""
    return _OTHER_SCHEME.match(text) is not None


def _scp(url: str, match: re.Match[str], protocols: tuple[str, ...]) -> Address:
    host = match["host"]
    if match["user"] is None and host.lower() in DEFAULT_PORTS:
        raise BadUrl(redact(url), "it has not the form protocol://host/path")
    if match["user"] is None and "." not in host and not host.startswith("["):
        raise BadUrl(redact(url), f"“{host}:” is no protocol of a repository, and no whole host name")
    if "ssh" not in protocols:
        raise ProtocolRefused(redact(url), "ssh", protocols)
    _check_path(url, match["path"], empty="/")
    if match["path"].startswith(("-", "~")):
        raise BadUrl(redact(url), f"its path begins with {match['path'][0]}")
    return Address("ssh", _user(url, "ssh", match["user"]), _host(url, match["host"]), 22, match["path"])


def _file(url: str, path: str, protocols: tuple[str, ...]) -> Address:
    if "file" not in protocols:
        raise ProtocolRefused(redact(url), "file", protocols)
    _check_path(url, path, empty="/")
    return Address("file", "", "", 0, path)


def _user(url: str, protocol: str, user: str | None) -> str:
    if user is None:
        return ""
    if protocol != "ssh" or ":" in user:
        raise BadUrl(redact(url), "it carries a user name or a password, and links are public")
    if not _USER.fullmatch(user):
        raise BadUrl(redact(url), "its user name is none")
    return user


def _host(url: str, host: str) -> str:
    if not host:
        raise BadUrl(redact(url), "it has no host")
    if host.startswith("["):
        return host[1:-1].lower()
    try:
        name = host.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):  # noqa: PLR2004  # RFC 1035
        raise BadUrl(redact(url), "its host is not a host name")
    return name


def _check_path(url: str, path: str, empty: str = "") -> None:
    if path in {"", empty}:
        raise BadUrl(redact(url), "it has no path to a repository")
    if "?" in path or "#" in path:
        raise BadUrl(redact(url), "it has a query or a fragment")
    try:
        plain = decode(path)
    except ValueError as error:
        raise BadUrl(redact(url), str(error)) from None
    if any(ord(character) < ord(" ") or character == "\x7f" for character in plain):
        raise BadUrl(redact(url), "its path holds a control character")
    if ".." in re.split(r"[/\\]", plain):
        raise BadUrl(redact(url), "its path climbs out with “..”")
