"""Wireshark's own ISO 8583 dissector and `yika dialect decode` read one capture: they must agree on every field.

    iso8583_capture.py YIKA

Messages are written by `yika dialect encode`, put into TCP segments by hand, and read by both. Needs tshark; says so and
ends with 0 where there is none.
"""

import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

PORT = 7100

MESSAGES = [
    {
        "mti": "0200",
        "fields": {
            "2": "6222000000000000003", "3": "000000", "4": "000000010000", "7": "0615123045", "11": "123456",
            "12": "123045", "13": "0615", "14": "3012", "18": "5311", "22": "051", "23": "001", "25": "00", "26": "12",
            "28": "C00000012", "32": "06123456", "33": "10000000001", "35": "6222000000000018=301220100000",
            "37": "412345678901", "41": "TERM0001", "42": "MERCHANT0000001", "43": "TEST SHOP, GATE #7".ljust(40),
            "48": "CP0012COUPON000001", "49": "156", "52": "0123456789ABCDEF", "54": "0040156D000000001000",
            "60": "22000001", "90": "020012345606151230450000012345600000000000", "100": "12345678901",
            "102": "ACC-1/2_3", "128": "A1B2C3D4E5F60718",
        },
    },
    {
        "mti": "0210",
        "fields": {"3": "000000", "4": "000000010000", "7": "0615123045", "11": "123456", "37": "412345678901",
                   "38": "A1B2C3", "39": "00", "41": "TERM0001", "44": "T5", "49": "156", "64": "A1B2C3D4E5F60718"},
    },
    {"mti": "0800", "fields": {"7": "0615123045", "11": "000001", "70": "301"}},
    {
        "mti": "0420",
        "fields": {"2": "4111111111111111", "3": "000000", "4": "000000000001", "7": "0615123059", "11": "000002",
                   "41": "TERM0001", "90": "020012345606151230450000000000000000000000",
                   "95": "0" * 12 + "0" * 12 + "C00000000" + "C00000000"},
    },
]


def packet(sequence, payload):
    """Ethernet, IPv4 and TCP around a payload; nobody looks at the checksums."""
    tcp = struct.pack(">HHIIBBHHH", 40000, PORT, sequence, 0, 0x50, 0x18, 8192, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return b"\2" * 6 + b"\1" * 6 + b"\x08\0" + ip + tcp


def capture(frames):
    out = struct.pack(">IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    sequence = 1
    for frame in frames:
        whole = packet(sequence, frame)
        out += struct.pack(">IIII", 1, 0, len(whole), len(whole)) + whole
        sequence += len(frame)
    return out


def said_by_tshark(path):
    """Field values of each message, by number."""
    command = ["tshark", "-r", path, "-d", f"tcp.port=={PORT},iso8583", "-T", "json", "-o", "iso8583.len_endian:Big endian",
               "-o", "iso8583.charset:Digits represented as ASCII Characters",
               "-o", "iso8583.binencode:Bin data represented as Hex Ascii characters"]
    packets = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    messages = []
    for one in packets:
        layer = one["_source"]["layers"]["iso8583"]
        fields = {key.removeprefix("iso8583.bit"): value for key, value in layer.items() if key.startswith("iso8583.bit")}
        messages.append((layer["iso8583.mti"], fields))
    return messages


def main():
    yika = sys.argv[1]
    if shutil.which("tshark") is None:
        print("skipped: there is no tshark here (Debian package tshark)")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        asked = pathlib.Path(folder, "messages.json")
        asked.write_text("\n".join(json.dumps({"dialect": "iso87-ascii", **message}) for message in MESSAGES))
        encode = [yika, "dialect", "encode", "--framing", "binary2", str(asked)]
        lines = subprocess.run(encode, check=True, capture_output=True, text=True).stdout.split()
        path = pathlib.Path(folder, "messages.pcap")
        path.write_bytes(capture([bytes.fromhex(line) for line in lines]))
        decode = [yika, "dialect", "decode", "--dialect", "iso87-ascii", "--json", "--clear", str(path)]
        ours = subprocess.run(decode, check=True, capture_output=True, text=True).stdout.splitlines()
        theirs = said_by_tshark(str(path))
    wrong = compare([json.loads(line) for line in ours], theirs)
    for line in wrong:
        print(line)
    print(f"{len(MESSAGES)} messages, {sum(len(message['fields']) for message in MESSAGES)} fields, {len(wrong)} differ")
    return 1 if wrong else 0


def plain(value):
    """The parts of a field in one piece; hexadecimal without case, text without the blanks that fill it."""
    if isinstance(value, dict):
        value = "".join(value.values())
    return value.replace(":", "").strip().upper()


def compare(ours, theirs):
    wrong = []
    if len(ours) != len(MESSAGES) or len(theirs) != len(MESSAGES):
        wrong.append(f"{len(MESSAGES)} messages were sent; yika reads {len(ours)}, tshark {len(theirs)}")
    for at, (own, (mti, fields)) in enumerate(zip(ours, theirs)):
        if own["mti"] != mti:
            wrong.append(f"message {at}: type {own['mti']} and {mti}")
        if set(own["fields"]) != set(fields):
            wrong.append(f"message {at}: fields {sorted(own['fields'], key=int)} and {sorted(fields, key=int)}")
        for n in set(own["fields"]) & set(fields):
            if plain(own["fields"][n]) != plain(fields[n]):
                wrong.append(f"message {at}: field {n} is {own['fields'][n]!r} and {fields[n]!r}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
