"""A second implementation of the gateway protocol, written from docs/wire.md alone. It needs `cryptography`.

gate_client.py transcript PAGE   makes the client frames of the page's session anew, byte for byte, and checks the
                                 frames of the server, the tables and the examples
gate_client.py pcap PAGE OUT     writes that session as a capture for Wireshark
gate_client.py run ... SCENARIO  plays a gateway; prints one JSON object per step: what was asked, what came, and `ok`,
                                 whether that is what the page says

The exit code is 0 when all was as the page says, 1 when not, 2 for a wrong command line.
"""

import argparse
import datetime
import json
import pathlib
import secrets
import sys

import gate_layout as layout
import gate_link
import gate_page
from gate_link import Batch, Book, Broken, Ended, Gateway, Late, describe, masked, shown

CHINA = datetime.timezone(datetime.timedelta(hours=8))
TAPS_OF_A_CONFLICT = 3
PAYMENT_WAIT_MS = 20_000
ASK_AGAIN_SECONDS = 1.0
# How often totals that differ are asked for again before they count as different.
TOTALS_TRIES = 50
# A burst of taps that is to go beyond the grants ends somewhere.
OVER_CREDIT_FACTOR = 4
UNKNOWN_TYPE = 0x7E
UNKNOWN_MANDATORY = 0x8FFF
UNKNOWN_OPTIONAL = 0x0FFF


class Run:
    """What all scenarios share: who connects, where taps come from, and the steps that were printed."""

    def __init__(self, who, options):
        self.who, self.options = who, options
        self.source = bytes.fromhex(options.source) if options.source else b"\0\0" + secrets.token_bytes(6)
        self.sequence = options.sequence
        self.scenario, self.ok = "", True

    def step(self, name, asked, came, ok):
        self.ok &= bool(ok)
        row = {"scenario": self.scenario, "step": name, "asked": shown(asked), "came": came, "ok": bool(ok)}
        print(json.dumps(row), flush=True)

    def connect(self, session=None):
        link = self.who.connect(session)
        asked = {"session": link.session.hex(), "features": gate_link.FEATURES}
        self.step("hello", asked, shown(link.answer), True)
        return link

    def goodbye(self, link):
        frames, closed = link.goodbye()
        said = any(frame.name == "goodbye" for frame in frames)
        self.step("goodbye", {"reason": 0}, {"frames": names(frames), "closed": closed}, said and closed)

    def tap(self, link, **changes):
        """The bytes of one tap by the server's clock, under the next number of this run's SAM."""
        values = gate_page.CLOSED_LOOP | {
            "source": self.source,
            "sequence": self.sequence,
            "time": local_time(link).strftime("%Y%m%d%H%M%S"),
            "event": 1,
            "city": bytes.fromhex(self.options.city),
        }
        self.sequence += 1
        return layout.encode_record(0x01, values | changes)

    def batch(self, link, count):
        """Taps of different amounts: so a sum or an order that is wrong shows."""
        records = [self.tap(link, amount_fen=100 + index % 400) for index in range(count)]
        day = int(local_time(link).strftime("%Y%m%d"))
        # 0 stands for the single taps in a safe frame.
        return Batch(secrets.randbits(63) + 1, records, day)

    def open(self, link, batch, step="open", state=None):
        """Opens a batch. A closed one answers with batch closed as well."""
        frame = link.ask("batch open", batch.opening())
        ok = frame.name == "batch state" and state in (None, frame.values["state"])
        self.step(step, batch.opening(), describe(frame), ok)
        return frame

    def parts(self, link, batch, first, step="parts", end=None):
        """Sends the rest of a batch and prints what became of it, part by part."""
        end = len(batch.records) if end is None else end
        frames = batch.transfer(link, first, end)
        ok = all(frame.name == "batch verdicts" for frame in frames)
        self.step(step, {"first": first, "records": end - first}, [part_line(frame) for frame in frames], ok)
        return ok

    def until_closed(self, link, batch, opened, step="closed"):
        """Waits for batch closed and compares it with what the client knows."""
        while batch.number not in link.closed:
            link.aside.append(link.next())
        frame = link.closed[batch.number]
        values = frame.values
        opening = batch.opening()
        counts = ("stored", "stored_earlier", "unreadable", "outside_window", "not_accepted", "conflict", "suspended")
        ok = frame.correlation == opened.correlation and sum(values[name] for name in counts) == len(batch.records)
        if values["differs"] == 0:
            ok = ok and values["hash"] == opening["hash"]
            ok = ok and (values["unreadable"] or values["amount_fen"] == opening["amount_fen"])
        asked = {"batch": batch.number, "opened_by": opened.correlation}
        self.step(step, asked, describe(frame), ok and values["differs"] == 0)


