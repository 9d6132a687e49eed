"""What stands for a front that ``warm_python`` runs: its arguments and files there, its signals too, its end here."""

import json
import os
import signal
import socket
import struct
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HEAD = struct.Struct("!i")


def ask(address: str, *arguments: str) -> None:
    """Have the command line run, and end as it does."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    ignored = [number for number in PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
    request = {"arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ), "ignored": ignored}
    message = json.dumps(request).encode()
    socket.send_fds(server, [HEAD.pack(len(message))], [0, 1, 2])
    server.sendall(message)
    for number in PASSED_ON:
        if number not in ignored:
            signal.signal(number, lambda number, _: server.send(bytes([number])))
    answer = server.recv(HEAD.size, socket.MSG_WAITALL)
    if not answer:
        sys.exit("warm_python.py is gone")
    code = os.waitstatus_to_exitcode(HEAD.unpack(answer)[0])
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    ask(*sys.argv[1:])
