"""What happened to a charge, in its own record: who began which attempt, how each ended, and what people asked for.

It goes with writes that are made anyway, so it costs no round trip. An entry is ``[Unix seconds, what, worker,
detail]`` without what is empty at its end. ``what`` is a step that a worker began, a state or a refund that the charge
came to, or a word of its own: ``failed``, ``cancelled``, ``redelivery``, ``refund_refused``, ``dismissed``,
``recorded``.
"""

from __future__ import annotations

import os
import socket
from typing import Any

__all__ = ["HEAD", "extended", "note_change", "worker_name"]

HEAD, TAIL = 4, 20
"""Entries that are kept of a long trail: the first and the newest. ``trail_cut`` counts those between."""
DETAIL = 120
"""Characters of a detail that are kept."""

Body = dict[str, Any]
Entry = list[Any]


def worker_name() -> str:
    """Return what this process is called in trails: its host and its process id."""
    return f"{socket.gethostname()[:32]}:{os.getpid()}"


def extended(known: Body, body: Body, entry: Entry) -> Body:
    """Add an entry to the trail of a record that is about to be written, and return that record.

    :param known: the record before; its own list is left alone, for it may be the one that the storage holds.
    """
    trail = [*known.get("trail", ()), entry]
    if len(trail) > HEAD + TAIL:
        body["trail_cut"] = known.get("trail_cut", 0) + 1
        del trail[HEAD]
    body["trail"] = trail
    return body


def note_change(known: Body, body: Body, moment: float, error: str | None = None) -> None:
    """Add to a record that is about to be written what becomes of the charge with it, if anything does.

    :param error: why an attempt failed, if this is the end of one that did.
    """
    state, refund, trouble = body["state"], body.get("refund"), body.get("trouble")
    if state != known["state"]:
        if state == "paid":
            what, detail = "redelivery", None
        else:
            what, detail = state, body.get("refund_reason") if state == "rejected" else _reason(body)
    elif trouble and trouble != known.get("trouble"):
        what, detail = trouble, body.get("error")
    elif refund != known.get("refund"):
        if refund is None:
            what, detail = "refund_refused", body.get("error")
        else:
            what, detail = refund, body.get("refund_reason") if refund == "requested" else None
    elif known.get("trouble") and not trouble:
        what, detail = "dismissed", None
    elif not body["free"] or known["free"]:
        return  # a lease was renewed, a note was made
    elif body.get("cancels") != known.get("cancels"):
        what, detail = "cancelled", None
    elif body["attempts"] < known["attempts"] or body.get("tells", 0) < known.get("tells", 0):
        _forget_last(known, body)  # it waits for something else, and did not begin
        return
    else:
        what, detail = "failed", error
    extended(known, body, [int(moment), what, "", detail[:DETAIL]] if detail else [int(moment), what])


def _forget_last(known: Body, body: Body) -> None:
    trail = known.get("trail", ())
    if trail and len(trail[-1]) == 3:  # the beginning of an attempt
        body["trail"] = trail[:-1]


def _reason(body: Body) -> str | None:
    if body["state"] == "delivered":
        return None
    told = [part for part in (body.get("reason"), body.get("error")) if part]
    return ": ".join(told) or None
