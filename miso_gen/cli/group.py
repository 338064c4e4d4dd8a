"""The group of commands, and what they share: options, errors as one line, warnings, places to write to."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from miso_gen import __version__
from miso_gen.errors import MisoGenError, MisoGenWarning, MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the recipe, e.g. --set seed=7. May be repeated.",
)
#: Packages that the extra eval brings; commands about networks import them when they are called.
_EVAL = frozenset(
    [
        "torch",
        "torchvision",
        "torchmetrics",
        "lightning",
        "timm",
        "segmentation_models_pytorch",
        "safetensors",
        "scipy",
        "zennit",
        "lime",
        "skimage",
        "sklearn",
        "matplotlib",
        "jinja2",
    ]
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _said_warnings() -> Iterator[None]:
    """Print our warnings, each once, as a line; those of others go where they went."""
    said: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def say(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, MisoGenWarning):
                show(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                click.echo(f"warning: {message}", err=True)

        warnings.simplefilter("always", MisoGenWarning)
        warnings.showwarning = say
        yield


class _Commands(click.Group):
    """Turns our errors into one line and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            with _said_warnings():
                return super().invoke(context)
        except MisoGenError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(error.exit_code)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in _EVAL:
                raise
            what = f"miso-gen {context.invoked_subcommand or ''}".strip()
            click.echo(f"error: {MissingExtraError(missing, 'eval', what)}", err=True)
            context.exit(MissingExtraError.exit_code)
        except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
            click.echo(f"error: {error.filename or 'file'}: {error.strerror}. Choose another place.", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            click.echo("stopped. What is finished stays: run the same command to go on.", err=True)
            context.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="miso-gen")
def main() -> None:
    """Synthetic megapixel images with pixel-exact truth, for checking explanations of deep networks.

    \b
    miso-gen preview miso1              look at a recipe's images beside their truth
    miso-gen build recipes/miso1.yaml   render a data set
    miso-gen new my-shapes              start a recipe of your own
    """


def require_folder(path: Path) -> None:
    """Raise OutputError unless the folder of a file is there."""
    if not path.parent.is_dir():
        raise OutputError(f"folder of {path} must exist, got none. Make it, or choose another place with -o.")


def write_file(path: Path, data: bytes) -> None:
    """Write a file and say so."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path} must be writable, got {error.strerror!r}. Choose another place with -o.") from error
    click.echo(path)
