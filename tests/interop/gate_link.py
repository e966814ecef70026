"""Keys, frames and one connection of the gateway protocol, written from docs/wire.md alone."""

import dataclasses
import hashlib
import secrets
import socket
import struct
import time

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

import gate_layout as layout

VERSION = 1
FEATURES = 0x1F
FRAME_BYTES_BEFORE = 4096
FRAME_BYTES_MOST = 1 << 20
HEAD_BYTES = 16
LENGTH_BYTES = 4
MAC_BYTES = 8
NO_MAC = 1
FATAL = range(1, 10)
# More parts under way at once would only fill the buffers of the two sockets.
PARTS_UNDER_WAY = 8

TYPES = {one.name: number for number, one in layout.MESSAGES.items()}


def cmac(key, *parts):
    state = CMAC(AES(key))
    for part in parts:
        state.update(part)
    return state.finalize()


def check_value(key):
    return cmac(key, bytes(16))[:3]


def session_key(zone_key, direction, hello, answer):
    """`direction` is "c2s" or "s2c"; the bodies stand in the key whole."""
    label = b"yika-gate 1 " + direction.encode()
    context = struct.pack(">I", len(hello)) + hello + answer
    return cmac(zone_key, struct.pack(">I", 1), label, b"\0", context, struct.pack(">I", 128))


def frame_bytes(kind, sequence, correlation, body, key=None):
    flags = 0 if key else NO_MAC
    length = HEAD_BYTES - LENGTH_BYTES + len(body) + (MAC_BYTES if key else 0)
    head = struct.pack(">IBBHII", length, kind, flags, 0, sequence, correlation)
    return head + body + (cmac(key, head, body)[:MAC_BYTES] if key else b"")


class Broken(Exception):
    """The other side broke a rule of the frame; the connection is over."""


class Late(Exception):
    """Nothing came within the limit."""


class Ended(Exception):
    """The connection is over: a fatal error, a goodbye, or the end of the stream."""


@dataclasses.dataclass
class Frame:
    kind: int
    flags: int
    sequence: int
    correlation: int
    body: bytes
    values: dict | None = None

    @property
    def name(self):
        known = layout.MESSAGES.get(self.kind)
        return known.name if known else f"type {self.kind:02X}"


def parse_frame(data, key, sequence):
    """One whole frame: its head, then the MAC, then the sequence. The body is read later."""
    length, kind, flags, reserved, number, correlation = struct.unpack_from(">IBBHII", data)
    if length != len(data) - LENGTH_BYTES:
        raise Broken("the length is wrong")
    if flags & ~NO_MAC or reserved:
        raise Broken("flags or reserved bytes that are not known")
    if flags & NO_MAC:
        body = data[HEAD_BYTES:]
    else:
        if len(data) < HEAD_BYTES + MAC_BYTES:
            raise Broken("too short for a MAC")
        body = data[HEAD_BYTES:-MAC_BYTES]
        # A hello answer brings what its own key is made of: the key comes when the body is known.
        made = cmac(key(body), data[:-MAC_BYTES])[:MAC_BYTES]
        if made != data[-MAC_BYTES:]:
            raise Broken(f"the MAC is {data[-MAC_BYTES:].hex()}, not {made.hex()}")
    if number != sequence:
        raise Broken(f"sequence {number} where {sequence} is due")
    return Frame(kind, flags, number, correlation, body)


@dataclasses.dataclass
class Gateway:
    """Who connects, and where to. `limit` bounds every wait, in seconds."""

    host: str
    port: int
    participant: str
    gateway: str
    zone_key: bytes
    limit: float = 10.0

    def connect(self, session=None, features=FEATURES, needed=0):
        link = Link(self, session or secrets.token_bytes(16))
        link.hello(features, needed)
        return link


