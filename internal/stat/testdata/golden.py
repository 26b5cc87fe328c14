"""Writes the golden files of package stat with scikit-learn, SciPy and NumPy.

Run in this folder: python3 golden.py. The versions used stand in each file.
A value that the library calls undefined (NaN) is written as null.
"""

import json
import math
import warnings

import numpy as np
import scipy
import sklearn
from scipy import special, stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as m
from sklearn.calibration import calibration_curve

warnings.filterwarnings("ignore")
VERSIONS = {"numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__}


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, np.ndarray):
        return plain(v.tolist())
    if isinstance(v, (np.floating, float)):
        v = float(v)
        return None if math.isnan(v) else v
    if isinstance(v, np.integer):
        return int(v)
    return v


def write(name, content):
    with open(name, "w") as f:
        json.dump(plain({"versions": VERSIONS, **content}), f, separators=(",", ":"))
        f.write("\n")


def ece(y, p, w, edges_of):
    """Expected calibration error with NumPy: the bins come from edges_of."""
    b = edges_of(p)
    total = 0.0
    for k in np.unique(b):
        i = b == k
        total += w[i].sum() * abs(np.average(p[i], weights=w[i]) - np.average(y[i], weights=w[i]))
    return total / w.sum()


def by_quantile(p, w, n=15):
    """Bin of each row: ties stay together, at the middle of their weight."""
    values, inverse = np.unique(p, return_inverse=True)
    mass = np.bincount(inverse, weights=w)
    middle = np.cumsum(mass) - mass / 2
    return np.minimum((n * middle / w.sum()).astype(int), n - 1)[inverse]


