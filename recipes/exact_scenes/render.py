"""Plan a scene from its kind and seed, render its views and write them with exact masks, depth, poses and clicks.

    python recipes/exact_scenes/render.py --kind room --seed 0 --out scenes/room_0

needs Python 3.11 with `bpy==5.0.1` and `pillow`. A killed run goes on where it stopped: finished renders are kept in
`--work` and skipped. The same kind, seed and sizes give the same scene; a folder that is done already is left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from exact_scenes.kinds import KINDS, make_plan
from exact_scenes.plan import Counts


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the arrangement, the cameras and the sampling")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--work", type=Path, help="where renders are kept on the way, OUT.work if not given")
    parser.add_argument("--views", type=int, default=48, help="training views")
    parser.add_argument("--test-views", type=int, default=8)
    parser.add_argument("--width", type=int, default=400, help="of the pictures in pixels; the height is 3/4 of it")
    parser.add_argument("--samples", type=int, default=8, help="path-tracing samples a pixel, before denoising")
    parser.add_argument("--only", type=int, metavar="N", help="render the first N missing pictures and stop")
    parser.add_argument("--keep-work", action="store_true", help="leave the work folder when all is done")
    parser.add_argument("--contact-sheet", type=Path, help="where to write a sheet of 12 views with their masks")
    return parser.parse_args()


def main() -> None:
    """Render what is missing, then write and check the folder."""
    options = _parse()
    settings = {
        "kind": options.kind,
        "seed": options.seed,
        "training_views": options.views,
        "test_views": options.test_views,
        "width": options.width,
        "samples": options.samples,
    }
    done = options.out / "scene.json"
    if done.exists():
        found = {key: json.loads(done.read_text()).get(key) for key in settings}
        if found != settings:
            raise SystemExit(f"{options.out} holds another scene ({found}): pass another --out")
        print(f"{options.out} is done already")
        return
    from blender_parts import resumable
    from exact_scenes import draw, written

    work = options.work or options.out.with_name(options.out.name + ".work")
    resumable.claim(work, settings)
    plan = make_plan(options.kind, options.seed, Counts(options.views, options.test_views, options.width))

    def build() -> None:
        draw.build(plan)

    observed = resumable.render_labels(build, plan.lens, plan.views, work)
    written.check_coverage(plan, observed)
    resumable.render_pictures(
        build,
        plan.lens,
        plan.views,
        work,
        samples=options.samples,
        seed=options.seed,
        prefilter="FAST",
        at_most=options.only,
    )
    if options.only is not None:
        return
    fresh = work / "scene"
    shutil.rmtree(fresh, ignore_errors=True)
    written.write(plan, observed, settings, work / "pictures", fresh)
    written.check(plan, observed, fresh)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    os.replace(fresh, options.out)
    if options.contact_sheet:
        written.sheet(plan, options.out, options.contact_sheet)
    if not options.keep_work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
