"""What `repolaunch gc` and `repolaunch forget` print."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def told(places: Sequence[dict[str, Any]], *, dry_run: bool) -> list[str]:
    """Of each place how full it is, what goes, and why the rest stays."""
    return [line for place in places for line in _place(place, dry_run=dry_run)]


def told_forgotten(found: dict[str, Any], *, dry_run: bool) -> list[str]:
    """What goes of a repository, why the rest stays, and which projects use it."""
    return list(_forgotten(found, dry_run=dry_run))


def _forgotten(found: dict[str, Any], *, dry_run: bool) -> Iterator[str]:
    yield f"{found['url']}:"
    word = "would go" if dry_run else "gone"
    for one in found["going"]:
        yield f"  {word:<9} {_named(one)}  {size(one['frees'])}"
    for number, what in (
        (found["checkouts"], "checked out commit(s)"),
        (found["trees"], "tree(s): what they declare"),
    ):
        if number:
            yield f"  {word:<9} {number} {what}"
    for one in found["kept"]:
        yield f"  {'stays':<9} {_named(one)}: {one['reason']}"
    if not (found["going"] or found["kept"] or found["checkouts"] or found["trees"]):
        yield "  nothing is held of it"
    if found["projects"]:
        yield f"  projects  {', '.join(found['projects'])}: they keep their workspaces and can be opened"


def _place(place: dict[str, Any], *, dry_run: bool) -> Iterator[str]:
    yield f"{place['place']}: {_room(place)}"
    if place["reason"]:
        yield f"  nothing goes: {place['reason']}"
    for one in place["going"]:
        yield f"  {'would go' if dry_run else 'gone':<9} {_named(one)}  {size(one['frees'])}"
    if not place["going"] and not place["reason"]:
        yield "  nothing goes" if dry_run else "  nothing went"
    for (kind, reason), number in sorted(Counter((one["kind"], one["reason"]) for one in place["kept"]).items()):
        names = [_named(one) for one in place["kept"] if (one["kind"], one["reason"]) == (kind, reason)]
        yield f"  {'stays':<9} {names[0] if number == 1 else f'{number} × {kind}'}: {reason}"
    if place["freed"] is not None:
        yield f"  freed     {size(place['freed'])}"


def _room(place: dict[str, Any]) -> str:
    said = [] if place["held"] is None else [f"{size(place['held'])} held"]
    if place["disk_size"]:
        percent = 100 * place["disk_used"] // place["disk_size"]
        said.append(f"disk {percent}% full ({size(place['disk_used'])} of {size(place['disk_size'])})")
    if place["wanted"]:
        said.append(f"{size(place['wanted'])} more than the low mark")
    return ", ".join(said) or "how much it holds is not known"


def _named(one: dict[str, Any]) -> str:
    what = f"{one['source']} at {one['commit'][:10]}" if one["source"] else one["name"][:19]
    return f"{one['kind']} {what}, {'launched ' + one['used'][:10] if one['used'] else 'never launched'}"


def size(number: int) -> str:
    """Bytes for people."""
    amount = float(number)
    for unit in _UNITS:
        if amount < _STEP or unit == _UNITS[-1]:
            break
        amount /= _STEP
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
