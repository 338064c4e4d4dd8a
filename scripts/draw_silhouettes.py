"""Draw the library of silhouettes, `miso_gen/scene/morphologies/silhouettes.json`.

Every shape is drawn here from nothing, out of ellipses, polygons, splines and strokes on a sheet of 100 x 100 units (x to the
right, y down), then rounded to the integer grid of the file. The rings follow the even-odd rule and keep clear of each other.

    python scripts/draw_silhouettes.py [--sheet sheet.png]

Shapely is needed by this script only, not by the package: `pip install shapely`. The script prints a table of the shapes and
fails if a shape or the set misses what the generator asks of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

GRID = 4096
UNIT = GRID / 100
TOLERANCES = (
    2.0,
    2.5,
    3.0,
    3.5,
    4.0,
    4.5,
    5.0,
    5.5,
    6.0,
)  # of the simplification, in grid units: the finest that keeps the count
VERTICES = 390
OUT = Path(__file__).parents[1] / "miso_gen" / "scene" / "morphologies" / "silhouettes.json"
BUSY = {"spider-web", "viaduct", "window"}

Geom = BaseGeometry
Pt = tuple[float, float]
SHAPES: dict[str, tuple[str, Callable[[], Geom]]] = {}


def shape(name: str, title: str) -> Callable[[Callable[[], Geom]], Callable[[], Geom]]:
    """Register a drawing under a name."""

    def keep(draw: Callable[[], Geom]) -> Callable[[], Geom]:
        SHAPES[name] = (title, draw)
        return draw

    return keep


# ---------------------------------------------------------------------------------------------------------------- vocabulary


def union(*parts: Geom | Iterable[Geom]) -> Geom:
    """Return the union of shapes and of lists of shapes."""
    flat: list[Geom] = []
    for part in parts:
        flat.extend([part] if isinstance(part, BaseGeometry) else part)
    return unary_union(flat)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Geom:
    """Return an ellipse (a disc without `ry`), turned clockwise on the sheet by degrees."""
    return affinity.rotate(affinity.scale(Point(x, y).buffer(1.0, 32), rx, rx if ry is None else ry), turn, origin=(x, y))


def ring(x: float, y: float, outer: float, inner: float) -> Geom:
    """Return a disc with a round hole."""
    return ellipse(x, y, outer) - ellipse(x, y, inner)


def poly(*points: Pt) -> Geom:
    """Return a polygon."""
    return Polygon(points)


def spline(points: list[Pt], closed: bool = False, steps: int = 16) -> list[Pt]:
    """Return points along a centripetal Catmull-Rom spline through the given ones."""
    p = [np.array(q, float) for q in points]
    p = [p[-1], *p, p[0], p[1]] if closed else [2 * p[0] - p[1], *p, 2 * p[-1] - p[-2]]
    out: list[Pt] = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        t1 = math.sqrt(float(np.hypot(*(b - a))))
        t2 = t1 + math.sqrt(float(np.hypot(*(c - b))))
        t3 = t2 + math.sqrt(float(np.hypot(*(d - c))))
        for k in range(steps):
            t = t1 + (t2 - t1) * k / steps
            a1 = (t1 - t) / t1 * a + t / t1 * b
            a2 = (t2 - t) / (t2 - t1) * b + (t - t1) / (t2 - t1) * c
            a3 = (t3 - t) / (t3 - t2) * c + (t - t2) / (t3 - t2) * d
            b1 = (t2 - t) / t2 * a1 + t / t2 * a2
            b2 = (t3 - t) / (t3 - t1) * a2 + (t - t1) / (t3 - t1) * a3
            q = (t2 - t) / (t2 - t1) * b1 + (t - t1) / (t2 - t1) * b2
            out.append((float(q[0]), float(q[1])))
    return out if closed else [*out, (float(points[-1][0]), float(points[-1][1]))]


def blob(*points: Pt) -> Geom:
    """Return the inside of a closed spline."""
    return Polygon(spline(list(points), closed=True)).buffer(0)


def stroke(points: list[Pt], width: float, curved: bool = False, cap: str = "round") -> Geom:
    """Return a line of one width, with round joins."""
    return LineString(spline(points) if curved else points).buffer(width / 2, 12, cap_style=cap)


def taper(points: list[Pt], start: float, end: float, curved: bool = True, bend: float = 1.0) -> Geom:
    """Return a line whose width goes from `start` to `end`."""
    line = spline(points, steps=10) if curved else points
    length = [0.0]
    for a, b in itertools.pairwise(line):
        length.append(length[-1] + math.dist(a, b))
    discs = [
        Point(q).buffer((start + (end - start) * (s / length[-1]) ** bend) / 2, 12) for q, s in zip(line, length, strict=True)
    ]
    return union(shapely.convex_hull(union(a, b)) for a, b in itertools.pairwise(discs))


def arc(x: float, y: float, rx: float, ry: float, a0: float, a1: float, steps: int = 24) -> list[Pt]:
    """Return points of an elliptic arc; 0 degrees is to the right, 90 degrees is down."""
    angles = [math.radians(a0 + (a1 - a0) * k / steps) for k in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def rotate(g: Geom, degrees: float, x: float = 50, y: float = 50) -> Geom:
    """Turn clockwise on the sheet."""
    return affinity.rotate(g, degrees, origin=(x, y))


def move(g: Geom, dx: float, dy: float) -> Geom:
    """Shift."""
    return affinity.translate(g, dx, dy)


def mirror(g: Geom, x: float = 50) -> Geom:
    """Mirror left and right about a vertical line."""
    return affinity.scale(g, -1, 1, origin=(x, 0))


def both(g: Geom, x: float = 50) -> Geom:
    """Return a shape together with its mirror image."""
    return union(g, mirror(g, x))


def fillet(g: Geom, r: float) -> Geom:
    """Round the inner corners."""
    return g.buffer(r, 12).buffer(-r, 12)


def soften(g: Geom, r: float) -> Geom:
    """Round the outer corners."""
    return g.buffer(-r, 12).buffer(r, 12)


def fit(g: Geom, x0: float = 4, y0: float = 4, x1: float = 96, y1: float = 96, stretch: bool = False) -> Geom:
    """Scale a shape to fill a frame, centred."""
    a0, b0, a1, b1 = g.bounds
    fx, fy = (x1 - x0) / (a1 - a0), (y1 - y0) / (b1 - b0)
    if not stretch:
        fx = fy = min(fx, fy)
    g = affinity.scale(g, fx, fy, origin=((a0 + a1) / 2, (b0 + b1) / 2))
    return move(g, (x0 + x1 - a0 - a1) / 2, (y0 + y1 - b0 - b1) / 2)


def fill_holes(g: Geom, area: float) -> Geom:
    """Fill the holes that are smaller than an area."""
    parts = []
    for p in polygons(g):
        parts.append(Polygon(p.exterior, [h for h in p.interiors if Polygon(h).area >= area]))
    return union(parts)


def polygons(g: Geom) -> list[Polygon]:
    """Return the polygons of a shape."""
    if isinstance(g, Polygon):
        return [] if g.is_empty else [g]
    return [p for q in getattr(g, "geoms", []) for p in polygons(q)]


# ------------------------------------------------------------------------------------------------------------------- animals


@shape("canary", "canary")
def canary() -> Geom:
    """Draw the reference shape; it leans along the diagonal, where the affine maps leave room."""
    body = blob(
        *((29, 17), (31.5, 9.5), (38, 5.5), (46, 5.5), (53, 10), (57, 19), (66, 29), (77, 43), (83, 57), (80, 69), (70, 75)),
        *((58, 74), (46, 69), (36, 59), (29.5, 47), (27.5, 35), (28.5, 25)),
    )
    tail = poly((70, 48), (81, 58), (96.5, 85), (86, 92.5), (69, 73))
    g = fillet(union(body, tail), 2) - poly((97.5, 92.5), (85.5, 79.5), (89, 96))
    g = union(g, poly((31, 10), (20.5, 18.8), (31, 23.5)))
    for x, y in ((48, 80), (61.5, 84.5)):
        leg = stroke([(x + 5, 70), (x, y - 1)], 2.4)
        g = union(
            g, leg, stroke([(x - 6, y - 0.2), (x, y - 1), (x + 5, y + 1.2)], 2.2), stroke([(x, y - 1), (x - 4, y + 2.6)], 2)
        )
    g -= stroke([(48, 32), (44.5, 42), (50, 54), (62, 61.5), (76.5, 67), (70, 56)], 1.7, curved=True)
    g -= stroke([(54, 45), (60, 52), (68, 57.5)], 1.4, curved=True)
    g -= stroke([(59, 40), (64, 46), (71, 52)], 1.4, curved=True)
    return g - ellipse(38.5, 14.5, 2.6)


@shape("elephant", "elephant")
def elephant() -> Geom:
    """Draw it walking to the left."""
    body = blob((36, 28), (50, 20), (68, 20), (84, 25), (93, 38), (92, 52), (82, 59), (64, 61.5), (44, 60), (34, 50))
    legs = [poly((36, 50), (34, 90), (47.5, 90), (51, 56)), poly((77, 52), (78.5, 90), (92, 90), (93, 40))]
    far = [poly((49, 56), (48, 86), (57, 86), (59, 57)), poly((70.5, 57), (68, 86), (77, 86), (80, 55))]
    head = blob((36, 16), (25, 15), (17, 21), (13, 32), (14, 46), (22, 55), (34, 56), (44, 44), (44, 26))
    trunk = taper([(20, 42), (13, 54), (10, 66), (10.5, 78), (17, 86), (25, 84), (26, 77)], 17, 5.5, bend=0.8)
    g = soften(fillet(union(body, legs, far, head, trunk), 2.2), 1)
    g -= union(stroke([(50.5, 63), (48.4, 92)], 1.7), stroke([(77.6, 63), (77.8, 92)], 1.7))
    tusk = taper([(23, 53), (21, 62), (14, 69)], 5, 1.6)
    g = (g - tusk.buffer(1.3)) | tusk
    g = union(g, taper([(90, 32), (97, 42), (97, 56)], 3.2, 2), ellipse(96.8, 59, 2, 4, 5))
    ear = blob((34, 20), (45, 15), (55, 22), (56, 36), (51, 50), (44, 56), (38, 48), (34, 36))
    g -= ear.boundary.buffer(0.8) - box(0, 0, 41, 26) - box(30, 0, 43, 33)
    return fit(g - ellipse(25.5, 31, 1.9), 6, 6, 94, 94)


@shape("octopus", "octopus")
def octopus() -> Geom:
    """Draw a domed head over eight curling arms."""
    head = blob(
        (50, 4), (66, 8), (74, 22), (71, 37), (64, 48), (62, 56), (50, 60), (38, 56), (36, 48), (29, 37), (26, 22), (34, 8)
    )
    arms = [
        taper([(40, 50), (28, 55), (15, 52), (6, 42), (8, 31), (16, 31), (17, 38)], 10.5, 3.2),
        taper([(41, 54), (28, 64), (14, 66), (4, 72), (6, 82), (13.5, 82), (14, 76)], 10.5, 3),
        taper([(44, 56), (37, 69), (27, 78), (21.5, 89), (27, 96.5), (34.5, 93), (32.5, 87.5)], 10.5, 3),
        taper([(47, 55), (46.5, 70), (43.5, 82), (43.5, 95)], 9, 3.2),
    ]
    g = both(fillet(union(head, arms), 1.2))
    g -= both(ellipse(41, 37, 5.2, 6.4) - ellipse(42.5, 38.5, 2.5, 3.2))
    return fit(g - stroke(arc(50, 46.5, 7, 5.5, 150, 30), 1.6))


@shape("crab", "crab")
def crab() -> Geom:
    """Draw it from the front, the claws raised."""
    shell = blob(
        (50, 40), (64, 42), (76, 49), (79, 58), (72, 70), (60, 77), (50, 78.5), (40, 77), (28, 70), (21, 58), (24, 49), (36, 42)
    )
    arm = union(taper([(28, 52), (17, 49), (12, 40)], 6, 7, curved=False))
    claw = blob((9, 39), (4.5, 28), (6, 15), (14, 7), (24, 7), (31, 14), (31, 24), (26, 33), (17, 40))
    claw -= poly((24, 2), (36, 13), (17.5, 25), (20, 19), (18.5, 15.5), (22, 12))
    legs = [
        taper([(27, 62), (13, 57), (3.5, 69)], 5.2, 2, curved=False),
        taper([(29, 67), (14, 67), (6, 81)], 5.2, 2, curved=False),
        taper([(33, 71), (19, 76), (14, 90)], 5.2, 2, curved=False),
        taper([(38, 74), (28, 82), (26, 94)], 5, 2, curved=False),
    ]
    eye = union(stroke([(44, 44), (42, 36)], 3), ellipse(41, 29.5, 5) - ellipse(42, 30.5, 2))
    g = both(fillet(union(shell, arm, claw, legs, eye), 0.8))
    g -= stroke([(39, 64), (44, 68.5), (50, 70), (56, 68.5), (61, 64)], 2, curved=True)
    return fit(g, 3.5, 3.5, 96.5, 96.5, stretch=True)


@shape("butterfly", "butterfly")
def butterfly() -> Geom:
    """Draw it from above, with spots."""
    fore = blob((52, 46), (57, 34), (66, 20), (79, 9), (92, 6), (96.5, 13), (95, 28), (89, 42), (78, 50), (62, 53))
    hind = blob((52, 52), (64, 55), (78, 53), (87, 60), (88, 72), (82, 82), (79, 92), (73.5, 95), (71, 87), (63, 84), (56, 72))
    hind -= fore.buffer(1.3)
    wings = union(fore, hind)
    wings -= union(ellipse(86, 17, 4.4, 5.6, 30), ellipse(85.5, 32, 3.8, 4.8, 25))
    wings -= union(blob((61, 41), (67, 28), (77, 18), (77, 30), (70, 42)), ellipse(78.5, 70, 4.4, 5.4, 20))
    wings -= blob((60, 61), (68, 60), (71, 67), (65, 73))
    wings -= box(0, 0, 53.2, 100)
    body = union(ellipse(50, 44, 3.4, 9), ellipse(50, 63, 2.7, 17), ellipse(50, 32, 3.6))
    feeler = union(stroke([(51, 31), (54, 21), (61, 12)], 1.7, curved=True), ellipse(61.6, 11, 2))
    joint = union(box(50, 43, 56, 48), box(50, 55, 56, 59))
    return fit(both(union(wings, feeler, joint)) | body, 4, 4, 96, 96)


@shape("fish-skeleton", "fish bones")
def fish_skeleton() -> Geom:
    """Draw head, ribs and tail fin."""
    head = blob((4, 51), (10, 39), (20, 29), (31, 25), (32, 40), (32.5, 50), (32, 60), (31, 75), (20, 70), (10, 60))
    head -= poly((0, 54.5), (17, 56), (0, 60))
    head -= ellipse(20, 42, 4.6) - ellipse(20.5, 42.5, 2)
    head -= stroke([(27, 36), (25, 50), (27, 65)], 1.6, curved=True)
    spine = taper([(30, 50), (85, 50)], 7.5, 5, curved=False)
    ribs = []
    for k, half in enumerate((30, 30, 27, 22, 16, 10)):
        x = 39 + 7.6 * k
        for s in (-1, 1):
            ribs.append(taper([(x, 50), (x + 1.5, 50 + s * half * 0.55), (x + 5.5, 50 + s * half)], 5.2, 3.4))
    tail = blob((81, 50), (87, 40), (95, 27), (97, 29), (92.5, 50), (97, 71), (95, 73), (87, 60))
    return fit(fillet(union(head, spine, ribs, tail), 0.6), 3.5, 10, 96.5, 90, stretch=True)


# -------------------------------------------------------------------------------------------------------------------- plants


@shape("bare-tree", "bare tree")
def bare_tree() -> Geom:
    """Grow forks from a trunk."""
    rng = random.Random(24)
    parts: list[Geom] = []

    def grow(x: float, y: float, angle: float, length: float, width: float, depth: int) -> None:
        end = (x + length * math.sin(angle), y - length * math.cos(angle))
        mid = (x + length * 0.5 * math.sin(angle) + rng.uniform(-1, 1) * length * 0.07, y - length * 0.5 * math.cos(angle))
        thin = max(1.9, width * (0.7 if depth else 0.5))
        parts.append(taper([(x, y), mid, end], width, thin))
        if not depth:
            return
        for turn in (-0.72, 0.02, 0.72) if depth >= 4 else (-0.5, 0.42):
            share = rng.uniform(0.72, 0.84)
            grow(*end, angle + turn + rng.uniform(-0.12, 0.12), length * share, thin * 0.9, depth - 1)

    grow(50, 86, 0.03, 27, 16, 4)
    foot = poly(
        *spline([(45, 70), (43, 82), (40, 89), (34, 94), (25, 97.5)]),
        *spline([(75, 97.5), (66, 94), (60, 89), (57, 82), (55.5, 70)]),
    )
    g = union(parts, foot) - box(0, 97, 100, 110)
    return fit(fill_holes(fillet(g, 0.5), 4), 3.5, 3.5, 96.5, 96.5, stretch=True)


@shape("cactus", "cactus")
def cactus() -> Geom:
    """Draw it in a pot, with a flower."""
    trunk = stroke([(50, 24), (50, 70)], 23)
    left = stroke([(45, 57), (29, 57), (22, 50), (22, 38)], 13, curved=False)
    right = stroke([(55, 47), (71, 47), (79, 40), (79, 25)], 13, curved=False)
    plant = fillet(union(trunk, left, right), 3)
    spikes = []
    for x, y, a in (
        (22, 39, 180),
        (79, 26, 0),
        (22, 50, 135),
        (79, 40, 45),
        (39, 22, 180),
        (39, 36, 180),
        (61, 30, 0),
        (61, 62, 0),
    ):
        dx, dy = math.cos(math.radians(a)), math.sin(math.radians(a))
        r = 5.5 if x in (22, 79) else -0.8
        root, tip = (x + r * dx, y + r * dy), (x + (r + 5) * dx, y + (r + 5) * dy)
        spikes += [taper([root, (tip[0] - dy * t, tip[1] + dx * t)], 2, 0.9, False) for t in (-2.5, 2.5)]
    plant = union(plant, spikes)
    for x, y0, y1 in ((44.5, 24, 66), (50, 19, 68), (55.5, 24, 66)):
        plant -= stroke([(x, y0), (x, y1)], 1.4)
    plant -= union(stroke([(22, 37), (22, 49)], 1.4), stroke([(79, 24), (79, 39)], 1.4))
    petals = [
        ellipse(50 + 5.2 * math.sin(a), 9.5 - 5.2 * math.cos(a), 2.4, 4.4, math.degrees(a)) for a in (-1.9, -0.95, 0, 0.95, 1.9)
    ]
    flower = union(petals, ellipse(50, 9.5, 3.4), box(48.5, 9, 51.5, 14))
    rim = soften(box(29, 72, 71, 79.5), 1)
    pot = poly((32.5, 81), (67.5, 81), (63, 96.5), (37, 96.5))
    plant -= box(0, 70.6, 100, 100)
    return fit(union(plant, flower, rim, pot))


@shape("pear", "pear")
def pear() -> Geom:
    """Draw a plump outline with a stalk and a small leaf."""
    body = blob(
        *((50, 14), (57.5, 17), (63, 26), (68, 39), (80, 54), (84, 71), (76, 87), (62, 95), (50, 93.5)),
        *((38, 95), (24, 87), (16, 71), (20, 54), (32, 39), (37, 26), (42.5, 17)),
    )
    stalk = taper([(50, 18), (49.6, 11), (47.5, 5)], 3.8, 5.2)
    leaf = shapely.intersection(ellipse(58, 3.5, 9.2), ellipse(59, 14, 9.2))
    return fit(fillet(union(body, stalk, move(rotate(leaf, -20, 58.5, 8.7), -1, -1.2)), 0.7))


@shape("mushroom", "mushroom")
def mushroom() -> Geom:
    """Draw a wide cap on a bulging stalk."""
    cap = blob(
        (50, 8), (70, 12), (86, 25), (94, 43), (91, 52), (76, 54.5), (50, 55.5), (24, 54.5), (9, 52), (6, 43), (14, 25), (30, 12)
    )
    stalk = poly(
        *spline(
            [(39, 54), (39.5, 68), (36, 80), (33, 89), (38, 94.5), (50, 96), (62, 94.5), (67, 89), (64, 80), (60.5, 68), (61, 54)]
        )
    )
    spots = union(ellipse(49, 26, 8.5, 7.5), ellipse(74, 38, 6.5, 6), ellipse(25, 39, 6, 5.5))
    return fit(union(cap - spots, stalk))


# ------------------------------------------------------------------------------------------------------------ tools and things


@shape("hand", "hand")
def hand() -> Geom:
    """Draw an open right hand, palm towards us."""
    palm = blob((33, 80), (32, 66), (33, 52), (42, 47), (56, 46), (67, 49), (73, 58), (72, 72), (67, 83), (52, 86), (40, 86))
    fingers = [
        taper([(39, 54), (34, 34), (31, 16)], 12.5, 9.5),
        taper([(50, 52), (48.5, 28), (48, 9)], 12.5, 9.5),
        taper([(60, 53), (63, 31), (66, 14)], 12, 9),
        taper([(68, 58), (77, 41), (83, 28)], 11, 8),
        taper([(40, 78), (27, 68), (19, 58), (11, 49)], 17, 9),
    ]
    g = soften(fillet(union(palm, fingers, box(38, 78, 66, 97)), 2), 0.5)
    g -= stroke([(35.5, 62), (44, 65), (47.5, 73), (46, 83)], 1.5, curved=True)
    g -= stroke([(49, 58.5), (59, 60.5), (68, 57.5)], 1.4, curved=True)
    return fit(g)


@shape("key", "key")
def key() -> Geom:
    """Draw an old door key along the diagonal."""
    lobes = [(0, 50), (13, 37), (13, 63)]
    bow = fillet(union([ellipse(x, y, 12) for x, y in lobes], ellipse(10, 50, 12)), 1.5)
    bow -= union([ellipse(x, y, 6) for x, y in lobes])
    shaft = union(
        box(20, 45.4, 88, 54.6),
        soften(box(27, 42.5, 32, 57.5), 1.2),
        soften(box(35.5, 42.9, 38.5, 57.1), 1),
        ellipse(89, 50, 4.6),
    )
    bit = box(66, 50, 85, 74)
    bit -= union(box(74, 66, 77, 75), box(66, 59.5, 70, 62.5), box(81, 59.5, 86, 62.5), box(74, 57.5, 77, 62))
    g = rotate(union(bow, shaft, bit), 45)
    return fit(g)


@shape("scissors", "scissors")
def scissors() -> Geom:
    """Draw them open; one blade lies over the other."""

    def half() -> Geom:
        blade = poly((48.2, 3), (53, 15), (55.6, 52), (55, 60), (46, 60), (45.2, 50))
        arm = taper([(50.5, 55), (48.5, 64), (44, 72)], 9.5, 8)
        loop = ellipse(38.5, 81, 15.5, 13, -50) - ellipse(38.5, 81, 9.6, 7.4, -50)
        return fillet(union(blade, arm - ellipse(38.5, 81, 9.6, 7.4, -50), loop), 1)

    over = rotate(half(), 24, 50.5, 50)
    under = mirror(over, 50.5) - over.buffer(1.3)
    g = union(over, under) - ellipse(50.5, 50, 1.9)
    return fit(g)


@shape("teapot", "teapot")
def teapot() -> Geom:
    """Draw it with the lid on."""
    body = blob(
        (48, 34), (62, 37), (73, 47), (76, 60), (71, 75), (60, 86), (48, 87), (36, 86), (25, 75), (20, 60), (23, 47), (34, 37)
    )
    base = soften(box(34, 83, 62, 91), 1)
    spout = taper([(64, 69), (76, 64), (84, 51), (91, 40)], 20, 7.5, bend=0.8) - poly((80, 37), (98, 41.5), (98, 28), (80, 28))
    handle = stroke([(29, 47), (17, 41), (7, 46), (5, 58), (12, 69), (27, 75)], 5.8, curved=True)
    pot = fillet(union(body, base, handle, spout), 1.6)
    cap = union(ellipse(48, 39, 17, 10), ellipse(48, 26.5, 5)) - box(0, 37, 100, 100)
    return fit(union(pot - box(29, 0, 70, 38.6), cap), 3.5, 8, 96.5, 92, stretch=True)


@shape("umbrella", "umbrella")
def umbrella() -> Geom:
    """Draw it open, with a crook."""
    dome = ellipse(50, 53, 46.5, 43) - box(0, 53, 100, 100)
    dome -= union([ellipse(50 + s * 31, 53, 15.5 / 1.0, 7) for s in (-1, 0, 1)])
    for s in (-1, 1):
        dome -= LineString(spline([(50 + s * 3.5, 15), (50 + s * 10.5, 30), (50 + s * 15.5, 54)])).buffer(0.8)
    shaft = stroke([(50, 40), (50, 86), *arc(57.5, 86, 7.5, 8, 180, 0), (65, 82)], 4.2)
    shaft |= ellipse(65, 82, 2.8)
    tip = stroke([(50, 5), (50, 12)], 3)
    return fit(union(dome, shaft, tip), 3.5, 3.5, 96.5, 96.5)


# ----------------------------------------------------------------------------------------------------- buildings and vehicles


def crenels(x0: float, x1: float, y: float, teeth: int, height: float = 4) -> Geom:
    """Return the teeth on top of a wall."""
    w = (x1 - x0) / (2 * teeth - 1)
    return union([box(x0 + 2 * k * w, y - height, x0 + (2 * k + 1) * w, y + 0.1) for k in range(teeth)])


def arched(x0: float, x1: float, y0: float, y1: float) -> Geom:
    """Return an opening with a round top."""
    r = (x1 - x0) / 2
    return union(box(x0, y0 + r, x1, y1), ellipse((x0 + x1) / 2, y0 + r, r) & box(x0, y0, x1, y0 + r))


@shape("castle", "castle")
def castle() -> Geom:
    """Draw a gate house, a keep and two round towers with roofs."""
    wall = union(box(16, 66, 84, 96), crenels(24, 76, 66, 7, 4.5))
    keep = union(box(37, 38, 63, 67), box(34.5, 32, 65.5, 39), box(34, 61.5, 66, 67), crenels(34.5, 65.5, 32, 4))
    tower = union(box(7, 46, 25, 96), box(5, 40, 27, 47))
    roof = poly((3.5, 38.4), (28.5, 38.4), (16, 14))
    flag = union(box(15.2, 5, 16.8, 16), poly((16, 5), (25, 8), (16, 11)))
    mast = union(box(49.2, 14, 50.8, 34), poly((50, 14), (61, 17.5), (50, 21)))
    side = union(tower, roof, flag)
    g = union(wall, keep, mast, side, mirror(tower | roof), move(flag, 68, 0))
    g -= arched(39, 61, 72, 100)
    grill = union([box(x - 0.7, 70, x + 0.7, 90) for x in (44.5, 50, 55.5)], box(38, 79, 62, 80.4), box(38, 85, 62, 86.4))
    g |= grill & arched(39, 61, 72, 100)
    g -= both(union(arched(13, 19, 53, 64), arched(13, 19, 74, 85), arched(29, 34, 74, 84)))
    g -= union(arched(41.5, 46.5, 44, 56), arched(53.5, 58.5, 44, 56))
    return fit(g, 5, 5, 95, 95)


@shape("lighthouse", "lighthouse")
def lighthouse() -> Geom:
    """Draw a banded tower with two beams."""
    tower = poly((41, 38), (59, 38), (66, 87), (34, 87))
    for y in (45.5, 59, 72.5):
        tower -= box(30, y, 70, y + 6)
    tower -= arched(46.5, 53.5, 79.5, 90)
    gallery = union(box(36, 33.5, 64, 37), [box(x - 0.6, 29, x + 0.6, 34) for x in (37, 63)], box(36.4, 28.6, 63.6, 29.8))
    lamp = box(42, 19, 58, 34) - union(box(44.3, 21, 49, 28), box(51, 21, 55.7, 28))
    roof = union(poly((38, 19.2), (62, 19.2), (54, 10.5), (46, 10.5)), ellipse(50, 8.5, 2.6), box(49.3, 4, 50.7, 9))
    beam = poly((38.5, 23), (3.5, 8), (3.5, 31), (38.5, 26.5))
    rocks = poly(
        (5, 96.5),
        (7, 91),
        (14, 88.5),
        (20, 90),
        (27, 84.5),
        (34, 86.5),
        (66, 86.5),
        (72, 83.5),
        (79, 89),
        (87, 87.5),
        (93, 92),
        (95, 96.5),
    )
    return union(tower, gallery, lamp, roof, both(beam), rocks - arched(46.5, 53.5, 79.5, 90))


@shape("viaduct", "viaduct")
def viaduct() -> Geom:
    """Draw two tiers of arches from border to border, and a train on top."""
    g = box(-3, 24, 103, 103)
    for k in range(6):
        x = 5 + 15 * k
        g -= arched(x + 2.2, x + 12.8, 31.5, 50)
    for k in range(3):
        x = 5 + 30 * k
        g -= arched(x + 3.4, x + 26.6, 56.5, 104)
    train = union([soften(box(x, 10.5, x + 20, 20.5), 1.2) for x in (8, 30.5)], box(27, 17, 32, 19), box(49, 17, 55, 19))
    train -= union([box(x, 13, x + 3.6, 16.4) for x in (10.5, 16.2, 21.9, 33, 38.7, 44.4)])
    engine = union(
        box(53, 9, 63, 20.5),
        box(60, 13.5, 80, 20.5),
        box(73, 7.5, 77.5, 14),
        box(51.5, 7.5, 64.5, 10),
        poly((79, 17), (84, 20.5), (79, 20.5)),
    )
    wheels = [ellipse(x, 21.8, 2.4) for x in (12, 24, 34.5, 46.5, 56, 62.5, 69.5, 76)]
    return union(g, train, engine - box(55.5, 12, 60.5, 15), wheels)


@shape("window", "window")
def window() -> Geom:
    """Draw a frame with curtains and a pot plant."""
    frame = box(-3, -3, 103, 103) - box(4.4, 4.4, 95.6, 94.5)
    bars = union(box(48.2, 4, 51.8, 95), box(4, 45, 96, 48.4))
    drape = poly(*spline([(3, 3), (33, 3), (29, 18), (20, 31), (10, 39), (3, 42)]))
    for line in ([(12, 10), (12, 22), (9, 34)], [(21, 10), (18.5, 21), (12.5, 31)]):
        drape -= stroke(line, 1.2, curved=True)
    pot = union(poly((63, 80), (79, 80), (77, 95), (65, 95)), box(61, 74.5, 81, 81))
    stem = stroke([(71, 76), (70.5, 66), (71, 57)], 2, curved=True)
    leaves = [ellipse(64.5, 67, 3, 7, -55), ellipse(77.5, 65, 3, 7, 55)]
    petals = [
        ellipse(71 + 6.5 * math.sin(a), 52 - 6.5 * math.cos(a), 3, 4.4, math.degrees(a)) for a in np.arange(6) * math.pi / 3
    ]
    bloom = union(petals, ellipse(71, 52, 4.4)) - ellipse(71, 52, 2)
    return union(frame, bars - bloom.buffer(1), both(drape), pot, stem, leaves, bloom)


@shape("bicycle", "bicycle")
def bicycle() -> Geom:
    """Draw it from the side."""
    parts: list[Geom] = []
    for x in (23, 77):
        parts += [ring(x, 67, 20.3, 15.2), ellipse(x, 67, 3.6)]
        parts += [
            stroke([(x, 67), (x + 17 * math.cos(a), 67 + 17 * math.sin(a))], 1.9)
            for a in (math.pi * (k + 0.5) / 3 for k in range(6))
        ]
    frame = [
        stroke([(23, 67), (46, 68), (37, 38), (23, 67)], 3.8),
        stroke([(46, 68), (67, 40), (38, 42)], 3.8),
        stroke([(77, 67), (71, 52), (65.5, 32), (71, 27.5), (76.5, 29.5)], 3.9),
        stroke([(37, 40), (35.5, 32)], 3.2),
    ]
    saddle = soften(poly((26, 28.5), (45, 29.5), (44, 32), (36, 34.5), (28, 34)), 1.2)
    crank = union(ellipse(46, 68, 6.2), stroke([(46, 68), (51, 78)], 2.6), stroke([(47.5, 78.5), (55, 78.5)], 3))
    crank -= ring(46, 68, 4.6, 3.4)
    wheels = union(parts)
    gap = union(crank, stroke([(46, 68), (51, 78)], 2.6)).buffer(0.9)
    return fit(union(wheels, union(frame) - gap, crank, saddle), 3.5, 10, 96.5, 90)


@shape("locomotive", "locomotive")
def locomotive() -> Geom:
    """Draw a steam engine that goes to the right."""
    cab = union(box(8, 36, 31, 70), soften(box(4, 30, 35, 36.5), 1.5)) - arched(13, 26, 41, 55)
    boiler = soften(box(29, 45, 87, 67), 2) | box(29, 45, 50, 67)
    boiler -= box(63.5, 48, 64.8, 70)
    top = union(ellipse(50, 45, 6, 8), poly((71, 46), (73, 31), (69, 24), (85, 24), (81, 31), (83, 46)))
    deck = box(5, 67, 91, 74)
    cow = poly((84, 73), (91, 73), (97, 89.5), (84, 89.5)) - poly((88.2, 77), (89.4, 77), (92.6, 87.5), (90.6, 87.5))
    g = union(cab, boiler, top, box(86, 48, 91, 54), deck, cow)
    wheels: list[Geom] = []
    for x, r in ((20, 12), (46, 12), (65.5, 6.5), (79, 6.5)):
        y = 90 - r
        g -= ellipse(x, y, r + 1.3)
        wheel = ellipse(x, y, r)
        if r > 7:
            wheel -= ring(x, y, 0.74 * r, 0.32 * r) - union(
                [rotate(box(x - 1, y - r, x + 1, y + r), 60 * k, x, y) for k in range(3)]
            )
        else:
            wheel -= ellipse(x, y, 2)
        wheels.append(wheel)
    g = union(g, wheels, stroke([(20, 78), (46, 78)], 2.6), box(3.5, 92, 96.5, 95.5))
    puffs = [
        ellipse(75, 18, 4),
        ellipse(63, 13, 5.5),
        union(ellipse(45, 12, 7), ellipse(34.5, 14.5, 6), ellipse(25.5, 11, 5.5)),
    ]
    return union(g, puffs)


@shape("sailboat", "sailing boat")
def sailboat() -> Geom:
    """Draw hull, sails, pennant and water."""
    hull = poly(*spline([(8, 71), (13, 80), (21, 87)]), *spline([(78, 87), (86, 80), (93, 69)]), (60, 72.5), (30, 72.5))
    hull -= union([ellipse(x, 79, 1.8) for x in (34, 46, 58, 70)])
    mast = box(48.9, 6, 51.3, 74)
    pennant = poly((51, 6), (64, 9), (51, 12))
    main = poly(*spline([(53.5, 13), (71, 34), (83, 58), (86, 66)]), *spline([(86, 66), (70, 67.5), (53.5, 66.5)]))
    main -= union(stroke([(60, 30.5), (71, 29)], 1.3), stroke([(60, 45), (82, 43)], 1.3))
    jib = poly(*spline([(46.5, 12), (38, 36), (14, 66)]), *spline([(14, 66), (30, 64), (46.5, 66)]))
    crest = [(x, 91.8 + 1.5 * math.sin(2 * math.pi * (x - 4) / 15.4)) for x in np.linspace(3.5, 96.5, 73)]
    water = LineString(crest).buffer(1.9, cap_style="flat")
    return fit(union(hull, mast, pennant, main, jib, water))


# ------------------------------------------------------------------------------------------------------------ snow and threads


@shape("snowflake", "snowflake")
def snowflake() -> Geom:
    """Draw six branched arms."""
    arm = [stroke([(50, 50), (50, 5)], 5.2)]
    for y, length in ((20, 11), (32, 15)):
        for s in (-1, 1):
            arm.append(stroke([(50, y), (50 + s * length * 0.8, y - length * 0.6)], 4.6))
    plate = poly(*[(50 + 12 * math.cos(a), 50 + 12 * math.sin(a)) for a in (np.arange(6) + 0.5) * math.pi / 3])
    cut = poly((50, 46), (48, 42.2), (52, 42.2))
    g = union(plate, [rotate(union(arm), 60 * k) for k in range(6)])
    return fit(g - union([rotate(cut, 60 * k + 30) for k in range(6)]))


@shape("spider-web", "spider web")
def spider_web() -> Geom:
    """Draw a web that hangs between the four corners."""
    hub = (48.0, 47.0)
    ends = [(-2, -2), (50, -3), (102, -2), (103, 49), (102, 102), (46, 103), (-2, 102), (-3, 45)]
    g: list[Geom] = [stroke([hub, e], 4) for e in ends] + [ellipse(*hub, 6)]
    for radius in (18, 31.5, 45):
        knots = []
        for k, (x, y) in enumerate(ends):
            far = radius * (0.94 if k % 2 else 1.06) / math.dist(hub, (x, y))
            knots.append((hub[0] + far * (x - hub[0]), hub[1] + far * (y - hub[1])))
        for a, b in zip(knots, [*knots[1:], knots[0]], strict=True):
            mid = (hub[0] + 0.84 * ((a[0] + b[0]) / 2 - hub[0]), hub[1] + 0.84 * ((a[1] + b[1]) / 2 - hub[1]))
            g.append(stroke([a, mid, b], 3.8, curved=True))
    corner = poly((-3, -3), (9, -3), (-3, 9))
    return union(g, [rotate(corner, 90 * k) for k in range(4)])


# ------------------------------------------------------------------------------------------------------- to integers, and checks


def to_grid(g: Geom) -> MultiPolygon:
    """Scale to the grid, simplify, clip, round and drop crumbs; what goes to an edge of the sheet is drawn beyond it."""
    g = affinity.scale(g, UNIT, UNIT, origin=(0, 0))
    lips = 6.0  # opens gaps and cuts bridges thinner than this, so that rings keep clear of each other
    g = g.buffer(-lips, join_style="mitre").buffer(2 * lips, join_style="mitre").buffer(-lips, join_style="mitre")
    sheet_box = box(0, 0, GRID, GRID)
    for tolerance in TOLERANCES:
        fine = shapely.set_precision(g.simplify(tolerance) & sheet_box, 1.0)
        if shapely.get_num_coordinates(fine) <= VERTICES:
            break
    g = fine
    parts = []
    for p in polygons(g):
        if p.area < 1200:
            continue
        parts.append(Polygon(p.exterior, [h for h in p.interiors if Polygon(h).area >= 1200]))
    return shapely.normalize(MultiPolygon(parts))


def rings_of(g: MultiPolygon) -> list[list[int]]:
    """Return exterior and hole rings as flat integer lists, without the closing vertex."""
    rings = []
    for p in g.geoms:
        for r in (p.exterior, *p.interiors):
            rings.append([int(v) for q in list(r.coords)[:-1] for v in q])
    return rings


def raster(rings: list[list[int]], size: int) -> np.ndarray:
    """Fill the rings by the even-odd rule."""
    image = np.zeros((size, size), np.uint8)
    shift = 6
    points = [np.round((np.array(r, float).reshape(-1, 2) * size / GRID - 0.5) * (1 << shift)).astype(np.int32) for r in rings]
    cv2.fillPoly(image, points, 1, lineType=cv2.LINE_8, shift=shift)
    return image


def maps() -> list[np.ndarray]:
    """Return the inverse matrices of the two affine maps of the canary."""
    out = []
    for r, s in ((1.3, 0.7), (1.5, 0.5)):
        out.append(np.linalg.inv(np.array([[math.cos(r), -math.sin(r + s)], [math.sin(r), math.cos(r + s)]])))
    return out


def measure(name: str, rings: list[list[int]]) -> dict[str, float | int | bool]:
    """Return the figures of one shape, after checking what every shape must keep."""
    lines = [shapely.LinearRing(np.array(r).reshape(-1, 2)) for r in rings]
    for k, a in enumerate(lines):
        assert a.is_valid and a.is_simple, f"{name}: ring {k} crosses itself"
        assert all(a.distance(b) >= 2 for b in lines[:k]), f"{name}: ring {k} comes too close to another"
    discs = [Polygon(a) for a in lines]
    depth = [sum(b.contains(a) for b in discs if b is not a) for a in discs]
    area = sum((-1) ** d * p.area for p, d in zip(discs, depth, strict=True))
    around = sum(a.length for a in lines)
    mask = raster(rings, 1024)
    assert abs(mask.mean() - area / GRID**2) < 0.012, name
    side = 31  # 123 grid units at 4 to the pixel, and a bit
    total = np.pad(mask.astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    full = (total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]) == side * side
    last = 768 - side + 1
    fine = raster(rings, GRID)
    c = round(0.017 * GRID)
    corner = any(q.any() for q in (fine[:c, :c], fine[:c, -c:], fine[-c:, :c], fine[-c:, -c:]))
    border = max(e.mean() for e in (fine[0], fine[-1], fine[:, 0], fine[:, -1]))
    xy = np.concatenate([np.array(r).reshape(-1, 2) for r in rings])
    assert xy.min() >= 0 and xy.max() <= GRID
    margin = min(int(xy.min()), int(GRID - xy.max())) / GRID
    return {
        "area": area / GRID**2,
        "p2a": around**2 / area,
        "parts": sum(d % 2 == 0 for d in depth),
        "holes": sum(d % 2 == 1 for d in depth),
        "vertices": len(xy),
        "busy": bool(corner or border > 0.5),
        "solid": area / shapely.MultiPoint(xy).convex_hull.area,
        "squares": float(full[256:last, 256:last].mean()),
        "margin": margin,
    }


def check(rows: dict[str, dict[str, float | int | bool]]) -> list[str]:
    """Return what the set misses."""
    bad = []
    for name, r in rows.items():
        if not 0.2 <= r["area"] <= 0.45:
            bad.append(f"{name}: area {r['area']:.3f}")
        if r["squares"] <= 0:
            bad.append(f"{name}: no filled square")
        if r["busy"] != (name in BUSY):
            bad.append(f"{name}: busy is {r['busy']}")
        if not r["busy"] and r["margin"] < 0.03:
            bad.append(f"{name}: margin {r['margin']:.3f}")
        if not 20 <= r["vertices"] <= 400:
            bad.append(f"{name}: {r['vertices']} vertices")
    p2a = [r["p2a"] for r in rows.values()]
    if len(rows) != 24 or min(p2a) > 22 or max(p2a) < 350:
        bad.append(f"{len(rows)} shapes, perimeter^2 / area from {min(p2a):.1f} to {max(p2a):.1f}")
    if sum(r["holes"] > 0 for r in rows.values()) < 8 or sum(r["parts"] > 1 for r in rows.values()) < 4:
        bad.append("too few with holes or with several components")
    if sum(r["solid"] < 0.6 for r in rows.values()) < 6:
        bad.append("too few that fill little of their convex hull")
    if not 2 <= len(BUSY) <= 4:
        bad.append(f"{len(BUSY)} busy shapes")
    return bad


def check_canary(rings: list[list[int]]) -> list[str]:
    """Return how the canary leaves the canvas under the affine maps."""
    u = np.concatenate([np.array(r).reshape(-1, 2) for r in rings]) / GRID * 3072 - np.array([3000, 800])
    bad = []
    for inverse in maps():
        out = u @ inverse.T
        print(f"canary maps to x {out[:, 0].min():.0f}..{out[:, 0].max():.0f}, y {out[:, 1].min():.0f}..{out[:, 1].max():.0f}")
        if out.min() < 30 or out.max() > 3042:
            bad.append("canary leaves the canvas")
    return bad


def sheet(drawn: dict[str, list[list[int]]], path: str) -> None:
    """Write a contact sheet of 6 x 4."""
    cell = 300
    page = np.full((4 * (cell + 24), 6 * cell), 255, np.uint8)
    for k, (name, rings) in enumerate(drawn.items()):
        y, x = k // 6 * (cell + 24), k % 6 * cell
        big = cv2.resize(255 - 225 * raster(rings, 4 * (cell - 12)), (cell - 12, cell - 12), interpolation=cv2.INTER_AREA)
        page[y + 6 : y + cell - 6, x + 6 : x + cell - 6] = big
        cv2.rectangle(page, (x + 5, y + 5), (x + cell - 6, y + cell - 6), 190, 1)
        cv2.putText(page, name, (x + 10, y + cell + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 0, 1, cv2.LINE_AA)
    cv2.imwrite(path, page)


def main() -> None:
    """Draw, check and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", help="also write a contact sheet, a PNG file")
    args = parser.parse_args()
    drawn = {name: rings_of(to_grid(SHAPES[name][1]())) for name in sorted(SHAPES)}
    rows = {name: measure(name, rings) for name, rings in drawn.items()}
    print(
        f"{'name':15}{'title':15}{'area':>7}{'P^2/A':>8}{'parts':>6}{'holes':>6}{'verts':>6}{'busy':>6}{'solid':>7}{'squares':>9}{'margin':>8}"
    )
    for name, r in rows.items():
        print(
            f"{name:15}{SHAPES[name][0]:15}{r['area']:7.3f}{r['p2a']:8.1f}{r['parts']:6}{r['holes']:6}{r['vertices']:6}"
            f"{'busy' if r['busy'] else '-':>6}{r['solid']:7.2f}{r['squares']:9.3f}{r['margin']:8.3f}"
        )
    bad = check(rows) + check_canary(drawn["canary"])
    entries = []
    for name, rings in drawn.items():
        lines = ",\n".join("    " + json.dumps(r, separators=(",", ":")) for r in rings)
        entries.append(f'  {json.dumps(name)}: {{"title": {json.dumps(SHAPES[name][0])}, "rings": [\n{lines}\n  ]}}')
    text = f'{{"grid": {GRID}, "shapes": {{\n' + ",\n".join(entries) + "\n}}\n"
    if len(text) >= 120_000:
        bad.append(f"the file has {len(text)} bytes")
    if args.sheet:
        sheet(drawn, args.sheet)
    OUT.write_text(text)
    print(f"{len(text)} bytes")
    if bad:
        raise SystemExit("\n".join(bad))


if __name__ == "__main__":
    main()
