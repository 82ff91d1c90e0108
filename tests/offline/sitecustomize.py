"""Loaded by every Python process that the tests start: any attempt to use the network fails

Proves "offline" for real: an audit hook sees every socket of the process, whatever library opened
it, and cannot be removed again.
"""

import sys

FORBIDDEN = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def forbid_network(event: str, args: tuple) -> None:
    if event in FORBIDDEN:
        raise RuntimeError(f"network access is forbidden in tests: {event} {args[1:]}")


sys.addaudithook(forbid_network)
