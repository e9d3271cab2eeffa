"""An SMTP server for tests: keeps each message as a file, and refuses, defers or holds what its recipients' names ask for."""

import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

port, directory = int(sys.argv[1]), sys.argv[2]


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 no such user"
        if address.startswith("later"):
            return "451 try again later"
        if address.startswith("slow"):
            await asyncio.sleep(300)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        name = os.path.join(directory, f"{Handler.count:06}")
        with open(name + ".new", "wb") as file:
            head = {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "options": envelope.mail_options,
                "helo": session.host_name,
            }
            file.write(json.dumps(head).encode() + b"\n" + envelope.original_content)
        os.rename(name + ".new", name + ".mail")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, login):
    return AuthResult(success=(login.login, login.password) == (b"me", b"a secret"))


secure = {}
if len(sys.argv) > 3:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    secure = {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticate,
    }

# A count that is not that of an earlier server.
Handler.count = len([name for name in os.listdir(directory) if name.endswith(".mail")])
controller = Controller(
    Handler(),
    hostname="127.0.0.1",
    port=port,
    data_size_limit=64 << 20,
    enable_SMTPUTF8=True,
    ready_timeout=30,
    **secure,
)
controller.start()
sys.stdin.read()  # until the test has closed it
controller.stop()
