"""Checks docs/yika.lua with tshark: dissect.py [PAGE]

Every frame of the page's session and every example of the page is dissected, with the values that gate_layout reads
from them, without an error of Lua and without anything malformed. Nothing secret is shown. Gaps are found. Frames with
bytes changed at random bring no error of Lua. The exit code is 1 when something is wrong; without tshark the check is
skipped.
"""

import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import gate_layout as layout
import gate_link
import gate_page

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "yika.lua"
TSHARK_SECONDS = 120
CHANGED_FRAMES = 1500
SEED = 20261126
# A key that is as good as any other: the dissector checks no MAC.
KEY = bytes(16)
# What the examples of the page hold and no output may show.
SECRETS = (
    "6210000000000001",
    "03104800000000000017",
    "03104800000000000021",
    "person-1",
    "a code shown once",
    "a code of another scheme",
    "9F2608",
)

problems = []


def wrong(text):
    problems.append(text)


def tshark(*arguments):
    return called("-X", f"lua_script:{SCRIPT}", "-d", "tcp.port==7300,yika", *map(str, arguments))


def glossary(name):
    """What tshark knows. It loads no -X then, so the script lies in a folder of plugins."""
    with tempfile.TemporaryDirectory() as home:
        plugins = pathlib.Path(home) / ".local/lib/wireshark/plugins"
        plugins.mkdir(parents=True)
        shutil.copy(SCRIPT, plugins)
        return called("-G", name, HOME=home)


def called(*arguments, **environment):
    command = ["tshark", *arguments]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TSHARK_SECONDS,
        check=False,
        env=os.environ | environment,
    )
    if run.returncode:
        wrong(f"{' '.join(command)}: exit code {run.returncode}: {run.stderr.strip()[-300:]}")
    for line in (run.stdout + run.stderr).splitlines():
        if ("lua error" in line.lower() and not line.startswith("F\t")) or "lua: " in line.lower():
            wrong(f"{arguments[-1]}: {line.strip()}")
    return run.stdout


def flat(node, into):
    """All values of a frame by the name of their field; names that come twice keep both values."""
    for name, value in node:
        if isinstance(value, list) and value and isinstance(value[0], tuple):
            flat(value, into)
        else:
            into[name].append(value)
    return into


def layers_of(packet, name):
    """The layers of this name in one packet of tshark's JSON, as lists of pairs."""
    layers = dict(dict(packet)["_source"])["layers"]
    for layer_name, value in layers:
        # Two frames in one packet are two layers of one name.
        if layer_name == name:
            yield value


def dissected(path):
    """One dict of values for each frame of the protocol, in order."""
    packets = json.loads(tshark("-T", "json", "-r", path), object_pairs_hook=list)
    return [flat(layer, collections.defaultdict(list)) for packet in packets for layer in layers_of(packet, "yika")]


def word(name):
    return "".join(letter if letter.isalnum() else "_" for letter in name).lower()


def filter_of(one, name):
    return f"yika.{word(one.name)}.{name}"


def numbers(one, values):
    """(filter, value) of each number in a body or record that a dissector shows as it is."""
    for name, kind in [*one.fixed, *one.tags.values()]:
        if kind == "fields" or name not in values:
            continue
        if kind == "record":
            record_kind, inner = layout.decode_record(values[name])
            yield from numbers(layout.RECORDS[record_kind], inner)
        elif kind in layout.GROUPS:
            yield from numbers(layout.GROUPS[kind], values[name])
        elif kind in layout.NUMBERS and not (kind == "u64" and name.endswith("_ms")) and name != "made_s":
            yield filter_of(one, name), values[name]
        elif kind in ("name", "id", "text"):
            yield filter_of(one, name), values[name]
    for number, value in values.get("fields", {}).items():
        if number != 2:
            yield f"yika.iso.{number}", value.decode("ascii")


def check_frame(where, frame, data):
    """Head and values of one frame."""
    body = data[gate_link.HEAD_BYTES :] if data[5] else data[gate_link.HEAD_BYTES : -gate_link.MAC_BYTES]
    correlation = int.from_bytes(data[12:16], "big")
    for name, value in (("length", len(data) - 4), ("type", data[4]), ("correlation", correlation)):
        if [int(text, 0) for text in frame[f"yika.{name}"]] != [value]:
            wrong(f"{where}: {name} is {frame[f'yika.{name}']}, not {value}")
    one = layout.MESSAGES[data[4]]
    for name, value in numbers(one, layout.decode(one, body)):
        texts = frame[name]
        found = [int(text, 0) for text in texts] if isinstance(value, int) else texts
        if value not in found:
            wrong(f"{where}: {name} is {texts}, not {value}")


def check_clean(where, path):
    """No expert info but that of what version 1 does not know, nothing malformed, nothing secret."""
    text = tshark("-V", "-r", path)
    for line in text.splitlines():
        if "malformed" in line.lower() or "expert info (error" in line.lower() or "expert info (warn" in line.lower():
            wrong(f"{where}: {line.strip()}")
    for secret in SECRETS:
        if secret.lower() in text.lower():
            wrong(f"{where}: {secret} is shown")


