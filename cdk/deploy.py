"""Deploy into the AWS account of your credentials: `python -m cdk.deploy`.

The template is synthesized here; the CDK CLI, pinned and run from .build/ without installing
anything globally, only uploads the assets and drives CloudFormation.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cdk.synth import BUILD, SynthError, add_context_option, node_home, synthesize

# `latest` on npm is a stale major version that cannot read what aws-cdk-lib writes.
CDK_CLI = "aws-cdk@2.1148.1"
BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
OUTPUTS = BUILD / "outputs.json"


class DeployError(RuntimeError):
    """The deployment cannot begin; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the credentials lead."""

    account: str
    region: str


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(arguments)
    try:
        target = find_target()
        print(f"Account {target.account}, region {target.region}")  # noqa: T201
        if not options.destroy:
            ensure_bootstrapped(target, bootstrap=options.bootstrap)
        out = synthesize(dict(options.context))
        return run_cli(cli_arguments(options, out), target)
    except (DeployError, SynthError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        return 1


def find_target() -> Target:
    """The account and region that the AWS SDK would use.

    Raises:
        DeployError: no usable credentials, or no region.
    """
    import boto3  # noqa: PLC0415 - `--help` answers without it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        # The CLI reads AWS_REGION, boto3 only AWS_DEFAULT_REGION.
        session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
        region = session.region_name
        if region is None:
            raise DeployError("No AWS region. Set one, for example AWS_REGION=eu-west-1.")
        account = session.client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as exc:
        raise DeployError(
            f"AWS does not accept your credentials: {exc}\n"
            "Log in first (aws sso login, or set AWS_PROFILE or AWS_ACCESS_KEY_ID). "
            "Nothing was deployed; `make demo` needs no AWS account."
        ) from exc
    return Target(account, region)


def ensure_bootstrapped(target: Target, *, bootstrap: bool) -> None:
    """Check that the region has the CDK's bucket and roles, or create them when asked to.

    Raises:
        DeployError: it has not, and `bootstrap` is false or failed.
    """
    import boto3  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    ssm = boto3.client("ssm", region_name=target.region)
    try:
        ssm.get_parameter(Name=BOOTSTRAP_VERSION)
    except ssm.exceptions.ParameterNotFound:
        place = f"aws://{target.account}/{target.region}"
        if not bootstrap:
            raise DeployError(
                f"The CDK is not set up in {place} (once per account and region). Run\n"
                "  make deploy ARGS=--bootstrap"
            ) from None
        if run_cli(["bootstrap", place], target) != 0:
            raise DeployError(f"cdk bootstrap {place} failed; see above") from None
    except (BotoCoreError, ClientError) as exc:
        raise DeployError(f"Cannot read the SSM parameter {BOOTSTRAP_VERSION}: {exc}") from exc


def cli_arguments(options: argparse.Namespace, out: Path) -> list[str]:
    """The CDK CLI's arguments for what was asked."""
    verb = "destroy" if options.destroy else "diff" if options.diff else "deploy"
    arguments = [verb, "--app", str(out), "--all"]
    if verb == "deploy":
        arguments += ["--outputs-file", str(OUTPUTS)]
        for parameter in options.parameter:
            arguments += ["--parameters", parameter]
        arguments += ["--require-approval", "never"] if options.yes else []
    elif verb == "destroy" and options.yes:
        arguments.append("--force")
    return arguments


def run_cli(arguments: Sequence[str], target: Target) -> int:
    """Run the pinned CDK CLI; npx keeps it under .build/."""
    home = node_home()
    npx = home.parent / "lib" / "node_modules" / "npm" / "bin" / "npx-cli.js"
    command = [str(home / "node"), str(npx), "--yes", CDK_CLI, "--no-notices", *arguments]
    environment = {
        **os.environ,
        "AWS_REGION": target.region,
        # The CLI's own script asks for `node` by name.
        "PATH": os.pathsep.join([str(home), os.environ.get("PATH", "")]),
        "npm_config_cache": str(BUILD / "npm-cache"),
        "npm_config_update_notifier": "false",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }
    return subprocess.run(command, cwd=BUILD, env=environment, check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cdk.deploy", description=__doc__)
    add_context_option(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--diff", action="store_true", help="show what would change")
    what.add_argument("--destroy", action="store_true", help="delete the stack")
    parser.add_argument("--bootstrap", action="store_true", help="set up the CDK here if needed")
    parser.add_argument("--yes", action="store_true", help="do not ask before security changes")
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a template parameter, such as ModelBaseUrl=https://...",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
