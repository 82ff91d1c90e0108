"""Like tests/offline, but the process may talk to its own machine: 127.0.0.1 and nothing else

For the scripts of lesson 1, which start a server or talk to the stand-in Hub. A name look-up or a
connection to anywhere else fails at once, as it does on a machine without network.
"""

import socket
import sys

LOOPBACK = {"127.0.0.1", "localhost", "::1", b"127.0.0.1", b"localhost"}


def only_loopback(event: str, args: tuple) -> None:
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise ConnectionRefusedError(f"no network in tests: {address}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        if args[0] not in LOOPBACK:
            raise socket.gaierror(socket.EAI_NONAME, f"no network in tests: {args[0]}")
    elif event == "socket.sendto":
        address = args[1]
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise ConnectionRefusedError(f"no network in tests: {address}")


sys.addaudithook(only_loopback)
