"""The parser by itself: one response in pieces of any size, and one that is wrong.

python examples/parse_pieces.py
"""

import random

import fasthio

OCTETS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"7\r\nMozilla\r\n11\r\nDeveloper Network\r\n0\r\nExpires: never\r\n\r\n"
)


def parse(parser: fasthio.ResponseParser, octets: bytes, seed: int) -> int:
    """Feed octets in pieces of 1 to 20, as a network might; gives how many pieces."""
    draw = random.Random(seed)
    pieces = 0
    parser.start()
    while octets:
        size = draw.randint(1, 20)
        parser.feed(octets[:size])
        octets = octets[size:]
        pieces += 1
    return pieces


def main() -> None:
    """Show that the pieces do not matter, for what is right and for what is wrong."""
    parser = fasthio.ResponseParser()
    for seed in range(3):
        pieces = parse(parser, OCTETS, seed)
        print(f"{pieces:3d} pieces:", parser.status, bytes(parser.body), dict(parser.trailers))

    for seed in range(3):
        try:
            parse(parser, OCTETS.replace(b"11\r\n", b"0x11\r\n"), seed)
        except fasthio.ParseError as error:
            print(error.code, "at octet", error.offset, "in", error.state)


if __name__ == "__main__":
    main()
