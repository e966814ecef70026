"""Layouts of the gateway protocol, written from docs/wire.md alone: bodies to values and back.

A layout is one line of text for each run of fields: `name type` for the fixed part, `tag name type` for what is
optional. A body is a dict by these names. Fields by number of ISO 8583 stand under "fields", as {number: bytes}.
"""

import datetime
import struct

KNOWN_BIT = 0x7FFF
MANDATORY = 0x8000
ISO_FIELDS = range(2, 129)

VERDICTS = {
    0: "stored",
    1: "stored earlier",
    2: "unreadable",
    3: "outside the window",
    4: "not accepted",
    5: "conflict",
    6: "suspended",
}
# The verdicts that the totals count.
COUNTED = (0, 1, 6)

ERRORS = {
    1: "Version", 2: "Feature", 3: "Unknown", 4: "Key", 5: "Mac", 6: "Sequence", 7: "Frame", 8: "Turn", 9: "Credit",
    16: "NoSuch", 17: "Short", 18: "Value", 19: "Order", 20: "Tag", 21: "NotAgreed", 32: "Overload", 33: "NotReady",
    48: "BatchUnknown", 49: "BatchConflict", 50: "BatchIndex", 51: "BatchSize", 52: "BatchMany", 64: "Reference",
    65: "Family", 80: "ListUnknown", 81: "ListVersion", 96: "DateUnknown",
}

REASONS = {
    0: "Done", 1: "TakenOver", 2: "Draining", 3: "Idle", 4: "Error", 5: "KeyChange", 6: "SequenceEnd", 7: "Operator",
    8: "TooMany",
}


class Refused(Exception):
    """A body or record that cannot be read, or values that must not be written."""

    def __init__(self, code, offset, what, tag=0):
        super().__init__(f"{ERRORS[code]} at byte {offset}, tag {tag:04X}: {what}")
        self.code, self.offset, self.tag = code, offset, tag


class Layout:
    def __init__(self, name, sender, text):
        self.name, self.sender = name, sender
        self.fixed, self.tags = [], {}
        for item in text.split(";"):
            words = item.split()
            if len(words) == 3:
                self.tags[int(words[0], 16)] = (words[1], words[2])
            else:
                self.fixed.append((words[0], words[1]))
        names = [name for name, _ in self.fixed] + [name for name, _ in self.tags.values()]
        assert len(names) == len(set(names)), self.name


TAP_HEAD = """
    source bytes:8; sequence u32; time time; event u8; amount_fen u32; city bytes:2; line u16; station u16;
    device_kind u8; device u32; list_version u32;
"""
ASK_HEAD = "reference bytes:16; time time;"

MESSAGES = {
    0x01: Layout("hello", "client", """
        version_min u8; version_max u8; features u64; features_needed u64; key_check bytes:3; random bytes:16;
        session bytes:16; participant name; gateway name;
        0001 software text
    """),
    0x02: Layout("hello answer", "server", """
        version u8; features u64; random bytes:16; resumed u8; frame_bytes_max u32; batch_records_max u32;
        part_records_max u16; heartbeat_seconds u16; server_time_ms u64; levels u8; credits u64;
        batches_open u16;
        0001 batches batches; 0002 software text
    """),
    0x03: Layout("heartbeat", "either", """
        time_ms u64
    """),
    0x04: Layout("heartbeat answer", "either", """
        asked_ms u64; time_ms u64
    """),
    0x05: Layout("credit", "server", """
        credits u64
    """),
    0x06: Layout("goodbye", "either", """
        reason u8;
        0001 text text
    """),
    0x07: Layout("error", "either", """
        code u16; fatal u8; tag u16; offset u32;
        0001 text text; 0002 versions bytes:2; 0003 features u64; 0004 retry_after_ms u32
    """),
    0x10: Layout("tap", "client", """
        record record
    """),
    0x11: Layout("tap verdict", "server", """
        verdict u8; level u8; business_date date; credits u64;
        0001 reason reason
    """),
    0x12: Layout("batch open", "client", """
        batch u64; content u8; records u32; amount_fen u64; hash bytes:32; date date;
        0001 payer id; 0002 policy id; 0003 period u32; 0004 signature bytes
    """),
    0x13: Layout("batch state", "server", """
        batch u64; state u8; stored u32; next u32; credits u64
    """),
    0x14: Layout("batch part", "client", """
        batch u64; first u32; records records
    """),
    0x15: Layout("batch verdicts", "server", """
        batch u64; first u32; level u8; business_date date; credits u64; verdicts verdicts;
        0001 reasons reasons; 0002 earlier earlier
    """),
    0x16: Layout("batch closed", "server", """
        batch u64; differs u8; business_date date; amount_fen u64; hash bytes:32; stored u32;
        stored_earlier u32; unreadable u32; outside_window u32; not_accepted u32; conflict u32; suspended u32
    """),
    0x17: Layout("safe", "server", """
        batch u64; records u64
    """),
    0x20: Layout("transaction", "client", """
        wait_ms u32; record record
    """),
    0x21: Layout("transaction answer", "server", """
        state u8; code bytes:2; business_date date; credits u64; fields fields;
        0302 settlement id; 0401 shares shares; 0402 person person; 0403 domains bytes:2; 0404 line_state u8;
        0405 text text
    """),
    0x30: Layout("list poll", "client", """
        list u32; version u32
    """),
    0x31: Layout("list delta", "server", """
        list u32; from u32; to u32; latest u32; part u16; parts u16; effective_ms u64; hash bytes:32;
        adds entries; removes entries;
        0001 name text
    """),
    0x32: Layout("list acknowledgement", "client", """
        list u32; version u32; hash bytes:32; since_ms u64; devices u32; devices_current u32; oldest u32
    """),
    0x40: Layout("totals", "client", """
        date date; kind u8; count u64; amount_fen u64; hash bytes:32
    """),
    0x41: Layout("totals answer", "server", """
        date date; kind u8; result u8; closed u8; count u64; amount_fen u64; hash bytes:32;
        0001 text text
    """),
}