class Link:
    """One connection. Answers heartbeats of the server and keeps the highest grant of credits by itself."""

    def __init__(self, who, session):
        self.who, self.session = who, session
        self.socket = socket.create_connection((who.host, who.port), timeout=who.limit)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent, self.received, self.correlation = 0, 0, 0
        self.credits, self.used = 0, 0
        self.frame_bytes_max = FRAME_BYTES_BEFORE
        self.key_out, self.key_in = None, None
        self.hello_body, self.answer = b"", None
        self.aside = []
        self.safe, self.closed = {}, {}

    # Out.

    def send(self, kind, body, correlation=None, sequence=None, key=None, damage=False):
        """Sends one frame. What breaks a rule on purpose is asked for by name."""
        data = self.make(kind, body, correlation, sequence, key, damage)
        self.socket.settimeout(self.who.limit)
        try:
            self.socket.sendall(data)
        except TimeoutError as error:
            raise Late("nothing more can be sent") from error
        except OSError as error:
            # What the server said before it closed may still be read.
            self.aside.append(f"{type(error).__name__} on sending")
        return self.correlation if correlation is None else correlation

    def make(self, kind, body, correlation=None, sequence=None, key=None, damage=False):
        self.sent = self.sent + 1 if sequence is None else sequence
        if correlation is None:
            self.correlation += 1
            correlation = self.correlation
        data = frame_bytes(kind, self.sent, correlation, body, key or self.key_out)
        return data[:-1] + bytes([data[-1] ^ 1]) if damage else data

    def say(self, name, values, correlation=None):
        kind = TYPES[name]
        self.used += len(values["records"]) if name == "batch part" else name in ("tap", "transaction")
        return self.send(kind, layout.encode(layout.MESSAGES[kind], values), correlation)

    def ask(self, name, values, wait=0.0):
        """Sends and waits for the answer; frames that answer something else go aside."""
        return self.answer_to(self.say(name, values), wait)

    def hello(self, features, needed):
        values = {
            "version_min": VERSION,
            "version_max": VERSION,
            "features": features,
            "features_needed": needed,
            "key_check": check_value(self.who.zone_key),
            "random": secrets.token_bytes(16),
            "session": self.session,
            "participant": self.who.participant,
            "gateway": self.who.gateway,
            "software": "gate_client 1",
        }
        self.hello_body = layout.encode(layout.MESSAGES[TYPES["hello"]], values)
        self.say("hello", values)
        frame = self.receive()
        if frame is None or frame.name != "hello answer":
            raise Ended(f"no hello answer, but {describe(frame)}")
        self.answer = frame.values
        if self.answer["version"] != VERSION or self.answer["features"] & ~features:
            raise Broken("the answer agrees on what was not in the hello")
        if self.answer["frame_bytes_max"] > FRAME_BYTES_MOST:
            raise Broken("the answer allows frames over the bound of the protocol")
        self.frame_bytes_max = self.answer["frame_bytes_max"]
        self.key_out = session_key(self.who.zone_key, "c2s", self.hello_body, frame.body)

    # In.

    def receive(self, limit=None):
        """The next frame, or None at the end of the stream."""
        deadline = time.monotonic() + (self.who.limit if limit is None else limit)
        head = self.fill(LENGTH_BYTES, deadline)
        if head is None:
            return None
        length = int.from_bytes(head, "big")
        if not HEAD_BYTES - LENGTH_BYTES <= length <= self.frame_bytes_max - LENGTH_BYTES:
            raise Broken(f"a frame of {length} bytes behind its length")
        data = self.fill(LENGTH_BYTES + length, deadline)
        if data is None:
            return None
        self.buffer = self.buffer[len(data) :]
        frame = parse_frame(data, self.key_for, self.received + 1)
        self.received += 1
        # Without a MAC comes an error or goodbye instead of a hello answer, and nothing else.
        if frame.flags & NO_MAC and (self.key_in or frame.name not in ("error", "goodbye")):
            raise Broken(f"{frame.name} without a MAC")
        if frame.kind in layout.MESSAGES:
            frame.values = layout.decode(layout.MESSAGES[frame.kind], frame.body)
        self.take(frame)
        return frame

    def key_for(self, body):
        if self.key_in is None:
            self.key_in = session_key(self.who.zone_key, "s2c", self.hello_body, body)
        return self.key_in

    def fill(self, count, deadline):
        while len(self.buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Late(f"{len(self.buffer)} of {count} bytes came")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                more = b""
            if not more:
                return None
            self.buffer += more
        return self.buffer[:count]

    def take(self, frame):
        """What every frame brings, whatever it answers."""
        if frame.values is None:
            self.send(TYPES["error"], struct.pack(">HBHI", 16, 0, 0, 0), frame.correlation)
            return
        self.credits = max(self.credits, frame.values.get("credits", 0))
        if frame.name == "heartbeat":
            now = time.time_ns() // 1_000_000
            self.say("heartbeat answer", {"asked_ms": frame.values["time_ms"], "time_ms": now}, frame.correlation)
        elif frame.name == "safe":
            batch = frame.values["batch"]
            if frame.values["records"] < self.safe.get(batch, 0):
                raise Broken("a safe frame goes back")
            self.safe[batch] = frame.values["records"]
        elif frame.name == "batch closed":
            self.closed[frame.values["batch"]] = frame

    def next(self, wait=0.0):
        """The next frame of a connection that has to go on."""
        frame = self.receive(self.who.limit + wait)
        if frame is None:
            raise Ended("the stream ended")
        if frame.name == "goodbye" or (frame.name == "error" and frame.values["fatal"]):
            raise Ended(describe(frame))
        return frame

    def answer_to(self, correlation, wait=0.0):
        while True:
            frame = self.next(wait)
            if frame.correlation == correlation and frame.name != "heartbeat":
                return frame
            self.aside.append(frame)

    def rest(self):
        """All frames until the server closes, and whether it did within the limit."""
        frames = []
        try:
            while (frame := self.receive()) is not None:
                frames.append(frame)
        except Late:
            return frames, False
        return frames, True

    def fence(self):
        """A heartbeat there and back: what the server had to say before is here then."""
        return self.ask("heartbeat", {"time_ms": time.time_ns() // 1_000_000})

    def goodbye(self):
        self.say("goodbye", {"reason": 0}, 0)
        frames, closed = self.rest()
        self.socket.close()
        return frames, closed

    def drop(self):
        """Away without a goodbye, as a mobile line does it."""
        self.socket.close()


# For people and tests: nothing secret, no whole card number.

# Fields 46 to 48, 57 to 63 and 112 to 127 are private and may hold anything.
PRIVATE_FIELDS = {*range(46, 49), *range(57, 64), *range(112, 128)}
SECRET_FIELDS = {2, 14, 34, 35, 36, 45, 52, 55, 96, 102, 103} | PRIVATE_FIELDS


def masked(digits):
    return digits[:6] + "*" * max(0, len(digits) - 10) + digits[-4:] if len(digits) > 12 else "*" * len(digits)


def shown(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(name): shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [shown(one) for one in value]
    return value


def shown_fields(fields):
    result = {}
    for number, value in fields.items():
        text = value.decode("ascii") if value.isascii() and value.decode("ascii").isprintable() else value.hex()
        if number == 2:
            text = masked(text)
        result[str(number)] = "*" * len(text) if number in SECRET_FIELDS - {2} else text
    return result


def describe(frame):
    """A frame as one JSON object: its type, correlation and fields, codes by name as well."""
    if frame is None:
        return None
    result = {"type": frame.name, "correlation": frame.correlation}
    values = dict(frame.values or {})
    if "fields" in values:
        result["fields"] = shown_fields(values.pop("fields"))
    result |= {name: shown(value) for name, value in values.items()}
    if frame.name == "transaction answer":
        result["code"] = values["code"].decode("ascii", "replace")
    if frame.name == "error":
        result["name"] = layout.ERRORS.get(values["code"], "not in the table")
    if frame.name == "goodbye":
        result["name"] = layout.REASONS.get(values["reason"], "not in the table")
    if frame.name == "tap verdict":
        result["name"] = layout.VERDICTS.get(values["verdict"], "not in the table")
    return result


@dataclasses.dataclass
class Batch:
    """Records under one id, and what the server said of each."""

    number: int
    records: list
    date: int
    verdicts: dict = dataclasses.field(default_factory=dict)

    def opening(self):
        return {
            "batch": self.number,
            "content": 1,
            "records": len(self.records),
            "amount_fen": sum(layout.amount_fen(record) for record in self.records),
            "hash": hashlib.sha256(b"".join(self.records)).digest(),
            "date": self.date,
        }

    def part_end(self, link, first, end):
        """Where a part that begins at `first` ends: records, bytes and credits bound it."""
        room = link.frame_bytes_max - HEAD_BYTES - MAC_BYTES - 18
        most = min(256, link.answer["part_records_max"], link.credits - link.used, end - first)
        stop = first
        while stop - first < most and len(self.records[stop]) <= room:
            room -= len(self.records[stop])
            stop += 1
        return stop

    def part(self, first, stop):
        return {"batch": self.number, "first": first, "records": self.records[first:stop]}

    def take(self, values):
        """Keeps the verdict and business date of each record; a reason where there is one."""
        dates = {}
        for index, count, date in values.get("earlier", ()):
            dates |= dict.fromkeys(range(index, index + count), date)
        for index, verdict in enumerate(values["verdicts"]):
            self.verdicts[values["first"] + index] = (verdict, dates.get(index, values["business_date"]))

    def transfer(self, link, first, end, answers=True):
        """Sends parts from `first` to `end` as the credits allow. Without `answers` the last ones are not awaited."""
        under_way, came = {}, []
        while first < end or (under_way and answers):
            stop = self.part_end(link, first, end) if len(under_way) < PARTS_UNDER_WAY else first
            if stop > first:
                under_way[link.say("batch part", self.part(first, stop))] = stop - first
                first = stop
                continue
            frame = link.next()
            if frame.correlation not in under_way or frame.name not in ("batch verdicts", "error"):
                link.aside.append(frame)
                continue
            came.append(frame)
            if frame.name == "error":
                return came
            if len(frame.values["verdicts"]) != under_way.pop(frame.correlation):
                raise Broken("a part and its verdicts differ in number")
            self.take(frame.values)
        return came


class Book:
    """The client's own totals, each record once, by business date and kind."""

    def __init__(self):
        self.rows, self.seen = {}, set()

    def add(self, record, verdict, date):
        if verdict not in layout.COUNTED or record in self.seen:
            return
        self.seen.add(record)
        count, amount, total = self.rows.get((date, record[2]), (0, 0, bytes(32)))
        self.rows[date, record[2]] = (count + 1, amount + layout.amount_fen(record), xor(total, record_hash(record)))


def record_hash(record):
    return hashlib.sha256(record).digest()


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
