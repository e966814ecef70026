"""Acquirers, issuers and a coupon platform on the independent library pyiso8583: they share no line of code with
the switch.

peers.py issuer DIALECT PORT    plays a bank: prints each request as one JSON line, answers by its amount
peers.py coupons DIALECT PORT   plays the coupon platform, which never grants more than 200 fen
peers.py acquirer DIALECT PORT  reads one JSON object of fields per line, prints the answer to each

DIALECT is `ascii`, the library's own default_ascii specification, or `pos`, built below: TPDU and a header of six
bytes, message type, bitmap, lengths and digits in BCD. Both have a 2-byte binary length in front.
"""

import copy
import json
import socket
import struct
import sys

import iso8583
from iso8583.specs import default_ascii as ASCII

ECHO = ["2", "3", "4", "7", "11", "12", "13", "37", "41", "42", "49"]
HEADER_BYTES = 11


def pos_spec():
    spec = copy.deepcopy(ASCII)

    def packed(key, digits, prefix_bytes=0, pad="right_pad"):
        row = {"data_enc": "b", "len_enc": "bcd", "len_type": prefix_bytes, "max_len": digits}
        spec[key] = row | {"len_count": "nibbles", pad: "0", "desc": spec[key]["desc"]}

    spec["h"] = spec["h"] | {"data_enc": "b", "max_len": HEADER_BYTES}
    spec["t"] = spec["t"] | {"data_enc": "b", "max_len": 2}
    spec["p"] = spec["p"] | {"data_enc": "b", "max_len": 8}
    fixed = {"3": 6, "4": 12, "7": 10, "11": 6, "12": 6, "13": 4, "14": 4, "15": 4, "22": 3, "25": 2, "26": 2, "53": 16}
    for key, digits in fixed.items():
        packed(key, digits)
    packed("23", 3, pad="left_pad")
    for key, digits in {"2": 19, "32": 11, "35": 37}.items():
        packed(key, digits, prefix_bytes=1)
    for key, digits in {"60": 17, "61": 29}.items():
        packed(key, digits, prefix_bytes=2)
    spec["44"] = spec["44"] | {"len_enc": "bcd", "len_type": 1}
    spec["54"] = spec["54"] | {"len_enc": "bcd", "len_type": 2}
    return spec


SPECS = {"ascii": ASCII, "pos": pos_spec()}


def receive(stream, spec):
    head = stream.read(2)
    if len(head) < 2:
        return None
    decoded, _ = iso8583.decode(stream.read(struct.unpack(">H", head)[0]), spec)
    return {key: value for key, value in decoded.items() if key.isdigit() and key != "1" or key in ("t", "h")}


def send(stream, fields, spec):
    raw, _ = iso8583.encode(dict(fields), spec)
    stream.write(struct.pack(">H", len(raw)) + raw)
    stream.flush()


def is_reversal(request):
    return request["t"][:2] == "04"


def answer_to(request):
    answer = {key: request[key] for key in ECHO if key in request}
    answer["t"] = request["t"][:2] + {"0": "1", "2": "3"}[request["t"][2]] + "0"
    if "h" in request:
        # Destination and source of the TPDU change places.
        answer["h"] = request["h"][:2] + request["h"][6:10] + request["h"][2:6] + request["h"][10:]
    return answer


def bank(request, silent_reversals):
    """51 fen is declined; 68 fen is never answered unless it is reversed; of 67 fen the first reversal is not
    answered either; all else is approved."""
    amount = int(request.get("4", "0"))
    if is_reversal(request):
        if amount == 67 and silent_reversals == 0:
            return None
        return answer_to(request) | {"39": "00"}
    if amount in (67, 68):
        return None
    if amount == 51:
        return answer_to(request) | {"39": "51"}
    return answer_to(request) | {"39": "00", "38": "PY8583"}


def coupons(request, _):
    if is_reversal(request):
        return answer_to(request) | {"39": "00"}
    granted = min(int(request["4"]), 200)
    return answer_to(request) | {"39": "00", "38": "COUPON", "4": f"{granted:012}"}


def host(decide, spec, port):
    server = socket.create_server(("127.0.0.1", port))
    print("listening", flush=True)
    silent_reversals = 0
    while True:
        connection, _ = server.accept()
        stream = connection.makefile("rwb")
        while (request := receive(stream, spec)) is not None:
            print(json.dumps(request), flush=True)
            answer = decide(request, silent_reversals)
            if answer is not None:
                send(stream, answer, spec)
            elif is_reversal(request):
                silent_reversals += 1


def acquirer(spec, port):
    connection = socket.create_connection(("127.0.0.1", port))
    stream = connection.makefile("rwb")
    for line in sys.stdin:
        asked = json.loads(line)
        # A list is sent at once, before any answer is read.
        requests = asked if isinstance(asked, list) else [asked]
        for request in requests:
            send(stream, request, spec)
        for _ in requests:
            print(json.dumps(receive(stream, spec)), flush=True)


if __name__ == "__main__":
    role, dialect, port = sys.argv[1], SPECS[sys.argv[2]], int(sys.argv[3])
    if role == "acquirer":
        acquirer(dialect, port)
    else:
        host({"issuer": bank, "coupons": coupons}[role], dialect, port)