RECORDS = {
    0x01: Layout("closed-loop tap", "client", TAP_HEAD + """
        transaction_kind u8; card_kind u8; card_subkind u8; logical_id bytes:10; physical_id bytes:10;
        status u8; balance_fen u32; load_counter u32; purchase_counter u32; tac bytes:4; tac_kind u8;
        tac_terminal bytes:6; algorithm u8; key_version u16; key_index u8; random bytes:4; issuer bytes:8;
        0101 scenario u16; 0102 district u32; 0103 carrier u8; 0201 entry place; 0202 institution bytes:8;
        0203 last_use last_use; 0204 undiscounted_fen u32; 0205 discount discount; 0206 transfer transfer;
        0207 payment bytes:2; 0208 receipt id; 0209 staff staff; 020A modes bytes:4; 020B industry bytes:2;
        020C interoperable bytes:2; 020D label label; 020E proof bytes:4; 020F source_version u16
    """),
    0x02: Layout("QR ride", "client", TAP_HEAD + """
        scheme u8; checked u8; code block;
        0101 scenario u16; 0102 district u32; 0201 entry place; 0202 institution bytes:8;
        0204 undiscounted_fen u32; 0205 discount discount; 0209 staff staff; 0221 account id; 0222 made_s u32
    """),
    0x03: Layout("open-loop tap", "client", TAP_HEAD + """
        approval u8; account digits; expiry bytes:2; card_sequence u8; trace u32; terminal bytes:8;
        acceptor bytes:15; chip block;
        0101 scenario u16; 0102 district u32; 0103 carrier u8; 0201 entry place; 0211 vehicle id;
        0212 driver id; 0213 route id; 0214 code bytes:2; 0215 authorization bytes:6; 0216 reference bytes:12
    """),
    0x10: Layout("payment", "client", ASK_HEAD + """
        message_kind bytes:2; fields fields;
        0101 scenario u16; 0102 district u32; 0103 carrier u8
    """),
    0x11: Layout("medical", "client", ASK_HEAD + """
        step u8; function bytes:2; institution bytes:12; message bytes:30; area u32; total_fen u64;
        cash_fen u64; fields fields;
        0101 scenario u16; 0102 district u32; 0103 carrier u8; 0301 visit id; 0302 settlement id;
        0303 charges id; 0304 person secret; 0305 credential_kind u8; 0306 credential secret;
        0307 insurance id; 0308 visit_kind id; 0309 account_used u8; 030A original bytes:30;
        030B original_function bytes:2; 030C invoice id; 030D parts cost_parts; 030E sign_in id;
        030F operator id; 0310 way id
    """),
    0x12: Layout("identity", "client", ASK_HEAD + """
        purpose u16; means u8; acceptor name;
        0101 scenario u16; 0102 district u32; 0103 carrier u8; 030F operator id; 0320 card digits;
        0321 id_kind u8; 0322 id_number secret; 0323 code secret
    """),
    0x13: Layout("disbursement line", "client", ASK_HEAD + """
        line u32; claim bytes:32; amount_fen u64; account digits; new_person u8;
        0101 scenario u16; 0102 district u32; 0322 id_number secret; 0330 policy id; 0331 period u32;
        0332 payer id; 0333 name secret; 0334 memo text; 0335 household secret; 0336 account_kind u8
    """),
    0x14: Layout("card status", "client", ASK_HEAD + """
        action u8; domains u8; effective time; reason u8; card digits; origin name;
        0101 scenario u16; 0102 district u32; 0340 expires time; 0341 card_sequence u8;
        0342 replacement digits; 0343 serial bytes:10
    """),
}

