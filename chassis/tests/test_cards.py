"""Card data is found however it is written, what only looks long passes, and nothing of it is kept or logged (GW-6)."""

import json
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from caas_chassis.answers import CLEAN_ANSWERS, CardDataAnswered
from caas_chassis.cards import REMOVED, holds_card_data, holds_card_data_in, redact_card_data
from caas_chassis.ids import new_id
from caas_chassis.logs import configure_logging
from caas_chassis.records import RawRecord, decode_record

ISSUERS = {
    "4": 16, "40": 13, "49": 19, "51": 16, "55": 16, "2221": 16, "2720": 16, "34": 15, "37": 15, "6011": 16, "644": 16,
    "65": 19, "300": 14, "36": 14, "38": 16, "3528": 16, "3589": 16, "62": 17, "8100": 16, "5018": 12, "6759": 13,
    "6304": 18, "2204": 16,
}  # fmt: skip
VISA = "4111111111111111"


def with_check_digit(digits: str) -> str:
    doubled = [int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(digits))]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return f"{digits}{-total % 10}"


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    issuer = draw(st.sampled_from(sorted(ISSUERS)))
    rest = ISSUERS[issuer] - len(issuer) - 1
    return with_check_digit(issuer + draw(st.text("0123456789", min_size=rest, max_size=rest)))


@given(card_numbers(), st.sampled_from(["", " ", "-", ".", "\u00a0", "\u2013", "\u200b", " - "]), st.integers(1, 6))
def test_every_card_number_is_found_however_it_is_grouped(number: str, separator: str, size: int) -> None:
    separator = separator if len(separator) < 3 else "- "
    grouped = separator.join(number[start : start + size] for start in range(0, len(number), size))
    assert holds_card_data(f'{{"payment_method": "{grouped}"}}')
    assert grouped not in redact_card_data(f"a {grouped} b")


AROUND = [
    "{}",
    "card{}",
    "PAN:{}",
    "tok_{}",
    "x-{}",
    "{} 12/28",
    "{} 123",
    "2026-11-22 {}",
    "a={}&b=1",
    "{}\n{}",
    "№{}",
]
WRITTEN: list[Callable[[str], bytes]] = [
    lambda number: number.translate({48 + n: 0x0660 + n for n in range(10)}).encode(),
    lambda number: number.translate({48 + n: 0xFF10 + n for n in range(10)}).encode(),
    lambda number: "".join(f"\\u00{ord(digit):02x}" for digit in number).encode(),
    lambda number: "".join(f"%{ord(digit):02X}" for digit in number).encode(),
    lambda number: "".join(f"&#{ord(digit)};" for digit in number).encode(),
    lambda number: "+".join(number[start : start + 4] for start in range(0, len(number), 4)).encode(),
    lambda number: json.dumps({"n": int(number)}).encode(),
    lambda number: json.dumps(number).encode("utf-16"),
]


@given(card_numbers(), st.sampled_from(AROUND), st.sampled_from(WRITTEN))
def test_neither_words_around_it_nor_another_way_to_write_its_digits_hide_it(
    number: str, around: str, write: Callable[[str], bytes]
) -> None:
    assert holds_card_data(around.replace("{}", number))
    assert holds_card_data_in(write(number))


@pytest.mark.parametrize(
    "text",
    [
        'cvv: "123"', '{"cvc":"1234"}', "cvv2=123", "security_code = 123", "cardCvv: 999", "CVC 123", "cvv is 123",
        "%B4111111111111111^DOE/JANE^25121010000000000000?", ";4111111111111111=25121010000000000000?",
    ],
)  # fmt: skip
def test_security_codes_and_tracks_are_found(text: str) -> None:
    assert holds_card_data(text)
    assert "12" not in redact_card_data(text).replace("[card data removed]", "")[:9]


@given(card_numbers(), st.integers(1, 9))
def test_a_wrong_check_digit_is_no_card_number(number: str, off: int) -> None:
    assert not holds_card_data(f"{number[:-1]}{(int(number[-1]) + off) % 10}")


