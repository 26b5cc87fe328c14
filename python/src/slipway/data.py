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
    `timezone`. `version` is None for files that have no version. `last` is a
    window that ends with the newest row. Columns that are not asked for, and row
    groups of Parquet files outside the window, are not read.
    """

    name: str
    files: Sequence[pathlib.Path]
    version: int | None = None
    window: Window = Window()
    time: str | None = None
    timezone: str = "UTC"
    last: dt.timedelta | None = None

    def pandas(self, columns: Sequence[str] | None = None, **options: Any) -> Any:
        """The rows as a pandas DataFrame; `columns` are the ones to read, all when left out.

        `options` go to the reader of CSV files. A step that is given a window
        of a dataset finds it as Parquet, whatever its files were, so code that
        reads columns by name works for both.
        """
        import pandas as pd

        wanted = list(columns) if columns is not None else None
        names = self._names(wanted)
        read = {
            "csv": lambda path: pd.read_csv(path, usecols=names, **options),
            "parquet": lambda path: pd.read_parquet(path, columns=names, filters=self._coarse(path)),
            "json": lambda path: pd.read_json(path, lines=path.suffix != ".json"),
        }
        frame = pd.concat([read[_format(path)](path) for path in self.files], ignore_index=True)
        if self._windowed():
            times = pd.to_datetime(frame[self._time(frame.columns)])
            if times.dt.tz is None:
                times = times.dt.tz_localize(self.timezone, ambiguous=False, nonexistent="shift_forward")
            begin, end = self._bounds(times.max().to_pydatetime() if times.notna().any() else None)
            keep = times.notna()
            keep &= begin is None or times >= begin
            keep &= end is None or times < end
            frame = frame[keep].reset_index(drop=True)
        return frame if wanted is None else frame[wanted]

    def arrow(self, columns: Sequence[str] | None = None) -> Any:
        """The rows as a pyarrow Table; Parquet files are mapped into memory, not copied."""
        import pyarrow as pa
        from pyarrow import compute, csv, json, parquet

        wanted = list(columns) if columns is not None else None
        names = self._names(wanted)
        read = {
            "csv": lambda path: csv.read_csv(path, convert_options=csv.ConvertOptions(include_columns=names)),
            "parquet": lambda path: parquet.read_table(
                path, columns=names, filters=self._coarse(path), memory_map=True, partitioning=None
            ),
            "json": lambda path: json.read_json(path),
        }
        table = pa.concat_tables([read[_format(path)](path) for path in self.files], promote_options="permissive")
        if self._windowed():
            name = self._time(table.column_names)
            times = table[name]
            if pa.types.is_date(times.type):
                times = times.cast(pa.timestamp("us"))
            if not pa.types.is_timestamp(times.type):
                raise SlipwayError("invalid", f"column {name} of dataset {self.name} holds no times but {times.type}")
            if times.type.tz is None:
                times = compute.assume_timezone(times, self.timezone, ambiguous="latest", nonexistent="latest")
            begin, end = self._bounds(_instant(compute.max(times).as_py(), self.timezone))
            for bound, keeps in ((begin, compute.greater_equal), (end, compute.less)):
                if bound:
                    mask = keeps(times, pa.scalar(bound, times.type))
                    table, times = table.filter(mask), times.filter(mask)
        return table if wanted is None else table.select(wanted)

    def polars(self, columns: Sequence[str] | None = None) -> Any:
        """The rows as a polars DataFrame, which shares the memory of the Arrow table."""
        import polars as pl

        return pl.from_arrow(self.arrow(columns))

    def _windowed(self) -> bool:
        return self.window != Window() or self.last is not None

    def _names(self, wanted: list[str] | None) -> list[str] | None:
        """The columns to read: the wanted ones, and the time where a window needs it."""
        if wanted is None or not self._windowed() or not self.time or self.time in wanted:
            return wanted
        return [*wanted, self.time]

    def _bounds(self, newest: dt.datetime | None) -> tuple[dt.datetime | None, dt.datetime | None]:
        """The window, of which `last` reaches back from the newest row of it."""
        begin, end = self.window.begin, self.window.end
        if self.last is None or newest is None:
            return begin, end
        begins = [newest - self.last, begin] if begin else [newest - self.last]
        return max(begins), end

    def _coarse(self, path: pathlib.Path) -> Any:
        """A filter of whole row groups, a day wider than the window because of time zones."""
        import pyarrow as pa
        from pyarrow import parquet

        if not self._windowed() or not self.time:
            return None
        schema = parquet.read_schema(path)
        at = schema.get_field_index(self.time)
        if at < 0 or not (pa.types.is_timestamp(schema.types[at]) or pa.types.is_date(schema.types[at])):
            return None
        kind = schema.types[at]
        begin, end = self._bounds(self._newest())
        out = []
        for bound, operator, margin in ((begin, ">=", dt.timedelta(days=-1)), (end, "<", dt.timedelta(days=1))):
            if bound is None:
                continue
            value: Any = (bound + margin).astimezone(dt.timezone.utc)
            if pa.types.is_date(kind):
                value = value.date()
            elif kind.tz is None:
                value = value.replace(tzinfo=None)
            out.append((self.time, operator, value))
        return out or None

    def _newest(self) -> dt.datetime | None:
        """The greatest time that the files' own statistics tell, where all of them do."""
        from pyarrow import parquet

        if self.last is None:
            return None
        newest = []
        for path in self.files:
            if _format(path) != "parquet":
                return None
            meta = parquet.read_metadata(path)
            for group in range(meta.num_row_groups):
                columns = [meta.row_group(group).column(i) for i in range(meta.num_columns)]
                column = next((c for c in columns if c.path_in_schema == self.time), None)
                if column is None or column.statistics is None or not column.statistics.has_min_max:
                    return None
                value = column.statistics.max
                if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
                    value = dt.datetime.combine(value, dt.time())
                newest.append(value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc))
        return max(newest, default=None)

    def _time(self, columns: Any) -> str:
        if not self.time:
            raise SlipwayError("invalid", f"dataset {self.name} has a window but no time column", "pass time=")
        if self.time not in columns:
            raise SlipwayError("invalid", f"dataset {self.name} has no column {self.time} to take the window from")
        return self.time