GROUPS = {
    "reason": Layout("reason", "", """
        code u16; tag u16; offset u16
    """),
    "place": Layout("place", "", """
        city bytes:2; institution bytes:8; line u16; station u16; source bytes:8; time time
    """),
    "last_use": Layout("last use", "", """
        source bytes:8; time time
    """),
    "discount": Layout("discount", "", """
        month u32; rides u32; spent_fen u32
    """),
    "transfer": Layout("transfer", "", """
        interval_s u32; bus_time time
    """),
    "staff": Layout("staff", "", """
        operator u32; shift u16
    """),
    "label": Layout("label", "", """
        lowest_fen u32; highest_fen u32
    """),
    "cost_parts": Layout("cost parts", "", """
        own_fen u64; over_fen u64; first_fen u64; scope_fen u64
    """),
    "shares": Layout("shares", "", """
        fund_fen u64; account_fen u64; family_fen u64; cash_fen u64
    """),
    "person": Layout("person", "", """
        matches u8; age_band u8; concession u8
    """),
}

TAP_KINDS = (0x01, 0x02, 0x03)
NUMBERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "date": 4}


def visible(data, low, high):
    return low <= len(data) <= high and all(0x21 <= byte <= 0x7E for byte in data)


def check_time(text):
    if len(text) != 14 or not text.isascii() or not text.isdigit():
        raise ValueError("not fourteen digits")
    datetime.datetime.strptime(text, "%Y%m%d%H%M%S")


def check_date(number):
    datetime.datetime.strptime(f"{number:08d}", "%Y%m%d")


