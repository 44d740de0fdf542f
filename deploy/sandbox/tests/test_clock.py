"""Business time is real time plus the offset of the clock file, whatever happens to the file."""

from datetime import timedelta
from pathlib import Path

import pytest

from caas_sandbox.clock import BusinessClock, move_clock, parse_rfc3339, real_now, rfc3339


def test_without_a_file_business_time_is_real_time(tmp_path: Path) -> None:
    for clock in (BusinessClock(None), BusinessClock(tmp_path / "none.json")):
        assert abs(clock.now() - real_now()) < timedelta(seconds=5)


def test_every_move_is_seen_at_once_also_moves_of_the_same_length(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    clock = BusinessClock(file)

    for offset_s in (100, 200, 300, -100, 10**7):
        move_clock(file, offset_s)
        assert abs(clock.now() - real_now() - timedelta(seconds=offset_s)) < timedelta(seconds=5)

    file.unlink()
    assert abs(clock.now() - real_now()) < timedelta(seconds=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{}", '{"offset_s": "1"}', '{"offset_s": true}', "[]", "nonsense"])
def test_a_malformed_file_is_an_error_and_not_another_time(tmp_path: Path, content: str) -> None:
    file = tmp_path / "clock.json"
    file.write_text(content)

    with pytest.raises(ValueError, match=r"offset_s|Expecting value"):
        BusinessClock(file).now()


def test_an_instant_is_written_and_read_back_to_the_millisecond() -> None:
    now = real_now()

    assert abs(parse_rfc3339(rfc3339(now)) - now) < timedelta(milliseconds=1)
    assert rfc3339(now).endswith("Z")
    with pytest.raises(ValueError, match="time zone"):
        parse_rfc3339("2026-01-01T00:00:00")
