"""Scenes to pixels: any box of any image, equal to the crop of the whole."""

from miso_gen.render.compose import Rendered, render_box

__all__ = ["Rendered", "render_box"]
