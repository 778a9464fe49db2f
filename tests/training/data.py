"""A tiny data folder with the layout that training reads: drawn people in drawn rooms."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

ROOMS = ("room_0", "room_5", "room_7", "shop_001", "interior_1", "hdri_x_1", "hdri_lebombo_1")
SPLITS = ("train", "train", "val", "test")


def write_data(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    for kind, size in (("ccp", (110, 164)), ("headshots", (84, 102))):
        masks = "masks" if kind == "ccp" else "alpha"
        (folder / kind / "images").mkdir(parents=True)
        (folder / kind / masks).mkdir()
        rows = ["id,split,suspect"]
        for i, split in enumerate(SPLITS):
            image, alpha = draw_person(size, standing=kind == "ccp", rng=rng)
            cv2.imwrite(str(folder / kind / "images" / f"p{i}.jpg"), image)
            cv2.imwrite(str(folder / kind / masks / f"p{i}.png"), alpha)
            rows.append(f"p{i},{split},0")
        rows.append("gone,train,1")
        (folder / kind / "index.csv").write_text("\n".join(rows) + "\n")
    (folder / "backgrounds").mkdir()
    for name in (
        "room_0",
        "room_5",
        "room_7",
        "shop_001",
        "interior_1",
        "hdri_x_1",
        "hdri_lebombo_1",
    ):
        room = cv2.resize(rng.integers(0, 255, (6, 8, 3)).astype(np.uint8), (160, 120))
        cv2.imwrite(str(folder / "backgrounds" / f"{name}.jpg"), room)
    return folder


def draw_person(
    size: tuple[int, int], standing: bool, rng: np.random.Generator, arm: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    width, height = size
    alpha = np.zeros((height, width), np.uint8)
    x = width // 2
    if standing:  # a head, a body and legs, wholly inside the picture
        cv2.circle(alpha, (x, 22), 10, 255, -1)
        cv2.rectangle(alpha, (x - 16, 32), (x + 16, 150), 255, -1)
        if arm:  # it hangs ten pixels away from the body
            cv2.rectangle(alpha, (x, 32), (x + 34, 39), 255, -1)
            cv2.rectangle(alpha, (x + 27, 32), (x + 34, 90), 255, -1)
    else:  # a head on shoulders that the picture's sides and lower edge cut
        cv2.ellipse(alpha, (x, 40), (20, 26), 0, 0, 360, 255, -1)
        cv2.ellipse(alpha, (x, height), (60, 34), 0, 180, 360, 255, -1)
        alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)
    person = np.full((height, width, 3), rng.integers(90, 255, 3), np.uint8)
    room = np.full((height, width, 3), (170, 60, 20), np.uint8)
    weight = alpha[..., None] / 255
    return (person * weight + room * (1 - weight)).astype(np.uint8), alpha
