"""Reads docs/wire.md: its tables, examples and session, and writes captures of them for a dissector."""

import hashlib
import re
import struct

import gate_layout as layout
import gate_link as link

BLOCK = re.compile(r"^```hex (.+)\n([\s\S]*?)^```", re.M)
ROW = re.compile(r"^\| (.*?) \| (.*?) \| (.*?) \| (.*?) \| .* \|$", re.M)

# How the types of the page are called in gate_layout.
KINDS = {
    "date, u32": "date",
    "time, BCD": "time",
    "tags 0002 to 0080": "fields",
    "count u16, bytes u32, records": "records",
    "count u16, u8 each": "verdicts",
    "count u32, bytes u32, entries": "entries",
    "n times u64, u32": "batches",
    "n times 4 u16": "reasons",
    "n times u16, u16, date": "earlier",
    "secret text": "secret",
    "last use": "last_use",
    "cost parts": "cost_parts",
}
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "date": 4, "time": 7}


class Different(Exception):
    """The page says something else than what was made here."""


def hexadecimal(block):
    return bytes.fromhex(" ".join(line.split("#")[0] for line in block.splitlines()))


def part_of(page, name):
    return page.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]


def same(where, made, page):
    """Bytes or values that must be equal; says at which byte they are not."""
    if made == page:
        return
    if isinstance(made, bytes):
        at = next((i for i, (a, b) in enumerate(zip(made, page)) if a != b), min(len(made), len(page)))
        raise Different(f"{where}: byte {at}: made {made[at : at + 8].hex(' ')}, page {page[at : at + 8].hex(' ')}")
    raise Different(f"{where}: made {made}, page {page}")


# Tables and examples.


def check_codes(page):
    for name, table, column in (("errors", layout.ERRORS, 2), ("reasons", layout.REASONS, 2)):
        rows = re.findall(r"^\| (\d+) \| (\w+) \|", part_of(page, name), re.M)
        same(name, table, {int(number): text for number, text in rows})
    rows = re.findall(r"^\| (\d+) \|", part_of(page, "verdicts"), re.M)
    same("verdicts", sorted(layout.VERDICTS), [int(number) for number in rows])


def layouts(page):
    """(where, layout of gate_layout, text of the page) for each table of a body, record or group."""
    names = {
        "messages": (r"(\w\w) (.*), from .*?(\w+)$", layout.MESSAGES),
        "records": (r"Record (\w\w): (.*)()$", layout.RECORDS),
        "groups": (r"(.*)()()$", layout.GROUPS),
    }
    for section, (pattern, table) in names.items():
        texts = re.split(r"^### ", part_of(page, section), flags=re.M)[1:]
        same(f"number of {section}", len(table), len(texts))
        for text in texts:
            title = text.split("\n")[0]
            first, name, sender = re.match(pattern, title).groups()
            key = first.replace(" ", "_") if section == "groups" else int(first, 16)
            if key not in table:
                raise Different(f"{title}: not known here")
            one = table[key]
            same(f"{title}: name", one.name, name or first)
            if sender:
                same(f"{title}: sender", one.sender, {"side": "either"}.get(sender, sender))
            yield title, one, text, 4 if section == "records" else 0


def check_tables(page):
    for title, one, text, at in layouts(page):
        fixed, tags = [], {}
        for place, size, name, kind in ROW.findall(text):
            if place == "at":
                continue
            kind = KINDS.get(kind, kind)
            if kind == "bytes" and size != "any":
                kind = f"bytes:{size}"
            length = SIZES.get(kind) or (int(kind[6:]) if kind.startswith("bytes:") else None)
            if length:
                same(f"{title}: bytes of {name}", str(length), size)
            if place.startswith("tag "):
                tags[int(place[4:], 16)] = (name, kind)
                continue
            if kind != "fields" or at is not None:
                same(f"{title}: place of {name}", str(at) if at is not None else "behind", place)
            at = at + length if length and at is not None else None
            fixed.append((name, kind))
        same(f"{title}: fixed part", one.fixed, fixed)
        same(f"{title}: tags", one.tags, tags)


def examples(page):
    """(is a record, number, bytes) for each example of a body or record."""
    for title, block in BLOCK.findall(part_of(page, "messages") + part_of(page, "records")):
        record, number = re.match(r"(record )?(\w\w) ", title).groups()
        yield bool(record), int(number, 16), hexadecimal(block)


def check_examples(page):
    count = 0
    for is_record, number, data in examples(page):
        count += 1
        if is_record:
            kind, values = layout.decode_record(data)
            same(f"example of record {number:02X}: kind", kind, number)
            same(f"example of record {number:02X}", layout.encode_record(kind, values), data)
        else:
            values = layout.decode(layout.MESSAGES[number], data)
            same(f"example of message {number:02X}", layout.encode(layout.MESSAGES[number], values), data)
    return count


