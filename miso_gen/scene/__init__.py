"""What is where in an image: scenes, and the families of plug-ins that make them."""

from miso_gen.scene.scene import Layer, Objects, Scene, make_scene

__all__ = ["Layer", "Objects", "Scene", "make_scene"]
