"""The lab's inbox: `python -m failback.lab.inbox`, where its notifications really arrive.

Slack, PagerDuty, Statuspage, a customers' webhook and a mail server on loopback. Each answers as
its vendor does when all is well; whatever arrives is a line of JSON in a file.
"""

import argparse
import asyncio
import json
import logging
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

PAGE = "failbacklab"
"""The id of the status page."""
SLACK_PATH = "/slack"
PAGERDUTY_PATH = "/pagerduty/v2/enqueue"
STATUSPAGE_PATH = "/statuspage/v1"
CUSTOMERS_PATH = "/customers"
MIGRATION_PATH = "/migration"
"""What the lab's deploys are paused and resumed by."""
HEALTH_PATH = "/health"
_STOP_SECONDS = 1.0


class Inbox:
    """Takes everything, and keeps it.

    Args:
        file: gets one line of JSON for each thing that arrives.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._incidents: list[dict[str, Any]] = []

    def keep(self, vendor: str, what: Mapping[str, Any]) -> None:
        """Write down what arrived."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "vendor": vendor, **what})
        with self._file.open("a", encoding="utf-8") as kept:
            kept.write(line + "\n")

    def application(self) -> web.Application:
        """The vendors that speak HTTP."""
        app = web.Application()
        incidents = f"{STATUSPAGE_PATH}/pages/{PAGE}/incidents"
        app.router.add_get(HEALTH_PATH, self._healthy)
        app.router.add_post(SLACK_PATH, self._slack)
        app.router.add_post(PAGERDUTY_PATH, self._pagerduty)
        app.router.add_post(CUSTOMERS_PATH, self._customers)
        app.router.add_post(MIGRATION_PATH, self._migration)
        app.router.add_get(incidents, self._list)
        app.router.add_post(incidents, self._open)
        app.router.add_patch(f"{incidents}/{{incident}}", self._update)
        return app

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _slack(self, request: web.Request) -> web.Response:
        self.keep("slack", {"body": await request.json()})
        return web.Response(text="ok")

    async def _pagerduty(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.keep("pagerduty", {"body": body})
        answer = {"status": "success", "message": "Event processed"}
        return web.json_response({**answer, "dedup_key": body.get("dedup_key")}, status=202)

    async def _customers(self, request: web.Request) -> web.Response:
        self.keep("customers", {"body": await request.json()})
        return web.Response(status=204)

    async def _migration(self, request: web.Request) -> web.Response:
        self.keep("migration", {"body": await request.json()})
        return web.Response(status=204)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(self._incidents[::-1])

    async def _open(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.keep("statuspage", {"body": body})
        incident = {"id": f"incident{len(self._incidents)}", **body["incident"]}
        self._incidents.append(incident)
        return web.json_response(incident, status=201)

    async def _update(self, request: web.Request) -> web.Response:
        body = await request.json()
        wanted = request.match_info["incident"]
        found = next((one for one in self._incidents if one["id"] == wanted), None)
        if found is None:
            return web.json_response({"error": "Record not found"}, status=404)
        self.keep("statuspage", {"body": body})
        found.update(body["incident"])
        return web.json_response(found)


class Mailbox:
    """Takes every mail.

    Args:
        inbox: where it is kept.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,  # noqa: ARG002 - aiosmtpd passes it
        session: Session,  # noqa: ARG002 - as above
        envelope: Envelope,
    ) -> str:
        """One mail has arrived."""
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        mail = message_from_bytes(raw, policy=policy.default)
        self._inbox.keep("email", {"to": envelope.rcpt_tos, "body": _told(mail)})
        return "250 OK"


def _told(mail: Any) -> dict[str, str]:
    body = mail.get_body(("plain",)) if isinstance(mail, EmailMessage) else None
    text = body.get_content() if body is not None else ""
    return {"subject": str(mail["subject"]), "from": str(mail["from"]), "text": text}


async def serve(inbox: Inbox, http_port: int, mail_port: int) -> None:
    """Serve on 127.0.0.1 until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(inbox.application(), access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    mails = await loop.create_server(
        lambda: SMTP(Mailbox(inbox), hostname="localhost"), "127.0.0.1", mail_port
    )
    try:
        await web.TCPSite(runner, "127.0.0.1", http_port).start()
        await stop.wait()
    finally:
        mails.close()
        await runner.cleanup()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="failback.lab.inbox", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--mail-port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True, help="gets what arrives")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(Inbox(options.file), options.http_port, options.mail_port))


if __name__ == "__main__":
    main()
