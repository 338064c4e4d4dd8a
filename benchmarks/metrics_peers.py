"""The peers of ``benchmarks/metrics.py``, in their own environment: nothing of miso-gen is imported here.

Reads lines of JSON, ``{"peer": name, "data": file of arrays}``, runs the peer once, and answers with a line: CPU seconds and
what it scored. An environment for it::

    python -m venv peers && peers/bin/pip install pysodmetrics scikit-learn scikit-image quantus torch torchmetrics
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("numpy", "scipy", "pysodmetrics", "scikit-learn", "scikit-image", "quantus", "torch", "torchmetrics")
QUANTUS = {
    "relevance-mass": ("RelevanceMassAccuracy", {}),
    "relevance-rank": ("RelevanceRankAccuracy", {}),
    "pointing-game": ("PointingGame", {}),
    "top-k-intersection": ("TopKIntersection", {"k": 1000}),
    "auroc": ("AUC", {}),
}


@cache
def arrays(path: str) -> dict[str, Any]:
    with np.load(path) as file:
        return dict(file)


def pysodmetrics(data: dict[str, Any]) -> dict[str, list[float]]:
    """Score bytes (n, H, W) with MAE, S, E and F, map after map."""
    import py_sod_metrics as sod

    four = sod.MAE(), sod.Smeasure(), sod.Emeasure(), sod.Fmeasure()
    for shown, truth in zip(data["bytes"], data["truth"], strict=True):
        for metric in four:
            metric.step(pred=shown, gt=truth)
    for metric in four:
        metric.get_results()
    e_curve, f_curve = np.array(four[2].changeable_ems), np.array(four[3].changeable_fms)
    found = {
        "mae": four[0].maes,
        "s-measure": four[1].sms,
        "adaptive-e-measure": four[2].adaptive_ems,
        "mean-e-measure": e_curve.mean(-1),
        "max-e-measure": e_curve.max(-1),
        "adaptive-f-beta": four[3].adaptive_fms,
        "mean-f-beta": f_curve.mean(-1),
        "max-f-beta": f_curve.max(-1),
    }
    return {name: [float(value) for value in values] for name, values in found.items()}


def scikit_learn(data: dict[str, Any]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, map = data["truth"].ravel() > 0, data["map"].ravel()
    return {
        "auroc": float(roc_auc_score(truth, map)),
        "average-precision": float(average_precision_score(truth, map)),
    }


def scikit_image(data: dict[str, Any]) -> dict[str, float]:
    from skimage.metrics import structural_similarity

    map, truth = data["map"][0].astype(np.float64), (data["truth"][0] > 0).astype(np.float64)
    return {"ssim": float(structural_similarity(truth, map, win_size=7, data_range=2.0))}


def torchmetrics(data: dict[str, Any]) -> dict[str, float]:
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    map, truth = torch.from_numpy(data["map"]).flatten(), torch.from_numpy(data["truth"]).flatten().int().clamp(max=1)
    return {"auroc": float(binary_auroc(map, truth)), "average-precision": float(binary_average_precision(map, truth))}


def quantus_one(name: str, data: dict[str, Any]) -> dict[str, float]:
    import quantus

    kind, more = QUANTUS[name]
    metric = getattr(quantus, kind)(abs=False, normalise=False, disable_warnings=True, display_progressbar=False, **more)
    map, truth = data["map"][:, None], (data["truth"] > 0)[:, None]
    (value,) = metric(model=None, x_batch=map, y_batch=np.zeros(1, int), a_batch=map, s_batch=truth)
    return {name: float(value)}


PEERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "PySODMetrics": pysodmetrics,
    "scikit-learn": scikit_learn,
    "scikit-image": scikit_image,
    "torchmetrics": torchmetrics,
    **{f"Quantus {name}": (lambda data, name=name: quantus_one(name, data)) for name in QUANTUS},
}


def main() -> None:
    warnings.simplefilter("ignore")
    try:
        import torch

        torch.set_num_threads(1)
    except ModuleNotFoundError:
        pass
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    out, sys.stdout = sys.stdout, sys.stderr  # some peers print
    print(json.dumps(versions), file=out, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        data, peer = arrays(task["data"]), PEERS[task["peer"]]
        try:
            begin = process_time()
            values = peer(data)
            answer: dict[str, Any] = {"cpu": process_time() - begin, "values": values}
        except ModuleNotFoundError as error:
            answer = {"missing": error.name}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
