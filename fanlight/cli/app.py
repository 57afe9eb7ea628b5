"""`fanlight`: the group of commands, and how every command fails.

Exit codes: 0 it went well, 1 a coded error (on standard error; with --json on standard output as
`{"error": ...}`), 2 the command line was wrong, 130 interrupted.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import json
import os
import sys
from typing import Any

import rich_click as click
from click.exceptions import Exit

from fanlight.cli.output import stderr
from fanlight.cli.wording import in_options
from fanlight.errors import FanlightError
from fanlight.version import __version__

# name -> module with a command of that name. A command's imports load when it is called.
COMMANDS = {
    "build": "fanlight.cli.build",
    "run": "fanlight.cli.run",
    "convert": "fanlight.cli.convert",
    "inspect": "fanlight.cli.inspect",
    "check": "fanlight.cli.check",
    "serve": "fanlight.cli.serve",
    "demo": "fanlight.cli.demo",
    "studio": "fanlight.cli.studio",
    "bench": "fanlight.cli.bench",
    "explain": "fanlight.cli.explain",
    "doctor": "fanlight.cli.doctor",
}


class Commands(click.RichGroup):
    """The group: loads commands lazily and tells coded errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        return None if module is None else importlib.import_module(module).command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as problem:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1) if args else []
            if not near or "?" in problem.message:  # later versions of Click say it themselves
                raise
            text = f"{problem.message} Did you mean {near[0]!r}?"
            raise click.UsageError(text, ctx) from problem

    def invoke(self, ctx: click.Context) -> Any:
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except FanlightError as problem:
            if debug:
                raise
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            tell(in_options(problem, command), as_json=wants_json(ctx))
            ctx.exit(1)
        except BrokenPipeError:  # the reader, such as `head`, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except KeyboardInterrupt:
            stderr().print("Interrupted.")
            ctx.exit(130)
        except (Exit, click.ClickException, click.Abort):
            raise
        except Exception as problem:
            if debug:
                raise
            tell(_bug(problem), as_json=wants_json(ctx))
            ctx.exit(1)


def wants_json(ctx: click.Context) -> bool:
    """Whether the command was called with a bare --json, so that errors are for a machine too."""
    return ctx.find_root().meta.get("fanlight.json", False)


def tell(problem: FanlightError, *, as_json: bool) -> None:
    """Print a coded error, for a person on standard error or for a machine on standard output."""
    if as_json:
        click.echo(json.dumps({"error": problem.to_json()}, ensure_ascii=False))
        return
    head, *rest = str(problem).splitlines()
    code, _, message = head.partition("  ")
    console = stderr()
    console.print(f"[bold red]{code}[/]  ", end="")
    first = message.partition(" ")[0]
    # An option, a name or a call stays as it is; other sentences begin as sentences do.
    if first.replace("-", "").replace("'", "").isalpha() and not first.startswith("-"):
        message = message[:1].upper() + message[1:]
    console.print(
        message,
        style="bold",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for line in rest:
        label, colon, text = line.partition(": ")
        if colon and label.strip() in {"Where", "Expected", "Received", "Next"}:
            style = "green" if label.strip() == "Next" else "dim"
            console.print(f"[{style}]{label}:[/] ", end="")
            line = text
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _bug(problem: Exception) -> FanlightError:
    return FanlightError(
        "E-CLI-008",
        "Fanlight met something that it did not expect. This is a bug.",
        received=f"{type(problem).__name__}: {problem}",
        next="run the same command as `fanlight --debug ...` and report what it prints.",
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show Python's traceback of an error.")
@click.version_option(__version__, message="fanlight %(version)s")
def cli(debug: bool) -> None:
    """Build a trained model; it answers in your visitor's browser.

    `fanlight build model.keras -o site/ --labels labels.txt` writes a page that classifies photos
    on the visitor's own device. `fanlight demo` shows one.
    """


def main() -> None:
    """The entry point of the `fanlight` command."""
    # Most of what a command makes is modules and a model, which stay: to look for garbage as often
    # as Python does by itself takes a tenth of the time.
    gc.set_threshold(50_000, 20, 20)
    try:
        cli(prog_name="fanlight")
    except KeyboardInterrupt:
        sys.exit(130)
