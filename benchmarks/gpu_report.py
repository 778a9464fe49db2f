"""What `make gpu-check` writes: the schema of its JSON, and the short table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from rich.markup import escape
from rich.table import Table

from seg_stream.benchmarks.schema import Distribution


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(_Plain):
    """Something that works or does not, and what was seen."""

    name: str
    passed: bool
    seen: str


class EngineFigures(_Plain):
    """A model alone in an engine."""

    engine: str
    model: str
    size: str
    max_abs_error: float
    """Against ONNX Runtime on the CPU in FP32, on photographs."""
    iou: float
    open_s: float
    """From nothing to the first mask; with what the cache holds."""
    host_ms: Distribution
    """A call with its copies."""
    device_ms: float
    """A frame of many that are enqueued at once, their tensors on the GPU."""
    fps: float
    gflop: float
    floor_ms: float
    """What the counted operations take at the measured matrix rate or the bytes at the measured
    copy rate, whichever is more."""
    matrix_share: float
    """Of the measured matrix rate."""


class KernelFigures(_Plain):
    """A kernel alone; `floor_ms` is what its bytes take at the measured copy rate."""

    kernel: str
    frame: str
    ms: float
    megabytes: float
    floor_ms: float
    copy_share: float


class PipelineFigures(_Plain):
    """Frames in, composites out, on every stage's own thread."""

    engine: str
    model: str
    frame: str
    background: str
    fps: float
    frame_ms: Distribution
    engine_share: float
    """The pipeline's rate over the rate of its engine alone with tensors on the GPU."""
    around_share: float
    """What everything but the network takes of a frame's time."""


class Leak(_Plain):
    """Memory before and after many frames."""

    frames: int
    gpu_mib: float
    host_mib: float
    passed: bool


class GpuReport(_Plain):
    """Everything that was found on one GPU."""

    gpu: str
    compute_capability: str
    memory_gib: float
    cuda: str
    driver: str
    versions: dict[str, str]
    matrix_tflops: float | None = None
    """FP16 products in the best engine, as the card's matrix rate."""
    copy_gbs: float | None = None
    """Bytes read and written a second by a copy on the GPU."""
    refusals: dict[str, str] = Field(default_factory=dict)
    """What could not be measured, and why."""
    checks: list[Check] = Field(default_factory=list)
    engines: list[EngineFigures] = Field(default_factory=list)
    kernels: list[KernelFigures] = Field(default_factory=list)
    pipelines: list[PipelineFigures] = Field(default_factory=list)
    leak: Leak | None = None

    @property
    def slug(self) -> str:
        """The GPU's name for a file."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.gpu.lower()).split())

    @property
    def aims(self) -> list[Check]:
        """How far the aims are met, each by its worst figure."""
        found = list[Check]()

        def aim(name: str, values: list[float], limit: float, *, least: bool) -> None:
            if values:
                worst = min(values) if least else max(values)
                passed = worst >= limit if least else worst <= limit
                found.append(Check(name=name, passed=passed, seen=f"{worst:.3g}, aim {limit:g}"))

        # An untrained network's mask is grey all over, which makes compositing dear.
        trained = [p for p in self.pipelines if not p.model.startswith("unet-")]
        hd = [p for p in trained if p.frame == "1920x1080"]
        aim("1080p pipeline of its engine's rate", [p.engine_share for p in hd], 0.9, least=True)
        aim("around the network at 1080p", [p.around_share for p in hd], 0.15, least=False)
        uhd = [k.copy_share for k in self.kernels if k.frame == "3840x2160"]
        aim("kernels of the copy rate at 4K", uhd, 0.6, least=True)
        article = [e.matrix_share for e in self.engines if e.model == "unet-64"]
        aim("article's U-Net of the matrix rate", article[:1], 0.5, least=True)
        ratios = [p.frame_ms.p99 / p.frame_ms.p50 for p in trained]
        aim("p99 over p50 of a frame", ratios, 1.5, least=False)
        return found


def tables(report: GpuReport) -> list[Table]:
    """The report in short."""
    head = Table(f"{report.gpu}, compute capability {report.compute_capability}", "")
    _add(head, "CUDA of the driver", report.cuda)
    _add(head, "Packages", ", ".join(f"{k} {v}" for k, v in report.versions.items()) or "none")
    if report.matrix_tflops:
        _add(head, "FP16 products", f"{report.matrix_tflops:.1f} TFLOP/s")
    if report.copy_gbs:
        _add(head, "Copy", f"{report.copy_gbs:.0f} GB/s read and written")
    for check in (*report.checks, *report.aims):
        _add(head, check.name, f"{'yes' if check.passed else 'NO'}: {check.seen}")
    if leak := report.leak:
        words = f"{leak.gpu_mib:+.1f} MiB on the GPU, {leak.host_mib:+.1f} MiB on the host"
        _add(head, f"After {leak.frames} frames", words)
    for name, reason in report.refusals.items():
        _add(head, f"Not measured: {name}", reason)
    made = [head]
    if report.engines:
        table = Table("engine", "model", "IoU", "p50/p95/p99 ms", "on GPU ms", "fps", "floor ms")
        for e in report.engines:
            spread = f"{e.host_ms.p50:.2f}/{e.host_ms.p95:.2f}/{e.host_ms.p99:.2f}"
            _add(
                table, e.engine, f"{e.model} {e.size}", f"{e.iou:.5f}", spread,
                f"{e.device_ms:.3f}", f"{e.fps:.0f}", f"{e.floor_ms:.3f}",
            )  # fmt: skip
        made.append(table)
    if report.kernels:
        table = Table("kernel", "frame", "ms", "floor ms", "of the copy rate")
        for k in report.kernels:
            share = f"{k.copy_share:.0%}"
            _add(table, k.kernel, k.frame, f"{k.ms:.4f}", f"{k.floor_ms:.4f}", share)
        made.append(table)
    if report.pipelines:
        head_row = ("engine", "model", "frame", "behind", "fps", "p50/p95/p99 ms")
        table = Table(*head_row, "of engine", "around")
        for p in report.pipelines:
            spread = f"{p.frame_ms.p50:.2f}/{p.frame_ms.p95:.2f}/{p.frame_ms.p99:.2f}"
            _add(
                table, p.engine, p.model, p.frame, p.background, f"{p.fps:.0f}", spread,
                f"{p.engine_share:.2f}", f"{p.around_share:.0%}",
            )  # fmt: skip
        made.append(table)
    return made


def _add(table: Table, *cells: str) -> None:
    """Add a row as it is; to rich, what stands in brackets would be markup."""
    table.add_row(*map(escape, cells))
