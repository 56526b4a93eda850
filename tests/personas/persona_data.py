"""Segments whose differences are planted: which feature is shifted, where and by how much is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.features.catalog import Feature, describe
from workbench.features.purchases import BEHAVIOUR, DISCOUNT, OWN_BRAND

GOODS = [
    Feature(f"category_{word}_share", "affinity", "share", f"share of revenue in {word}", f"spend much on {word} products", f"spend little on {word} products", "product", f"{word} share")
    for word in ("produce", "meat", "wine")
]  # fmt: skip
DECLARED = [*BEHAVIOUR, *DISCOUNT, *OWN_BRAND, *GOODS]
# segment: size, and the features whose mean is shifted (in standard deviations)
PLANTED = {
    0: (300, {}),
    1: (160, {"net_revenue": 1.5, "discount_share": -0.8}),
    2: (120, {"net_revenue": -1.2, "weekend_share": 0.9}),
    3: (100, {"category_wine_share": 1.3, "aov": 0.7}),
    4: (80, {"discount_share": 1.2, "category_meat_share": 0.9}),
    5: (60, {"order_count": 1.6, "aov": -0.8}),
}


def catalog():
    """The declarations as a catalog in which every feature is in use."""
    return describe(DECLARED).assign(used=True, told=True)


def customers(seed=0, planted=PLANTED):
    """-> features (mean 10, deviation 1, shifted where planted) and segment labels; same index, mixed order."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(list(planted), [size for size, _ in planted.values()]))
    index = pd.Index([f"c{i:04d}" for i in range(len(labels))], name="customer_id")
    names = [f.feature for f in DECLARED]
    features = pd.DataFrame(generator.normal(10, 1, size=(len(labels), len(names))), columns=names, index=index)
    for segment, (_, shifts) in planted.items():
        for feature, shift in shifts.items():
            features.loc[labels == segment, feature] += shift
    return features, pd.Series(labels, index=index)


def quality(labels, names):
    """The columns of segment_quality that stories need."""
    sizes = labels.value_counts().sort_index()
    verdicts = ["pass", "watch", "fail"]
    return pd.DataFrame(
        {
            "segment_id": sizes.index,
            "segment_name": names.reindex(sizes.index).to_list(),
            "size": sizes.to_list(),
            "share": (sizes / sizes.sum()).to_list(),
            "revenue_share": (sizes[::-1].to_numpy() / sizes.sum()).tolist(),
            "verdict": [verdicts[i % 3] for i in range(len(sizes))],
        }
    )
