"""Passwords that could be guessed."""

from __future__ import annotations

import secrets

import pytest

from deploy.hub.passwords import password_weakness


@pytest.mark.parametrize(
    "password, reason",
    [
        ("", "has 0 characters; 12 are needed"),
        ("short", "has 5 characters; 12 are needed"),
        ("aaaaaaaaaaaaaaaa", "has fewer than 5 different characters"),
        ("hunter2hunter2", "repeats one part"),
        ("password12345", "consists of common words and rows of the keyboard"),
        ("P4ssw0rd!2024", "consists of common words and rows of the keyboard"),
        ("qwertyuiop123", "consists of common words and rows of the keyboard"),
        ("abcdefghijklm", "consists of common words and rows of the keyboard"),
        ("jupyterhub-admin", "consists of common words and rows of the keyboard"),
    ],
)
def test_guessable(password: str, reason: str) -> None:
    assert password_weakness(password) == reason


@pytest.mark.parametrize("password", ["correct horse battery", "x7Kq-92mf-Pl0z", "Ein Hut, der steht ihm gut"])
def test_good(password: str) -> None:
    assert password_weakness(password) is None


def test_random_passwords_are_good() -> None:
    assert [found for _ in range(500) if password_weakness(found := secrets.token_urlsafe(12))] == []
