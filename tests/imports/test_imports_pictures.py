"""Pictures of silhouettes in every format and mode: what comes back, and what is refused in which words."""

from __future__ import annotations

import io
import math
import warnings
from functools import cache

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage.filters import threshold_otsu
from skimage.measure import label

from miso_gen.errors import InputError, MisoGenWarning, RefusedFilesError, UnknownNameError
from miso_gen.geometry import Box, Spans
from miso_gen.imports.binarizers.otsu import two_classes
from miso_gen.imports.binarizing import chosen_side
from miso_gen.imports.pictures import MOST_PIXELS, Picture, read_picture
from miso_gen.imports.silhouettes import PictureFiles, filled, kebab, largest
from miso_gen.recipe import BINARIZERS
from miso_gen.scene.morphologies.bitmaps import Bitmaps

# --- what the tests draw ----------------------------------------------------------------------------------------------


def canvas(height, width=None):
    picture = Image.new("1", (width or height, height), 0)
    return picture, ImageDraw.Draw(picture)


def disc(side, share):
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    return x**2 + y**2 < (side * share) ** 2


def star(side, points, inner):
    picture, draw = canvas(side)
    angles = [math.pi * k / points for k in range(2 * points)]
    radii = [side * (0.45 if k % 2 == 0 else inner) for k in range(2 * points)]
    draw.polygon([(side / 2 + r * math.sin(a), side / 2 - r * math.cos(a)) for a, r in zip(angles, radii, strict=True)], 1)
    return np.asarray(picture)


def letter(side, text):
    picture, draw = canvas(side)
    draw.text((side / 2, side / 2), text, fill=1, font=ImageFont.load_default(side * 0.8), anchor="mm")
    return np.asarray(picture)


def boxes(height, width, *places):
    """Draw boxes (top, left, bottom, right) on each other, inside and outside in turn where they overlap."""
    mask = np.zeros((height, width), bool)
    for top, left, bottom, right in places:
        mask[top:bottom, left:right] ^= True
    return mask


