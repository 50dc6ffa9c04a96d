"""What makes the shared password of the members guessable.

Not a measure of entropy: a rule that one can say in a sentence, for a password that opens a server to a network.
"""

from __future__ import annotations

SHORTEST = 12
KINDS = 5
"""Different characters that a password must have."""
COMMON = tuple(
    """password passwort motdepasse secret welcome willkommen letmein changeme administrator admin jupyter jupyterhub
    binder notebook repolaunch qwertz qwerty azerty iloveyou dragon monkey football master login test demo guest
    """.split()  # noqa: SIM905  # one word a line would fill a page
)
ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")
LEET = str.maketrans("013457@$!", "oleastasi")


def password_weakness(text: str) -> str | None:
    """Why this password could be guessed, as the end of "… because it"; None if nothing was found."""
    if len(text) < SHORTEST:
        return f"has {len(text)} characters; {SHORTEST} are needed"
    plain = text.casefold()
    if len(set(plain)) < KINDS:
        return f"has fewer than {KINDS} different characters"
    rest = _without_known(plain)
    if len(rest) < SHORTEST // 2:
        return "consists of common words and rows of the keyboard"
    if plain in (plain + plain)[1:-1]:
        return "repeats one part"
    return None


def _without_known(plain: str) -> str:
    """The password without common words and without runs of three or more neighbours on the keyboard."""
    rest = plain
    for word in COMMON:
        rest = rest.replace(word, "")
        if word in rest.translate(LEET):
            start = rest.translate(LEET).index(word)
            rest = rest[:start] + rest[start + len(word) :]
    for row in ROWS:
        for line in (row, row[::-1]):
            for length in range(len(line), 2, -1):
                for start in range(len(line) - length + 1):
                    rest = rest.replace(line[start : start + length], "")
    return rest
