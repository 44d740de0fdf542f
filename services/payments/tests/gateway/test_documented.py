"""docs/architecture/gateways.md lists what each target shows and cannot show, as `targets.py` has it."""

from collections import defaultdict

from services.payments.tests.gateway.programs import ROOT
from services.payments.tests.gateway.targets import STRIPE_TEST_MODE, TARGETS, Capability, Target

DOCUMENT = ROOT / "docs" / "architecture" / "gateways.md"


def table() -> list[str]:
    """A row per capability, a column per target."""
    heads = [f"`{target.name}`" for target in TARGETS]
    rows = [["", *heads], ["---"] * (len(heads) + 1)]
    rows += [[capability.value, *(_word(target, capability) for target in TARGETS)] for capability in Capability]
    return [f"| {' | '.join(row)} |" for row in rows]


def reasons() -> list[str]:
    """A line per target and reason."""
    return [
        f"- `{target.name}`: {reason}. Not shown: {'; '.join(capability.value for capability in capabilities)}."
        for target in TARGETS
        for reason, capabilities in _by_reason(target).items()
    ]


def _word(target: Target, capability: Capability) -> str:
    if capability in target.cannot:
        return "–"
    return "with a key" if target is STRIPE_TEST_MODE else "shown"


def _by_reason(target: Target) -> dict[str, list[Capability]]:
    grouped: dict[str, list[Capability]] = defaultdict(list)
    for capability in Capability:
        if capability in target.cannot:
            grouped[target.cannot[capability]].append(capability)
    return grouped


def test_the_document_says_what_each_target_cannot_show() -> None:
    wanted = "\n".join([*table(), "", *reasons()])
    assert wanted in DOCUMENT.read_text(), f"write into {DOCUMENT.name}:\n{wanted}"
