"""Scenes to pixels: any box of any image, equal to the crop of the whole."""

from miso_gen.render.compose import Rendered, render_box, send
from miso_gen.render.image import plan_of, render

__all__ = ["Rendered", "plan_of", "render", "render_box", "send"]
