"""One worker process of a Python model; worker.go is the other half.

It answers one message at a time on file descriptor 3, a socket:

    uint32 length of the body, uint32 what, uint64 id, body

LOAD carries JSON and is answered by READY (JSON) or ERROR (JSON); PREDICT
carries a frame and is answered by ANSWER (a frame) or ERROR. Nothing else
goes over the socket: what the model prints ends up on stderr.
"""

import json
import os
import socket
import struct
import sys
import threading
import traceback

import slipway_frame
import slipway_model

LOAD, PREDICT = 1, 2
READY, ANSWER, ERROR = 1, 2, 3
HEAD = struct.Struct("<IIQ")
SOCKET, LIFELINE = 3, 4


class Channel:
    """Messages over the socket. A small one takes one system call."""

    def __init__(self):
        os.set_inheritable(SOCKET, False)
        self.socket = socket.socket(fileno=SOCKET)
        self.socket.setblocking(True)
        self.buffer = bytearray(1 << 16)
        self.view = memoryview(self.buffer)

    def receive(self):
        """(what, id, body), or None when the other side has gone."""
        have = 0
        while have < HEAD.size:
            n = self.socket.recv_into(self.view[have:])
            if n == 0:
                return None
            have += n
        length, what, number = HEAD.unpack_from(self.buffer)
        # The model may keep the rows, so each batch has memory of its own.
        body = bytearray(length)
        have -= HEAD.size
        body[:have] = self.view[HEAD.size : HEAD.size + have]
        rest = memoryview(body)
        while have < length:
            n = self.socket.recv_into(rest[have:])
            if n == 0:
                return None
            have += n
        return what, number, body

    def send(self, what, number, body):
        self.socket.sendall(HEAD.pack(len(body), what, number) + body)


def limit(size):
    """Bounds the address space; a model that asks for more gets MemoryError."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def watch():
    """Ends this process and its children when the server is gone, even while
    the model computes: only the server holds the other end of the pipe."""
    os.set_inheritable(LIFELINE, False)
    os.read(LIFELINE, 1)
    os.killpg(0, 9)


def describe(error):
    """What an exception says, for the person who has to mend the model."""
    text = traceback.format_exception(type(error), error, error.__traceback__)
    return json.dumps(
        {
            "exception": "" if isinstance(error, slipway_model.Wrong) else type(error).__name__,
            "message": str(error),
            "refused": isinstance(error, (ValueError, TypeError)) or type(error).__name__ == "MlflowException",
            "module": getattr(error, "name", None) if isinstance(error, ImportError) else None,
            "traceback": "".join(text)[-8000:],
        }
    ).encode("utf-8", "replace")


def flush():
    """Sends on what the model printed, if it left us a stdout."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        pass


def main():
    threading.Thread(target=watch, daemon=True).start()
    channel = Channel()
    model = None
    while True:
        message = channel.receive()
        if message is None:
            return
        what, number, body = message
        try:
            if what == PREDICT:
                out = model.predict(slipway_frame.Rows(body))
                channel.send(ANSWER, number, out)
                continue
            spec = json.loads(body)
            if spec.get("memory"):
                limit(spec["memory"])
            model = slipway_model.load(spec)
            channel.send(READY, number, json.dumps(model.about()).encode())
        except (Exception, SystemExit) as error:
            channel.send(ERROR, number, describe(error))
        finally:
            flush()
