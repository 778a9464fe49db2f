"""`seg-doctor` on this machine, and on ones where something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_driver import COMPILER, SOURCE, USABLE, WHY_NOT, FakeDriver, compile_c

from seg_stream.engines.contract import Engine
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.doctor import devices, gpu, places, software
from seg_stream.pipeline.errors import SegStreamError

SUBJECTS = {
    "Python", "CPU", "ONNX Runtime", "model", "codecs", "OpenCV", "NVIDIA driver", "CUDA",
    "TensorRT", "TensorRT-RTX", "pycuda", "virtual camera", "screen", "cache", "temporary files",
}  # fmt: skip


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seg_stream.pipeline.doctor.command", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_this_machine_in_json() -> None:
    result = doctor("--json")
    report = json.loads(result.stdout)
    findings = {finding["subject"]: finding for finding in report["findings"]}
    assert set(findings) >= SUBJECTS
    assert any(subject.startswith("camera") for subject in findings)
    broken = {name for name, finding in findings.items() if finding["state"] == "wrong"}
    assert report["healthy"] == (not broken)
    assert result.returncode == bool(broken)
    for name in ("Python", "model", "codecs", "temporary files"):
        assert findings[name]["state"] == "right", findings[name]
    assert "portrait-lite on " in findings["model"]["text"]
    for finding in findings.values():
        assert finding["fix"] or finding["state"] != "wrong"


def test_this_machine_as_text_and_what_must_be_there() -> None:
    result = doctor("--need", "camera", "--need", "tensorrt")
    lines = result.stdout.splitlines()
    assert any(line.startswith("✓ model") for line in lines)
    if not devices.cameras():
        assert any(line.startswith("✗ camera") for line in lines)
        assert result.returncode == 1
    unknown = doctor("--need", "luck")
    assert unknown.returncode == 2
    assert "luck is not known" in unknown.stderr


def put(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_a_gpu_without_its_driver_is_wrong(tmp_path: Path) -> None:
    assert gpu.check_driver(tmp_path).state == "absent"
    for place, vendor, kind in (("a", "0x8086", "0x030000"), ("b", "0x10de", "0x040300")):
        put(tmp_path, f"sys/bus/pci/devices/{place}/vendor", vendor)
        put(tmp_path, f"sys/bus/pci/devices/{place}/class", kind)
    assert gpu.check_driver(tmp_path).state == "absent"  # another maker's; its sound
    put(tmp_path, "sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n")
    put(tmp_path, "sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n")
    finding = gpu.check_driver(tmp_path)
    assert finding.state == "wrong"
    assert "0000:01:00.0" in finding.text
    put(
        tmp_path,
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 2025\n",
    )
    assert gpu.check_driver(tmp_path).text == "580.65.06"


CUDA = """
#include <string.h>
int cuInit(int flags) { return flags + STATUS; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, "A Card", length + device);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute - 67 + device;
    return 0;
}
"""


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("status", "version", "count", "state", "text"),
    [
        (0, 13010, 1, "right", "13.1, A Card, compute capability 8.9"),
        (0, 12080, 1, "wrong", "offers 12.8; TensorRT 11 and onnxruntime-gpu need 13.0"),
        (0, 13000, 0, "wrong", "no GPU is visible"),
        (999, 13000, 1, "wrong", "does not start (error 999)"),
    ],
)
def test_what_the_driver_says_about_cuda(
    status: int, version: int, count: int, state: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / "cuda.c").write_text(CUDA)
    defined = [f"-DSTATUS={status}", f"-DVERSION={version}", f"-DCOUNT={count}"]
    library = compile_c(tmp_path / "cuda.c", tmp_path / "libcuda.so", "-shared", "-fPIC", *defined)
    finding = gpu.check_cuda(str(library))
    assert (finding.state, text in finding.text) == (state, True), finding


def test_a_machine_without_cuda_is_not_wrong() -> None:
    assert gpu.check_cuda("libnothing-of-the-kind.so.1").state == "absent"


@pytest.mark.parametrize(
    ("content", "state", "text"),
    [
        (None, "absent", "is not installed"),
        ("__version__ = '11.0.0'", "right", "11.0.0"),
        ("raise ImportError('libnvinfer.so.11: cannot open')", "wrong", "libnvinfer.so.11"),
        ("import a_module_of_nobody", "wrong", "a_module_of_nobody is missing"),
    ],
)
def test_a_library_is_right_only_if_it_starts(
    content: str | None, state: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package can be installed without the libraries that it loads."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    if content is None:
        if (Path(gpu.__file__).parents[3] / "tensorrt").is_dir():
            pytest.skip("TensorRT is installed here")
    else:
        (tmp_path / "tensorrt.py").write_text(content)
    try:
        finding = gpu.check_tensorrt()
    finally:
        sys.modules.pop("tensorrt", None)
    assert (finding.state, text in finding.text) == (state, True), finding


def test_a_gpu_that_is_not_used_is_said() -> None:
    def on_the_cpu() -> Engine:
        engine = open_engine("onnxruntime")
        engine.notes = ["The engine is the CPU's; not tensorrt: it is not installed."]
        return engine

    model, best = software.check_model(on_the_cpu)
    assert (model.state, best.state) == ("right", "absent")
    assert "not tensorrt" in best.text

    def none() -> Engine:
        raise SegStreamError("The model is damaged.")

    (broken,) = software.check_model(none)
    assert (broken.state, broken.text) == ("wrong", "The model is damaged.")


def test_packages_that_overwrite_each_other_are_wrong() -> None:
    assert software.check_onnxruntime({"onnxruntime", "onnxruntime-extensions"}).state == "right"
    both = software.check_onnxruntime({"onnxruntime", "onnxruntime-gpu"})
    assert both.state == "wrong"
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in both.fix
    assert software.check_opencv({"opencv-python"}).state == "right"
    assert software.check_opencv({"opencv-python", "opencv-python-headless"}).state == "wrong"
    assert "without windows" in software.check_opencv({"opencv-python-headless"}).text


def test_a_missing_codec_is_named() -> None:
    finding = software.check_codecs(("h264", "h999"), ("libx264", "libx999"))
    assert finding.state == "wrong"
    assert "lacks reading h999, writing libx999" in finding.text


def test_a_containers_limit_is_seen(tmp_path: Path) -> None:
    put(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert software.check_cores(tmp_path).state == "right"
    put(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000\n")
    finding = software.check_cores(tmp_path)
    assert (finding.state, "may use 0.5 of them" in finding.text) == ("wrong", True)


def test_folders_that_cannot_be_written_are_wrong(tmp_path: Path) -> None:
    assert places.check_cache(tmp_path / "new" / "folder").state == "right"
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    finding = places.check_cache(tmp_path / "file" / "cache")
    assert finding.state == "wrong"
    assert "SEG_STREAM_CACHE" in finding.fix
    assert places.check_temporary(Path("/proc/self")).state == "wrong"


def test_a_virtual_camera_and_what_keeps_it_from_being_seen(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("v4l2loopback is Linux's")

    def state() -> tuple[str, str]:
        finding = devices.check_virtual_camera(tmp_path, "numpy")
        return finding.state, finding.text

    missing = devices.check_virtual_camera(tmp_path, "nobodys_package")
    assert (missing.state, missing.text) == ("absent", "nobodys_package is not installed")
    assert state() == ("absent", "v4l2loopback is not loaded")
    put(tmp_path, "sys/module/v4l2loopback/parameters/exclusive_caps", "N,N\n")
    assert state() == ("wrong", "v4l2loopback is loaded but has no device")
    put(tmp_path, "sys/devices/virtual/video4linux/video10/name", "seg-stream\n")
    assert state() == ("wrong", "video10, but Chrome does not see it (exclusive_caps is off)")
    put(tmp_path, "sys/module/v4l2loopback/parameters/exclusive_caps", "Y,N\n")
    assert state() == ("right", "video10")


def test_a_screen_is_not_needed() -> None:
    finding = devices.check_display({})
    if sys.platform == "linux":
        assert (finding.state, "DISPLAY is not set" in finding.text) == ("absent", True)


CAMERAS = """
from seg_stream.pipeline.doctor.devices import check_cameras
for finding in check_cameras(ROOT):
    print(finding.subject, finding.state, finding.text, finding.fix, sep="|")
"""


@pytest.mark.skipif(not USABLE, reason=WHY_NOT)
def test_cameras_with_the_mode_that_would_be_taken(tmp_path: Path) -> None:
    driver = FakeDriver(
        tmp_path / "machine", compile_c(SOURCE, tmp_path / "driver.so", "-shared", "-fPIC")
    )
    assert driver.run(CAMERAS)[0].startswith("camera|absent|there is none")
    driver.plug()
    (line,) = driver.run(CAMERAS)
    assert line.startswith(
        "camera 0|right|Fake Camera: Fake Camera, 1280x720 MJPG at 30 fps, of 4 modes"
    )
    driver.set("raw")
    with driver.nodes()[0].open("rb"):
        (line,) = driver.run(CAMERAS)
    assert line.startswith("camera 0|wrong|")
    assert "in use by" in line
    assert "USB 2 carries about 40" in line
