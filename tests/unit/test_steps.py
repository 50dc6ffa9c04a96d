"""What the steps of a launch tell: each text has a code, and each code a text in every language."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from builders.lines import PINNINGS
from launcher.catalogue import CATALOGUE, about, said, told
from launcher.errors import RegistryDown
from launcher.events import Ended, Event, Log, Progress, Queued, Stage, Started
from launcher.explain import explain
from launcher.gate.words import REASONS, waits
from launcher.launch import _declared
from launcher.model import Environment
from launcher.store.codec import event_text, parse_event
from launcher.web.spoken import explained, spoken

ROOT = Path(__file__).parents[2]
STEPS = ("Started", "Progress", "Ended")
PASSED_ON = {
    "launcher/builds/run.py": 2,  # a builder's own lines
    "launcher/sessions/sessions.py": 1,  # a line of the hub, with the code that it has
}
"""Where a step is told in somebody else's words, and how often."""
PROBLEM = {"problem", "title", "seen", "todo"}
"""What `about` gives."""


def sources() -> dict[str, ast.Module]:
    files = [*(ROOT / "launcher").rglob("*.py"), ROOT / "deploy/hub/spawner.py"]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in files}


SOURCES = sources()


def calls(tree: ast.Module, *names: str) -> list[ast.Call]:
    found = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    return [one for one in found if ast.unparse(one.func).rpartition(".")[2] in names]


def names_of(tree: ast.Module, kinds: tuple[str, ...]) -> dict[str, str]:
    """By what this module calls these kinds of event: the builders' lines have names of the same kind."""
    found: dict[str, str] = {}
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and one.module == "launcher.events":
            found |= {each.asname or each.name: each.name for each in one.names if each.name in kinds}
        if isinstance(one, ast.ImportFrom) and one.module == "launcher":
            found |= {
                f"{each.asname or each.name}.{k}": k for each in one.names if each.name == "events" for k in kinds
            }
    return found


def made(tree: ast.Module, *kinds: str) -> list[ast.Call]:
    """Where these kinds of event are made."""
    names = names_of(tree, kinds)
    return [one for one in ast.walk(tree) if isinstance(one, ast.Call) and ast.unparse(one.func) in names]


def from_the_catalogue(call: ast.Call) -> bool:
    """Whether the step has what `said` gives, and nothing of its own but its stage, percent and seconds."""
    whole = [each.value for each in call.keywords if each.arg is None]
    own = {each.arg for each in call.keywords if each.arg} - {"percent", "seconds"}
    if len(whole) != 1 or len(call.args) > 1 or own:
        return False
    if isinstance(whole[0], ast.Call):
        return ast.unparse(whole[0].func) == "said"
    return isinstance(whole[0], ast.Name | ast.Attribute)  # a Said, says mypy: nothing else makes one


def emitted() -> list[tuple[str, set[str]]]:
    """Codes that the launcher and the spawner tell, each with the names of the facts that it is told with."""
    found = []
    for path, tree in SOURCES.items():
        for call in calls(tree, "said"):
            if "." in ast.unparse(call.func):  # git's
                continue
            assert call.args, f"{path}:{call.lineno}: a code"
            assert isinstance(call.args[0], ast.Constant), f"{path}:{call.lineno}: the code has to be seen here"
            names = [{one.arg} if one.arg else PROBLEM for one in call.keywords]
            found.append((str(call.args[0].value), {str(name) for each in names for name in each}))
        if path == "deploy/hub/spawner.py":
            found += [(str(ast.literal_eval(call.args[1])), set()) for call in calls(tree, "_tell")]
    # JupyterHub's own, which launcher/sessions/progress.py knows by its words.
    return [*found, ("step.session.requested", set())]


@pytest.mark.parametrize("code,facts", emitted())
def test_each_code_has_a_text_in_every_language_with_its_facts(code: str, facts: set[str]) -> None:
    for language, texts in CATALOGUE.items():
        assert code in texts, f"{language} has no text for {code}"
        names = set(re.findall(r"\{(\w+)\}", texts[code]))
        assert facts - PROBLEM <= names <= facts, (language, code)
        step = said(code, **dict.fromkeys(facts, "it"))
        assert told(language, **step) == re.sub(r"\{\w+\}", "it", texts[code])


def test_each_text_of_a_step_is_told_somewhere() -> None:
    known = {key for key in CATALOGUE["en"] if key.startswith("step.")}
    assert known == {code for code, _ in emitted()}


