"""What the gateway, and those who claim to be it, do to us: webhooks twice, forged webhooks, an outage.

Webhooks that were really delivered are taken from the operators' view, so that what is sent again is what was sent.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from caas_local.demo import databases as db
from caas_local.demo.actors import Actors
from caas_local.demo.databases import Databases
from caas_local.demo.report import Outage, Webhooks
from caas_local.platform import Platform

TAKEN: Final = 10
"""So many webhooks are sent again and forged."""
TIMES: Final = 2
OUTAGE_S: Final = 3.0


async def repeat_and_forge(actors: Actors, databases: Databases) -> Webhooks:
    """Send webhooks again, two at the same time, and four forgeries of each; says what came of it."""
    listed = await actors.read("payments", f"/webhooks?limit={TAKEN}")
    genuine = [await actors.read("payments", f"/webhooks/{webhook['id']}") for webhook in listed["webhooks"]]
    again = [(one["headers"], one["body"]) for one in genuine for _ in range(TIMES)]
    answers = await asyncio.gather(*[actors.send_webhook(headers, body) for headers, body in again])
    forged = [forgery for one in genuine for forgery in _forgeries(one["headers"], one["body"])]
    refusals = await asyncio.gather(*[actors.send_webhook(headers, body) for headers, body in forged])
    stored = await databases.number("payments", db.FORGED)
    return Webhooks(
        sent_again=len(again),
        answered_again=answers.count(200),
        forged=len(forged),
        refused=refusals.count(400),
        forged_stored=stored,
    )


async def sell_during_outage(platform: Platform, sell: Callable[[], Awaitable[int]]) -> Outage:
    """Kill the gateway, sell, and start it again some seconds later: it has what it had written down."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.to_thread(platform.kill, "gateway")
    purchases = await sell()
    await asyncio.sleep(OUTAGE_S)
    await platform.restart("gateway")
    return Outage(seconds=round(loop.time() - began, 1), purchases=purchases)


def _forgeries(headers: Mapping[str, str], body: str) -> list[tuple[dict[str, str], str]]:
    """Another body, a fresh id under the old signature, somebody else's secret, an old timestamp."""
    fresh = {**headers, "webhook-id": f"msg_forged_{secrets.token_hex(8)}"}
    stale = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 3600)}
    return [
        (dict(headers), body.replace("{", '{"forged": true, ', 1)),
        (fresh, body),
        (_signed_by_a_stranger(fresh, body), body),
        (stale, body),
    ]


def _signed_by_a_stranger(headers: Mapping[str, str], body: str) -> dict[str, str]:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    digest = hmac.digest(secrets.token_bytes(24), signed, hashlib.sha256)
    return {**headers, "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}
