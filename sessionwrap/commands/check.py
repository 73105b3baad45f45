"""``sessionwrap check``: every mistake in the configuration files."""

from __future__ import annotations

import json
import os

import click

from sessionwrap import config_files, paths, scope, settings
from sessionwrap.errors import ConfigError

EPILOG = """
\b
Examples:
  sessionwrap check
  sessionwrap check --config-dir ./new-configuration --json
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--config-dir",
    default=paths.CONFIG_DIR,
    show_default=True,
    metavar="DIRECTORY",
    help="Where the configuration is.",
)
@click.pass_context
def command(ctx: click.Context, as_json: bool, config_dir: str) -> None:
    """Check the scope rules (sessionwrap.conf, conf.d/*.conf) and the recorder's settings
    (rec-session.conf): every mistake with its file, line, key and what was expected.

    The exit status is 0 when there is none, else 2.
    """
    files, errors = config_files.read_all_scope_files(config_dir)
    errors += scope.parse_all(files)[1]
    names = [path for path, _ in files]
    settings_file = f"{config_dir}/{os.path.basename(paths.SETTINGS_FILE)}"
    errors += settings.load_all_errors(settings_file)
    if os.path.exists(settings_file):
        names.append(settings_file)
    if as_json:
        click.echo(json.dumps({"files": names, "errors": [_as_json(error) for error in errors]}))
    else:
        for error in errors:
            click.echo(str(error))
        if not errors:
            click.echo(f"no mistakes in {', '.join(names) or config_dir + ' (no files)'}")
    ctx.exit(ConfigError.exit_code if errors else 0)


def _as_json(error: ConfigError) -> dict[str, str | int]:
    return {
        "file": error.path,
        "line": error.line,
        "key": error.key,
        "problem": error.problem,
    }
