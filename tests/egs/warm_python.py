"""A ``python3`` for the tests of recipes that starts fronts fast: forked from a process that has torch already.

Importing torch and what its optimizers need takes three to five seconds of a core, and a small recipe from end to end
starts some fifty fronts, which then work for a second or two each. What they do is the same. Everything but fronts
(``-m soundstorm.bin...``), and fronts with caches elsewhere, is handed to the real Python.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import runpy
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

IMPORTED = (
    "torch", "torch._dynamo", "accelerate", "safetensors.torch", "scipy.signal", "yaml", "configargparse", "soundfile",
)  # fmt: skip
HEAD = struct.Struct("!i")  # length of a request, or the wait status that answers it

# Variables that libraries read while they are imported: the real Python has fronts with other values of them.
READ_EARLY = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HOME", "TORCH_HOME", "XDG_CACHE_HOME")

SHIM = '''#!/bin/bash
if [[ ${{1:-}} == -m && ${{2:-}} == soundstorm.bin.* && {variables} == {values} ]]; then
    exec {python} -IS {client} {address} "$@"
fi
exec {python} "$@"
'''


class WarmPython:
    """The process, for as long as a ``with`` lasts, and the folder ``bin`` that is to come first on the PATH."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="warm")  # a short path: sockets have no long ones
        folder = Path(self._folder.name)
        self.bin = folder / "bin"
        address, shim = str(folder / "s"), self.bin / "python3"
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "UTF-8", "OMP_NUM_THREADS": "1"}
        self.bin.mkdir(parents=True)
        variables = '"' + ":".join(f"${{{name}-}}" for name in READ_EARLY) + '"'
        values = shlex.quote(":".join(environment.get(name, "") for name in READ_EARLY))
        python, client = shlex.quote(sys.executable), shlex.quote(str(Path(__file__).with_name("warm_client.py")))
        shim.write_text(
            SHIM.format(variables=variables, values=values, python=python, client=client, address=shlex.quote(address))
        )
        shim.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, __file__, address], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment,
            start_new_session=True,
        )  # fmt: skip
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("warm_python.py did not start; what it said is above")

    def __enter__(self) -> WarmPython:
        return self

    def __exit__(self, *_) -> None:
        """End it; fronts that still run go on."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


def serve(address: str) -> None:
    """Import what takes long, then start what is asked for, until killed."""
    for name in IMPORTED:
        __import__(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that attend to a front
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            attend(connection)
        connection.close()


def attend(connection: socket.socket) -> None:
    """Run one front: pass signals on to it, kill it when nobody waits for it any more, say how it ended."""
    head, files, _, _ = socket.recv_fds(connection, HEAD.size, 3)
    (size,) = HEAD.unpack(head)
    request = json.loads(connection.recv(size, socket.MSG_WAITALL))
    front = os.fork()
    if front == 0:
        connection.close()
        become(request, files)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(front)
    while True:
        ready, _, _ = select.select([ended, connection], [], [])
        if ended in ready:
            break
        number = connection.recv(1)
        os.kill(front, number[0] if number else signal.SIGKILL)
        if not number:
            break
    _, status = os.waitpid(front, 0)
    try:
        connection.sendall(HEAD.pack(status))
    except BrokenPipeError:
        pass
    os._exit(0)


def become(request: dict, files: list[int]) -> None:
    """Be the front that was asked for, as ``python3 -m`` would start it, and end as that would end."""
    import torch

    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(threads) if threads.isdigit() else os.cpu_count() or 1)
    random.seed()
    sys.path[:1] = [request["cwd"], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = request["arguments"][1:]  # without -m
    status, interrupted = 1, False
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException as fault:
        interrupted = isinstance(fault, KeyboardInterrupt)
        traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
