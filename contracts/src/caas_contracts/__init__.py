"""The shared contracts: messages, topics, envelope. Everything that crosses a service's border is declared here."""

from caas_contracts.envelope import Envelope, InvalidEnvelope, read_envelope
from caas_contracts.message import Message
from caas_contracts.money import Money
from caas_contracts.registry import MESSAGES, InvalidMessage, decode
from caas_contracts.topics import TOPICS, Topic

__all__ = [
    "MESSAGES",
    "TOPICS",
    "Envelope",
    "InvalidEnvelope",
    "InvalidMessage",
    "Message",
    "Money",
    "Topic",
    "decode",
    "read_envelope",
]
