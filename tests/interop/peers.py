"""An acquirer and an issuer on the independent library pyiso8583: they share no line of code with the switch.

Both speak the library's own default_ascii specification over a 2-byte binary length. Usage:
peers.py issuer PORT    plays a bank: prints each request as one JSON line, answers by its amount
peers.py acquirer PORT  reads one JSON object of fields per line, prints the answer to each
"""

import json
import socket
import struct
import sys

import iso8583
from iso8583.specs import default_ascii as SPEC

ECHO = ["2", "3", "4", "7", "11", "12", "13", "37", "41", "42", "49"]


def receive(stream):
    head = stream.read(2)
    if len(head) < 2:
        return None
    decoded, _ = iso8583.decode(stream.read(struct.unpack(">H", head)[0]), SPEC)
    return {key: value for key, value in decoded.items() if key.isdigit() and key != "1" or key == "t"}


def send(stream, fields):
    raw, _ = iso8583.encode(dict(fields), SPEC)
    stream.write(struct.pack(">H", len(raw)) + raw)
    stream.flush()


def issuer(port):
    server = socket.create_server(("127.0.0.1", port))
    print("listening", flush=True)
    while True:
        connection, _ = server.accept()
        stream = connection.makefile("rwb")
        while (request := receive(stream)) is not None:
            print(json.dumps(request), flush=True)
            answer = {key: request[key] for key in ECHO if key in request}
            answer["t"] = request["t"][:2] + {"0": "1", "2": "3"}[request["t"][2]] + "0"
            amount = int(request.get("4", "0"))
            # 51 fen is declined, 68 fen is never answered unless it is reversed, all else is approved.
            if amount == 68 and request["t"][:2] != "04":
                continue
            answer["39"] = "51" if amount == 51 and request["t"][:2] != "04" else "00"
            if answer["39"] == "00" and request["t"][:2] == "02":
                answer["38"] = "PY8583"
            send(stream, answer)


def acquirer(port):
    connection = socket.create_connection(("127.0.0.1", port))
    stream = connection.makefile("rwb")
    for line in sys.stdin:
        send(stream, json.loads(line))
        print(json.dumps(receive(stream)), flush=True)


if __name__ == "__main__":
    {"issuer": issuer, "acquirer": acquirer}[sys.argv[1]](int(sys.argv[2]))
