"""A mail server for tests: it takes every mail and writes it, with how it came, as a line of JSON.

smtp.py starttls|implicit CERTIFICATE_AND_KEY USER PASSWORD FOLDER

It listens on a free port of the loopback interface and says on standard error which. Mail is taken over an encrypted
connection from whoever has logged in, and in no other way, as servers for clients do.
"""

import base64
import json
import socketserver
import ssl
import sys
import threading

MODE, CERTIFICATE, USER, PASSWORD, FOLDER = sys.argv[1:]
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(CERTIFICATE)
LOCK = threading.Lock()


class Session(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self):
        self.encrypted = False
        self.user = None
        self.sender, self.recipients = None, []
        if MODE == "implicit":
            self.encrypt()
        self.lines = self.request.makefile("rb")
        self.say("220 mail.test ESMTP")
        while True:
            line = self.lines.readline()
            if not line:
                return
            verb, _, rest = line.decode().rstrip("\r\n").partition(" ")
            verb = verb.upper()
            if verb == "QUIT":
                self.say("221 bye")
                return
            self.answer(verb, rest)

    def encrypt(self):
        self.request = CONTEXT.wrap_socket(self.request, server_side=True)
        self.encrypted = True

    def say(self, *lines):
        self.request.sendall("".join(line + "\r\n" for line in lines).encode())

    def answer(self, verb, rest):
        if verb == "EHLO":
            offers = "250 AUTH PLAIN LOGIN" if self.encrypted else "250 STARTTLS"
            self.say("250-mail.test", "250-8BITMIME", "250-SMTPUTF8", offers)
        elif verb == "STARTTLS" and not self.encrypted:
            self.say("220 go ahead")
            self.encrypt()
            self.lines = self.request.makefile("rb")
        elif not self.encrypted:
            self.say("530 5.7.0 Must issue a STARTTLS command first")
        elif verb == "AUTH" and rest.startswith("PLAIN "):
            given = base64.b64decode(rest[len("PLAIN "):]).decode().split("\0")
            if given[1:] == [USER, PASSWORD]:
                self.user = USER
                self.say("235 2.7.0 welcome")
            else:
                self.say("535 5.7.8 Authentication credentials invalid")
        elif self.user is None:
            self.say("530 5.7.0 Authentication required")
        elif verb == "MAIL":
            self.sender, self.recipients = rest, []
            self.say("250 ok")
        elif verb == "RCPT":
            self.recipients.append(rest)
            self.say("250 ok")
        elif verb == "DATA":
            self.say("354 go ahead")
            self.take()
            self.say("250 taken")
        else:
            self.say("250 ok" if verb in ("RSET", "NOOP") else "502 unknown")

    def take(self):
        data = b""
        while (line := self.lines.readline()) not in (b".\r\n", b""):
            data += line[1:] if line.startswith(b"..") else line
        mail = {
            "from": self.sender,
            "to": self.recipients,
            "user": self.user,
            "encrypted": self.encrypted,
            "data": data.decode(),
        }
        with LOCK, open(FOLDER + "/mails", "a", encoding="utf-8") as mails:
            mails.write(json.dumps(mail) + "\n")


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away, or did not like our certificate."""


with Server(("127.0.0.1", 0), Session) as server:
    print(f"listening on {server.server_address[1]}, keeps mails in {FOLDER}", file=sys.stderr, flush=True)
    server.serve_forever()
