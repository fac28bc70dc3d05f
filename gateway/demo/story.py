"""Two campaigns told from one seed: the same seed, the same story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from gateway.demo import native_campaign, webhook_campaign
from gateway.demo.happenings import Happening
from gateway.demo.people import person

#: People of the second campaign have numbers from here on: nobody is in both.
_NATIVE_FROM = 1000
#: One in so many contacts of the second campaign is written to through the identity that is nobody's yet.
_UNMAPPED_EVERY = 10


@dataclass(frozen=True, slots=True)
class Story:
    """Both campaigns, each in the order of time: what happens to one contact stands in its order."""

    webhooks: tuple[Happening, ...]
    native: tuple[Happening, ...]


def tell(seed: int, *, contacts: int) -> Story:
    """The story of two campaigns with so many contacts each."""
    random = Random(seed)  # noqa: S311 -- a story, not a secret
    by_webhook = [webhook_campaign.happenings(random, person(number)) for number in range(contacts)]
    by_event = [
        native_campaign.happenings(
            random,
            person(_NATIVE_FROM + number),
            native_campaign.MAPPED if number % _UNMAPPED_EVERY else native_campaign.UNMAPPED,
        )
        for number in range(contacts)
    ]
    stranger = person(_NATIVE_FROM + contacts)
    by_event += [native_campaign.opening(stranger), native_campaign.refused(stranger)]
    return Story(webhooks=_in_time(by_webhook), native=_in_time(by_event))


def _in_time(courses: Iterable[Iterable[Happening]]) -> tuple[Happening, ...]:
    return tuple(sorted((each for course in courses for each in course), key=lambda happening: happening.at))