@pytest.mark.parametrize(
    "text",
    [
        "", "4111 1111", "reference 1234567890123", "0197a5c2-4111-7111-8111-111111111111", "0" * 16, "code 1234",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-4111111111111111-01", "0.4111111111111111", "service_code 123",
        "abc4111111111111111", "WVWZZZ1JZXW000001", "2026-11-22T10:15:30.250000Z", "+34 600 123 456",
        "10.20.30.40:5432",
    ],
)  # fmt: skip
def test_harmless_texts_pass(text: str) -> None:
    assert not holds_card_data(text)


def ids(count: int) -> list[str]:
    """What travels and is logged here, at random."""
    chance = random.Random(20261122)
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
    makers: list[Callable[[], str]] = [
        lambda: str(new_id()),
        lambda: secrets.token_hex(16),
        lambda: f"tx_{secrets.token_hex(12)}",
        lambda: f"pi_{secrets.token_urlsafe(18)}",
        lambda: secrets.token_urlsafe(48),
        lambda: f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
        lambda: f"S-{chance.randrange(2020, 2040)}-{chance.randrange(10**6):06d}",
        lambda: datetime.fromtimestamp(chance.uniform(1.7e9, 2.2e9), UTC).isoformat(),
        lambda: str(int(chance.uniform(1.7e12, 1.99e12))),
        lambda: f"{chance.choice('VWS')}{''.join(chance.choices(letters, k=16))}",
    ]
    return [makers[number % len(makers)]() for number in range(count)]


def test_not_one_of_a_million_ids_of_ours_is_taken_for_a_card_number() -> None:
    """Ten to a text, as in a message; measured, so that guarding every entrance refuses nothing of ours."""
    random_ids = ids(1_000_000)
    texts = [" | ".join(random_ids[at : at + 10]) for at in range(0, len(random_ids), 10)]
    assert [text for text in texts if holds_card_data(text)] == []


def a_record(value: bytes = b"{}", key: bytes | None = b"k", **headers: bytes) -> RawRecord:
    context = {"ce_id": b"1", "ce_source": b"partners", "ce_type": b"caas.orders.CancelPurchase.v1", **headers}
    return RawRecord("t", 0, 1, key, value, list(context.items()))


@pytest.mark.parametrize(
    "record",
    [
        a_record(b'{"reason": "4111 1111 1111 1111"}'),
        a_record(key=VISA.encode()),
        a_record(ce_subject=VISA.encode()),
        a_record(b'{"data": {"cvv": "123"}}', **{"content-type": b"application/cloudevents+json"}),
        a_record(**{VISA: b"x"}),
        a_record(ce_type=b"unknown." + VISA.encode()),
        a_record(ce_type=b"unknown", value=VISA.encode()),
    ],
    ids=["body", "key", "header", "structured", "header name", "type", "unknown type"],
)
def test_nothing_of_card_data_in_a_record_gets_past_its_decoding(record: RawRecord) -> None:
    decoded = decode_record(record)
    assert decoded.message is None
    assert decoded.problem is not None
    assert not holds_card_data(repr(decoded))
    assert REMOVED in repr(decoded)


async def test_an_answer_with_card_data_reaches_nobody() -> None:
    answers = iter([{"note": VISA}, {"note": "harmless"}])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=next(answers)))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://partner", event_hooks=dict(CLEAN_ANSWERS)
    ) as client:
        with pytest.raises(CardDataAnswered) as raised:
            await client.get("/")
        assert VISA not in str(raised.value)
        assert (await client.get("/")).json() == {"note": "harmless"}


@contextmanager
def logging_as_deployed() -> Iterator[None]:
    """Logging as deployed, until the end of the test: its stream is the test's own."""
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    configure_logging("toy", "INFO")
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers = handlers


def test_no_log_line_shows_card_data(capfd: pytest.CaptureFixture[str]) -> None:
    with logging_as_deployed():
        log_everywhere()
    logged = capfd.readouterr().err
    assert len(logged.splitlines()) == 4
    assert all(json.loads(line) for line in logged.splitlines())
    assert "1111" not in logged


def log_everywhere() -> None:
    """Card data as event, value, name, number and in exceptions, by us and by a library."""
    logger = structlog.get_logger("toy")
    logger.info(VISA, text=VISA, nested={"list": [VISA, VISA.encode()]}, number=int(VISA), name={VISA: 1})
    logging.getLogger("library").warning("said %s", VISA)
    try:
        raise ValueError(f"broken by {VISA}")
    except ValueError:
        logger.exception("failed")
        logging.getLogger("library").exception("failed")