def check_session(page, path):
    gate_page.write_session(page, path)
    _, blocks = gate_page.session_blocks(page)
    frames = dissected(path)
    if len(frames) != len(blocks):
        wrong(f"session: {len(frames)} frames of {len(blocks)} are dissected")
    for number, (frame, (title, data)) in enumerate(zip(frames, blocks), 1):
        check_frame(f"session: frame {number}, {title}", frame, data)
    check_clean("session", path)


def example_frames(page):
    """A frame for each example; a record goes in the message that carries it. (from the client, bytes)"""
    sequences = {True: 0, False: 0}
    for is_record, number, body in gate_page.examples(page):
        if is_record:
            number, body = (0x10, body) if number in layout.TAP_KINDS else (0x20, bytes(4) + body)
        side = layout.MESSAGES[number].sender != "server"
        sequences[side] += 1
        key = None if number == 0x01 else KEY
        yield side, gate_link.frame_bytes(number, sequences[side], sequences[side], body, key)


def check_examples(page, path):
    capture = gate_page.Capture()
    examples = list(example_frames(page))
    for side, data in examples:
        capture.data(side, data)
    capture.write(path)
    frames = dissected(path)
    if len(frames) != len(examples):
        wrong(f"examples: {len(frames)} frames of {len(examples)} are dissected")
    for number, (frame, (_, data)) in enumerate(zip(frames, examples), 1):
        check_frame(f"examples: frame {number}, {layout.MESSAGES[data[4]].name}", frame, data)
    check_clean("examples", path)


def check_names():
    """Every field of every layout has its field in the dissector."""
    known = {line.split("\t")[2] for line in glossary("fields").splitlines() if line.startswith("F\t")}
    for table in (layout.MESSAGES, layout.RECORDS, layout.GROUPS):
        for one in table.values():
            for name, kind in [*one.fixed, *one.tags.values()]:
                if kind != "fields" and filter_of(one, name) not in known:
                    wrong(f"{filter_of(one, name)} is not known to the dissector")
    for number in layout.ISO_FIELDS:
        if f"yika.iso.{number}" not in known:
            wrong(f"yika.iso.{number} is not known to the dissector")


def check_codes():
    """Verdicts, errors, reasons and types have the names of the page."""
    values = collections.defaultdict(dict)
    for line in glossary("values").splitlines():
        row = line.split("\t")
        if row[0] == "V" and row[1].startswith("yika."):
            values[row[1]][int(row[2], 0)] = row[3]
    types = {number: one.name for number, one in layout.MESSAGES.items()}
    kinds = {number: one.name for number, one in layout.RECORDS.items()}
    for name, table in (
        ("yika.tap_verdict.verdict", layout.VERDICTS),
        ("yika.batch_verdicts.verdicts", layout.VERDICTS),
        ("yika.error.code", layout.ERRORS),
        ("yika.reason.code", layout.ERRORS),
        ("yika.goodbye.reason", layout.REASONS),
        ("yika.type", types),
        ("yika.record.kind", kinds),
    ):
        if values[name] != table:
            wrong(f"{name} is named {values[name]}, not {table}")


def check_sequence(page, path):
    """A frame that is missing and one that comes twice are each said once."""
    _, blocks = gate_page.session_blocks(page)
    capture = gate_page.Capture()
    for index, (title, data) in enumerate(blocks):
        if index == 4:
            continue
        capture.data(title.startswith(">"), data)
        if index == 6:
            capture.data(True, data)
    capture.write(path)
    text = tshark("-V", "-r", path)
    for line in (
        "(Warning/Sequence): gap in the sequence: 4 where 3 is due",
        "(Warning/Sequence): repeat in the sequence: 4 where 5 is due",
    ):
        if text.count(f"[Expert Info {line}]") != 1:
            wrong(f"sequence: {text.count(line)} times: {line}")
    if text.count("in the sequence: ") != 4:
        wrong(f"sequence: said {text.count('in the sequence: ') // 2} times, not twice")


def check_changed(page, path):
    """Bytes that no sender would send. Nothing is known of the result but that Lua does not fail."""
    chance = random.Random(SEED)
    examples = list(example_frames(page))
    capture = gate_page.Capture()
    for _ in range(CHANGED_FRAMES):
        side, data = chance.choice(examples)
        body = bytearray(data[4:])
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(body))
            change = chance.randrange(3)
            if change == 0:
                body[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            elif change == 1 and at >= 12:
                del body[at:]
            else:
                body[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 5)))
            if not body:
                break
        capture.data(side, len(body).to_bytes(4, "big") + bytes(body))
    # Garbage in the place of a length comes last: behind it nobody finds the next frame.
    capture.data(True, b"\xff" * 40)
    capture.data(False, b"\0" * 40)
    capture.write(path)
    frames = dissected(path)
    if len(frames) != CHANGED_FRAMES + 2:
        wrong(f"changed bytes: {len(frames)} frames of {CHANGED_FRAMES + 2} are dissected")
    # Twice over the same frames, as the list and the tree of Wireshark do it.
    tshark("-2", "-V", "-r", path)


def main():
    if shutil.which("tshark") is None:
        print("skipped: tshark is not installed")
        return 0
    page_path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "wire.md"
    page = page_path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        check_names()
        check_codes()
        check_session(page, path / "session.pcap")
        check_examples(page, path / "examples.pcap")
        check_sequence(page, path / "sequence.pcap")
        check_changed(page, path / "changed.pcap")
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    if not problems:
        print("docs/yika.lua: session, examples, sequence and changed bytes are dissected")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
