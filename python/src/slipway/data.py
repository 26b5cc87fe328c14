"""Dataset versions as the step's inputs, or the files beside a script run by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
import zoneinfo
from collections.abc import Sequence
from typing import Any

from . import environment
from .error import SlipwayError

FORMATS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json"}


@dataclasses.dataclass(frozen=True)
class Window:
    """A half-open interval of event time; a bound that is None is open."""

    begin: dt.datetime | None = None
    end: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The files of one dataset version, and the window of it that is meant.

    `time` is the column that the window is about; naive times in it are read in
    `timezone`. `version` is None for files that have no version.
    """

    name: str
    files: Sequence[pathlib.Path]
    version: int | None = None
    window: Window = Window()
    time: str | None = None
    timezone: str = "UTC"

    def pandas(self, columns: Sequence[str] | None = None, **options: Any) -> Any:
        """The rows as a pandas DataFrame; `columns` are the ones to read, all when left out.

        `options` go to the reader of CSV files. A step that is given a window
        of a dataset finds it as Parquet, whatever its files were, so code that
        reads columns by name works for both.
        """
        import pandas as pd

        wanted = list(columns) if columns is not None else None
        read = {
            "csv": lambda path: pd.read_csv(path, usecols=wanted, **options),
            "parquet": lambda path: pd.read_parquet(path, columns=wanted),
            "json": lambda path: pd.read_json(path, lines=path.suffix != ".json"),
        }
        frame = pd.concat([read[_format(path)](path) for path in self.files], ignore_index=True)
        if wanted is not None:
            frame = frame[wanted]
        if self.window == Window():
            return frame
        times = pd.to_datetime(frame[self._time(frame.columns)])
        if times.dt.tz is None:
            times = times.dt.tz_localize(self.timezone, ambiguous=False, nonexistent="shift_forward")
        keep = times.notna()
        keep &= self.window.begin is None or times >= self.window.begin
        keep &= self.window.end is None or times < self.window.end
        return frame[keep].reset_index(drop=True)

    def arrow(self) -> Any:
        """The rows as a pyarrow Table."""
        import pyarrow as pa
        from pyarrow import compute, csv, json, parquet

        read = {"csv": csv.read_csv, "parquet": parquet.read_table, "json": json.read_json}
        table = pa.concat_tables([read[_format(path)](path) for path in self.files], promote_options="permissive")
        if self.window == Window():
            return table
        name = self._time(table.column_names)
        times = table[name]
        if not pa.types.is_timestamp(times.type):
            raise SlipwayError("invalid", f"column {name} of dataset {self.name} holds no times but {times.type}")
        if times.type.tz is None:
            times = compute.assume_timezone(times, self.timezone, ambiguous="latest", nonexistent="latest")
        for bound, keeps in ((self.window.begin, compute.greater_equal), (self.window.end, compute.less)):
            if bound:
                mask = keeps(times, pa.scalar(bound, times.type))
                table, times = table.filter(mask), times.filter(mask)
        return table

    def polars(self) -> Any:
        """The rows as a polars DataFrame."""
        import polars as pl

        return pl.from_arrow(self.arrow())

    def _time(self, columns: Any) -> str:
        if not self.time:
            raise SlipwayError("invalid", f"dataset {self.name} has a window but no time column", "pass time=")
        if self.time not in columns:
            raise SlipwayError("invalid", f"dataset {self.name} has no column {self.time} to take the window from")
        return self.time


def dataset(
    name: str, window: tuple[Any, Any] | None = None, *, time: str | None = None, timezone: str | None = None
) -> Dataset:
    """Find a dataset: an input of the step, else ./NAME or ./data/NAME on disk.

    `window` is (from, to) as datetimes or ISO 8601 text, None for an open bound;
    it narrows the window that the step was given, never widens it. Bounds
    without an offset are read in `timezone`. Fails with not_found.
    """
    inputs = environment.json_object("SLIPWAY_INPUTS")
    if name in inputs:
        entry = inputs[name]
        if not isinstance(entry, dict) or not entry.get("path"):
            raise SlipwayError("invalid", f"SLIPWAY_INPUTS says nothing useful about {name}")
        path = pathlib.Path(entry["path"])
        # Listed files are relative to a folder; a single file is its own path.
        files = [path / file for file in entry.get("files") or []] if path.is_dir() else []
        files = files or _scan(path)
    else:
        entry = {}
        files = _beside(name, sorted(inputs))
    if not files:
        raise SlipwayError("not_found", f"dataset {name} has no CSV, Parquet or JSON file")
    zone = timezone or entry.get("timezone") or "UTC"
    given = entry.get("window") or {}
    bounds = [(given.get("from"), given.get("to")), window or (None, None)]
    begins = [t for t in (_instant(begin, zone) for begin, _ in bounds) if t]
    ends = [t for t in (_instant(end, zone) for _, end in bounds) if t]
    narrowed = Window(max(begins, default=None), min(ends, default=None))
    return Dataset(name, tuple(files), entry.get("version"), narrowed, time or entry.get("time"), zone)


def _beside(name: str, known: list[str]) -> list[pathlib.Path]:
    """Files for a script run by hand: NAME, data/NAME, with or without an ending."""
    for folder in (pathlib.Path(), pathlib.Path("data")):
        for path in [folder / name, *(folder / (name + ending) for ending in FORMATS)]:
            if path.exists():
                return _scan(path)
    hint = f"the step's inputs are {', '.join(known)}" if known else f"put it at ./{name} or ./data/{name}"
    raise SlipwayError("not_found", f"there is no dataset {name}", hint)


def _scan(path: pathlib.Path) -> list[pathlib.Path]:
    """The data files of a folder in the order of their paths, or the file itself."""
    if path.is_file():
        return [path]
    found = (p for p in path.rglob("*") if p.is_file() and p.name.endswith(tuple(FORMATS)))
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts))


def _format(path: pathlib.Path) -> str:
    for ending, name in FORMATS.items():
        if path.name.endswith(ending):
            return name
    raise SlipwayError("invalid", f"{path} is neither CSV nor Parquet nor JSON", "open Dataset.files yourself")


def _instant(value: Any, zone: str) -> dt.datetime | None:
    if value is None or value == "":
        return None
    try:
        # Python 3.10 does not read the Z of ISO 8601.
        time = dt.datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
        return time if time.tzinfo else time.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    except (AttributeError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise SlipwayError("invalid", f"{value!r} is not a time", "write 2013-03-01 or 2013-03-01T06:00:00Z") from None
