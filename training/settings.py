"""All that describes a training run; written into its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from seg_stream.pipeline.errors import UserError
from seg_stream.training.networks import ARCHITECTURES, WITH_BODY


def option(field: str) -> str:
    """The option of `seg-train` that sets a field."""
    return f"--{field.removesuffix('s') if field == 'weights' else field.replace('_', '-')}"


def named_number(text: str, refusal: str) -> tuple[str, float]:
    """Split NAME=NUMBER.

    Raises:
        UserError: the text is something else; it says `refusal`.
    """
    name, separator, number = text.rpartition("=")
    try:
        if name and separator:
            return name, float(number)
    except ValueError:
        pass
    raise UserError(refusal)


class TrainSettings(BaseModel):
    """A run's settings; two runs with the same ones see the same samples in the same order."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: Path
    """A folder of image/mask pairs, or one that holds several of them, and `backgrounds/`."""
    backgrounds: Path | None = None
    """Photographs of rooms; `backgrounds` in the data folder by default."""
    weights: dict[str, Annotated[float, Field(ge=1e-6, le=1e6)]] = {}
    """How often each folder of pairs is drawn; 1 for those not named."""
    suspects: bool = False
    """Also use the pairs that an index calls suspect."""

    arch: str = "unet_lite"
    width: PositiveInt | None = None
    """Channels of the first level; the architecture's default if None."""
    size: tuple[PositiveInt, PositiveInt] = (256, 160)
    """Width and height of what the network sees, in pixels."""
    imagenet: Path | None = None
    """Published ImageNet weights (.pth) for a body that has them."""
    start_from: Path | None = None
    """A .keras file of the same architecture whose weights to go on from."""
    all_layers: bool = False
    """Also train the generic layers of a body that began with ImageNet's weights."""
    share: float = Field(default=1.0, gt=0, le=1)
    """How far to go from those weights to the trained ones: half-way keeps what each does better.
    Wortsman et al., "Robust fine-tuning of zero-shot models", 2022."""

    epochs: PositiveInt = 40
    samples: PositiveInt = 3200
    """Composites in an epoch."""
    validation: PositiveInt = 256
    """Composites that every epoch is scored on, always the same ones."""
    batch: PositiveInt = 16
    rate: PositiveFloat = 1e-3
    """The highest learning rate; warm-up before it, a cosine after it."""
    patience: PositiveInt = 12
    """Epochs without a better validation loss after which training stops."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """What layers compute in; the halves are for GPUs, and the weights stay float32."""
    seed: int = Field(default=7, ge=0, lt=2**32)
    workers: PositiveInt = 2
    """Threads that compose samples; any number gives the same samples."""
    processes: int = Field(default=0, ge=0, le=256)
    """Processes that do so instead: Python runs one thread at a time, and a GPU waits for it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.arch not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise ValueError(f"--arch {self.arch} is not known; choose one of {known}")
        multiple = ARCHITECTURES[self.arch].multiple
        if self.size[0] % multiple or self.size[1] % multiple:
            width, height = self.size
            raise ValueError(
                f"--size {width}x{height} does not fit; {self.arch} needs sides divisible by "
                f"{multiple}"
            )
        if self.imagenet and self.start_from:
            raise ValueError("both --imagenet and --start-from are given; choose one of them")
        if self.imagenet and not ARCHITECTURES[self.arch].body:
            raise ValueError(f"--imagenet is for {WITH_BODY}, not for {self.arch}; leave it out")
        if self.all_layers and not self.tunes_imagenet:
            raise ValueError(
                f"--all-layers is for {WITH_BODY} with --imagenet or --start-from; leave it out"
            )
        if self.share < 1 and not self.start_from:
            raise ValueError("--share is given without --start-from; add it, or leave both out")
        if self.samples < self.batch or self.validation < self.batch:
            raise ValueError(
                f"--batch {self.batch} is more than --samples {self.samples} or --validation "
                f"{self.validation}; make it smaller"
            )
        return self

    @property
    def tunes_imagenet(self) -> bool:
        """Whether the run goes on from a body that began with ImageNet's weights."""
        return bool(ARCHITECTURES[self.arch].body and (self.imagenet or self.start_from))

    @property
    def resumed_by(self) -> dict[str, object]:
        """What a later call must have in common to resume this run."""
        return self.model_dump(
            mode="json", exclude={"epochs", "patience", "share", "workers", "processes"}
        )


def checked_settings(**values: object) -> TrainSettings:
    """Settings from what a user gave.

    Raises:
        UserError: something does not fit.
    """
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            found = f"{option(str(first['loc'][0]))} is {first['input']}, which does not fit"
            message = f"{found}: {message[:1].lower()}{message[1:]}"
        raise UserError(f"{message}.") from None
