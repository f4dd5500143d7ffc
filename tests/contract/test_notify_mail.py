"""Mail through a real server: what arrives, and what is never sent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from failback.errors import ConfigurationError
from failback.models.messages import MessageKind
from failback.providers.notify import ChannelNotifier
from failback.sections.channels import ChannelConfig

from support.mail_server import MailServer, mail_server
from support.messages import channels, message
from support.vendors import Vendors

ENDED = MessageKind.ROLLBACK_SUCCEEDED


@pytest.fixture(params=["starttls", "implicit", "none"])
async def mail(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailServer]:
    async with mail_server(tmp_path, request.param) as made:
        yield made


class TestMail:
    async def test_mail_then_it_arrives_in_text_and_html_for_every_recipient(
        self, mail: MailServer
    ) -> None:
        notifier = ChannelNotifier(channels(Vendors(url="http://unused"), mail))
        delivery = await notifier.deliver("email", message())
        assert delivery.delivered, delivery.detail
        (got,) = mail.mails
        assert mail.envelopes[0].rcpt_tos == ["oncall@example.test", "lead@example.test"]
        assert got["Subject"] == "shop: level 2 rollback has started"
        assert got["Auto-Submitted"] == "auto-generated"
        text, html = (part.get_content() for part in got.iter_parts())
        assert "reason: errors <b>& more</b>" in text
        assert "Watch it: https://failback.example/rollbacks/rb2-1?a=1&b=2" in text
        assert "errors &lt;b&gt;&amp; more&lt;/b&gt;" in html
        assert 'href="https://failback.example/rollbacks/rb2-1?a=1&amp;b=2"' in html

    async def test_mail_when_repeated_then_the_same_id_and_mails_of_a_rollback_share_a_root(
        self, mail: MailServer
    ) -> None:
        notifier = ChannelNotifier(channels(Vendors(url="http://unused"), mail))
        for told in (message(), message(), message(ENDED)):
            await notifier.deliver("email", told)
        names = [got["Message-ID"] for got in mail.mails]
        assert names[0] == names[1] != names[2]
        assert len({got["References"] for got in mail.mails}) == 1

    async def test_mail_when_one_recipient_is_refused_then_the_others_get_it_and_it_is_told(
        self, mail: MailServer
    ) -> None:
        mail.refused.add("lead@example.test")
        notifier = ChannelNotifier(channels(Vendors(url="http://unused"), mail))
        delivery = await notifier.deliver("email", message())
        assert delivery.delivered
        assert delivery.detail == "taken for 1 of 2 recipients"
        mail.refused.add("oncall@example.test")
        refused = await notifier.deliver("email", message())
        assert (refused.delivered, refused.retryable) == (False, False)

    async def test_subject_with_line_breaks_then_no_header_is_injected(
        self, mail: MailServer
    ) -> None:
        notifier = ChannelNotifier(channels(Vendors(url="http://unused"), mail))
        await notifier.deliver("email", message(subject="hello\r\nBcc: evil@example.test"))
        (got,) = mail.mails
        assert got["Bcc"] is None
        assert len(mail.envelopes[0].rcpt_tos) == 2


class TestMailSecurity:
    @pytest.mark.parametrize("tls", ["starttls", "implicit"])
    async def test_server_when_its_certificate_is_not_trusted_then_nothing_is_sent(
        self, tmp_path: Path, tls: str
    ) -> None:
        async with mail_server(tmp_path, tls) as mail:
            config = channels(Vendors(url="http://unused"), mail)["email"]
            assert config.email is not None
            trusting_others = config.model_copy(
                update={"email": config.email.model_copy(update={"ca_file": None})}
            )
            delivery = await ChannelNotifier({"email": trusting_others}).deliver("email", message())
        assert not delivery.delivered
        assert not mail.mails

    async def test_server_when_it_offers_no_tls_then_the_password_is_not_sent(
        self, tmp_path: Path
    ) -> None:
        async with mail_server(tmp_path, "open") as mail:
            mail.tls = "starttls"  # what the client is told
            notifier = ChannelNotifier(channels(Vendors(url="http://unused"), mail))
            delivery = await notifier.deliver("email", message())
        assert not delivery.delivered
        assert not mail.mails

    async def test_password_when_wrong_then_not_delivered_and_not_told(
        self, tmp_path: Path
    ) -> None:
        async with mail_server(tmp_path) as mail:
            config = channels(Vendors(url="http://unused"), mail)["email"].model_dump()
            config["email"]["password"] = "planted-wrong-password"
            notifier = ChannelNotifier({"email": ChannelConfig.model_validate(config)})
            delivery = await notifier.deliver("email", message())
        assert (delivery.delivered, delivery.retryable) == (False, False)
        assert "535" in delivery.detail
        assert "planted" not in delivery.detail

    def test_ca_file_when_missing_then_a_configuration_error_names_it(self, tmp_path: Path) -> None:
        config = channels(
            Vendors(url="http://unused"), MailServer("starttls", tmp_path / "no.pem", port=25)
        )
        with pytest.raises(ConfigurationError, match=r"no\.pem"):
            ChannelNotifier(config)
