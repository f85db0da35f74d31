"""What must hold of a snapshot before it is published, so that a bad one never replaces a good one."""

from collections.abc import Iterator, Mapping

from talentfeed.contracts import Manifest, Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.ranking import sound

COMPARED = ("videos", "flows", "users", "interactions", "connections")
SMALL_CHANGE = 10  # so many rows fewer are no alarm, however few there were, unless none is left


def check(snapshot: Snapshot, last: Manifest | None = None, *, shrink: float = 0.5, force: bool = False) -> None:
    """Raise SnapshotError listing all that is wrong.

    last: the manifest that this one would replace; no count may be less than (1 - shrink) of what it was. `force`
    leaves that comparison out, never the others.
    """
    wrong = [*sound.faults(snapshot)]
    if last is not None and not force:
        wrong += _shrunk(snapshot.manifest.counts, last.counts, shrink)
    if wrong:
        raise SnapshotError("the snapshot did not pass its checks and was not published: " + "; ".join(wrong))


def _shrunk(now: Mapping[str, int], before: Mapping[str, int], shrink: float) -> Iterator[str]:
    for kind in COMPARED:
        had, has = before.get(kind, 0), now.get(kind, 0)
        if (has == 0 < had) or (has < had * (1 - shrink) and had - has > SMALL_CHANGE):
            yield f"{kind}: {has} where the current snapshot has {had}; if that is right, build with --force"
