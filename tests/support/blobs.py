"""Small easy records, for tests that need any data at all: a bright spot for each class on a noisy 12 x 13 map."""

from __future__ import annotations

import numpy as np

from miwake.indexer.records import Records

HEAT_MAP_SHAPE = (12, 13)
SPOTS = {0: None, 1: (3, 3), 2: (3, 9), 3: (8, 3), 7: (8, 9)}
FAILURE_MODES = {0: "pass", 1: "burr", 2: "scratch", 3: "dent", 7: "stain"}
SHARES = {0: 0.4, 1: 0.2, 2: 0.2, 3: 0.15, 7: 0.05}
PICTURES_A_PART = 2


def blob_records(
    n_parts: int = 200, *, seed: int = 0, first_part: int = 0, labels: tuple[int, ...] = tuple(SPOTS)
) -> Records:
    """Return ``PICTURES_A_PART`` records of each part, a fifth of the parts in the split ``test``."""
    rng = np.random.default_rng(seed)
    shares = np.array([SHARES[label] for label in labels])
    part_labels = rng.choice(np.array(labels, dtype=np.int32), n_parts, p=shares / shares.sum())
    part_labels[: len(labels)] = labels
    all_labels = np.repeat(part_labels, PICTURES_A_PART)
    maps = rng.normal(90, 22, (len(all_labels), *HEAT_MAP_SHAPE))
    rows, columns = np.mgrid[: HEAT_MAP_SHAPE[0], : HEAT_MAP_SHAPE[1]]
    for number, label in enumerate(all_labels.tolist()):
        spot = SPOTS[label]
        if spot is not None:
            row, column = np.array(spot) + rng.normal(0, 0.6, 2)
            maps[number] += rng.uniform(60, 110) * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4)
    parts = [f"part {first_part + part}" for part in range(n_parts) for _ in range(PICTURES_A_PART)]
    return Records(
        vectors=np.clip(maps, 0, 255).round().reshape(len(all_labels), -1).astype(np.float32),
        labels=all_labels,
        failure_modes=tuple(FAILURE_MODES[label] for label in all_labels.tolist()),
        ids=tuple(f"blob-{seed}-{number}" for number in range(len(all_labels))),
        parts=tuple(parts),
        groups=("",) * len(all_labels),
        splits=tuple("test" if part % 5 == 4 else "train" for part in range(n_parts) for _ in range(PICTURES_A_PART)),
        times=("",) * len(all_labels),
        source=f"blobs (seed {seed})",
        heat_map_shape=HEAT_MAP_SHAPE,
        pass_labels=(0,),
        value_range=(0.0, 255.0),
    )
