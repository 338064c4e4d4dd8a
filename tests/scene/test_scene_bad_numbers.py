"""Numbers that can't work: one message that says what was expected, what came, and what to do."""

from __future__ import annotations

import re
from typing import Any

import literal
import pytest

from miso_gen.errors import RecipeError
from miso_gen.scene import make_scene

ONLY = {"type": "builtin", "only": ["canary", "teapot"]}


def made(entry: dict[str, Any], shape: tuple[int, int]) -> None:
    """Plan, and make every scene."""
    for plan in literal.plans_of({"morphologies": ONLY, **entry}, shape).values():
        make_scene(plan)


def complaint(entry: dict[str, Any], shape: tuple[int, int] = (256, 256)) -> str:
    """Return the message of the error that planning raises, or else making any of the scenes."""
    with pytest.raises(RecipeError) as caught:
        made(entry, shape)
    return str(caught.value)


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "gsp: disc larger than the object": (
        {"type": "gsp", "radius_px": 90},
        r"^gsp/test/0002: radius_px must give a disc smaller than the object \(.* px for 'canary' on a 256 x 256 canvas\), "
        r"got 90 \(25,446 px\)\. Use a smaller radius or a larger canvas\.$",
    ),
    "gsp: window larger than the canvas": (
        {"type": "gsp", "radius_px": 10, "window_px": 300},
        r"window_px must be at most 128 on a 256 x 256 canvas with centre \[0\.25, 0\.75\], got 300\. "
        r"Use a smaller window, a narrower centre",
    ),
    "gsp: window that reaches beyond the canvas from the lower end": (
        {"type": "gsp", "radius_px": 10, "window_px": 40, "centre": [0.01, 0.5]},
        r"window_px must be at most \d+ on a 256 x 256 canvas with centre .*, got 40\.",
    ),
    # `check` looks at the lower end of `centre` only: the window must not reach beyond the lower and right border either.
    "gsp: window that reaches beyond the canvas from the upper end": (
        {"type": "gsp", "radius_px": 10, "window_px": 40, "centre": [0.9, 1.0], "window_share": 0.0},
        r"window_px must be at most \d+ on a 256 x 256 canvas with centre .*, got 40\.",
    ),
    # A range of centres without a whole pixel must be a message, not an exception of the random stream.
    "gsp: centre without a pixel": (
        {"type": "gsp", "radius_px": 10, "window_px": 4, "centre": [0.501, 0.502]},
        r"centre must .*, got .*0\.501",
    ),
    "gsp: nowhere object enough": (
        {"type": "gsp", "radius_px": 10, "window_px": 120, "window_share": 0.99},
        r"must hold a window of 120 px with more than 99% object in its central part, found none in "
        r"20,000 places\. Use a smaller window_px or window_share\.",
    ),
    "gsp: no window is more than all object": (  # the share must be larger than the number, not equal to it
        {"type": "gsp", "radius_px": 10, "window_px": 4, "window_share": 1.0},
        r"must hold a window of 4 px with more than 100% object in its central part, found none",
    ),
    "fm: shrink that leaves nothing": (
        {"type": "fm", "shrink": 200},
        r"fm: shrink must leave tiles of at least 2 x 2 px on a 256 x 256 canvas, got 200\. Use at most 128\.",
    ),
    "fm: too few tiles": (
        {"type": "fm", "line_px": 10, "pad_px": 4, "corner_px": 4, "tiles": 5},
        r"tiles must be at least shrink \(10\) to cover the image, got 5\. Use more tiles, or a smaller shrink\.$",
    ),
    "fm: too few busy tiles": (
        {"type": "fm", "tiles_busy": 9, "corner_px": 200},
        r"tiles_busy must be at least shrink \(10\) to cover the image, got 9\. Use more tiles, or a smaller shrink\.$",
    ),
    "fm: no line long enough": (
        {"type": "fm", "corner_px": 4},
        r"line_px must be smaller than the longest row and column of '\w+', got 200\. Use a smaller line_px or a larger canvas\.",
    ),
    "evsp: radius too large": (
        {"type": "evsp", "radius_px": 65},
        r"radius_px must be at most a quarter of the canvas's shorter side \(64\), "
        r"got 65\. Use smaller discs or a larger canvas\.",
    ),
    "evsp: no discs": (
        {"type": "evsp", "points": {"type": "matern", "candidates_per_mpx": 1e-6}},
        r"points must leave at least one disc inside 'canary', got none\. "
        r"Ask for more candidates_per_mpx, a smaller radius_px or a larger canvas\.",
    ),
    "md: deformed off the canvas": (
        {"type": "md"},
        r"the deformed 'canary' must show on the canvas, nothing of it does\. "
        r"Fit deformations\[8\] to the canvas \(256 x 256\)\.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_messages(case: str) -> None:
    entry, pattern = CASES[case]
    message = complaint(entry)
    assert re.search(pattern, message), message
    assert re.match(r"(\w+|\w+/\w+/\d{4}): ", message)  # the place first


@pytest.mark.parametrize("name", ["gsp", "fm", "evsp", "md"])
def test_what_the_canvas_decides_is_found_while_planning(name: str) -> None:
    """So that a build stops before its first pixel, and `plan` says so."""
    entry = next(entry for case, (entry, _) in CASES.items() if case.startswith(name))
    with pytest.raises(RecipeError):
        literal.plans_of({"morphologies": ONLY, **entry}, (256, 256))


@pytest.mark.parametrize("shape", [(64, 64), (64, 640), (640, 64)])
@pytest.mark.parametrize("name", ["evp", "dsp", "md", "evsp", "gsp", "fm"])
def test_defaults_on_the_smallest_canvas_work_or_say_why(name: str, shape: tuple[int, int]) -> None:
    try:
        plans = literal.plans_of({"type": name}, shape)
        for plan in list(plans.values())[:4]:
            literal.whole(plan)
    except RecipeError as error:
        assert re.search(r" must .*(, got |nothing)", str(error))  # noqa: PT017  # both outcomes are right
        assert name not in ("evp", "dsp")  # these have no length


def test_gsp_window_of_an_odd_side_lies_on_the_canvas() -> None:
    """The largest window that `check` admits works, at every place that may be drawn."""
    for window in (31, 32, 101, 128):
        entry = {"type": "gsp", "radius_px": 3, "window_px": window, "window_share": 0.0, "centre": [0.25, 0.75]}
        made(entry, (256, 256))
