"""Models that need nothing but Python: what the tests do to a worker."""

import os
import signal
import sys
import time


class Sum:
    """Adds two columns; a missing value counts as nothing."""

    feature_names_in_ = ["a", "b"]
    rows = "dict"

    def predict(self, rows):
        return [(a or 0) + (b or 0) for a, b in zip(rows["a"], rows["b"])]


class Classes:
    """Gives the probabilities of three classes."""

    classes_ = ["low", "mid", "high"]
    rows = "dict"

    def predict(self, rows):
        raise AssertionError("the probabilities are wanted")

    def predict_proba(self, rows):
        return [[a, 0.5 - a, 0.5] for a in rows["a"]]


class Labels:
    """A classifier that gives no probabilities."""

    classes_ = [0, 1]
    rows = "dict"

    def predict(self, rows):
        return [int(a > 0) for a in rows["a"]]


class Score:
    """Gives a number for what may be registered as a probability."""

    rows = "dict"

    def predict(self, rows):
        return rows["a"]


class Types:
    """Tells what the values look like in here."""

    rows = "dict"

    def predict(self, rows):
        return {name: [repr(v) for v in values] for name, values in rows.items()}


class Chatty:
    rows = "dict"

    def predict(self, rows):
        print("printed by the model")
        os.write(1, b"written by the model\n")
        return rows["a"]


class Moody:
    """Does as the first column says."""

    rows = "dict"

    def predict(self, rows):
        for mood in rows["mood"]:
            if mood == "raise":
                raise KeyError("no such mood")
            if mood == "value":
                raise ValueError("mood out of range")
            if mood == "crash":
                print("about to crash", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGSEGV)
            if mood == "exit":
                os._exit(7)
            if mood == "sysexit":
                sys.exit("enough")
            if mood == "hang":
                time.sleep(3600)
            if mood == "memory":
                bytearray(1 << 40)
            if mood == "short":
                return []
        return [os.getpid()] * len(rows["mood"])


class Gate:
    """Announces each call on one named pipe and waits on another."""

    rows = "dict"

    def predict(self, rows):
        with open(os.environ["GATE_IN"], "w") as pipe:
            pipe.write("%d\n" % len(rows["a"]))
        with open(os.environ["GATE_OUT"]) as pipe:
            pipe.read()
        return [float(len(rows["a"]))] * len(rows["a"])


class Child:
    """Starts a process that would outlive it."""

    rows = "dict"

    def __init__(self):
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                time.sleep(3600)

    def predict(self, rows):
        return [self.pid] * len(rows["a"])


class Environment:
    rows = "dict"

    def predict(self, rows):
        return [os.environ.get(name) for name in rows["name"]]


class Broken:
    def __init__(self):
        raise RuntimeError("cannot be made")


class Hangs:
    def __init__(self):
        time.sleep(3600)


class Once:
    """Starts only while a file exists."""

    rows = "dict"

    def __init__(self):
        if not os.path.exists(os.environ["ONCE"]):
            raise RuntimeError("the file is gone")

    def predict(self, rows):
        os._exit(1)


class NoPredict:
    pass