@cache
def shapes():
    """Return 40 silhouettes by name, 64 to 400 px."""
    found = {f"disc-{side}": disc(side, 0.4) for side in (64, 200, 400)}
    found |= {f"ring-{side}": disc(side, 0.45) & ~disc(side, inner) for side, inner in ((64, 0.2), (150, 0.4), (333, 0.3))}
    found |= {f"star-{points}": star(90 + 50 * points, points, 0.2) for points in (3, 4, 5, 6)}
    found |= {f"letter-{place}": letter(side, text) for place, (side, text) in enumerate(LETTERS)}
    found |= {f"nested-{side}": NESTED(side) for side in (80, 160, 320)}
    found["islands-2"] = boxes(70, 120, (10, 10, 50, 40), (20, 60, 60, 110))
    found["islands-9"] = boxes(160, 160, *((y, x, y + 30, x + 30) for y in (10, 60, 110) for x in (10, 60, 110)))
    found["holes-9"] = boxes(170, 190, (5, 5, 165, 185), *((y, x, y + 25, x + 30) for y in (20, 70, 120) for x in (20, 75, 130)))
    found["corners"] = boxes(96, 96, (16, 16, 48, 48), (48, 48, 80, 80))
    found["corners-down"] = boxes(96, 96, (16, 48, 48, 80), (48, 16, 80, 48))
    found["corner-hole"] = boxes(96, 128, (8, 8, 88, 120), (24, 24, 48, 60), (48, 60, 72, 100))
    found["board"] = boxes(120, 120, *((y, x, y + 20, x + 20) for y in range(20, 100, 20) for x in range(20 + y % 40, 100, 40)))
    found["cross"] = boxes(100, 100, (10, 40, 90, 60), (40, 10, 60, 90)) | boxes(100, 100, (40, 40, 60, 60))
    found["bar"] = boxes(64, 400, (20, 20, 44, 380))
    found["post"] = boxes(300, 64, (10, 26, 290, 34))
    found["at-the-corner"] = boxes(100, 130, (0, 0, 40, 50))
    found["at-the-border"] = boxes(120, 100, (60, 30, 120, 70))
    found["moon"] = disc(210, 0.45) & ~np.roll(disc(210, 0.4), 50, axis=1)
    found["comb"] = boxes(100, 200, (10, 10, 30, 190), *((30, x, 90, x + 10) for x in range(10, 190, 20)))
    found["dots"] = disc(256, 0.45) & (np.indices((256, 256)) // 16 % 4 == 0).all(axis=0)
    found["stairs"] = np.tri(128, 128, -10, dtype=bool) & (np.indices((128, 128)) < 118).all(axis=0)
    assert len(found) == 40
    return found


LETTERS = [(64, "A"), (90, "B"), (128, "g"), (128, "&"), (150, "8"), (200, "%"), (200, "S"), (256, "@"), (300, "i"), (400, "Q")]
LETTERS += [(180, "?")]


def NESTED(side):  # noqa: N802
    step = side // 10
    return boxes(side, side, *((k * step, k * step, side - k * step, side - k * step) for k in range(1, 5)))


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def mapped(mask, inside, outside, mode):
    """Return the picture of a mask in two colours."""
    out = np.empty((*mask.shape, len(inside)) if isinstance(inside, tuple) else mask.shape, np.uint8)
    out[...], out[mask] = outside, inside
    return Image.fromarray(out).convert(mode) if mode in ("1", "CMYK") else Image.fromarray(out, mode)


def palette(mask, *colours):
    picture = Image.fromarray(mask.astype(np.uint8), "P")
    picture.putpalette([value for colour in colours for value in colour])
    return picture


def opencv(values, suffix):
    return cv2.imencode(suffix, values)[1].tobytes()


def tiff(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def sixteen(mask, channels):
    out = np.empty((*mask.shape, channels), np.uint16)
    out[...], out[mask] = (60000, 50000, 55001, 65535)[:channels], (900, 20000, 301, 65535)[:channels]
    return out


def see_through(mask):
    """Return red on nothing: what is transparent is black."""
    out = np.zeros((*mask.shape, 4), np.uint8)
    out[mask] = (200, 30, 30, 255)
    return Image.fromarray(out, "RGBA")


def half_tones(mask):
    """Return a palette of many greys: an antialiased picture."""
    return Image.fromarray(np.where(mask, 20, 235).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def opaque(mask):
    return mapped(mask, (20, 20, 20, 255), (250, 250, 250, 255), "RGBA")


BLUE, YELLOW, BLACK, WHITE = (20, 30, 160), (240, 230, 90), (0, 0, 0), (255, 255, 255)
EXACT = {
    "png 1 bit": lambda m: saved(mapped(m, 0, 255, "1"), "PNG"),
    "png 1 bit, white": lambda m: saved(mapped(m, 255, 0, "1"), "PNG"),
    "png palette": lambda m: saved(palette(m, WHITE, BLUE), "PNG", bits=1),
    "png palette, transparency": lambda m: saved(palette(m, WHITE, BLUE), "PNG", transparency=0),
    "png grey": lambda m: saved(mapped(m, 30, 220, "L"), "PNG"),
    "png grey, transparency": lambda m: saved(mapped(m, 0, 9, "L"), "PNG", transparency=9),
    "png grey and alpha": lambda m: saved(mapped(m, (0, 255), (0, 0), "LA"), "PNG"),
    "png colour": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "PNG"),
    "png colour, transparency": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "PNG", transparency=YELLOW),
    "png colour of equal grey": lambda m: saved(mapped(m, (0, 0, 0), (0, 0, 1), "RGB"), "PNG"),
    "png colour and alpha": lambda m: saved(see_through(m), "PNG"),
    "png alpha, opaque": lambda m: saved(opaque(m), "PNG"),
    "png 16 bits": lambda m: saved(Image.fromarray(sixteen(m, 1)[..., 0]), "PNG"),
    "png 16 bits, colour": lambda m: opencv(sixteen(m, 3), ".png"),
    "png 16 bits, alpha": lambda m: opencv(sixteen(m, 4), ".png"),
    "gif": lambda m: saved(palette(m, YELLOW, BLUE), "GIF"),
    "gif, transparency": lambda m: saved(palette(m, BLUE, BLUE), "GIF", transparency=0),
    "bmp 1 bit": lambda m: saved(mapped(m, 0, 255, "1"), "BMP"),
    "bmp palette": lambda m: saved(palette(m, YELLOW, BLUE), "BMP"),
    "bmp grey": lambda m: saved(mapped(m, 200, 90, "L"), "BMP"),
    "bmp colour": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "BMP"),
    "tiff 1 bit": lambda m: saved(mapped(m, 0, 255, "1"), "TIFF", compression="group4"),
    "tiff palette": lambda m: saved(palette(m, YELLOW, BLUE), "TIFF"),
    "tiff grey": lambda m: saved(mapped(m, 200, 90, "L"), "TIFF", compression="packbits"),
    "tiff colour": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "TIFF", compression="tiff_lzw"),
    "tiff alpha": lambda m: saved(see_through(m), "TIFF", compression="tiff_deflate"),
    "tiff cmyk": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB").convert("CMYK"), "TIFF"),
    "tiff 16 bits": lambda m: saved(Image.fromarray(sixteen(m, 1)[..., 0]), "TIFF"),
    "tiff 16 bits, other end first": lambda m: tiff(sixteen(m, 1)[..., 0], byteorder=">"),
    "tiff 16 bits, colour": lambda m: tiff(sixteen(m, 3), photometric="rgb"),
    "tiff 16 bits, alpha": lambda m: opencv(sixteen(m, 4), ".tiff"),
    "tiff 32 bits": lambda m: tiff(np.where(m, -70000, 90000).astype(np.int32)),
    "tiff floats": lambda m: saved(Image.fromarray(np.where(m, 0.75, 0.125).astype(np.float32)), "TIFF"),
    "tiff floats, large": lambda m: tiff(np.where(m, 1e6, -3.5).astype(np.float32)),
    "tiff doubles": lambda m: tiff(np.where(m, 0.75, 0.125)),
    "tiff floats, colour": lambda m: tiff(sixteen(m, 3).astype(np.float32) / 65535, photometric="rgb"),
    "bigtiff": lambda m: tiff(np.where(m, 9, 200).astype(np.uint8), bigtiff=True),
    "webp lossless": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "WEBP", lossless=True),
    "webp lossless, alpha": lambda m: saved(see_through(m), "WEBP", lossless=True),
}
LOSSY = {
    "png of half tones": lambda m: saved(half_tones(m), "PNG"),
    "gif of half tones": lambda m: saved(half_tones(m).convert("P"), "GIF"),
    "jpeg grey": lambda m: saved(mapped(m, 0, 255, "L"), "JPEG", quality=90),
    "jpeg colour": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "JPEG", quality=90),
    "jpeg progressive": lambda m: saved(mapped(m, 240, 20, "L"), "JPEG", quality=90, progressive=True),
    "jpeg cmyk": lambda m: saved(mapped(m, BLACK, WHITE, "RGB").convert("CMYK"), "JPEG", quality=90),
    "tiff jpeg": lambda m: saved(mapped(m, 0, 255, "L"), "TIFF", compression="jpeg", quality=90),
    "webp": lambda m: saved(mapped(m, BLUE, YELLOW, "RGB"), "WEBP", quality=90),
    "webp, alpha": lambda m: saved(see_through(m), "WEBP", quality=90),
}