@pytest.mark.parametrize("path", [path for path, tree in SOURCES.items() if made(tree, *STEPS)])
def test_no_step_is_told_without_a_code(path: str) -> None:
    """A step's words come from `said`, whole: nothing that is told has a sentence of its own."""
    bare = [one for one in made(SOURCES[path], *STEPS) if not from_the_catalogue(one)]
    assert len(bare) == PASSED_ON.get(path, 0), [f"{path}:{one.lineno}: {ast.unparse(one)}" for one in bare]


def test_what_has_facts_of_its_own_has_words_of_the_catalogue_too() -> None:
    found = [one.args[1] for tree in SOURCES.values() for one in made(tree, "Declared", "Queued")]
    assert sorted(ast.unparse(one).partition(",")[0] for one in found) == ["text('en'", "waits('en'"]
    assert [path for path, tree in SOURCES.items() if calls(tree, "Said")] == ["launcher/catalogue.py"]


@pytest.mark.parametrize("pinning", [*PINNINGS, "of another version"])
def test_what_is_declared_is_said(pinning: str) -> None:
    environment = Environment("nix", "1", ("flake.nix",), "k", "linux/amd64", pinning=pinning)
    expected = CATALOGUE["en"][f"pinning.{pinning if pinning in PINNINGS else 'not-pinned'}.about"]
    assert _declared(environment).message == expected


def test_a_step_is_told_in_english_and_read_in_any_language() -> None:
    step = said("step.resolve.found", name="refs/heads/main", version="c0ffee")
    assert step["message"] == "refs/heads/main is at c0ffee"
    event = Started(Stage.RESOLVE, **step)
    assert parse_event(event_text(event)) == event
    french = spoken(event, "fr")
    assert isinstance(french, Started)
    assert french.message == "refs/heads/main est à c0ffee"
    assert spoken(event, "en") == event


@pytest.mark.parametrize(
    "event",
    [
        Progress(Stage.BUILD, "Half of it", 50),
        Ended(Stage.RESOLVE, "An older version's", 0.1),
        Started(Stage.RESOLVE, "A newer version's", "step.resolve.teleported", (("to", "there"),)),
        Started(Stage.RESOLVE, "With other facts", "step.resolve.found", (("name", "main"),)),
        Log(Stage.BUILD, "line"),
        Queued(Stage.QUEUE, "For another reason", 2, 1, "moon"),
    ],
)
def test_what_is_not_known_is_read_as_it_was_told(event: Event) -> None:
    assert spoken(event, "fr") == event


def test_stored_events_of_older_and_damaged_ones() -> None:
    old = parse_event('{"type":"started","stage":"resolve","message":"Asking"}')
    assert old == Started(Stage.RESOLVE, "Asking")
    for facts in ("[1]", "7", "null", '{"name":{"a":1}}'):
        body = f'{{"type":"ended","stage":"resolve","message":"x","seconds":1,"code":"step.a","facts":{facts}}}'
        assert parse_event(body) == Ended(Stage.RESOLVE, "x", 1, "step.a")


def test_a_fact_is_no_text() -> None:
    step = said("step.resolve.found", name="{version}", version="{name}")
    assert step["message"] == "{version} is at {name}"


def test_a_problem_in_a_step_is_in_the_readers_language() -> None:
    problem = explain(RegistryDown("r.example.org", "connection refused"), Stage.IMAGE)
    event = Progress(Stage.IMAGE, **said("step.image.registry", **about(problem)))
    assert event.message == (
        "The image registry does not answer. Asking r.example.org failed: connection refused. "
        "The launch goes on without it."
    )
    french = explained(event, "fr")
    assert isinstance(french, Progress)
    assert (french.message, french.code) == (event.message, event.code)
    expected = "Le registre d’images ne répond pas. La demande à r.example.org a échoué : connection refused."
    assert told("fr", french.message, french.code, french.facts) == f"{expected} Le lancement s’en passe."
    assert getattr(spoken(event, "fr"), "message", "") == f"{expected} Le lancement s’en passe."
    assert explained(event, "en") == event


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("place", [1, 2])
def test_a_place_in_the_queue_is_said_in_the_readers_language(reason: str, place: int) -> None:
    event = Queued(Stage.QUEUE, waits("en", reason, place), place, place - 1, reason)
    assert event.message
    french = spoken(event, "fr")
    assert french == replace(event, message=waits("fr", reason, place)) != event
