"""Only names of the IANA database are time zones."""

import pytest
from pydantic import TypeAdapter, ValidationError

from caas_chassis.time_zones import TimeZoneName


@pytest.mark.parametrize("name", ["Europe", "../../etc/passwd", "/etc/passwd", "Mars/Base", "", "Europe/Madrid\0"])
def test_what_is_no_zone_is_refused_with_words(name: str) -> None:
    with pytest.raises(ValidationError, match="not a time zone of the IANA database"):
        TypeAdapter(TimeZoneName).validate_python(name)


def test_a_name_stays_as_it_is() -> None:
    assert TypeAdapter(TimeZoneName).validate_python("Europe/Madrid") == "Europe/Madrid"