def dataset(
    name: str, window: tuple[Any, Any] | str | None = None, *, time: str | None = None, timezone: str | None = None
) -> Dataset:
    """Find a dataset: an input of the step, else ./NAME or ./data/NAME on disk.

    `window` is (from, to) as datetimes or ISO 8601 text, None for an open bound,
    or a length such as "90d", "2w" or "12h" back from the end of the step's
    window, else from the newest row; it narrows the window that the step was given, never widens it. Bounds
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
    last = _length(window) if isinstance(window, str) else None
    own = (None, None) if window is None or isinstance(window, str) else window
    bounds = [(given.get("from"), given.get("to")), own]
    begins = [t for t in (_instant(begin, zone) for begin, _ in bounds) if t]
    ends = [t for t in (_instant(end, zone) for _, end in bounds) if t]
    narrowed = Window(max(begins, default=None), min(ends, default=None))
    if last and narrowed.end:
        begin = narrowed.end - last
        narrowed = Window(max(begin, narrowed.begin or begin), narrowed.end)
        last = None
    return Dataset(name, tuple(files), entry.get("version"), narrowed, time or entry.get("time"), zone, last)


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


def _length(text: str) -> dt.timedelta:
    """A length of time as slipway.yaml writes it: 90d, 2w, 12h, 30m, 15s."""
    units = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    try:
        return dt.timedelta(**{units[text[-1]]: float(text[:-1])})
    except (IndexError, KeyError, ValueError, OverflowError):
        raise SlipwayError("invalid", f"{text!r} is not a length of time", "write 90d, 2w, 12h, 30m or 15s") from None


def _instant(value: Any, zone: str) -> dt.datetime | None:
    if value is None or value == "":
        return None
    try:
        # Python 3.10 does not read the Z of ISO 8601.
        time = dt.datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
        return time if time.tzinfo else time.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    except (AttributeError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise SlipwayError("invalid", f"{value!r} is not a time", "write 2013-03-01 or 2013-03-01T06:00:00Z") from None
