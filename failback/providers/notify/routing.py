"""Which channels a message goes to, and by when each must have it."""

import logging
from collections.abc import Mapping

from failback.models.messages import Address, Audience, DeliveryPlan, Message, MessageKind
from failback.sections.channels import ChannelConfig, MessagesConfig

_LOG = logging.getLogger(__name__)


def planned(
    message: Message, channels: Mapping[str, ChannelConfig], words: MessagesConfig
) -> DeliveryPlan:
    """Where a message goes.

    A channel without audiences hears every message. A channel of some audiences gets what is
    for one of them, by the strictest deadline among those; one that outsiders read gets only
    kinds that the public is told of, whoever asks for it.

    Args:
        message: what is told.
        channels: by name, as configured.
        words: who is told of what, and the deadlines.
    """
    wanted = _known(message) or words.audiences_of(message.kind, message.alert)
    addresses = []
    for name, channel in channels.items():
        for_whom = tuple(audience for audience in channel.audiences if audience in wanted)
        if channel.audiences and not for_whom:
            continue
        by_audience = min(
            (words.deadlines.of(audience) for audience in for_whom),
            default=words.deadlines.stakeholders_seconds,
        )
        addresses.append(
            Address(
                channel=name,
                audiences=tuple(audience.value for audience in for_whom),
                deadline_seconds=channel.deadline_seconds or by_audience,
            )
        )
    return DeliveryPlan(addresses=tuple(addresses), give_up_seconds=words.give_up_seconds)


def public(channel: ChannelConfig) -> bool:
    """Whether outsiders read a channel: then it gets only words that were meant for them."""
    return channel.kind == "statuspage" or any(one.public for one in channel.audiences)


def _known(message: Message) -> tuple[Audience, ...]:
    """The audiences that a message names itself; one that is not known here is left out."""
    known = {audience.value: audience for audience in Audience}
    for name in message.audiences:
        if name not in known:
            _LOG.warning("message %s is for %r, which nobody is", message.key, name)
    named = tuple(known[name] for name in message.audiences if name in known)
    # A test is for the channel that is tried, whoever reads it.
    return tuple(Audience) if message.kind is MessageKind.TEST else named
