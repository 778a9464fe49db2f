"""The `seg-doctor` command: run the checks, show a line for each, and how to repair it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from seg_stream.pipeline.doctor import devices, gpu, places, software
from seg_stream.pipeline.doctor.finding import Finding, wrong

CHECKS: dict[str, Callable[[], Finding | list[Finding]]] = {
    "python": software.check_python,
    "cpu": software.check_cores,
    "onnxruntime": software.check_onnxruntime,
    "model": software.check_model,
    "codecs": software.check_codecs,
    "opencv": software.check_opencv,
    "driver": gpu.check_driver,
    "cuda": gpu.check_cuda,
    "tensorrt": gpu.check_tensorrt,
    "tensorrt-rtx": gpu.check_tensorrt_rtx,
    "pycuda": gpu.check_pycuda,
    "camera": devices.check_cameras,
    "virtual-camera": devices.check_virtual_camera,
    "screen": devices.check_display,
    "cache": places.check_cache,
    "temporary": places.check_temporary,
}
"""In the order in which they are shown."""

MARKS = {"right": ("✓", "green"), "absent": ("-", "dim"), "wrong": ("✗", "red")}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def examine(needed: set[str]) -> list[Finding]:
    """Run every check; what is needed and absent is wrong."""
    findings = []
    for name, check in CHECKS.items():
        try:
            result = check()
        except Exception as error:  # a check that breaks is a finding, too
            result = wrong(name, f"{type(error).__name__}: {error}", "report this")
        for finding in result if isinstance(result, list) else [result]:
            lacks = finding.state == "absent" and name in needed
            findings.append(wrong(finding.subject, finding.text, finding.fix) if lacks else finding)
    return findings


@app.command()
def seg_doctor(
    need: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What must be there, else it is wrong; again for more: {', '.join(CHECKS)}.",
            show_default=False,
        ),
    ] = None,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Say what of this machine can be used, and how to repair what cannot; 1 if any is wrong."""
    needed = set(need or ())
    if unknown := sorted(needed - CHECKS.keys()):
        raise typer.BadParameter(f"{unknown[0]} is not known; choose from {', '.join(CHECKS)}")
    findings = examine(needed)
    healthy = all(finding.state != "wrong" for finding in findings)
    if json_wanted:
        entries = [asdict(finding) for finding in findings]
        print(json.dumps({"healthy": healthy, "findings": entries}, indent=2))
    else:
        _show(findings)
    raise typer.Exit(0 if healthy else 1)


def _show(findings: list[Finding]) -> None:
    """A line for each, and one for what to do; never broken, so that commands can be copied."""
    console = Console(highlight=False)
    wide = max(len(finding.subject) for finding in findings) + 2
    for finding in findings:
        mark, style = MARKS[finding.state]
        line = Text.assemble((mark, style), " ", finding.subject.ljust(wide), finding.text)
        console.print(line, soft_wrap=True)
        if finding.fix:
            colour = "yellow" if finding.state == "wrong" else "dim"
            console.print(Text(f"{'':{wide + 2}}→ {finding.fix}", colour), soft_wrap=True)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
