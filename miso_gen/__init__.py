"""miso-gen: synthetic megapixel images with pixel-exact ground truth for evaluating explanations of deep networks."""

__version__ = "0.1.0"
