"""Models that cost nothing, so that a benchmark measures the way to them."""


class Numpy:
    rows = "numpy"

    def predict(self, rows):
        return rows[:, 0]


class Pandas:
    rows = "pandas"

    def predict(self, rows):
        return rows["c0"]


class Dict:
    rows = "dict"

    def predict(self, rows):
        return rows["c0"]
