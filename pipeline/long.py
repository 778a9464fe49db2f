"""Convert a long video: make the segments that are missing, then join all."""

from __future__ import annotations

from threading import Event

from seg_stream.pipeline.errors import SegStreamError, Stopped, UserError
from seg_stream.pipeline.job import open_effect
from seg_stream.pipeline.join import join
from seg_stream.pipeline.runner import RunReport
from seg_stream.pipeline.segments import Plan, make_segment
from seg_stream.pipeline.sinks.encoding import choose_encoder
from seg_stream.pipeline.sinks.part_file import publish
from seg_stream.pipeline.sources.flaws import Flaws
from seg_stream.pipeline.stream import Progress, Summary
from seg_stream.pipeline.work_folder import Finished, WorkFolder


def run_plan(
    plan: Plan,
    *,
    resume: bool = False,
    keep_partial: bool = True,
    stop: Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Do a long job on this machine, one segment after the other; see `convert`."""
    job = plan.job
    check_outputs(plan)
    total = RunReport()
    with WorkFolder(job.output, plan.asked(), keep=resume) as work:
        found = [work.finished(index, job.targets) for index in range(plan.segments)]
        resumed = sum(one.frames for one in found if one)
        made: list[Finished] = []
        try:
            with open_effect(job) as effect:
                for index, one in enumerate(found):
                    if one is None:
                        counted = _counted(progress, plan, total, resumed)
                        one, report = make_segment(
                            plan, index, work, effect, stop=stop, progress=counted
                        )
                        total.add(report)
                    made.append(one)
                    if total.stopped:
                        break
            frames = sum(one.frames for one in made)
            if total.stopped and (resume or not keep_partial or not frames):
                done = f"{len(made) - 1} of {plan.segments} segments are done"
                raise Stopped(f"{job.input} was stopped; {done}, --resume goes on with it.")
            notes = finish(plan, work, made, cut_short=total.stopped)
        except Stopped:
            raise
        except SegStreamError as error:
            for target in work.path.glob("joined.*"):
                target.unlink()
            raise _with_hint(error, work) from error
    engine = next((one.engine for one in made if one.engine), "")
    return Summary(total, engine, notes, total.stopped, resumed)


def check_outputs(plan: Plan) -> None:
    """See that the outputs can be written, before hours of work.

    Raises:
        UserError: one of them cannot.
    """
    job = plan.job
    job.check_targets()
    choose_encoder(job.output, job.encoding, transparent=job.transparent)


def finish(plan: Plan, work: WorkFolder, made: list[Finished], *, cut_short: bool) -> list[str]:
    """Join what was made, throw the segments away, and return the notes.

    Raises:
        SegStreamError: the input has changed meanwhile, or has no frame.
    """
    job = plan.job
    if not work.is_for(plan.asked()):
        work.remove()
        raise SegStreamError(
            f"{job.input} or the background changed while it was being converted; run it again."
        )
    found = [(index, one) for index, one in enumerate(made) if one.frames]
    if not found:
        raise UserError(f"{job.input} has no frame that can be read.")
    time_base = found[0][1].time_base
    times = [pts for _, one in found for pts in one.pieces[0].packet_pts]
    shown_s = (max(times) - min(*times, 0)) * time_base + 1 / plan.rate
    end_s = float(max(times) * time_base + 1 / plan.rate) if cut_short else None
    flaws = Flaws()
    for one in made:
        flaws.add(one.flaws)
    notes = list(dict.fromkeys(note for one in made for note in one.notes))
    notes += flaws.notes(job.input)
    if not cut_short and not job.trim:
        notes += plan.promise.broken(job.input, len(times) + flaws.unseen, shown_s)
    joined = [work.path / f"joined.{n}{target.suffix}" for n, target in enumerate(job.targets)]
    for number, target in enumerate(job.targets):
        pieces = [(work.file(index, target, number), one.pieces[number]) for index, one in found]
        notes += join(
            pieces,
            joined[number],
            time_base,
            plan.rate,
            shown_as=target,
            sound_from=None if number else job.input,
            trim=job.trim,
            end_s=end_s,
        )
    job.check_targets()
    for file, target in reversed(list(zip(joined, job.targets, strict=True))):
        publish(file, target, overwrite=job.overwrite)
    work.remove()
    return notes


def _counted(
    progress: Progress | None, plan: Plan, total: RunReport, resumed: int
) -> Progress | None:
    """Show the frames of all segments where one reports its own."""
    if progress is None:
        return None
    expected = None if plan.frames is None else max(0, plan.frames - resumed)

    def show(report: RunReport, _: int | None) -> None:
        so_far = RunReport()
        so_far.add(total)
        so_far.add(report)
        progress(so_far, expected)

    return show


def _with_hint(error: SegStreamError, work: WorkFolder) -> SegStreamError:
    """Add that the next run can go on, where it can."""
    if not work.kept:
        return error
    kind = UserError if isinstance(error, UserError) else SegStreamError
    text = str(error).rstrip(".")
    return kind(f"{text}; what was done before is kept, add --resume to go on.")
