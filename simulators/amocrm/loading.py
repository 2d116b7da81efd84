"""A picture of the world into the portal, and a later picture over an earlier one."""

from simulators.amocrm.store import KINDS, Portal
from simulators.amocrm.translate import Translation
from simulators.world.crm import CrmPicture


def load_picture(portal: Portal, picture: CrmPicture) -> None:
    """Make the portal hold the picture. Records that integrations wrote stay, events are told again as a whole."""
    translation = Translation(picture)
    translation.settings(portal)
    came = {kind: set[object]() for kind in KINDS}
    portal.events.clear()
    for deal, pipeline, old, new, at in translation.moves():
        portal.note_event(
            "lead_status_changed", "leads", deal, at=at,
            before=[{"lead_status": {"id": old, "pipeline_id": pipeline}}],
            after=[{"lead_status": {"id": new, "pipeline_id": pipeline}}],
        )  # fmt: skip
    for kind, record, ended_at, survivor in translation.cards():
        key = record["id"]
        came[kind].add(key)
        if portal.records[kind].get(key) != record:
            portal.add(kind, record, quietly=True)
        if ended_at is not None:
            portal.delete(kind, key, at=ended_at, quietly=survivor is not None)
            if survivor is not None:
                portal.note_merge(kind, survivor, key, ended_at)
    for kind in KINDS:
        for key in [key for key in portal.records[kind] if key not in came[kind] and not portal.is_own(key)]:
            portal.delete(kind, key, quietly=True)
    portal.events.sort(key=lambda event: event["created_at"])
