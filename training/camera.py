"""Make a clean composite look as if a cheap camera had taken it in a badly lit room.

All functions take and return a picture (H, W, 3) float32 BGR in 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage, Image


def match_light(
    foreground: FloatImage,
    alpha_hw: FloatImage,
    background: FloatImage,
    rng: np.random.Generator,
) -> FloatImage:
    """Move the person's colour part of the way to the room's mean, as shared light would.

    `alpha_hw`, (H, W) 0..1, says where in `foreground` the person is.
    """
    strength = rng.uniform(0.0, 0.5)
    room = np.array(cv2.mean(background)[:3]) + 20
    total = alpha_hw.ravel() @ foreground.reshape(-1, 3)
    person = total / max(float(alpha_hw.sum()), 1.0) + 20
    gain = np.clip((room / person) ** strength, 0.5, 1.6) * rng.uniform(0.75, 1.25)
    return np.asarray(foreground * gain.astype(np.float32), np.float32)


def throw_shadow(
    background: FloatImage, alpha_hw: FloatImage, rng: np.random.Generator
) -> FloatImage:
    """Darken the room where a person's soft shadow, moved aside, falls on it."""
    height, width = alpha_hw.shape
    matrix = np.array([[1, 0, rng.normal(0, 0.08) * width], [0, 1, rng.normal(0, 0.06) * height]])
    moved = cv2.warpAffine(alpha_hw, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.005, 0.06) * width)
    dark = 1 - rng.uniform(0.05, 0.5) * np.asarray(soft)[..., None]
    return np.asarray(background * dark, np.float32)


def light(picture: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Exposure, gamma, colour cast, contrast and a slope of light across the frame."""
    height, width = picture.shape[:2]
    gamma = float(np.exp(rng.normal(0, 0.2)))
    table = (np.linspace(0, 1, 256) ** gamma * 255).astype(np.float32)
    index = np.clip(picture, 0, 255).astype(np.uint8)
    cast = np.exp(rng.normal(0, 0.08, 3)).astype(np.float32) * float(np.exp(rng.normal(0, 0.2)))
    lit = cv2.LUT(index, table) * cast
    if rng.random() < 0.4:
        slope = rng.uniform(-0.4, 0.4, 2)
        across = np.linspace(-slope[0], slope[0], width, dtype=np.float32)[None, :, None]
        down = np.linspace(-slope[1], slope[1], height, dtype=np.float32)[:, None, None]
        lit = lit * np.exp(across + down)
    if rng.random() < 0.1:
        lit = np.repeat(lit @ np.array([[0.114], [0.587], [0.299]], np.float32), 3, axis=2)
    contrast = rng.uniform(0.7, 1.15)
    return np.asarray((lit - 110) * contrast + 110, np.float32)


def soften(picture: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Defocus, motion blur or a low resolution, one of them or none."""
    height, width = picture.shape[:2]
    kind = rng.random()
    if kind < 0.2:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.3)), np.float32)
    if kind < 0.27:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(
            kernel,
            (0, int(rng.integers(0, length))),
            (length - 1, int(rng.integers(0, length))),
            1.0,
        )
        return np.asarray(cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1.0)), np.float32)
    if kind < 0.4:
        scale = rng.uniform(0.4, 0.8)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return np.asarray(
            cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
        )
    return picture


def sensor(picture: FloatImage, rng: np.random.Generator) -> Image:
    """Sensor noise and JPEG compression; returns uint8."""
    noisy = picture
    if rng.random() < 0.6:
        noise: FloatImage = np.empty(picture.shape, np.float32)
        cv2.setRNGSeed(int(rng.integers(1, 2**31 - 1)))
        cv2.randn(noise, np.zeros(3), np.ones(3))
        if rng.random() < 0.5:  # denoisers leave coarse grain
            noise = np.asarray(2 * cv2.GaussianBlur(noise, (0, 0), 0.8), np.float32)
        noisy = picture + noise * np.float32(rng.uniform(1, 12))
    image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        image = np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8
        )
    return image