class Reader:
    """Takes fields from a body or record and says at which byte it cannot go on."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Refused(17, self.at, f"{count} bytes are wanted, {len(self.data) - self.at} are there")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def rest(self):
        return self.take(len(self.data) - self.at)

    def value(self, kind, whole):
        """One value. `whole` says that the reader holds the value of one tag and nothing else."""
        start = self.at
        try:
            return self.read(kind, whole)
        except (ValueError, UnicodeDecodeError) as error:
            raise Refused(18, start, f"{kind}: {error}") from error

    def read(self, kind, whole):
        if kind in NUMBERS:
            number = self.number(NUMBERS[kind])
            if kind == "date":
                check_date(number)
            return number
        if kind.startswith("bytes:"):
            return self.take(int(kind[6:]))
        if kind == "time":
            text = self.take(7).hex()
            check_time(text)
            return text
        if kind == "name":
            return self.ascii(self.take(self.number(1)), 1, 32)
        if kind == "digits":
            text = self.ascii(self.take(self.number(1)), 8, 32)
            if not text.isdigit():
                raise ValueError("not digits")
            return text
        if kind == "block":
            return self.sized(self.take(self.number(2)), 1, 2048)
        if kind == "record":
            return self.record()
        if kind == "records":
            return self.counted(4, Reader.record)
        if kind == "entries":
            return self.counted(4, lambda inner: inner.take(inner.number(1)), count_bytes=4)
        if kind == "verdicts":
            return list(self.take(self.number(2)))
        if kind in GROUPS:
            return {name: self.value(inner, False) for name, inner in GROUPS[kind].fixed}
        if not whole:
            raise AssertionError(kind)
        if kind == "bytes":
            return self.sized(self.rest(), 1, 2048)
        if kind == "id":
            return self.ascii(self.rest(), 1, 64)
        if kind == "text":
            return self.sized(self.rest(), 0, 256).decode()
        if kind == "secret":
            return self.sized(self.rest(), 1, 512).decode()
        if kind == "batches":
            return self.several((8, 4))
        if kind == "reasons":
            return self.several((2, 2, 2, 2))
        if kind == "earlier":
            return self.several((2, 2, 4))
        raise AssertionError(kind)

    def ascii(self, data, low, high):
        if not visible(data, low, high):
            raise ValueError(f"not {low} to {high} visible characters")
        return data.decode("ascii")

    def sized(self, data, low, high):
        if not low <= len(data) <= high:
            raise ValueError(f"not {low} to {high} bytes")
        return data

    def record(self):
        start = self.at
        self.take(self.number(2))
        return self.data[start : self.at]

    def counted(self, length_bytes, one, count_bytes=2):
        count = self.number(count_bytes)
        inner = Reader(self.take(self.number(length_bytes)))
        values = []
        while len(values) < count:
            values.append(one(inner))
        if inner.at != len(inner.data):
            raise ValueError("lengths do not add up")
        return values

    def several(self, widths):
        rows = []
        while self.at < len(self.data):
            rows.append(tuple(self.number(width) for width in widths))
        return rows


def decode(layout, data, start=0):
    """The values of a body, or of a record from `start` on."""
    reader = Reader(data, start)
    values = {}
    numbered = False
    for name, kind in layout.fixed:
        if kind == "fields":
            numbered = True
            values["fields"] = {}
        else:
            values[name] = reader.value(kind, False)
    last = -1
    while reader.at < len(data):
        at = reader.at
        tag = reader.number(2)
        reader.take(reader.number(2))
        # The value keeps its place in the body, so that an error names the right byte.
        inner = Reader(data[: reader.at], at + 4)
        low = tag & KNOWN_BIT
        if low <= last:
            raise Refused(19, at, "the order of tags", tag)
        last = low
        if numbered and low in ISO_FIELDS:
            values["fields"][low] = inner.rest()
        elif low in layout.tags:
            name, kind = layout.tags[low]
            values[name] = inner.value(kind, True)
            if inner.at != len(inner.data):
                raise Refused(18, inner.at, f"{name} is too long", tag)
        elif tag & MANDATORY:
            raise Refused(20, at, "a mandatory tag that is not known", tag)
    return values


def put(kind, value):
    """The bytes of one value."""
    if kind in NUMBERS:
        return value.to_bytes(NUMBERS[kind], "big")
    if kind.startswith("bytes:"):
        if len(value) != int(kind[6:]):
            raise ValueError(f"{kind}: {len(value)} bytes")
        return value
    if kind == "time":
        check_time(value)
        return bytes.fromhex(value)
    if kind in ("name", "digits"):
        return bytes([len(value)]) + value.encode("ascii")
    if kind == "block":
        return struct.pack(">H", len(value)) + value
    if kind == "records":
        return struct.pack(">HI", len(value), sum(map(len, value))) + b"".join(value)
    if kind == "entries":
        joined = b"".join(bytes([len(entry)]) + entry for entry in value)
        return struct.pack(">II", len(value), len(joined)) + joined
    if kind == "verdicts":
        return struct.pack(">H", len(value)) + bytes(value)
    if kind in GROUPS:
        return b"".join(put(inner, value[name]) for name, inner in GROUPS[kind].fixed)
    if kind in ("id", "text", "secret"):
        return value.encode()
    if kind in ("bytes", "record"):
        return value
    row = {"batches": ">QI", "reasons": ">4H", "earlier": ">2HI"}[kind]
    return b"".join(struct.pack(row, *one) for one in value)


def tagged(tag, value):
    return struct.pack(">HH", tag, len(value)) + value


def encode(layout, values):
    known = {"fields"} | {name for name, _ in layout.fixed} | {name for name, _ in layout.tags.values()}
    if not known.issuperset(values):
        raise ValueError(f"{layout.name} has no {sorted(set(values) - known)}")
    body = b"".join(put(kind, values[name]) for name, kind in layout.fixed if kind != "fields")
    body += b"".join(tagged(number, values["fields"][number]) for number in sorted(values.get("fields", ())))
    for tag in sorted(layout.tags):
        name, kind = layout.tags[tag]
        if name in values:
            body += tagged(tag, put(kind, values[name]))
    return body


def encode_record(kind, values, behind=b""):
    """One record with its length. `behind` takes tags that the layout does not know, for tests."""
    inner = bytes([kind, 1]) + encode(RECORDS[kind], values) + behind
    return struct.pack(">H", len(inner)) + inner


def decode_record(record):
    """The kind and the values of one record; offsets count from its length on."""
    reader = Reader(record)
    if reader.number(2) != len(record) - 2:
        raise Refused(17, 0, "the length of a record")
    kind, version = reader.number(1), reader.number(1)
    if kind not in RECORDS or version != 1:
        raise Refused(16, 2, f"record kind {kind:02X}, version {version}")
    return kind, decode(RECORDS[kind], record, 4)


def amount_fen(record):
    """What a record adds to the amount of a batch or a total."""
    kind, values = decode_record(record)
    if kind == 0x10:
        return int(values["fields"].get(4, b"0"))
    return values.get("total_fen" if kind == 0x11 else "amount_fen", 0)