def local_time(link):
    """Now in China by the clock of the server."""
    return datetime.datetime.fromtimestamp(link.answer["server_time_ms"] / 1000, CHINA)


def names(frames):
    return [frame if isinstance(frame, str) else describe(frame) for frame in frames]


def counted(verdicts):
    result = {}
    for verdict in verdicts:
        name = layout.VERDICTS.get(verdict, str(verdict))
        result[name] = result.get(name, 0) + 1
    return result


def part_line(frame):
    """A part's verdicts as numbers of each, since 256 of them say no more."""
    row = describe(frame)
    if frame.name == "batch verdicts":
        row["verdicts"] = counted(frame.values["verdicts"])
    return row


# Taps and batches.


def tap(run):
    link = run.connect()
    first = run.tap(link)
    _, values = layout.decode_record(first)
    other = layout.encode_record(0x01, values | {"amount_fen": values["amount_fen"] + 1})
    dates = []
    # With a wrong TAC a tap is stored and suspended, which is as good here.
    steps = (("first", first, (0, 6)), ("same bytes", first, (1,)), ("other contents", other, (5,)))
    for step, record, expected in steps:
        frame = link.ask("tap", {"record": record})
        ok = frame.name == "tap verdict" and frame.values["verdict"] in expected
        run.step(step, {"record": record}, describe(frame), ok)
        dates.append(frame.values.get("business_date"))
    run.step("business date", {"of": "the repeat"}, {"dates": dates}, dates[0] == dates[1])
    run.goodbye(link)


def batch(run, count):
    link = run.connect()
    sent = run.batch(link, count)
    opened = run.open(link, sent, state=0)
    if opened.name != "batch state" or not run.parts(link, sent, opened.values["next"]):
        return
    run.until_closed(link, sent, opened)
    run.goodbye(link)

    link = run.connect()
    opened = run.open(link, sent, "open again", state=1)
    run.until_closed(link, sent, opened, "closed once more")
    before = dict(sent.verdicts)
    if not run.parts(link, sent, 0, "parts again"):
        return
    changed = [i for i, (verdict, date) in sent.verdicts.items() if not repeated(before[i], (verdict, date))]
    came = {"verdicts": counted(verdict for verdict, _ in sent.verdicts.values()), "changed": changed[:20]}
    run.step("repeats", {"records": count}, came, not changed)
    fence = link.fence()
    run.step("still alive", {"aside": names(link.aside)}, describe(fence), fence.name == "heartbeat answer")
    run.goodbye(link)


def repeated(before, after):
    """What is stored answers 1 for the date of then; what was not stored is judged anew."""
    return after == (1, before[1]) if before[0] in (0, 1, 6) else after[0] == before[0]


