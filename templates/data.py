"""Make the rows of the templates: invented, with the traits of real ones.

    python3 templates/data.py

writes the CSV files beside it, the same ones on every machine.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
import pathlib
import random

HERE = pathlib.Path(__file__).parent
BEGIN = dt.date(2025, 1, 6)


def write(path: str, rows: list[dict[str, object]]) -> None:
    target = HERE / path
    target.parent.mkdir(exist_ok=True)
    with open(target, "w", newline="") as file:
        out = csv.DictWriter(file, rows[0], lineterminator="\n")
        out.writeheader()
        out.writerows(rows)
    print(f"{path}  {len(rows):,} rows, {target.stat().st_size:,} bytes")


def chance(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def customers(rng: random.Random, count: int) -> list[dict[str, object]]:
    """Customers of a telephone company, each seen once, and whether they left within a month."""
    rows: list[dict[str, object]] = []
    for i in range(count):
        plan = rng.choices(["basic", "family", "business"], [5, 3, 2])[0]
        months = int(rng.expovariate(1 / 20)) + 1
        calls = min(9, int(rng.expovariate(1 / 1.4)))
        bill = round(rng.gauss({"basic": 22, "family": 45, "business": 70}[plan], 6), 2)
        late = rng.choices([0, 1, 2, 3], [70, 18, 8, 4])[0]
        logit = -1.6 + 0.55 * calls + 0.6 * late - 0.06 * months + {"basic": 0.5, "family": -0.3, "business": 0}[plan]
        rows.append(
            {
                "customer_id": f"C{10_000 + i}",
                "seen_on": BEGIN + dt.timedelta(days=i * 180 // count),
                "plan": plan,
                "months": months,
                "monthly_bill": "" if rng.random() < 0.03 else bill,
                "support_calls": calls,
                "late_payments": late,
                "churned": int(rng.random() < chance(logit)),
            }
        )
    return rows


def deliveries(rng: random.Random, count: int) -> list[dict[str, object]]:
    """Parcels by bicycle, and how many minutes each took."""
    rows: list[dict[str, object]] = []
    for i in range(count):
        after = dt.timedelta(days=i * 120 // count, minutes=rng.randrange(720))
        ordered = dt.datetime.combine(BEGIN, dt.time(8)) + after
        distance = round(rng.gammavariate(2.2, 1.3) + 0.3, 2)
        weather = rng.choices(["dry", "rain", "snow"], [7, 2.5, 0.5])[0]
        parcels = rng.choices([1, 2, 3, 4], [6, 3, 1, 0.5])[0]
        rush = 1.35 if ordered.hour in (8, 12, 17, 18) else 1.0
        minutes = 6 + 3.6 * distance * rush * {"dry": 1, "rain": 1.25, "snow": 1.7}[weather] + 2.1 * parcels
        rows.append(
            {
                "order_id": 500_000 + i,
                "ordered_at": ordered.isoformat(sep=" ", timespec="minutes"),
                "distance_km": distance,
                "district": rng.choice(["north", "south", "harbour", "centre"]),
                "weather": weather,
                "parcels": parcels,
                "minutes": round(minutes * rng.lognormvariate(0, 0.12), 1),
            }
        )
    return sorted(rows, key=lambda row: str(row["ordered_at"]))


def pumps(rng: random.Random, count: int, begin: dt.date, first: int, span: int) -> list[dict[str, object]]:
    """Weekly readings of pumps, and whether each broke within a week of one."""
    rows: list[dict[str, object]] = []
    for i in range(count):
        hours = int(rng.uniform(0, 9000))
        vibration = round(rng.lognormvariate(0.2, 0.45), 3)
        heat = round(rng.gauss(62, 6) + 2.5 * vibration, 1)
        maker = rng.choice(["Aker", "Brix", "Cobo"])
        logit = -5.6 + 1.5 * vibration + 0.00028 * hours + 0.05 * (heat - 62) + (0.8 if maker == "Cobo" else 0)
        rows.append(
            {
                "reading_id": f"R{first + i}",
                "read_on": begin + dt.timedelta(days=i * span // count),
                "maker": maker,
                "hours": hours,
                "vibration": vibration,
                "temperature": "" if rng.random() < 0.02 else heat,
                "failed": int(rng.random() < chance(logit)),
            }
        )
    return rows


def main() -> None:
    write("tabular-classification/customers.csv", customers(random.Random(1), 1200))
    write("regression/deliveries.csv", deliveries(random.Random(2), 1100))
    write("batch-scoring/readings.csv", pumps(random.Random(3), 1200, BEGIN, 1000, 175))
    today = pumps(random.Random(4), 150, BEGIN + dt.timedelta(days=175), 5000, 7)
    for row in today:
        del row["failed"]
    write("batch-scoring/today.csv", today)


if __name__ == "__main__":
    main()
