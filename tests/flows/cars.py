"""Cars played in the test's process: honest, signing computers that keep their own book, on a bad connection.

A car may be slow, busy, deaf or repeat itself. It never lies: what it signs is what it did.
"""

import base64
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caas_ota.domain.command import CommandKind
from caas_ota.gateway.messages import Inbound, VehicleCommand
from caas_ota.gateway.vehicles import Publication, Receive, SetAside

type Now = Callable[[], datetime]


class Conduct(StrEnum):
    """How a car treats the commands that it reads next."""

    OBEYS = "obeys"
    BUSY = "is busy"
    INCOMPATIBLE = "is incompatible"
    DEAF = "never gets them"
    MUTE = "obeys, the answer is lost"
    WITHHOLDS = "obeys, answers much later"
    STUTTERS = "obeys, answers three times"


class Road(StrEnum):
    """What becomes of commands between us and the cars."""

    OPEN = "they arrive"
    CLOSED = "the broker is away"
    NO_RECEIPT = "they arrive, the broker's receipt is lost"


@dataclass
class Entry:
    """One activation in a car's book."""

    applied_at: datetime | None = None
    deactivated_at: datetime | None = None
    never: str = ""  # why it will never be applied: what the car has signed, it stands by

    @property
    def active(self) -> bool:
        return self.applied_at is not None and self.deactivated_at is None


@dataclass
class Car:
    """One car: what it was sent, what it did, and what it answered."""

    vehicle_id: str
    now: Now
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    inbox: deque[VehicleCommand] = field(default_factory=deque)
    book: dict[str, Entry] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=dict)
    withheld: list[bytes] = field(default_factory=list)
    plan: deque[Conduct] = field(default_factory=deque)
    highest: int = 0

    @property
    def public_key(self) -> str:
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def read(self, conduct: Conduct | None = None) -> tuple[Conduct, list[bytes]]:
        """Read one command, as planned unless told otherwise, and return what is answered now."""
        conduct = conduct or (self.plan.popleft() if self.plan else Conduct.OBEYS)
        return conduct, self._answer(self.inbox.popleft(), conduct)

    def _answer(self, command: VehicleCommand, conduct: Conduct) -> list[bytes]:
        """The same command gets the same answer."""
        if conduct is Conduct.DEAF:
            return []
        name = str(command.command_id)
        if name not in self.said:
            self.said[name] = self._do(command, conduct)
        receipt = self._signed(command, "received")
        match conduct:
            case Conduct.MUTE:
                return []
            case Conduct.WITHHOLDS:
                self.withheld.append(self.said[name])
                return [receipt]
            case Conduct.STUTTERS:
                return [receipt, self.said[name]] * 3
            case _:
                return [receipt, self.said[name]]

    def _do(self, command: VehicleCommand, conduct: Conduct) -> bytes:
        entry = self.book.setdefault(str(command.activation_id), Entry())
        if command.counter < self.highest:
            return self._signed(command, "rejected", reason="stale_counter")
        self.highest = command.counter
        match command.kind:
            case CommandKind.ACTIVATE:
                return self._activate(command, entry, conduct)
            case CommandKind.CANCEL:
                return self._cancel(command, entry)
            case CommandKind.DEACTIVATE:
                return self._deactivate(command, entry, conduct)
            case CommandKind.STATUS:
                return self._signed(command, "status")

    def _activate(self, command: VehicleCommand, entry: Entry, conduct: Conduct) -> bytes:
        if entry.applied_at is not None and entry.deactivated_at is None:
            return self._signed(command, "applied", applied_at=entry.applied_at)
        assert command.not_after is not None, "a command to activate has an end"
        if not entry.never and self.now() > datetime.fromisoformat(command.not_after):
            return self._signed(command, "rejected", reason="expired", permanent=True)
        if not entry.never and conduct is Conduct.BUSY:
            return self._signed(command, "rejected", reason="busy")
        if conduct is Conduct.INCOMPATIBLE:
            entry.never = entry.never or "incompatible"
        if entry.never:
            return self._signed(command, "rejected", reason=entry.never, permanent=True)
        entry.applied_at = _milliseconds(self.now())
        return self._signed(command, "applied", applied_at=entry.applied_at)

    def _cancel(self, command: VehicleCommand, entry: Entry) -> bytes:
        if entry.applied_at is not None:
            return self._signed(command, "applied", applied_at=entry.applied_at)
        entry.never = entry.never or "cancelled"
        return self._signed(command, "cancelled", reason="cancelled")

    def _deactivate(self, command: VehicleCommand, entry: Entry, conduct: Conduct) -> bytes:
        if conduct is Conduct.BUSY:
            return self._signed(command, "rejected", reason="busy")
        entry.never = "cancelled"
        if entry.applied_at is not None and entry.deactivated_at is None:
            entry.deactivated_at = _milliseconds(self.now())
        return self._signed(command, "applied", applied_at=_milliseconds(self.now()))

    def _signed(
        self,
        command: VehicleCommand,
        status: str,
        *,
        reason: str = "",
        permanent: bool = False,
        applied_at: datetime | None = None,
    ) -> bytes:
        at = applied_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if applied_at else ""
        parts = [self.vehicle_id, str(command.command_id), str(command.activation_id), status, reason]
        parts += ["true" if permanent else "false", command.nonce, str(command.counter), at]
        signature = base64.b64encode(self.key.sign("\n".join(parts).encode())).decode()
        names = ("vehicle_id", "command_id", "activation_id", "status", "reason")
        content: dict[str, object] = dict(zip(names, parts, strict=False))
        content |= {"permanent": permanent, "nonce": command.nonce, "counter": command.counter}
        content |= {"applied_at": at, "configuration": {}, "signature": signature}
        return json.dumps(content).encode()