# The session, made from facts.

CLOSED_LOOP = {
    "source": bytes.fromhex("0000400001001234"),
    "sequence": 100001,
    "time": "20261126081530",
    "event": 3,
    "amount_fen": 400,
    "city": bytes.fromhex("6530"),
    "line": 3,
    "station": 17,
    "device_kind": 2,
    "device": 1042,
    "list_version": 811,
    "transaction_kind": 9,
    "card_kind": 1,
    "card_subkind": 0,
    "logical_id": bytes.fromhex("03104800000000000017"),
    "physical_id": bytes.fromhex("0000000000001A2B3C4D"),
    "status": 0,
    "balance_fen": 8600,
    "load_counter": 12,
    "purchase_counter": 340,
    "tac": bytes.fromhex("A1B2C3D4"),
    "tac_kind": 1,
    "tac_terminal": bytes.fromhex("400001001234"),
    "algorithm": 1,
    "key_version": 1,
    "key_index": 1,
    "random": bytes.fromhex("0A0B0C0D"),
    "issuer": bytes.fromhex("0106530000000000"),
    "scenario": 41,
    "district": 500103,
    "carrier": 1,
}
QR_RIDE = {
    "source": bytes.fromhex("0000000000000412"),
    "sequence": 77,
    "time": "20261126081530",
    "event": 1,
    "amount_fen": 200,
    "city": bytes.fromhex("6530"),
    "line": 3,
    "station": 17,
    "device_kind": 2,
    "device": 1042,
    "list_version": 811,
    "scheme": 4,
    "checked": 1,
    "code": b"a code of another scheme",
    "district": 500103,
    "account": "ride-account-5",
    # 30 seconds before the tap.
    "made_s": 1795652100,
}
PAYMENT = {
    "reference": bytes(range(0x60, 0x70)),
    "time": "20261126082030",
    "message_kind": bytes.fromhex("0200"),
    "fields": {
        2: b"6210000000000001",
        3: b"000000",
        4: b"000000001250",
        11: b"000815",
        12: b"082030",
        13: b"1126",
        22: b"071",
        41: b"KIOSK001",
        42: b"TRANSIT00000001",
        49: b"156",
    },
    "scenario": 120,
    "carrier": 1,
}
BATCH = 0x000732BD19CC4601
DATE = 20261126


def session_blocks(page):
    blocks = [(title, hexadecimal(block)) for title, block in BLOCK.findall(part_of(page, "session"))]
    keys = blocks[0][1]
    same("length of the keys", len(keys), 16 + 3 + 16 + 16)
    return keys, blocks[1:]


def session_questions(keys):
    """The client's messages in order: type, values and whether they are a question."""
    first = layout.encode_record(0x01, CLOSED_LOOP)
    second = layout.encode_record(0x01, CLOSED_LOOP | {"sequence": 100002})
    third = layout.encode_record(0x01, CLOSED_LOOP | {"sequence": 100003})
    # A mandatory tag that nobody knows.
    fourth = layout.encode_record(0x02, QR_RIDE, behind=layout.tagged(0x8FFF, b"\x07"))
    book = link.Book()
    for record, verdict in ((first, 0), (second, 0), (third, 6)):
        book.add(record, verdict, DATE)
    count, amount, total = book.rows[DATE, 0x01]
    hello = {
        "version_min": 1,
        "version_max": 1,
        "features": 0x1F,
        "features_needed": 3,
        "key_check": link.check_value(keys[:16]),
        "random": keys[19:35],
        "session": bytes(range(0x20, 0x30)),
        "participant": "bus-company",
        "gateway": "depot-7",
        "software": "gate 2.3",
    }
    opening = {
        "batch": BATCH,
        "content": 1,
        "records": 3,
        # What the gateway booked: the unreadable one is in it.
        "amount_fen": 400 + 400 + 200,
        "hash": hashlib.sha256(second + third + fourth).digest(),
        "date": DATE,
    }
    totals = {"date": DATE, "kind": 1, "count": count, "amount_fen": amount, "hash": total}
    return [
        ("hello", hello, True),
        ("tap", {"record": first}, True),
        ("batch open", opening, True),
        ("batch part", {"batch": BATCH, "first": 0, "records": [second, third]}, True),
        ("batch part", {"batch": BATCH, "first": 2, "records": [fourth]}, True),
        ("heartbeat", {"time_ms": 1795652150250}, True),
        ("transaction", {"wait_ms": 20000, "record": layout.encode_record(0x10, PAYMENT)}, True),
        ("totals", totals, True),
        ("goodbye", {"reason": 0}, False),
    ]


