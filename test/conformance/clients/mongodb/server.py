"""A server that speaks enough of MongoDB's protocol to authenticate drivers with
MONGODB-AWS as MongoDB does: it sends the driver's signed request to STS. Unlike MongoDB
it accepts requests that STS refuses, and returns the key as well, so that a test can see
whose credentials a driver uses."""

import base64
import os
import re
import socketserver
import struct
import sys
import urllib.error
import urllib.request

STS = "sts.%s.amazonaws.com" % os.environ["REGION"]
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013


def encode(document):
    body = b""
    for name, value in document.items():
        name = name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + name + bytes([value])
        elif isinstance(value, int):
            body += b"\x10" + name + struct.pack("<i", value)
        elif isinstance(value, float):
            body += b"\x01" + name + struct.pack("<d", value)
        elif isinstance(value, str):
            value = value.encode() + b"\0"
            body += b"\x02" + name + struct.pack("<i", len(value)) + value
        elif isinstance(value, bytes):
            body += b"\x05" + name + struct.pack("<ib", len(value), 0) + value
        elif isinstance(value, list):
            body += b"\x04" + name + encode({str(i): v for i, v in enumerate(value)})
        else:
            body += b"\x03" + name + encode(value)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def decode(data):
    """Returns the strings, binaries, and the names of all fields of a document."""
    document, at = {}, 4
    while data[at]:
        kind, end = data[at], data.index(b"\0", at + 1)
        name, at = data[at + 1:end].decode(), end + 1
        size = {0x01: 8, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x07: 12, 0x06: 0}.get(kind)
        value = None
        if size is None:
            size, = struct.unpack_from("<i", data, at)
            if kind == 0x02:
                value, size = data[at + 4:at + 3 + size].decode(), size + 4
            elif kind == 0x05:
                value, size = data[at + 5:at + 5 + size], size + 5
        document[name] = value
        at += size
    return document


def identity(headers):
    """Returns the ARN that STS sees behind a signed request."""
    request = urllib.request.Request("https://%s/" % STS, b"Action=GetCallerIdentity&Version=2011-06-15", headers, method="POST")
    try:
        with urllib.request.urlopen(request) as response:
            return re.search("<Arn>(.*)</Arn>", response.read().decode()).group(1)
    except urllib.error.HTTPError as e:
        print("STS:", e.read().decode(), file=sys.stderr)
        return ""


class Connection(socketserver.StreamRequestHandler):
    nonce, user, key = b"", "", ""

    def handle(self):
        while header := self.rfile.read(16):
            size, request, _, kind = struct.unpack("<iiii", header)
            body = self.rfile.read(size - 16)
            if kind == OP_QUERY:
                document = body[body.index(b"\0", 4) + 9:]
                answer = struct.pack("<iqii", 8, 0, 0, 1)
                kind = OP_REPLY
            else:
                document, answer = body[5:], struct.pack("<ib", 0, 0)
            answer += encode(self.answer(decode(document)) | {"ok": 1.0})
            self.wfile.write(struct.pack("<iiii", len(answer) + 16, 1, request, kind) + answer)

    def answer(self, command):
        name = next(iter(command)).lower()
        if name in ("ismaster", "hello"):
            return {"ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48000000,
                    "maxWriteBatchSize": 1000, "connectionId": 1, "minWireVersion": 0, "maxWireVersion": 13}
        if name == "saslstart":
            self.nonce = decode(command["payload"])["r"] + os.urandom(32)
            return {"conversationId": 1, "done": False, "payload": encode({"s": self.nonce, "h": STS})}
        if name == "saslcontinue":
            self.authenticate(decode(command["payload"]))
            return {"conversationId": 1, "done": True, "payload": b""}
        if name == "connectionstatus":
            return {"user": self.user, "key": self.key}
        return {}

    def authenticate(self, signed):
        headers = {"Authorization": signed["a"], "X-Amz-Date": signed["d"], "Content-Type": "application/x-www-form-urlencoded",
                   "X-MongoDB-Server-Nonce": base64.b64encode(self.nonce).decode(), "X-MongoDB-GS2-CB-Flag": "n"}
        if signed.get("t"):
            headers["X-Amz-Security-Token"] = signed["t"]
        self.key = re.search("Credential=([^/]+)", signed["a"]).group(1)
        self.user = identity(headers)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


Server(("127.0.0.1", 27017), Connection).serve_forever()