def imported(folder, files, **options):
    """Write files, import the folder, and return each silhouette in pixels of its picture."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    found = Bitmaps.from_spec(dict(PictureFiles.from_spec({"path": ".", **options}).load(folder)))
    masks = {}
    for name in found.names():
        outline = found.outline(name)
        size = outline.height, outline.width
        masks[name] = Spans.of_polygon(found.rings(name, *size), *size).mask(Box(0, 0, *size)).astype(bool)
    return masks


def parts(mask):
    return label(mask, connectivity=2).max(), label(np.pad(~mask, 1, constant_values=True), connectivity=1).max() - 1


@pytest.mark.parametrize("variant", [*EXACT, *LOSSY])
def test_forty_shapes_come_back(variant, tmp_path):
    save, suffix = (EXACT | LOSSY)[variant], variant.split()[0].strip(",").replace("bigtiff", "tif")
    found = imported(tmp_path, {f"{name}.{suffix}": save(mask) for name, mask in shapes().items()})
    assert list(found) == sorted(shapes())
    for name, mask in shapes().items():
        assert found[name].shape == mask.shape
        share = (found[name] & mask).sum() / (found[name] | mask).sum()
        assert share == 1.0 if variant in EXACT else share > 0.97, name
        if variant not in ("png of half tones", "gif of half tones"):  # blurring closes what is narrow
            assert parts(found[name]) == parts(mask), name


STORED = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.T,
    6: lambda seen: np.rot90(seen, 1),  # to be turned clockwise
    7: lambda seen: seen[::-1, ::-1].T,
    8: lambda seen: np.rot90(seen, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_all_orientations_agree(kind, tmp_path):
    mask = letter(96, "F")[:, :80]
    files = {}
    for number, stored in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = number
        picture = Image.fromarray(np.where(stored(mask), 0, 255).astype(np.uint8)).convert("L")
        more = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
        files[f"f{number}.{kind.lower()}"] = saved(picture, kind, exif=exif, **more)
    with warnings.catch_warnings(action="ignore", category=MisoGenWarning):  # of files that show the same
        found = imported(tmp_path, files)
    assert set(found) == {f"f{number}" for number in STORED}
    for other in found.values():
        assert other.shape == mask.shape
        assert np.array_equal(other, mask) if kind != "JPEG" else (other ^ mask).sum() < 0.01 * mask.sum()


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_grey_is_luminance_and_transparent_is_white():
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (9, 11, 4), np.uint8)
    found = read_picture(saved(Image.fromarray(colours, "RGBA"), "PNG"))
    assert found.grey.dtype == np.float32
    assert np.array_equal(found.alpha, colours[..., 3])
    for y, x in np.ndindex(9, 11):
        red, green, blue, alpha = (int(value) for value in colours[y, x])
        on_white = [(value * alpha + 255 * (255 - alpha)) / 255 for value in (red, green, blue)]
        expected = sum(weight * value for weight, value in zip((0.2125, 0.7154, 0.0721), on_white, strict=True)) / 255
        assert found.grey[y, x] == pytest.approx(expected, abs=0.6 / 255)


def test_greys_are_exact_in_grey_and_in_colour():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = read_picture(saved(Image.fromarray(levels), "PNG"))
    colour = read_picture(saved(Image.fromarray(levels).convert("RGB"), "PNG"))
    assert np.array_equal(grey.grey, levels.astype(np.float32) / np.float32(255))
    assert np.array_equal(grey.grey, colour.grey)
    assert grey.alpha is None
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    assert np.allclose(read_picture(saved(Image.fromarray(deep), "PNG")).grey, deep / 65535)


def test_colours_are_told_apart():
    """Also those of one grey."""
    rng = np.random.default_rng(5)
    colours = rng.integers(0, 3, (12, 12, 3), np.uint8)
    found = read_picture(saved(Image.fromarray(colours), "BMP")).colours.reshape(-1)
    flat = colours.reshape(-1, 3)
    assert np.array_equal(found[:, None] == found, (flat[:, None] == flat).all(axis=-1))


def test_floats_within_the_unit_interval_are_greys():
    values = np.linspace(0.25, 0.5, 64, dtype=np.float32).reshape(8, 8)
    assert np.allclose(read_picture(tiff(values)).grey, values)
    assert np.allclose(read_picture(tiff(values * 400 - 7)).grey, (values - 0.25) * 4, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "must be a PNG, JPEG, GIF, BMP, TIFF or WebP picture, got an empty file. Save it as PNG."),
        (b"Hello, world\n", "got text"),
        ("\N{CAT FACE}".encode() * 2000, "got text"),
        (b"<svg></svg>", "got text"),
        (b"%PDF-1.4\0\xff\xfe", "got a file of another kind"),
        (b"RIFF\0\0\0\0WAVEfmt ", "got a file of another kind"),
        (b"\x89PNG\r\n\x1a\n and then text", "must be a whole PNG picture, got a broken one"),
        (b"II*\0 and then text", "must be a whole TIFF picture, got a broken one"),
        (b"BM", "must be a whole BMP picture, got a broken one"),
    ],
)
def test_what_is_no_picture(data, reason):
    with pytest.raises(InputError) as caught:
        read_picture(data)
    assert reason in str(caught.value)
    assert "0x" not in str(caught.value)


WHOLE = {
    "png": EXACT["png colour"],
    "png half": LOSSY["png of half tones"],
    "jpeg": LOSSY["jpeg colour"],
    "gif": LOSSY["gif of half tones"],
    "bmp": EXACT["bmp colour"],
    "tiff": EXACT["tiff colour"],
    "tiff floats": EXACT["tiff doubles"],
    "webp": LOSSY["webp"],
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files(kind, share):
    data = WHOLE[kind](letter(200, "R"))
    with pytest.raises(InputError, match=r"must be a whole .* got a broken one: .*Save it again"):
        read_picture(data[: max(4, int(len(data) * share))] if kind != "webp" else data[: max(12, int(len(data) * share))])


@cache
def whole(kind):
    return WHOLE[kind](letter(64, "R"))


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_broken_files_are_refused_or_read(kind, data):
    content = bytearray(whole(kind))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=12)):
        content[place] = data.draw(st.integers(0, 255))
    found, reason = None, ""
    try:
        found = read_picture(bytes(content))
    except InputError as error:
        reason = str(error)
    if found is None:
        assert reason.startswith("must ")
        assert ", got " in reason
    else:
        assert found.grey.min() >= 0
        assert found.grey.max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_several_frames(kind):
    frames = [mapped(disc(64, share), 0, 255, "L").convert("RGB") for share in (0.2, 0.3, 0.4)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="must hold one picture, got 3 frames or pages"):
        read_picture(data)
    one = saved(frames[0], kind, save_all=True)
    assert read_picture(one).grey.shape == (64, 64)


def test_several_pages_that_only_opencv_reads():
    with pytest.raises(InputError, match="must hold one picture, got 2 frames or pages"):
        read_picture(tiff(np.zeros((2, 64, 64)), photometric="minisblack"))


def test_too_large():
    side = math.isqrt(MOST_PIXELS)
    data = saved(Image.new("1", (side + 1, side)), "PNG")
    with pytest.raises(InputError, match=f"must have at most {MOST_PIXELS} pixels, got {side + 1} x {side}. Scale it down"):
        read_picture(data)
    with pytest.raises(InputError, match="got more than twice as many"):
        read_picture(saved(Image.new("1", (16384, 16384)), "PNG"))


def test_infinite_floats():
    values = np.zeros((64, 64), np.float32)
    values[3, 4] = np.nan
    with pytest.raises(InputError, match="must hold numbers"):
        read_picture(tiff(values))


# --- black and white --------------------------------------------------------------------------------------------------


def picture(grey, alpha=None):
    grey = np.asarray(grey, np.float32)
    return Picture(grey, None if alpha is None else np.asarray(alpha, np.uint8), grey)


def binarized(kind, given_picture, name="cat", **options):
    return BINARIZERS.get(kind).from_spec(options).binarize(given_picture, name)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_side_of_the_frame(height, width, data):
    light = np.array(data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))).reshape(height, width)
    frame = [light[y, x] for y, x in np.ndindex(height, width) if y in (0, height - 1) or x in (0, width - 1)]
    few = sum(frame) <= len(frame) - sum(frame)
    if height > 1 and width > 1:
        assert np.array_equal(chosen_side(light, "auto"), light if few else ~light)
    assert np.array_equal(chosen_side(light, "light"), light)
    assert np.array_equal(chosen_side(light, "dark"), ~light)


def test_alpha_from_half_on():
    assert binarized("alpha", picture([[0, 0, 0]], [[127, 128, 255]])).tolist() == [[False, True, True]]
    with pytest.raises(InputError, match="must have an alpha channel, got none"):
        binarized("alpha", picture([[0, 1]]))
    with pytest.raises(InputError, match="must have an alpha channel that varies, got 255 of 255 everywhere"):
        binarized("alpha", picture([[0, 1]], [[255, 255]]))


def test_binary_takes_two_colours():
    grey = np.zeros((5, 5))
    grey[2, 2] = 1
    assert np.array_equal(binarized("binary", picture(grey)), grey == 1)
    assert np.array_equal(binarized("binary", picture(1 - grey)), grey == 1)
    assert np.array_equal(binarized("binary", picture(grey), object="dark"), grey == 0)
    for values, count in (((0, 0), 1), ((0, 0.5, 1), 3), ((0, 0.2, 0.4, 0.6), 4)):
        with pytest.raises(InputError, match=f"must have exactly two colours, got {count}"):
            binarized("binary", picture([values]))


@given(st.lists(st.integers(0, 20), min_size=2, max_size=40).filter(lambda counts: sum(map(bool, counts)) > 1))
def test_otsu_by_definition(counts):
    """The least spread within classes; another library agrees but for ties."""
    counts = np.array(counts)

    def within(threshold):
        total = 0.0
        for part in (range(threshold + 1), range(threshold + 1, len(counts))):
            size = sum(counts[level] for level in part)
            if size == 0:
                return math.inf
            mean = sum(counts[level] * level for level in part) / size
            total += sum(counts[level] * (level - mean) ** 2 for level in part)
        return total

    threshold, between = two_classes(counts)
    spreads = [within(level) for level in range(len(counts))]
    assert spreads[threshold] == pytest.approx(min(spreads), rel=1e-9, abs=1e-9)
    other = threshold_otsu(hist=(counts, np.arange(len(counts))))
    assert spreads[int(other)] == pytest.approx(spreads[threshold], rel=1e-6, abs=1e-6)
    low = np.average(np.arange(threshold + 1), weights=counts[: threshold + 1])
    high = np.average(np.arange(threshold + 1, len(counts)), weights=counts[threshold + 1 :])
    far = [n for level, n in enumerate(counts) if min(abs(level - low), abs(level - high)) > (high - low) / 4 + 1e-9]
    near = [n for level, n in enumerate(counts) if min(abs(level - low), abs(level - high)) < (high - low) / 4 - 1e-9]
    assert sum(far) / counts.sum() <= between + 1e-12
    assert between <= 1 - sum(near) / counts.sum() + 1e-12


def test_thresholds_exclude_both_ends():
    grey = [[0, 0.2, 0.25, 0.5, 0.75, 1]]
    assert binarized("threshold", picture(grey), low=0.2, high=0.75).tolist() == [[False, False, True, True, False, False]]
    assert binarized("threshold", picture(grey)).tolist() == [[True, True, True, False, False, False]]
    files = [{"name": "cat", "low": 0.6, "high": 2.0}]
    assert binarized("threshold", picture(grey), files=files).tolist() == [[False, False, False, False, True, True]]
    assert binarized("threshold", picture(grey), name="dog", files=files).tolist() == [[True, True, True, False, False, False]]


def test_auto_prefers_alpha_then_two_colours_then_otsu():
    def same(given_picture, kind):
        return np.array_equal(binarized("auto", given_picture), binarized(kind, given_picture))

    grey = np.full((9, 9), 0.1)
    grey[3:6, 3:6] = 0.9
    alpha = np.zeros((9, 9))
    alpha[1, 1] = 255
    assert same(picture(grey, alpha), "alpha")
    assert same(picture(grey, np.full((9, 9), 128)), "binary")
    assert same(picture(grey), "binary")
    grey[4, 4] = 0.8
    assert same(picture(grey), "otsu")


def photographs():
    rng = np.random.default_rng(11)
    y, x = np.mgrid[:300, :300] / 300
    noise = rng.normal(size=(300, 300))
    found = {
        "gradient": x,
        "ball": np.hypot(x - 0.5, y - 0.5),
        "white-noise": rng.random((300, 300)),
        "normal-noise": noise,
        "smooth-noise": cv2.GaussianBlur(noise, (0, 0), 5),
        "smoother-noise": cv2.GaussianBlur(noise, (0, 0), 25),
        "noisy-gradient": x + 0.2 * noise,
        "waves": np.sin(9 * x) * np.cos(7 * y),
        "scene": 0.4 * (np.hypot(x - 0.5, y - 0.5) < 0.3) + 0.3 * x + 0.05 * noise,
    }
    return {name: np.round(255 * (v - v.min()) / (v.max() - v.min())).astype(np.uint8) for name, v in found.items()}


def test_photographs_are_refused_unless_thresholds_are_given(tmp_path):
    files = {f"{name}.png": saved(Image.fromarray(values), "PNG") for name, values in photographs().items()}
    with pytest.raises(RefusedFilesError) as caught:
        imported(tmp_path, files)
    assert {name for name, _ in caught.value.refused} == set(files)
    for _, reason in caught.value.refused:
        assert "two greys, at most 15% of its pixels of neither, got" in reason
        assert "binarize: {type: threshold" in reason
    ball = imported(tmp_path, {}, only=["ball"], binarize={"type": "threshold", "low": -1, "high": 0.5})["ball"]
    assert np.array_equal(ball, photographs()["ball"] < 127.5)


def test_icons_with_soft_edges_are_no_photographs(tmp_path):
    """64 px, antialiased, at JPEG quality 30."""
    files = {}
    for place, text in enumerate("AgS&%8*@mM"):
        large = Image.fromarray(np.where(letter(1024, text), 40, 230).astype(np.uint8))
        files[f"icon-{place}.jpg"] = saved(large.resize((64, 64), Image.Resampling.LANCZOS), "JPEG", quality=30)
    assert len(imported(tmp_path, files)) == 10


def test_dust_is_refused(tmp_path):
    rng = np.random.default_rng(2)
    data = saved(Image.fromarray(np.where(rng.random((200, 200)) < 0.5, 0, 255).astype(np.uint8)), "PNG")
    with pytest.raises(RefusedFilesError, match=r"dust\.png must have at most 500 pieces and holes, got \d+\. Clean it"):
        imported(tmp_path, {"dust.png": data})
    found = imported(tmp_path, {}, holes="fill", islands="drop")["dust"]
    assert parts(found) == (1, 0)


@pytest.mark.parametrize("count", [500, 501])
def test_as_much_dust_as_may_be(count, tmp_path):
    mask = np.zeros((64, 64), bool)
    for place in range(count):
        mask[2 * (place // 32), 2 * (place % 32)] = True
    data = saved(mapped(mask, 255, 0, "1"), "PNG")
    if count == 500:
        assert parts(imported(tmp_path, {"dust.png": data}, binarize={"type": "binary", "object": "light"})["dust"]) == (500, 0)
    else:
        with pytest.raises(RefusedFilesError, match="at most 500 pieces and holes, got 501"):
            imported(tmp_path, {"dust.png": data}, binarize={"type": "binary", "object": "light"})


def test_dust_is_counted_as_outlines_are(tmp_path):
    """Pixels that touch at a corner are one piece, and two holes."""
    line = np.eye(600, dtype=bool)
    options = {"binarize": {"type": "binary", "object": "dark"}}
    assert parts(imported(tmp_path, {"a.png": saved(mapped(line, 0, 255, "1"), "PNG")}, **options)["a"]) == (1, 0)
    slots = np.pad(~line, 1, constant_values=True)
    with pytest.raises(RefusedFilesError, match="at most 500 pieces and holes, got 601"):
        imported(tmp_path, {"a.png": saved(mapped(slots, 0, 255, "1"), "PNG")}, **options)


# --- holes and islands ------------------------------------------------------------------------------------------------

MASK = np.array(
    [
        [1, 1, 1, 0, 0, 0, 1],
        [1, 0, 1, 0, 1, 0, 0],
        [1, 1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 0, 1],
        [1, 1, 0, 0, 0, 1, 0],
    ],
    bool,
)


def test_holes_and_islands_by_hand():
    """A pixel that four touch by their sides is a hole; one that touches by a corner belongs to the piece."""
    full = MASK.copy()
    full[1, 1] = full[3, 5] = True
    assert np.array_equal(filled(MASK), full)
    one = np.zeros_like(MASK)
    one[:3, :3] = MASK[:3, :3]
    assert np.array_equal(largest(MASK), one)


@given(st.integers(0, 2**30 - 1))
def test_holes_and_islands_by_labels(bits):
    mask = np.array([bits >> place & 1 for place in range(30)], bool).reshape(5, 6)
    outside = label(np.pad(~mask, 1, constant_values=True), connectivity=1)
    assert np.array_equal(filled(mask), (outside != outside[0, 0])[1:-1, 1:-1])
    pieces = label(mask, connectivity=2)
    sizes = [(-(pieces == number).sum(), np.flatnonzero(pieces == number)[0], number) for number in range(1, pieces.max() + 1)]
    assert np.array_equal(largest(mask), pieces == min(sizes)[2] if sizes else mask)


@pytest.mark.parametrize("holes", ["keep", "fill"])
@pytest.mark.parametrize("islands", ["keep", "drop"])
def test_options(holes, islands, tmp_path):
    mask = np.pad(np.kron(MASK, np.ones((16, 16), bool)), 5)
    found = imported(tmp_path, {"a.png": saved(mapped(mask, 0, 255, "1"), "PNG")}, holes=holes, islands=islands)["a"]
    expected = filled(mask) if holes == "fill" else mask
    assert np.array_equal(found, largest(expected) if islands == "drop" else expected)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("cat", "cat"),
        ("Black Cat", "black-cat"),
        ("blackCat", "black-cat"),
        ("HTMLParser2Go", "html-parser2-go"),
        ("black_cat--2 (copy)", "black-cat-2-copy"),
        ("Kätzchen", "katzchen"),
        ("a.b", "a-b"),
        ("IMG0001", "img0001"),
        ("猫", ""),
        ("--", ""),
    ],
)
def test_names(stem, name):
    assert kebab(stem) == name


DOT = EXACT["png 1 bit"](disc(64, 0.3))
RING = EXACT["png 1 bit"](disc(64, 0.4) & ~disc(64, 0.3))
BAR = EXACT["png 1 bit"](boxes(64, 64, (10, 10, 50, 30)))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "more").mkdir()
    for name, data in {"Dog.png": DOT, "cat.PNG": RING, "more/ant.png": BAR, ".hidden.png": b"", "notes.txt": b"Hi"}.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def names(found):
    return [shape["name"] for shape in found["shapes"]]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".", ["cat", "dog"]),
        ("more", ["ant"]),
        ("*.png", ["dog"]),
        ("*.[pP][nN][gG]", ["cat", "dog"]),
        ("**/*.png", ["ant", "dog"]),
        ("more/../Dog.png", ["dog"]),
        ("more/../*.png", ["dog"]),
        (["more", "Dog.png", "*.png", "./Dog.png"], ["ant", "dog"]),
    ],
)
def test_paths(folder, path, expected):
    assert names(PictureFiles.from_spec({"path": path}).load(folder)) == expected
    absolute = [str(folder / part) for part in ([path] if isinstance(path, str) else path)]
    assert names(PictureFiles.from_spec({"path": absolute}).load(folder / "more")) == expected


def test_folders_whose_names_look_like_patterns(tmp_path):
    inner = tmp_path / "my[1]*"
    inner.mkdir()
    (inner / "a[b].png").write_bytes(DOT)
    for path in ("*.png", ".", "a[b].png", str(inner)):
        assert names(PictureFiles(path=path).load(inner)) == ["a-b"]


@pytest.mark.parametrize(
    ("path", "got"),
    [
        ("*.tif", r"'\*\.tif', which matches no file"),
        ("cat.tif", r"'cat\.tif', which is not there"),
        ("empty", "the folder 'empty' without one"),
        ([], "an empty list"),
    ],
)
def test_paths_without_pictures(folder, path, got):
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=f"path must name pictures, got {got}"):
        PictureFiles.from_spec({"path": path}).load(folder)


def test_choice_and_reference(folder):
    def load(**options):
        found = PictureFiles.from_spec({"path": [".", "more"], **options}).load(folder)
        return names(found), found["reference_shape"]["name"]

    assert load() == (["ant", "cat", "dog"], "ant")
    assert load(only=["dog", "cat", "dog"]) == (["dog", "cat"], "dog")
    assert load(only=["dog"], reference="ant") == (["dog"], "ant")
    for options in ({"only": ["dgo"]}, {"reference": "dgo"}):
        with pytest.raises(UnknownNameError, match=r"silhouette must be one of ant, cat, dog, got 'dgo'\. Did you mean 'dog'"):
            load(**options)
    (folder / "more" / "bad.png").write_bytes(b"text")
    assert load(only=["dog"]) == (["dog"], "dog")


def test_thresholds_of_unknown_files(folder):
    def load(*given_names):
        files = [{"name": name, "low": 0.0, "high": 1.0} for name in given_names]
        PictureFiles.from_spec({"path": ".", "binarize": {"type": "threshold", "files": files}}).load(folder)

    with pytest.raises(UnknownNameError, match=r"must be one of cat, dog, got 'dgo'\. Did you mean 'dog'"):
        load("dgo")
    with pytest.raises(InputError, match="must be given once, got 'dog' again"):
        load("dog", "dog")


def test_every_bad_file_is_named_with_its_reason(tmp_path):
    files = {
        "text.png": b"not a picture",
        "cut.png": DOT[:60],
        "white.png": EXACT["png 1 bit"](np.zeros((64, 64), bool)),
        "black.bmp": EXACT["bmp grey"](np.ones((64, 64), bool)),
        "clear.png": saved(Image.fromarray(np.full((64, 64, 2), (0, 3), np.uint8), "LA"), "PNG"),
        "good.png": DOT,
    }
    with pytest.raises(RefusedFilesError) as caught:
        imported(tmp_path, files)
    reasons = dict(caught.value.refused)
    assert set(reasons) == set(files) - {"good.png"}
    for reason in reasons.values():
        assert reason.startswith("must ")
        assert ", got " in reason
        assert reason.endswith(".")
    assert "got text" in reasons["text.png"]
    assert "a broken one" in reasons["cut.png"]


def test_nothing_and_everything_inside(tmp_path):
    with pytest.raises(RefusedFilesError, match="must have some of its pixels inside, got none of them"):
        imported(tmp_path, {"dot.png": DOT}, binarize={"type": "threshold", "low": 2.0, "high": 3.0})
    with pytest.raises(RefusedFilesError, match="must have some of its pixels inside, got all of them"):
        imported(tmp_path, {}, binarize={"type": "threshold", "low": -1.0, "high": 3.0})


def test_files_of_one_name(tmp_path):
    with pytest.raises(RefusedFilesError, match=r"blackCat\.png must .* of its own, got 'black-cat', as black-cat\.png\. Rename"):
        imported(tmp_path, {"blackCat.png": DOT, "black-cat.png": RING, "dog.png": BAR})
    (tmp_path / "black-cat.png").unlink()
    with pytest.raises(
        RefusedFilesError, match=r"猫\.png must have a file name that gives a name of 1 to 64 .*, got ''\. Rename"
    ):
        imported(tmp_path, {"猫.png": DOT})


def test_small_pictures_and_twins_are_warned_of_each_time(tmp_path):
    small = EXACT["png 1 bit"](disc(63, 0.3))
    for _ in range(2):
        with pytest.warns(MisoGenWarning, match=r"small\.png has 63 x 63 pixels"):
            imported(tmp_path, {"small.png": small})
    for _ in range(2):
        with pytest.warns(MisoGenWarning, match=r"b\.png shows the same silhouette as a\.png") as caught:
            imported(tmp_path / "twins", {"a.png": DOT, "b.png": DOT})
        assert len(caught) == 1


def test_imports_are_remembered_by_bytes_and_options(tmp_path, monkeypatch):
    monkeypatch.setenv("MISO_GEN_CACHE", str(tmp_path / "cache"))
    first = imported(tmp_path / "a", {"dot.png": DOT})
    monkeypatch.setattr("miso_gen.imports.silhouettes.read_picture", None)  # whoever decodes fails
    assert np.array_equal(imported(tmp_path / "b", {"dot.png": DOT})["dot"], first["dot"])
    for change in ({"holes": "fill"}, {"islands": "drop"}, {"binarize": "binary"}):
        with pytest.raises(TypeError):
            imported(tmp_path / "b", {}, **change)
    with pytest.raises(TypeError):
        imported(tmp_path / "b", {"dot.png": RING})
