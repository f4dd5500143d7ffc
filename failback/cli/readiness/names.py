"""Questions about DNS: whether updates are allowed, and what resolvers answer.

The right to update is asked for by an update (RFC 2136) whose prerequisite cannot hold: a
server checks the key and the sender before or with the prerequisites, and then refuses the
update for the prerequisite alone. Nothing changes either way: what the update would do is to
delete a name that does not exist. A server that does not know prerequisites is sent an update
without any change instead.
"""

import secrets

import dns.exception
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import FailbackError
from failback.models.common import Side
from failback.ports import DnsProvider
from failback.providers.dns.transport import exchange
from failback.sections.routing import DnsConfig

TIMEOUT_SECONDS = 3.0
_ALLOWED = frozenset({dns.rcode.NXDOMAIN, dns.rcode.NXRRSET, dns.rcode.NOERROR})
_QUESTION = "signed updates are allowed"


async def examine_names(estate: Estate, provider: DnsProvider | None) -> list[Finding]:
    """Look at the primary name server's rights and at every resolver's answers."""
    part = Part("dns")
    if estate.dns is None or provider is None:
        part.say(
            "names can be moved",
            None,
            "no dns is configured: a rollback moves the balancer's weights alone.",
            "Describe the names under dns, where customers reach the sides by name.",
        )
        return part.findings
    await _examine_right(part, estate.dns)
    for record in estate.dns.records:
        question = f"{record.name} is answered"
        try:
            answers = await provider.answers(record)
        except FailbackError as error:
            part.refuse(question, error)
            continue
        hosts = {record.host(side): side.value for side in Side}
        told = [f"{one.resolver}: {one.answer or one.detail or 'no answer'}" for one in answers]
        strange = [one for one in answers if one.answer not in hosts]
        part.say(
            question,
            None if strange else True,
            "; ".join(told),
            "A resolver answers neither side's host; compare dns.records with the zone.",
        )
    return part.findings


async def _examine_right(part: Part, config: DnsConfig) -> None:
    try:
        rcode = await _asked(config, probing_update(config))
        if rcode == dns.rcode.NOTIMP:
            rcode = await _asked(config, empty_update(config))
    except (OSError, EOFError):
        part.say(
            _QUESTION,
            False,
            f"{config.server} does not answer.",
            "Check dns.server, and that UDP and TCP reach the name server from here.",
        )
        return
    except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadTime) as error:
        part.say(_QUESTION, False, f"The key was refused: {error}", _KEY_CURE)
        return
    except (dns.exception.DNSException, ValueError) as error:
        part.say(_QUESTION, False, f"{type(error).__name__}: {error}", _KEY_CURE)
        return
    part.say(
        _QUESTION,
        rcode in _ALLOWED,
        f"{config.server} answered {dns.rcode.to_text(rcode)}",
        f"{_KEY_CURE} The server must be the primary of {config.zone}, with updates allowed.",
    )


_KEY_CURE = "Compare dns.tsig (name, secret, algorithm) with the key on the name server."


async def _asked(config: DnsConfig, update: dns.update.UpdateMessage) -> dns.rcode.Rcode:
    return (await exchange(update, config.server, TIMEOUT_SECONDS)).rcode()


def probing_update(config: DnsConfig) -> dns.update.UpdateMessage:
    """An update that a server can only refuse or ignore; signed where a key is configured."""
    update = empty_update(config)
    name = f"failback-check-{secrets.token_hex(6)}"
    update.present(name)
    update.delete(name)
    return update


def empty_update(config: DnsConfig) -> dns.update.UpdateMessage:
    """An update without a change; signed where a key is configured."""
    update = dns.update.UpdateMessage(config.zone)
    if config.tsig is not None:
        secret = config.tsig.secret.get_secret_value()
        keyring = dns.tsigkeyring.from_text({config.tsig.name: secret})
        update.use_tsig(keyring, algorithm=config.tsig.algorithm)
    return update