def averages(y, label, w):
    out = {}
    for name, f in (("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)):
        for average in ("macro", "micro", "weighted"):
            out[f"{name}_{average}"] = f(y, label, average=average, sample_weight=w)
    return out


def binary(y, p, w=None):
    y, p = np.asarray(y, float), np.asarray(p, float)
    label = (p > 0.5).astype(int)
    v = {
        "roc_auc": m.roc_auc_score(y, p, sample_weight=w),
        "average_precision": m.average_precision_score(y, p, sample_weight=w),
        "accuracy": m.accuracy_score(y, label, sample_weight=w),
        "balanced_accuracy": m.balanced_accuracy_score(y, label, sample_weight=w),
        "precision": m.precision_score(y, label, sample_weight=w),
        "recall": m.recall_score(y, label, sample_weight=w),
        "f1": m.f1_score(y, label, sample_weight=w),
        "mcc": m.matthews_corrcoef(y, label, sample_weight=w),
        **averages(y, label, w),
    }
    if p.min() >= 0 and p.max() <= 1:
        ww = np.ones(len(y)) if w is None else np.asarray(w, float)
        v["log_loss"] = m.log_loss(y, p, sample_weight=w, labels=[0, 1])
        v["brier"] = m.brier_score_loss(y, p, sample_weight=w, pos_label=1)
        v["ece"] = ece(y, p, ww, lambda p: np.minimum((p * 15).astype(int), 14))
        v["ece_quantile"] = ece(y, p, ww, lambda p: by_quantile(p, ww))
    return {"y": y, "p": p, "w": w, "classes": 0, "want": v}


def multi(y, p, w=None):
    y, p = np.asarray(y, int), np.asarray(p, float)
    label = p.argmax(axis=1)
    k = p.shape[1]
    v = {
        "accuracy": m.accuracy_score(y, label, sample_weight=w),
        "balanced_accuracy": m.balanced_accuracy_score(y, label, sample_weight=w),
        "mcc": m.matthews_corrcoef(y, label, sample_weight=w),
        "log_loss": m.log_loss(y, p, sample_weight=w, labels=list(range(k))),
        **averages(y, label, w),
    }
    if len(np.unique(y)) == k:
        v["roc_auc_ovr"] = m.roc_auc_score(y, p, multi_class="ovr", average="macro", sample_weight=w)
    return {"y": y, "p": p.ravel(), "w": w, "classes": k, "want": v}


def regression(y, p, w=None):
    y, p = np.asarray(y, float), np.asarray(p, float)
    v = {
        "mae": m.mean_absolute_error(y, p, sample_weight=w),
        "mse": m.mean_squared_error(y, p, sample_weight=w),
        "rmse": m.root_mean_squared_error(y, p, sample_weight=w),
        "mape": m.mean_absolute_percentage_error(y, p, sample_weight=w),
        "r2": m.r2_score(y, p, sample_weight=w),
        "explained_variance": m.explained_variance_score(y, p, sample_weight=w),
    }
    if y.min() > -1 and p.min() > -1:
        v["msle"] = m.mean_squared_log_error(y, p, sample_weight=w)
    return {"y": y, "p": p, "w": w, "classes": 0, "want": v}


def metric_cases():
    r = np.random.default_rng(20130101)
    n = 300
    y = (r.random(n) < 0.3).astype(int)
    p = 1 / (1 + np.exp(-(r.normal(size=n) + y - 1)))
    w = r.gamma(2, 1, n)
    out = {
        "binary random": binary(y, p),
        "binary weighted": binary(y, p, w),
        "binary tied": binary(y, np.round(p, 1)),
        "binary tied weighted": binary(y, np.round(p, 1), w),
        "binary zero weights": binary(y, p, np.where(r.random(n) < 0.3, 0.0, w)),
        "binary all tied": binary(y, np.full(n, 0.25)),
        "binary only ones": binary(np.ones(20), p[:20]),
        "binary only zeros": binary(np.zeros(20), p[:20]),
        "binary perfect": binary([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]),
        "binary reversed": binary([0, 0, 1, 1], [1.0, 1.0, 0.0, 0.0]),
        "binary edges": binary([0, 1, 0, 1, 1], [1e-300, 1 - 1e-16, 0.5, 0.5, 1e-17]),
        "binary scores": binary(y, r.normal(size=n) * 1e6 + y),
        "binary none predicted": binary(y, p * 0.4),
        "binary documented": binary([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]),
    }
    k = 4
    y = r.integers(0, k, n)
    z = r.normal(size=(n, k)) + 1.5 * np.eye(k)[y]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    hard = np.eye(k)[p.argmax(axis=1)]
    out |= {
        "multiclass random": multi(y, p),
        "multiclass weighted": multi(y, p, w),
        "multiclass hard": multi(y, hard),
        "multiclass absent class": multi(np.where(y == 3, 0, y), p),
        "multiclass one true class": multi(np.full(10, 2), p[:10]),
        "multiclass flat": multi(y, np.full((n, k), 1 / k)),
    }
    y = r.gamma(2, 10, n)
    p = np.abs(y + r.normal(0, 4, n))
    out |= {
        "regression random": regression(y, p),
        "regression weighted": regression(y, p, w),
        "regression negative": regression(y - 30, p - 30),
        "regression far from zero": regression(y + 1e6, p + 1e6),
        "regression biased": regression(y, p + 1e4),
        "regression zeros": regression(np.where(y < 10, 0, y), p),
        "regression constant": regression(np.full(9, 0.1), p[:9]),
        "regression constant perfect": regression(np.full(9, 0.1), np.full(9, 0.1)),
        "regression documented": regression([3, -0.5, 2, 7], [2.5, 0, 2, 8]),
        "regression documented logs": regression([3, 5, 2.5, 7], [2.5, 5, 4, 8]),
    }
    return out


def calibration_case():
    r = np.random.default_rng(7)
    p = r.beta(2, 5, 400)
    y = (r.random(400) < p).astype(int)
    true, predicted = calibration_curve(y, p, n_bins=10, strategy="uniform")
    return {"y": y, "p": p, "observed": true, "predicted": predicted}


def special_cases():
    out = []

    def add(name, f, rows):
        for args in rows:
            out.append({"f": name, "args": list(args), "want": f(*args)})

    a = [0.1, 0.5, 1, 2.5, 9.5, 19.9, 20, 33, 127.5, 1000, 25000.5]
    around = [1e-8, 0.01, 0.3, 0.8, 0.97, 1, 1.02, 1.1, 1.5, 3]
    add("GammaQ", special.gammaincc, [(x, x * k) for x in a for k in around])
    add("GammaP", special.gammainc, [(x, x * k) for x in a for k in around])
    beta = [(0.5, 0.5), (0.5, 5), (2, 3), (10, 0.5), (30, 40), (100, 0.5), (0.5, 400), (250, 250)]
    add("BetaI", special.betainc, [(p, q, x) for p, q in beta for x in (1e-6, 0.01, 0.2, 0.5, 0.77, 0.99, 1 - 1e-9)])
    add("NormalCDF", stats.norm.cdf, [(z,) for z in (-37, -8, -3, -1.96, -0.1, 0, 0.5, 1.96, 6)])
    add("NormalQuantile", stats.norm.ppf, [(p,) for p in (1e-200, 1e-12, 0.001, 0.025, 0.4, 0.5, 0.6, 0.975, 0.9999999)])
    df = [1, 2, 2.5, 5, 11, 30, 199, 5000]
    add("StudentTail", stats.t.sf, [(t, d) for d in df for t in (-4, -1, -1e-5, 0, 1e-5, 1e-3, 0.5, 1.96, 3, 8, 40)])
    add("StudentQuantile", stats.t.ppf, [(p, d) for d in df for p in (0.001, 0.025, 0.4, 0.5, 0.75, 0.975, 0.9999, 1 - 1e-9)])
    add("ChiSquareTail", stats.chi2.sf, [(x, d) for d in (1, 3, 20, 255, 2000) for x in (0, 0.5, 3.84, 19, 300, 2100)])
    add("KolmogorovTail", special.kolmogorov, [(x,) for x in (0, 0.05, 0.2, 0.5, 0.9, 1, 1.0001, 1.36, 2, 4, 9)])
    return out


def test_cases():
    r = np.random.default_rng(99)
    tables = []
    for ref, cur in (
        ([10, 20, 30], [12, 18, 25]),
        ([500, 300, 200, 7], [4, 3, 5, 0]),
        ([100, 0, 50], [90, 0, 70]),
        ([1000, 10], [900, 60]),
        ([30000, 20000, 4000, 100, 3], [3100, 1900, 450, 2, 9]),
        ([5, 5, 5], [50, 50, 50]),
    ):
        t = np.array([ref, cur])
        t = t[:, t.sum(axis=0) > 0]
        c = stats.chi2_contingency(t, correction=False)
        tables.append({"ref": ref, "cur": cur, "statistic": c.statistic, "p": c.pvalue, "df": c.dof})
    samples = []
    for a, b in (
        (r.normal(size=30), r.normal(size=40)),
        (r.normal(size=200), r.normal(0.4, 1, size=150)),
        (np.round(r.normal(size=80), 1), np.round(r.normal(0.2, 1.5, size=60), 1)),
        (r.normal(size=25), r.normal(size=25)),
        (np.arange(5.0), np.arange(5.0) + 100),
        (r.normal(size=7), r.normal(size=300)),
        (r.exponential(size=120), r.exponential(size=120)),
        (np.arange(10.0), np.arange(10.0)),
    ):
        e = stats.ks_2samp(a, b, method="exact")
        samples.append({"a": a, "b": b, "d": e.statistic, "exact": e.pvalue,
                        "limit": special.kolmogorov(e.statistic * math.sqrt(len(a) * len(b) / (len(a) + len(b)))),
                        "w1": stats.wasserstein_distance(a, b)})
    shares = []
    for p, q in (
        ([0.2, 0.3, 0.5], [0.25, 0.25, 0.5]),
        ([0.1] * 10, [0.05] * 5 + [0.15] * 5),
        ([0.5, 0.5, 0], [0.5, 0, 0.5]),
        ([0.9, 0.1], [0.1, 0.9]),
    ):
        p, q = np.array(p), np.array(q)
        both = (p > 0) & (q > 0)
        shares.append({
            "p": p, "q": q,
            "js": jensenshannon(p, q, base=2),
            "js_nats": jensenshannon(p, q),
            "hellinger": math.sqrt(max(0, 1 - np.sqrt(p * q).sum())),
            "tvd": np.abs(p - q).sum() / 2, "linf": np.abs(p - q).max(),
            "kl": stats.entropy(q, p) if both.all() else None,
            "psi": ((q - p) * np.log(q / p)).sum() if both.all() else None,
        })
    ps = r.random(15) ** 3
    sizes = r.integers(1, 9, 40)
    quantiles = np.sort(r.normal(size=41))
    return {
        "tables": tables, "samples": samples, "shares": shares,
        "bh": {"p": ps, "q": stats.false_discovery_control(ps)},
        "histogram": {"values": np.repeat(quantiles[:-1], sizes), "edges": quantiles[::5],
                      "counts": np.histogram(np.repeat(quantiles[:-1], sizes), quantiles[::5])[0]},
        "quantile": [{"q": q, "want": np.quantile(quantiles, q)} for q in (0, 0.1, 0.333, 0.5, 0.975, 1)],
        "sorted": quantiles,
    }


write("metrics.json", {"cases": metric_cases(), "calibration": calibration_case()})
write("special.json", {"cases": special_cases()})
write("tests.json", test_cases())
