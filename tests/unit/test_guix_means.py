"""How a site says that Guix is run."""

from __future__ import annotations

import pytest

from builders.errors import BuildBroken
from builders.guix.means import Means, means


def test_what_is_chosen() -> None:
    assert means({}) == means({"REPOLAUNCH_GUIX": ""}) == Means()
    text = '{"substitutes": ["https://one", "https://two"], "folders": {"/etc/guix": "/etc/guix"}}'
    assert means({"REPOLAUNCH_GUIX": text}) == Means(
        substitutes=("https://one", "https://two"), folders={"/etc/guix": "/etc/guix"}
    )


@pytest.mark.parametrize(
    "text,what",
    [
        ("substitutes", "command, schemes, authenticate, substitutes, keys and folders"),
        ("[]", "command, schemes, authenticate, substitutes, keys and folders"),
        ('{"substitute": []}', "command, schemes, authenticate, substitutes, keys and folders"),
        (
            '{"substitutes": ["https://one https://two"]}',
            "command, schemes, authenticate, substitutes, keys and folders",
        ),
        ('{"substitutes": "https://one"}', "substitutes"),
        ('{"command": ["guix"]}', "command"),
        ('{"keys": ["(public-key)"]}', "keys"),
        ('{"keys": "%s"}' % ("A" * 64), "keys"),
        ('{"authenticate": "no"}', "authenticate"),
        ('{"folders": ["x"]}', "folders"),
        ('{"folders": {"x": 1}}', "folders"),
    ],
)
def test_what_is_not_understood_is_told(text: str, what: str) -> None:
    with pytest.raises(BuildBroken) as caught:
        means({"REPOLAUNCH_GUIX": text})
    assert caught.value.reason == f"REPOLAUNCH_GUIX is no JSON object with {what} as they should be"
