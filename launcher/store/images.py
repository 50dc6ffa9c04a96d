"""Images and environments that have been seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from launcher.store.codec import environment_text, facts_text, image_of, parse_environment
from launcher.store.rows import EnvironmentRow, ImageRow, ProjectRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.model import Environment, Image, ImageRef
    from launcher.store.database import Database


class ImageRows:
    """What is known of the image of each environment key: one image a key, the newest."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def get(self, key: str) -> Image | None:
        """The image of this key, as it was last seen; whether it still exists is not asked."""
        async with self._database.reading() as session:
            row = await session.get(ImageRow, key)
            return None if row is None else _image(row)

    async def save(self, image: Image) -> None:
        """Remember the image, in place of another of its key."""
        now = self._clock()
        async with self._database.writing() as session:
            known = await session.get(ImageRow, image.key)
            created = known.created if known and known.engine_id == image.facts.engine_id else now
            row = ImageRow(
                key=image.key,
                engine_id=image.facts.engine_id,
                facts=facts_text(image.facts),
                created=created,
                used=now,
                built=image.built or None,
                space=image.space,
                **ref_columns(image.ref),
            )
            await session.merge(row)

    async def touch(self, key: str) -> None:
        """Note that the image is used now."""
        async with self._database.writing() as session:
            await session.execute(update(ImageRow).where(ImageRow.key == key).values(used=self._clock()))

    async def pushed(self, key: str, engine_id: str, ref: ImageRef) -> None:
        """Note the digest of exactly this image, here and in the projects that wait for it."""
        columns = ref_columns(ref)
        waiting = (ProjectRow.key == key, ProjectRow.engine_id == engine_id, ProjectRow.digest.is_(None))
        async with self._database.writing() as session:
            same = (ImageRow.key == key, ImageRow.engine_id == engine_id)
            await session.execute(update(ImageRow).where(*same).values(**columns))
            await session.execute(update(ProjectRow).where(*waiting).values(**columns))

    async def lost(self, key: str) -> None:
        """Note that the registry no longer has the image of this key: it is to be pushed again."""
        async with self._database.writing() as session:
            await session.execute(update(ImageRow).where(ImageRow.key == key).values(**ref_columns(None)))

    async def unpushed(self) -> list[Image]:
        """The images whose push has not ended, the oldest first."""
        async with self._database.reading() as session:
            query = select(ImageRow).where(ImageRow.digest.is_(None)).order_by(ImageRow.created, ImageRow.key)
            return [_image(row) for row in await session.scalars(query)]

    async def outlived(self) -> list[Image]:
        """Images whose push has not ended and whose key has a newer one: projects still start from them."""
        newest = select(ImageRow.key).where(ImageRow.key == ProjectRow.key, ImageRow.engine_id == ProjectRow.engine_id)
        query = select(ProjectRow).where(ProjectRow.digest.is_(None), ~newest.exists())
        async with self._database.reading() as session:
            rows = await session.scalars(query.order_by(ProjectRow.created, ProjectRow.id))
            none = (None, None, None)
            found = {
                (row.key, row.engine_id): image_of(row.key, row.facts, none, row.built, row.pinning, row.space)
                for row in rows
            }
        return list(found.values())


class EnvironmentRows:
    """What detection found in a tree, by the tree's id and the fingerprint of the builders that looked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tree: str, fingerprint: str) -> Environment | None:
        """What these builders found in this tree before, if they looked."""
        async with self._database.reading() as session:
            row = await session.get(EnvironmentRow, (tree, fingerprint))
            return None if row is None else parse_environment(row.body)

    async def put(self, tree: str, fingerprint: str, environment: Environment) -> None:
        """Remember it."""
        row = EnvironmentRow(tree=tree, fingerprint=fingerprint, body=environment_text(environment))
        async with self._database.writing() as session:
            await session.merge(row)


def ref_columns(ref: ImageRef | None) -> dict[str, str | None]:
    """An image's place in a registry as the three columns have it."""
    if ref is None:
        return {"registry_host": None, "repository": None, "digest": None}
    return {"registry_host": ref.registry, "repository": ref.repository, "digest": ref.digest}


def _image(row: ImageRow) -> Image:
    ref = (row.registry_host, row.repository, row.digest)
    return image_of(row.key, row.facts, ref, row.built, space=row.space)