class Cars:
    """All cars and the way to them; ota's link. What they answer waits in `answers` until it is heard."""

    name = "vehicles"

    def __init__(self, vehicle_ids: Sequence[str], now: Now) -> None:
        self.by_id = {vehicle_id: Car(vehicle_id, now) for vehicle_id in vehicle_ids}
        self.answers: list[Inbound] = []
        self.road: deque[Road] = deque()
        self._now = now
        self._receive: Receive | None = None

    def link(self, receive: Receive, _: SetAside, __: Now) -> "Cars":
        """Ota's `make_link`: these cars are the link."""
        self._receive = receive
        return self

    @property
    def healthy(self) -> bool:
        return True

    async def start(self) -> None:
        """Cars drive by themselves."""

    async def stop(self) -> None:
        """Cars do not stop."""

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Take commands over, or not, or say nothing about it."""
        road = self.road.popleft() if self.road else Road.OPEN
        if road is Road.CLOSED:
            return Publication(frozenset())
        for command in commands:
            self.by_id[command.vehicle_id].inbox.append(command)
        confirmed = () if road is Road.NO_RECEIPT else commands
        return Publication(frozenset(command.command_id for command in confirmed))

    def read(self, vehicle_id: str, number: int, conduct: Conduct | None = None) -> list[Conduct]:
        """Have a car read so many commands, as planned unless told otherwise; returns how it treated them."""
        car = self.by_id[vehicle_id]
        conducts = []
        for _ in range(min(number, len(car.inbox))):
            shown, answers = car.read(conduct)
            conducts.append(shown)
            self._say(car, answers)
        return conducts

    def heal(self) -> None:
        """All roads are open, all cars obey, and what was withheld is answered."""
        self.road.clear()
        for car in self.by_id.values():
            car.plan.clear()
        self.release()

    def release(self) -> None:
        """What was withheld is answered now."""
        for car in self.by_id.values():
            self._say(car, car.withheld)
            car.withheld = []

    def entry(self, activation_id: str) -> Entry:
        """What the book of whichever car says about an activation."""
        for car in self.by_id.values():
            if activation_id in car.book:
                return car.book[activation_id]
        return Entry()

    async def hear(self, answers: Sequence[Inbound]) -> None:
        """Give ota answers, in one batch."""
        assert self._receive is not None, "ota was never built"
        await self._receive(answers)

    def _say(self, car: Car, answers: Sequence[bytes]) -> None:
        topic = f"caas/vehicles/{car.vehicle_id}/acknowledgements"
        self.answers += [Inbound(topic, answer, self._now()) for answer in answers]


def _milliseconds(instant: datetime) -> datetime:
    """As precise as the wire."""
    return instant.astimezone(UTC).replace(microsecond=instant.microsecond // 1000 * 1000)