def check_session(page):
    """Makes every client frame anew and checks every frame of the server. Returns how many there were."""
    keys, blocks = session_blocks(page)
    zone_key = keys[:16]
    same("check value", link.check_value(zone_key), keys[16:19])
    questions = iter(session_questions(keys))
    hello_body, key_out, key_in = b"", None, None
    sent = received = 0
    asked = {}
    for title, data in blocks:
        side, name = title.split(" ", 1)
        if side == ">":
            sent += 1
            where = f"session: client frame {sent}, {name}"
            made_name, values, question = next(questions, (None, None, None))
            same(f"{where}: type", made_name, name)
            kind = link.TYPES[name]
            body = layout.encode(layout.MESSAGES[kind], values)
            hello_body = hello_body or body
            correlation = sent if question else 0
            asked[correlation] = name
            same(where, link.frame_bytes(kind, sent, correlation, body, key_out), data)
            continue
        received += 1
        where = f"session: server frame {received}, {name}"

        def key_for(body):
            return key_in or link.session_key(zone_key, "s2c", hello_body, body)

        try:
            frame = link.parse_frame(data, key_for, received)
        except link.Broken as error:
            raise Different(f"{where}: {error}") from error
        if key_in is None:
            key_in = key_for(frame.body)
            key_out = link.session_key(zone_key, "c2s", hello_body, frame.body)
            same(f"{where}: random bytes", frame.body[9:25], keys[35:51])
        same(f"{where}: type", frame.name, name)
        if frame.correlation not in asked and frame.correlation:
            raise Different(f"{where}: correlation {frame.correlation} answers nothing")
        one = layout.MESSAGES[frame.kind]
        same(where, layout.encode(one, layout.decode(one, frame.body)), frame.body)
    same("session: client frames that are left", next(questions, None), None)
    return sent, received


def transcript(page):
    check_codes(page)
    check_tables(page)
    count = check_examples(page)
    sent, received = check_session(page)
    return {"examples": count, "client_frames": sent, "server_frames": received}


# Captures.

CLIENT_PORT, SERVER_PORT = 40000, 7300
SEGMENT_BYTES = 1400
SYN, ACK, PSH, FIN = 0x02, 0x10, 0x08, 0x01


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class Capture:
    """A pcap file of one TCP connection between two addresses."""

    def __init__(self, client_port=CLIENT_PORT, at=1795652100):
        self.packets, self.at, self.client_port = [], at, client_port
        self.next = {True: 1000, False: 9000}
        self.packet(True, SYN)
        self.packet(False, SYN | ACK)
        self.packet(True, ACK)

    def packet(self, from_client, flags, data=b""):
        addresses = [b"\x0a\0\0\x01", b"\x0a\0\0\x02"]
        ports = [self.client_port, SERVER_PORT]
        if not from_client:
            addresses.reverse()
            ports.reverse()
        known = self.next[not from_client] if flags & ACK else 0
        head = struct.pack(">HHIIBBHHH", *ports, self.next[from_client], known, 5 << 4, flags, 65535, 0, 0)
        pseudo = addresses[0] + addresses[1] + struct.pack(">BBH", 0, 6, len(head) + len(data))
        segment = head[:16] + struct.pack(">H", checksum(pseudo + head + data)) + head[18:] + data
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), len(self.packets) & 0xFFFF, 0x4000, 64, 6, 0)
        ip += addresses[0] + addresses[1]
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        macs = [b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"]
        self.packets.append(macs[from_client] + macs[not from_client] + b"\x08\0" + ip + segment)
        self.next[from_client] += len(data) + bool(flags & (SYN | FIN))

    def data(self, from_client, data):
        for at in range(0, len(data), SEGMENT_BYTES):
            self.packet(from_client, PSH | ACK, data[at : at + SEGMENT_BYTES])

    def write(self, path):
        self.packet(True, FIN | ACK)
        self.packet(False, FIN | ACK)
        self.packet(True, ACK)
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for index, packet in enumerate(self.packets):
                file.write(struct.pack("<IIII", self.at, index * 1000, len(packet), len(packet)) + packet)


def write_session(page, path):
    """The session of the page. The first frame comes in two segments, and two frames of the server in one."""
    _, blocks = session_blocks(page)
    capture = Capture()
    waiting = b""
    for index, (title, data) in enumerate(blocks):
        from_client = title.startswith(">")
        following = blocks[index + 1][0] if index + 1 < len(blocks) else ""
        if index == 0:
            capture.data(True, data[:3])
            capture.data(True, data[3:])
        elif not from_client and following.startswith("<") and not waiting:
            waiting = data
        else:
            capture.data(from_client, waiting + data)
            waiting = b""
    capture.write(path)
    return len(blocks)
