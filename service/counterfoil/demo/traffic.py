"""A day at the contact centre: conversations from two sites, told into real exporters.

send(endpoint, key, conversations=40, seed=7)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from counterfoil.demo.conversation import NANOSECONDS, Conversation
from counterfoil.demo.site import open_site
from counterfoil.demo.stories import STORIES, refund_overridden, unmodified_agent

SHOWN_CASE = "conv-eu-0001"
"""The case that `make run` prints: a refund denied, three steps of fallback, and a supervisor who overrides."""
PLAIN_CASE = "conv-eu-0002"
"""The case printed next to it: an agent that reports no decision, fallback or handoff of its own."""
DAY_S = 3 * 3600


_SHOWN = (("refund", refund_overridden), ("delivery", unmodified_agent))


@dataclass(frozen=True, slots=True)
class Sent:
    """What was handed to the exporters; `flushed` says that all of it left within the time limit."""

    conversations: int
    flushed: bool


def send(
    endpoint: str,
    key: str,
    *,
    conversations: int = 40,
    seed: int = 7,
    progress: Callable[[int], None] | None = None,
) -> Sent:
    """Tell `conversations` cases to the service at `endpoint` with a writer's `key`; the same seed tells the same."""
    random = Random(seed)
    sites = (
        open_site(endpoint, key, name="contact-centre-eu", region="eu-west-1", channel="chat", version="4.2.0"),
        open_site(endpoint, key, name="contact-centre-us", region="us-east-1", channel="voice", version="4.1.7"),
    )
    stories = [(topic, story) for topic, story, weight in STORIES for _ in range(weight)]
    started_ns = time.time_ns() - DAY_S * NANOSECONDS
    for number in range(1, conversations + 1):
        site = sites[0] if number <= len(_SHOWN) or random.random() < 0.6 else sites[1]
        topic, story = _SHOWN[number - 1] if number <= len(_SHOWN) else random.choice(stories)
        conversation = Conversation(
            site=site,
            id=f"conv-{site.region[:2]}-{number:04d}",
            subject=f"customer-{random.randint(100, 999)}@mail.example",
            topic=topic,
            now_ns=started_ns + int(DAY_S * NANOSECONDS * number / (conversations + 8)),
            language=random.choice(["en", "en", "de", "fr"]),
        )
        story(conversation, random)
        if progress is not None:
            progress(number)
    flushed = [site.close() for site in sites]
    return Sent(conversations, all(flushed))
