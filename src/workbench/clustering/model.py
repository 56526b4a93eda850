"""A segmenter as a file: plain arrays and scikit-learn's trees, checked before anything is built from them."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd

from workbench.clustering.predictor import Line, Model
from workbench.clustering.representation import Space
from workbench.clustering.segmenter import Segmenter
from workbench.clustering.trees import read_forest
from workbench.core.config import ClusteringSettings
from workbench.core.errors import InputError

FORMAT = 3
LARGEST, MODELS = 200_000_000, 100  # bytes when unpacked, and outcomes, that no segmenter's model reaches
# The one type of gradient boosting that skops does not know; scikit-learn's own, and only arrays inside.
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def dump_model(segmenter: Segmenter) -> bytes:
    """What `predict` needs, and no customer: parameters, the space, centres. Opened by `load_model`."""
    import skops.io

    space = segmenter.space_
    columns = [str(name) for name in space.feature_names_in_]
    plain = {
        "format": FORMAT, "parameters": segmenter.get_params(), "columns": columns, "medians": space.medians_.to_numpy(float),
        "trees": {name: made.trees for name, made in space.models_.items()}, "grids": [space.grids_[name] for name in space.feature_names_in_],
        "centres": segmenter.centres_, "centre_segment": segmenter.centre_segment_, "macro": segmenter.macro_,
        "base_count": segmenter.base_count_, "weights": space.weights_.to_numpy(float),
    }  # fmt: skip
    if space.models_:
        made = list(space.models_.values())
        plain |= {name: getattr(space, f"{name}_").to_numpy(float) for name in ("middle", "spread")}
        plain |= {"bounds": made[0].bounds, "lines": np.stack([np.r_[m.line.weights, m.line[1:]] for m in made])}
    return skops.io.dumps(plain, compression=8)


def load_model(content: bytes) -> Segmenter:
    """The bytes of `dump_model` -> a segmenter that can `predict`; raises InputError for anything else, before it is built."""
    import skops.io

    try:
        if sum(part.file_size for part in ZipFile(BytesIO(content)).infolist()) > LARGEST:
            raise InputError(f"It unpacks to more than {LARGEST / 1e6:.0f} MB")
        foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
        plain: Any = None if foreign else skops.io.loads(content, trusted=TRUSTED)
        if foreign:
            raise InputError("The model holds what no segmenter holds: " + ", ".join(foreign)[:200])
        if plain["format"] != FORMAT:
            raise InputError(f"It has format {plain['format']}, this version reads {FORMAT}")
        return _checked(_built(plain))
    except Exception as fault:  # noqa: BLE001  a foreign file can break the reader anywhere
        raise InputError(
            f"This is not a segmenter's model ({(str(fault) or type(fault).__name__).splitlines()[0][:200]}).",
            "Nothing in it was run: a model from elsewhere could hold a program.",
            "use the models/segmenter.skops that a run of this version wrote",
        ) from None


def _checked(segmenter: Segmenter) -> Segmenter:
    """The same; ValueError where its parts do not fit each other."""
    ClusteringSettings(**segmenter.get_params())
    wide, of_centre = len(segmenter.get_feature_names_out()), segmenter.centre_segment_
    space = segmenter.space_
    if len(space.models_) > MODELS:
        raise ValueError(f"it predicts {len(space.models_)} outcomes")
    asked = {feature for made in space.models_.values() for feature in read_forest(made.trees).features}
    fits = {
        "centres": segmenter.centres_.shape == (len(of_centre), wide) and np.isfinite(segmenter.centres_).all(),
        "segments": np.array_equal(np.unique(of_centre), np.arange(segmenter.n_segments_)),
        "trees": asked <= set(range(segmenter.n_features_in_)),
        "lines": all(_line_fits(made, segmenter.n_features_in_) for made in space.models_.values()),
        "macro-segments": len(segmenter.macro_) == segmenter.n_segments_,
        "grids": all((np.diff(at) > 0).all() and np.isfinite(told).all() for at, told in space.grids_.values()),
        "medians and weights": np.isfinite([*space.medians_, *space.weights_]).all(),
        "units": not space.models_ or (np.isfinite([*space.middle_, *space.spread_]).all() and (space.spread_ > 0).all()),
    }
    if wrong := [name for name, holds in fits.items() if not holds]:
        raise ValueError(f"its {' and '.join(wrong)} do not fit the rest")
    return segmenter


def _line_fits(made: Model, wide: int) -> bool:
    shapes = made.line.weights.shape == (wide,) and made.bounds.shape == (3, wide)
    return shapes and bool(np.isfinite([*made.line.weights, *made.line[1:], *made.bounds.ravel()]).all())


def _built(plain: dict[str, Any]) -> Segmenter:
    segmenter = Segmenter(**plain["parameters"])
    space = Space(segmenter.tail_weight, segmenter.seed)
    columns = plain["columns"]
    space.feature_names_in_ = np.asarray(columns, dtype=object)
    space.medians_ = pd.Series(plain["medians"], columns)
    lines = [Line(line[:-3], *line[-3:].tolist()) for line in plain.get("lines", ())]
    space.models_ = {
        name: Model(trees, line, plain["bounds"]) for (name, trees), line in zip(plain["trees"].items(), lines, strict=True)
    }
    space.grids_ = dict(zip(columns, (tuple(grid) for grid in plain["grids"]), strict=True))
    space.weights_ = pd.Series(plain["weights"], columns)
    if space.models_:
        outcomes = list(space.models_)
        space.middle_, space.spread_ = pd.Series(plain["middle"], outcomes), pd.Series(plain["spread"], outcomes)
    segmenter.space_, segmenter.n_features_in_ = space, len(columns)
    segmenter.centres_, segmenter.centre_segment_ = plain["centres"], plain["centre_segment"]
    segmenter.macro_, segmenter.base_count_ = plain["macro"], plain["base_count"]
    segmenter.n_segments_ = int(segmenter.centre_segment_.max()) + 1
    return segmenter
