"""Spread conversions over a Ray cluster whose machines see the same folders.

A long video's segments go to whoever is free, a short video goes to one worker; what a dead worker
was doing is done again by another one. Pictures are not worth the way and are done here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from socket import create_connection, gethostname
from threading import Event
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.conversion import run_job, run_whole
from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError
from seg_stream.pipeline.job import Job, open_effect
from seg_stream.pipeline.long import check_outputs, finish
from seg_stream.pipeline.runner import RunReport
from seg_stream.pipeline.segments import JOINABLE, Plan, make_segment, plan_segments
from seg_stream.pipeline.sinks.part_file import publish
from seg_stream.pipeline.sources import open_file
from seg_stream.pipeline.sources.flaws import Flaws
from seg_stream.pipeline.sources.video import VideoSource
from seg_stream.pipeline.stream import Progress, Summary
from seg_stream.pipeline.work_folder import Finished, Store, WorkFolder

RETRIES = 5
"""How often a piece is tried again when its worker dies."""

POLL_S = 0.5
"""Seconds between two looks at whether the user wants to stop."""


class Cluster(Closable):
    """An existing Ray cluster.

    Args:
        address: `auto` for the one this machine belongs to, or `ray://HOST:10001`.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str) -> None:
        try:
            ray: Any = import_module("ray")
        except ImportError:
            raise UserError(
                "--ray needs Ray; install it with pip install 'seg-stream[cluster]'."
            ) from None
        self._ray = ray
        try:
            _reach(address)
            ray.init(address, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"There is no Ray cluster at {address} ({reason}); start one with ray start "
                "--head, and if it asks for a token, set RAY_AUTH_MODE=token."
            ) from None
        options = {"num_cpus": 1, "max_retries": RETRIES}
        self._segment = ray.remote(**options)(make_remote_segment)
        self._whole = ray.remote(**options)(make_remote_whole)
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def run(
        self,
        job: Job,
        *,
        resume: bool = False,
        stop: Event | None = None,
        progress: Progress | None = None,
    ) -> Summary:
        """Do what a job says on the cluster; may be called from several threads.

        Raises:
            Stopped: it was stopped; finished segments are kept.
            SegStreamError: see `convert`.
        """
        stop = stop or Event()
        with open_file(job.input, job.trim) as source:
            job.refuse_inputs_as_outputs(source)
            plan = plan_segments(job, source)
            remote = isinstance(source, VideoSource) and {
                target.suffix.lower() for target in job.targets
            } <= JOINABLE | {".webp"}
            frames = source.frames
        if plan:
            return self._run_plan(plan, resume, stop, progress)
        if remote:
            return self._run_whole(job, frames, stop, progress)
        return run_job(job, keep_partial=False, stop=stop, progress=progress)

    def _run_plan(
        self, plan: Plan, resume: bool, stop: Event, progress: Progress | None
    ) -> Summary:
        check_outputs(plan)
        report, start_s = RunReport(), perf_counter()
        with WorkFolder(plan.job.output, plan.asked(), keep=resume) as work:
            made = [work.finished(index, plan.job.targets) for index in range(plan.segments)]
            resumed = sum(one.frames for one in made if one)
            text, folder = plan.to_json(), str(work.path)
            tasks = {
                self._segment.remote(text, index, folder): index
                for index, one in enumerate(made)
                if one is None
            }
            for task, answer in self._answers(list(tasks), stop, plan.job):
                one = made[tasks[task]] = Finished.model_validate_json(answer)
                report.items += one.frames
                report.wall_s = perf_counter() - start_s
                if progress:
                    progress(report, plan.frames and plan.frames - resumed)
            done = [one for one in made if one]
            notes = finish(plan, work, done, cut_short=False)
        engine = next((one.engine for one in done if one.engine), "")
        return Summary(report, f"{engine} on a cluster", notes, resumed=resumed)

    def _run_whole(
        self, job: Job, frames: int | None, stop: Event, progress: Progress | None
    ) -> Summary:
        job, start_s = job.anywhere(), perf_counter()
        job.check_targets()
        with WorkFolder(job.output, job.to_json(), keep=False) as work:
            task = self._whole.remote(job.to_json(), str(work.path))
            answer = next(self._answers([task], stop, job))[1]
            made = Finished.model_validate_json(answer)
            for number, target in enumerate(job.targets):
                publish(work.file(0, target, number), target, overwrite=job.overwrite)
            work.remove()
        report = RunReport(items=made.frames, wall_s=perf_counter() - start_s)
        if progress:
            progress(report, frames)
        return Summary(report, f"{made.engine} on a cluster", made.notes)

    def _answers(self, tasks: list[Any], stop: Event, job: Job) -> Iterator[tuple[Any, str]]:
        """What the tasks return, as they end."""
        waiting = tasks
        try:
            while waiting:
                ready, waiting = self._ray.wait(waiting, timeout=POLL_S)
                if stop.is_set():
                    raise Stopped(f"{job.input} was stopped; what is done of it is kept.")
                for task in ready:
                    yield task, self._answer(task)
        finally:
            for task in waiting:
                self._ray.cancel(task, force=True)

    def _answer(self, task: Any) -> str:
        try:
            answer: dict[str, Any] = json.loads(self._ray.get(task))
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise SegStreamError(f"The cluster could not do a piece: {reason}") from error
        if "made" in answer:
            return str(answer["made"])
        raise (UserError if answer["user"] else SegStreamError)(answer["error"])

    def close(self) -> None:
        """Leave the cluster; it goes on without us."""
        self._ray.shutdown()


def _reach(address: str) -> None:
    """Knock first: Ray itself would try for a minute.

    Raises:
        OSError: nobody answers.
        ValueError: it is no address.
    """
    if address == "auto":
        return
    url = urlsplit(address if "://" in address else f"//{address}")
    if url.scheme not in ("", "ray") or not url.hostname or not url.port:
        raise ValueError("expected auto or ray://HOST:10001")
    create_connection((url.hostname, url.port), timeout=5).close()


def make_remote_segment(plan: str, index: int, folder: str) -> str:
    """What a worker does for a segment; texts in, text out."""

    def make() -> Finished:
        the_plan = Plan.from_json(plan)
        with open_effect(the_plan.job) as effect:
            return make_segment(the_plan, index, _seen(folder), effect)[0]

    return _told(make)


def make_remote_whole(job: str, folder: str) -> str:
    """What a worker does for a short file: its outputs come into the folder."""

    def make() -> Finished:
        wanted, store = Job.from_json(job), _seen(folder)
        places = [store.file(0, target, number) for number, target in enumerate(wanted.targets)]
        here = replace(
            wanted,
            output=places[0],
            matte_output=places[1] if wanted.matte_output else None,
            overwrite=True,
        )
        with open_file(here.input, here.trim) as source:
            summary = run_whole(here, source)
        return Finished(
            frames=summary.frames, time_base=Fraction(1), pieces=[], flaws=Flaws(),
            notes=summary.notes, engine=summary.engine,
        )  # fmt: skip

    return _told(make)


def _seen(folder: str) -> Store:
    if not Path(folder).is_dir():
        raise UserError(
            f"The worker {gethostname()} does not see {folder}; the machines of the cluster must "
            "share the folders of input and output under the same names."
        )
    return Store(Path(folder))


def _told(make: Callable[[], Finished]) -> str:
    """Its result or its error, as text."""
    try:
        return json.dumps({"made": make().model_dump_json()})
    except SegStreamError as error:
        return json.dumps({"error": str(error), "user": isinstance(error, UserError)})