def resume(run, count):
    book, session = Book(), secrets.token_bytes(16)
    link = run.connect(session)
    # One tap names the business date; what the switch counts with it is where the comparison begins.
    probe = run.tap(link)
    frame = link.ask("tap", {"record": probe})
    run.step("probe", {"record": probe}, describe(frame), frame.name == "tap verdict")
    date = frame.values["business_date"]
    frame, base = totals(run, link, "totals before", date, (0, 0, bytes(32)), compare=False)
    if base is None:
        return

    sent = run.batch(link, count)
    opened = run.open(link, sent, state=0)
    if opened.name != "batch state":
        return
    half = count // 2
    sent.transfer(link, opened.values["next"], half, answers=False)
    known = len(sent.verdicts)
    # The line breaks within a frame. Nothing of a part that is cut may be stored.
    stop = max(half + 1, sent.part_end(link, half, count)) if half < count else half
    torn = layout.encode(layout.MESSAGES[0x14], sent.part(half, stop))
    cut = link.make(0x14, torn)[: 16 + len(torn) // 2]
    link.socket.sendall(cut)
    link.drop()
    run.step("cut", {"sent": half, "bytes_of_the_next_part": len(cut)}, {"verdicts": known}, True)

    link = run.connect(session)
    listed = dict(link.answer.get("batches", ()))
    came = {"resumed": link.answer["resumed"], "batches": [list(row) for row in link.answer.get("batches", ())]}
    run.step("resumed", {"session": session.hex()}, came, link.answer["resumed"] == 1 and sent.number in listed)
    opened = run.open(link, sent, "ask by batch open", state=0)
    if opened.name != "batch state":
        return
    following = opened.values["next"]
    run.step("next", {"sent": half, "known": known}, {"next": following}, known <= following <= half)
    # Verdicts that were lost are asked for again: without them the client cannot say what it has sent.
    lost = [index for index in range(following) if index not in sent.verdicts]
    if lost and not run.parts(link, sent, lost[0], "lost verdicts", following):
        return
    if not run.parts(link, sent, following, "go on"):
        return
    run.until_closed(link, sent, opened)

    for index, record in enumerate(sent.records):
        book.add(record, *sent.verdicts[index])
    dates = sorted({key_date for key_date, _ in book.rows})
    run.step("dates", {"of": "the batch"}, {"dates": dates}, dates == [date])
    own = book.rows.get((date, 0x01), (0, 0, bytes(32)))
    whole = (base[0] + own[0], base[1] + own[1], gate_link.xor(base[2], own[2]))
    totals(run, link, "totals after", date, whole, compare=True)
    run.goodbye(link)


def totals(run, link, step, date, own, compare):
    """Asks for totals of closed-loop taps. Returns the answer and what the switch counts."""
    asked = {"date": date, "kind": 1, "count": own[0], "amount_fen": own[1], "hash": own[2]}
    for tries in range(1, TOTALS_TRIES + 1):
        frame = link.ask("totals", asked)
        if frame.name != "totals answer":
            run.step(step, asked, describe(frame), False)
            return frame, None
        theirs = (frame.values["count"], frame.values["amount_fen"], frame.values["hash"])
        if not compare or frame.values["result"] == 0:
            break
    agree = frame.values["result"] == 0
    ok = agree == (theirs == own) and (agree or not compare)
    run.step(step, asked | {"tries": tries}, describe(frame), ok)
    return frame, theirs


def conflict(run):
    link = run.connect()
    sent = run.batch(link, TAPS_OF_A_CONFLICT)
    opened = run.open(link, sent, state=0)
    other = sent.opening()
    other["hash"] = bytes(byte ^ 0xFF for byte in other["hash"])
    frame = link.ask("batch open", other)
    ok = frame.name == "error" and frame.values["code"] == 49 and not frame.values["fatal"]
    run.step("other hash", other, describe(frame), ok)
    # Nothing has changed: the batch is as it was, and closes.
    again = run.open(link, sent, "as before", state=0)
    if again.values.get("next") == opened.values.get("next") == 0 and run.parts(link, sent, 0):
        run.until_closed(link, sent, again)
    run.goodbye(link)


# Transactions.


def payment(run, pan, amount):
    link = run.connect()
    now = local_time(link)
    fields = {
        2: pan,
        3: "000000",
        4: f"{amount:012d}",
        7: now.strftime("%m%d%H%M%S"),
        11: f"{secrets.randbelow(999_999) + 1:06d}",
        12: now.strftime("%H%M%S"),
        13: now.strftime("%m%d"),
        22: "071",
        25: "00",
        41: run.options.terminal,
        42: run.options.acceptor,
        49: "156",
    }
    values = {
        "reference": secrets.token_bytes(16),
        "time": now.strftime("%Y%m%d%H%M%S"),
        "message_kind": b"\x02\x00",
        "fields": {number: text.encode("ascii") for number, text in fields.items()},
    }
    asked = {"reference": values["reference"], "message_kind": "0200", "fields": fields | {2: masked(pan)}}
    record = layout.encode_record(0x10, values)
    first = transact(run, link, "purchase", asked, record)
    second = transact(run, link, "same record", asked, record)
    run.goodbye(link)
    link = run.connect()
    third = transact(run, link, "same record, new connection", asked, record)
    same = None not in (first, second, third) and first == second == third
    run.step("same answer", {"reference": values["reference"]}, {"same": same}, same)
    run.goodbye(link)


def transact(run, link, step, asked, record):
    """One transaction until its outcome is known, and its answer without the credits."""
    for _ in range(PAYMENT_WAIT_MS // 1000):
        frame = link.ask("transaction", {"wait_ms": PAYMENT_WAIT_MS, "record": record}, PAYMENT_WAIT_MS / 1000)
        ok = frame.name == "transaction answer"
        run.step(step, asked, describe(frame), ok)
        if not ok:
            return None
        if frame.values["state"] == 0:
            return {name: value for name, value in frame.values.items() if name != "credits"}
        # In doubt: asking again is due after a second. The wait listens, so nothing that comes is missed.
        try:
            link.aside.append(link.receive(ASK_AGAIN_SECONDS))
        except Late:
            continue
    return None


# Connections.


def takeover(run):
    session = secrets.token_bytes(16)
    first = run.connect(session)
    fence = first.fence()
    run.step("first is proven", {"heartbeat": 1}, describe(fence), fence.name == "heartbeat answer")
    second = run.connect(session)
    fence = first.fence()
    run.step("a hello takes nothing over", {"heartbeat": 1}, describe(fence), fence.name == "heartbeat answer")
    fence = second.fence()
    run.step("second is proven", {"heartbeat": 1}, describe(fence), fence.name == "heartbeat answer")
    frames, closed = first.rest()
    taken = bool(frames) and frames[-1].name == "goodbye" and frames[-1].values["reason"] == 1
    run.step("first is closed", {}, {"frames": names(frames), "closed": closed}, taken and closed)
    first.drop()
    run.goodbye(second)


def heartbeat(link, behind=b""):
    values = {"time_ms": link.answer["server_time_ms"]}
    return layout.encode(layout.MESSAGES[0x03], values) + behind


def refused(run, step, link, asked, code):
    """The connection has to end with this error."""
    frames, closed = link.rest()
    codes = [frame.values["code"] for frame in frames if frame.name == "error" and frame.values["fatal"]]
    run.step(step, asked, {"frames": names(frames), "closed": closed}, codes == [code] and closed)
    link.drop()


def answered(run, step, link, asked, correlation, code, tag=0):
    """One question is refused (or not, with code 0) and the connection lives on."""
    frame = link.answer_to(correlation)
    if code:
        ok = frame.name == "error" and (frame.values["code"], frame.values["fatal"]) == (code, 0)
        ok = ok and frame.values["tag"] == tag
    else:
        ok = frame.name == "heartbeat answer"
    alive = link.fence().name == "heartbeat answer"
    run.step(step, asked, {"answer": describe(frame), "alive": alive}, ok and alive)
    run.goodbye(link)


def hostile(run):
    link = run.connect()
    link.send(0x03, heartbeat(link), damage=True)
    refused(run, "wrong MAC", link, {"heartbeat": "last bit of its MAC changed"}, 5)

    link = run.connect()
    link.fence()
    link.send(0x03, heartbeat(link), sequence=link.sent + 2)
    refused(run, "sequence gap", link, {"heartbeat": "sequence is one too far"}, 6)

    over_credit(run)

    link = run.connect()
    behind = layout.tagged(UNKNOWN_MANDATORY, b"\x07")
    correlation = link.send(0x03, heartbeat(link, behind))
    answered(run, "unknown mandatory tag", link, {"heartbeat": behind}, correlation, 20, UNKNOWN_MANDATORY)

    link = run.connect()
    _, values = layout.decode_record(run.tap(link))
    frame = link.ask("tap", {"record": layout.encode_record(0x01, values, behind)})
    reason = frame.values.get("reason", {})
    ok = frame.values.get("verdict") == 2 and (reason.get("code"), reason.get("tag")) == (20, UNKNOWN_MANDATORY)
    run.step("unknown mandatory tag in a record", {"tap": behind}, describe(frame), ok)
    run.goodbye(link)

    link = run.connect()
    behind = layout.tagged(UNKNOWN_OPTIONAL, b"\x07")
    correlation = link.send(0x03, heartbeat(link, behind))
    answered(run, "unknown optional tag", link, {"heartbeat": behind}, correlation, 0)

    link = run.connect()
    correlation = link.send(UNKNOWN_TYPE, b"\x01\x02\x03")
    answered(run, "unknown message type", link, {"type": UNKNOWN_TYPE}, correlation, 16)

    link = run.connect()
    link.fence()
    link.send(0x01, link.hello_body)
    refused(run, "second hello", link, {"hello": "again, with a MAC"}, 8)


def over_credit(run):
    """More records than were granted. Where a part holds that many, it is one part, and no grant can come between."""
    link = run.connect()
    granted = link.credits
    if granted < link.answer["part_records_max"]:
        sent = run.batch(link, granted + 1)
        run.open(link, sent, "over credit: open", state=0)
        link.say("batch part", sent.part(0, granted + 1))
        refused(run, "over credit", link, {"records": granted + 1, "granted": granted}, 9)
        return
    # Else the same tap again and again in one go. Who grants as fast as it reads is never overrun by this.
    most = (granted + 1) * OVER_CREDIT_FACTOR
    body = layout.encode(layout.MESSAGES[0x10], {"record": run.tap(link)})
    link.fence()
    frames = [link.make(0x10, body) for _ in range(most)]
    link.socket.settimeout(run.who.limit)
    try:
        link.socket.sendall(b"".join(frames))
    except OSError:
        # It closed while we were sending, as it should.
        pass
    came, closed = [], False
    try:
        # The last frame that is answered at all: an error, or the verdict of the last tap.
        while sum(frame.name == "tap verdict" for frame in came) < most and not closed:
            frame = link.receive()
            closed = frame is None
            came += [frame] if frame else []
    except Late:
        pass
    verdicts = sum(frame.name == "tap verdict" for frame in came)
    other = [frame for frame in came if frame.name not in ("tap verdict", "safe", "credit")]
    ok = closed and [frame.values["code"] for frame in other if frame.name == "error"] == [9]
    came = {"verdicts": verdicts, "frames": names(other), "closed": closed}
    run.step("over credit", {"taps": most, "granted": granted}, came, ok)
    link.drop()


def everything(run):
    for name, scenario in (
        ("tap", tap),
        ("batch", lambda run: batch(run, 600)),
        ("resume", lambda run: resume(run, 600)),
        ("conflict", conflict),
        ("payment", lambda run: payment(run, "6210000000000001", 1250)),
        ("takeover", takeover),
        ("hostile", hostile),
    ):
        play(run, name, scenario)


def play(run, name, scenario):
    """One scenario. What ends it early is printed as a step of its own."""
    run.scenario = name
    try:
        scenario(run)
    except (Ended, Late, Broken, layout.Refused, OSError) as error:
        came = error.args[0] if error.args else ""
        came = came if isinstance(came, dict) else str(error)
        run.step("ended early", {}, {"error": type(error).__name__, "came": came}, False)


def hexadecimal(length):
    def check(text):
        if len(text) != length * 2:
            raise argparse.ArgumentTypeError(f"not {length} bytes in hexadecimal")
        return bytes.fromhex(text).hex()

    return check


def at_least_one(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("not one record or more")
    return int(text)


def zone_key(text):
    key = bytes.fromhex(text)
    if len(key) not in (16, 24, 32):
        raise argparse.ArgumentTypeError("not an AES key")
    return key


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("transcript")
    one.add_argument("page", type=pathlib.Path)
    one = commands.add_parser("pcap")
    one.add_argument("page", type=pathlib.Path)
    one.add_argument("out", type=pathlib.Path)
    one = commands.add_parser("run")
    one.add_argument("--host", required=True)
    one.add_argument("--port", required=True, type=int)
    one.add_argument("--participant", required=True)
    one.add_argument("--gateway", required=True)
    one.add_argument("--zone-key", required=True, type=zone_key)
    one.add_argument("--limit", type=float, default=10.0, help="seconds that any wait may take")
    one.add_argument("--source", type=hexadecimal(8), help="SAM of the taps; without it one at random")
    one.add_argument("--sequence", type=int, default=1, help="offline number of the first tap")
    one.add_argument("--city", type=hexadecimal(2), default="6530")
    one.add_argument("--terminal", default="KIOSK001", help="field 41 of a payment")
    one.add_argument("--acceptor", default="TRANSIT00000001", help="field 42 of a payment")
    scenarios = one.add_subparsers(dest="scenario", required=True)
    for name in ("tap", "conflict", "takeover", "hostile", "all"):
        scenarios.add_parser(name)
    for name in ("batch", "resume"):
        scenarios.add_parser(name).add_argument("count", type=at_least_one)
    two = scenarios.add_parser("payment")
    two.add_argument("pan")
    two.add_argument("amount", type=int, help="in fen")
    return parser.parse_args()


def main():
    options = arguments()
    if options.command == "transcript":
        try:
            found = gate_page.transcript(options.page.read_text(encoding="utf-8"))
        except (gate_page.Different, layout.Refused) as error:
            print(f"{options.page}: {error}", file=sys.stderr)
            return 1
        print(json.dumps(found))
        return 0
    if options.command == "pcap":
        gate_page.write_session(options.page.read_text(encoding="utf-8"), options.out)
        return 0
    who = Gateway(options.host, options.port, options.participant, options.gateway, options.zone_key, options.limit)
    run = Run(who, options)
    if options.scenario == "all":
        everything(run)
    else:
        scenario = {
            "tap": tap,
            "batch": lambda run: batch(run, options.count),
            "resume": lambda run: resume(run, options.count),
            "conflict": conflict,
            "payment": lambda run: payment(run, options.pan, options.amount),
            "takeover": takeover,
            "hostile": hostile,
        }[options.scenario]
        play(run, options.scenario, scenario)
    return 0 if run.ok else 1


if __name__ == "__main__":
    sys.exit(main())
