"""The people the demo's campaigns write to, and the companies they work for. Pure: the same number, the same person."""

from __future__ import annotations

from dataclasses import dataclass

# fmt: off
_FIRST = (
    "Priya", "Tomas", "Ingrid", "Kwame", "Lucia", "Mateus", "Aiko", "Femke", "Noor", "Jonas", "Salma", "Pavel",
    "Chiara", "Emeka", "Sofia", "Liam", "Yara", "Anders", "Leila", "Bruno", "Hana", "Oskar", "Zoe", "Rafael", "Mina",
    "Ivo", "Thandi", "Piotr", "Elif", "Nils",
)
_LAST = (
    "Natarajan", "Novak", "Berg", "Mensah", "Ferri", "Duarte", "Tanaka", "Visser", "Haddad", "Lindqvist", "Amrani",
    "Sokolov", "Conti", "Okafor", "Marin", "Byrne", "Khoury", "Nyberg", "Farahani", "Costa", "Sato", "Kowal", "Laurent",
    "Pinto", "Rahimi", "Horvat", "Dlamini", "Zielinski", "Demir", "Holm",
)
_TRADES = (
    "Rail", "Freight", "Cargo", "Logistics", "Shipping", "Lines", "Transport", "Ports", "Airways", "Couriers",
)
_PLACES = (
    "Contoso", "Fabrikam", "Northgate", "Eastmoor", "Westbrook", "Alpine", "Baltic", "Coral", "Delta", "Harbor",
)
# fmt: on
_TITLES = ("Head of Operations", "Fleet Manager", "Chief Financial Officer", "Buyer", "Managing Director", "Dispatcher")


@dataclass(frozen=True, slots=True)
class Person:
    """One contact of a campaign. `number` is unique over all campaigns, and the e-mail address with it."""

    number: int
    first_name: str
    last_name: str
    title: str
    company_number: int
    company: str
    domain: str

    @property
    def email(self) -> str:
        """The address, by which a record of the CRM is known to be this person's."""
        return f"{self.first_name}.{self.last_name}.{self.number}@{self.domain}".lower()

    @property
    def linkedin_url(self) -> str:
        """The profile's address."""
        return f"https://linkedin.com/in/{self.first_name}-{self.last_name}-{self.number}".lower()


def person(number: int) -> Person:
    """The person of that number."""
    company_number = number % (len(_PLACES) * len(_TRADES))
    place, trade = _PLACES[company_number % len(_PLACES)], _TRADES[company_number // len(_PLACES)]
    return Person(
        number=number,
        first_name=_FIRST[number % len(_FIRST)],
        last_name=_LAST[number * 7 // len(_FIRST) % len(_LAST)],
        title=_TITLES[number % len(_TITLES)],
        company_number=company_number,
        company=f"{place} {trade}",
        domain=f"{place}-{trade}.example".lower(),
    )
