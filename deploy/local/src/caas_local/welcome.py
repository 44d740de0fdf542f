"""What `up` prints: addresses, and `curl` lines that work as they stand."""

from typing import Final

import httpx
from rich.console import Console

from caas_local.layout import PARTNERS, SERVICES, Layout
from caas_local.platform import Platform
from caas_local.tokens import fetch_token

CUSTOMER: Final = "C-1"
VEHICLE: Final = "VIN-1"


async def say_welcome(layout: Layout, platform: Platform, console: Console) -> None:
    """Register one customer with one car, and show how to buy something for it."""
    operator = await fetch_token(layout, "dev", ["operator"])
    await _register(layout, operator)
    for name in (*SERVICES, *PARTNERS):
        console.print(f"  {name:16} {layout.url(name)}")
    console.print(f"  {'kafka':16} {platform.bootstrap_servers}")
    console.print("\nTry (a token first, then a purchase, then what became of it):\n")
    orders = layout.url("orders")
    bearer = '-H "Authorization: Bearer $TOKEN"'
    headers = '-H "Idempotency-Key: try-1" -H "Prefer: wait=10" -H "Content-Type: application/json"'
    lines = [
        f"TOKEN=$(.venv/bin/python -m caas_local token customer {CUSTOMER})",
        f'curl -s "{orders}/catalogue?vehicle_id={VEHICLE}" -H "Authorization: Bearer $TOKEN"',
        f"curl -s {orders}/purchases {bearer} {headers} -d '{_purchase()}'",
        f'curl -s {orders}/purchases -H "Authorization: Bearer $TOKEN"',
        f'curl -s {layout.url("billing")}/invoices -H "Authorization: Bearer $TOKEN"',
    ]
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print("\n`make down` stops everything.")


async def _register(layout: Layout, operator: str) -> None:
    headers = {"Authorization": f"Bearer {operator}"}
    async with httpx.AsyncClient(timeout=10.0, headers=headers) as client:
        car = await client.post(f"{layout.url('vehicles')}/vehicles", json={"vehicle_id": VEHICLE, "behaviour": "obey"})
        customer = {"name": "Ada Example", "email": "ada@customers.example", "language": "en"}
        vehicle = {
            "customer_id": CUSTOMER,
            "model": "caas-cross",
            "equipment": ["seat-heating", "front-radar", "front-camera"],
            "public_key": car.raise_for_status().json()["public_key"],
        }
        for url, body in (
            (f"{layout.url('vss')}/vehicles/{VEHICLE}", {"state": "current"}),
            (f"{layout.url('orders')}/customers/{CUSTOMER}", customer),
            (f"{layout.url('orders')}/vehicles/{VEHICLE}", vehicle),
        ):
            (await client.put(url, json=body)).raise_for_status()


def _purchase() -> str:
    return (
        f'{{"vehicle_id": "{VEHICLE}", "service_code": "seat-heating", "kind": "temporary", "duration_days": 30, '
        '"payment_method": "tok_approved", "immediate_performance_consent": true}'
    )
