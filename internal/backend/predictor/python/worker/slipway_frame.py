"""The wire form of a frame; frame.go is the other half.

    uint32  rows
    uint32  length of the schema
    bytes   schema: JSON, a list of {"name", "type", "categories"}
    columns in the schema's order, each padded, as the schema is, to 8 bytes:
      numbers  rows x float64; NaN is missing; times are UTC microseconds
      text     (rows+1) x uint32 offsets, rows x uint8 null marks, the bytes

All little endian. Numbers that stand side by side are a matrix in column
order, so a frame of numbers is read without copying.
"""

import datetime
import json
import struct
import sys

try:
    import numpy
except ImportError:
    numpy = None

EPOCH = datetime.datetime(1970, 1, 1)
HEAD = struct.Struct("<II")


def pad(n):
    return -n % 8


class Schema:
    """The columns of a frame, parsed once for all frames that carry it."""

    def __init__(self, text):
        columns = json.loads(text)
        self.names = [c["name"] for c in columns]
        self.types = [c.get("type") or "float" for c in columns]
        self.categories = [c.get("categories") for c in columns]
        self.numeric = all(t in ("float", "int", "bool") for t in self.types)
        self.float = all(t == "float" for t in self.types)
        self.index = None  # the names as a pandas Index, once somebody needs it


schemas = {}


class Rows:
    """A batch of rows to predict."""

    def __init__(self, body):
        self.count, length = HEAD.unpack_from(body)
        text = bytes(body[8 : 8 + length])
        self.schema = schemas.get(text)
        if self.schema is None:
            if len(schemas) > 256:
                schemas.clear()
            self.schema = schemas[text] = Schema(text)
        self.body = body
        self.start = 8 + length + pad(8 + length)

    def matrix(self):
        """All columns, which are numbers, as rows x columns float64."""
        width = len(self.schema.names)
        flat = numpy.frombuffer(self.body, "<f8", self.count * width, self.start)
        return flat.reshape(width, self.count).T

    def spans(self):
        """(name, type, categories, offset) of each column."""
        s, at = self.schema, self.start
        for name, kind, categories in zip(s.names, s.types, s.categories):
            yield name, kind, categories, at
            if kind in ("text", "binary"):
                (end,) = struct.unpack_from("<I", self.body, at + 4 * self.count)
                size = 4 * (self.count + 1) + self.count + end
                at += size + pad(size)
            else:
                at += 8 * self.count

    def text(self, at, binary):
        """The strings (or bytes) of a text column; None is missing."""
        n = self.count
        view = memoryview(self.body)
        ends = struct.unpack_from("<%dI" % (n + 1), self.body, at)
        null = view[at + 4 * (n + 1) : at + 4 * (n + 1) + n]
        base = at + 4 * (n + 1) + n
        out = [None] * n
        for i in range(n):
            if not null[i]:
                raw = bytes(view[base + ends[i] : base + ends[i + 1]])
                out[i] = raw if binary else raw.decode("utf-8")
        return out

    def arrays(self):
        """(name, type, categories, values): numpy arrays in the column's own
        type. A whole or true-or-false column with gaps stays float64."""
        for name, kind, categories, at in self.spans():
            if kind in ("text", "binary"):
                values = numpy.empty(self.count, dtype=object)
                values[:] = self.text(at, kind == "binary")
            else:
                values = numpy.frombuffer(self.body, "<f8", self.count, at)
                if kind in ("time", "date"):
                    gap = numpy.isnan(values)
                    values = numpy.where(gap, 0, values).astype("datetime64[us]")
                    values[gap] = numpy.datetime64("NaT")
                elif kind != "float" and not numpy.isnan(values).any():
                    values = values.astype("int64" if kind == "int" else "bool")
            yield name, kind, categories, values

    def lists(self):
        """name -> list of plain Python values, None for missing."""
        return {
            name: self.text(at, kind == "binary") if kind in ("text", "binary") else self.numbers(kind, at)
            for name, kind, _, at in self.spans()
        }

    def numbers(self, kind, at):
        values = struct.unpack_from("<%dd" % self.count, self.body, at)
        make = PLAIN.get(kind)
        if make is None:
            return [None if v != v else v for v in values]
        return [None if v != v else make(v) for v in values]


def instant(v):
    return EPOCH + datetime.timedelta(microseconds=v)


PLAIN = {"int": int, "bool": bool, "time": instant, "date": lambda v: instant(v).date()}

heads = {}


def head(rows, names, types):
    """The bytes before the columns."""
    key = (tuple(names), tuple(types))
    text = heads.get(key)
    if text is None:
        if len(heads) > 256:
            heads.clear()
        schema = [{"name": n, "type": t} for n, t in zip(*key)]
        text = json.dumps(schema, separators=(",", ":")).encode("utf-8", "replace")
        text += b" " * pad(8 + len(text))
        heads[key] = text
    return HEAD.pack(rows, len(text)) + text


def encode(rows, names, types, columns):
    """A frame of columns: sequences of numbers (None is missing) or of text."""
    parts = [head(rows, names, types)]
    for kind, values in zip(types, columns):
        if kind == "text":
            raw = [b"" if v is None else v.encode("utf-8", "replace") for v in values]
            ends = [0]
            for r in raw:
                ends.append(ends[-1] + len(r))
            part = struct.pack("<%dI" % (rows + 1), *ends)
            part += bytes(v is None for v in values) + b"".join(raw)
            part += bytes(pad(len(part)))
        elif numpy is not None and isinstance(values, numpy.ndarray):
            part = values.astype("<f8", copy=False).tobytes()
        else:
            part = struct.pack("<%dd" % rows, *(float("nan") if v is None else v for v in values))
        parts.append(part)
    return b"".join(parts)


if sys.byteorder != "little":
    raise SystemExit("a big-endian machine cannot run Python models")
