"""The catalogue of vehicles: base platforms, options, dealerships, prices and reservations; versioned data.

The data is `vehicle_catalogue.toml`. An order keeps its own prices, so a new version changes no order.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from caas_contracts.money import Money
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Language
from caas_orders.domain.terms import Terms


@dataclass(frozen=True, slots=True)
class Platform:
    """A base platform (model) with its price and reservation, both including VAT."""

    code: str
    name: str
    price: Money
    reservation: Money
    on_sale: bool


@dataclass(frozen=True, slots=True)
class Option:
    """An extra that is built in, its price including VAT, and the platforms that can have it."""

    code: str
    names: Mapping[Language, str]
    models: frozenset[str]
    price: Money
    on_sale: bool


@dataclass(frozen=True, slots=True)
class VehicleCatalogue:
    """Everything a vehicle can be ordered as, by code."""

    version: int
    vat_rate_bp: int
    platforms: Mapping[str, Platform]
    options: Mapping[str, Option]
    dealerships: Mapping[str, str]

    def configure(self, model: str, options: Sequence[str], dealership: str) -> Terms | Refusal:
        """The terms of one configuration, or why it cannot be ordered. The order of the options does not matter."""
        platform = self.platforms.get(model)
        if platform is None or not platform.on_sale:
            return Refusal(RefusalCode.MODEL_UNKNOWN, f"there is no model {model}")
        if dealership not in self.dealerships:
            return Refusal(RefusalCode.DEALERSHIP_UNKNOWN, f"there is no dealership {dealership}")
        if len(set(options)) != len(options):
            return Refusal(RefusalCode.OPTION_NOT_ALLOWED, "an option is named twice: name each once")
        chosen = [self._option(code, model) for code in sorted(options)]
        refused = next((one for one in chosen if isinstance(one, Refusal)), None)
        if refused is not None:
            return refused
        total = platform.price
        for option in chosen:
            if isinstance(option, Option):
                total = total + option.price
        return Terms(
            model=model,
            options=tuple(sorted(options)),
            dealership=dealership,
            total=total,
            reservation=platform.reservation,
            vat_rate_bp=self.vat_rate_bp,
            catalogue_version=self.version,
        )

    def _option(self, code: str, model: str) -> Option | Refusal:
        option = self.options.get(code)
        if option is None or not option.on_sale:
            return Refusal(RefusalCode.OPTION_UNKNOWN, f"there is no option {code}")
        if model not in option.models:
            return Refusal(RefusalCode.OPTION_NOT_ALLOWED, f"{model} cannot have the option {code}")
        return option


@cache
def current_vehicle_catalogue() -> VehicleCatalogue:
    """The catalogue packaged with this release, read at the first use."""
    text = resources.files("caas_orders").joinpath("vehicle_catalogue.toml").read_text(encoding="utf-8")
    return vehicle_catalogue_from(tomllib.loads(text))


def vehicle_catalogue_from(data: Mapping[str, Any]) -> VehicleCatalogue:
    """The catalogue from its data; a missing field raises KeyError, a code named twice ValueError."""
    currency = data["currency"]
    platforms = [_platform(model, currency) for model in data["models"]]
    options = [_option(option, currency) for option in data["options"]]
    catalogue = VehicleCatalogue(
        version=data["version"],
        vat_rate_bp=data["vat_rate_bp"],
        platforms={platform.code: platform for platform in platforms},
        options={option.code: option for option in options},
        dealerships={dealership["code"]: dealership["name"] for dealership in data["dealerships"]},
    )
    if len(catalogue.platforms) != len(platforms) or len(catalogue.options) != len(options):
        raise ValueError("the catalogue of vehicles names a code twice: every code is one thing")
    return catalogue


def _platform(data: Mapping[str, Any], currency: str) -> Platform:
    price, reservation = _money(data["price_minor"], currency), _money(data["reservation_minor"], currency)
    if not 0 < reservation.amount_minor < price.amount_minor:
        raise ValueError(f"the reservation of {data['code']} is not a part of its price (RES-5)")
    return Platform(data["code"], data["name"], price, reservation, data.get("on_sale", True))


def _option(data: Mapping[str, Any], currency: str) -> Option:
    return Option(
        code=data["code"],
        names={language: data["name"][language.value] for language in Language},
        models=frozenset(data["models"]),
        price=_money(data["price_minor"], currency),
        on_sale=data.get("on_sale", True),
    )


def _money(minor: int, currency: str) -> Money:
    return Money(amount_minor=minor, currency=currency)
