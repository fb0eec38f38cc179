"""`counterfoil-verify`: checks a bundle offline and says what it found. Exit 0 VERIFIED, 1 REJECTED, 2 INCOMPLETE.

Also 2, with a message: the command line, the policy or a file cannot be used; or the verifier itself failed (no memory,
a worker process that died, a report that could not be written), which says nothing about the bundle. So 1 is never
anything but a refutation that was printed.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from counterfoil.core.errors import InputError
from counterfoil.core.note import MAX_NOTE_BYTES
from counterfoil.verify.blame import STEPS
from counterfoil.verify.check import Progress, verify_bundle
from counterfoil.verify.limits import MAX_POLICY_BYTES
from counterfoil.verify.policy import VerifyPolicy, parse_policy, parse_time
from counterfoil.verify.report import escape, format_json, format_text

MAX_WORKERS = 64

_EPILOG = """example:
  counterfoil-verify counterfoil-main-0-900.zip --policy trusted.toml --since kept-checkpoint.txt

The policy says whom you trust (log, witnesses, bundle signers, timestamp roots). Get it from whom you trust, apart from
any bundle. Without one a bundle can only be found self-consistent, which a forged one is too.

exit status: 0 VERIFIED, 1 REJECTED (step, file and reason are printed), 2 INCOMPLETE (what is missing is printed)
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="counterfoil-verify",
        description="Checks an evidence bundle of Counterfoil offline.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the ZIP file")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="whom you trust (TOML)")
    parser.add_argument(
        "--since", type=Path, metavar="CHECKPOINT", help="an earlier checkpoint of the log that you kept"
    )
    parser.add_argument("--at", metavar="TIME", help="reference time, such as 2026-11-22T12:00:00Z (default: now)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--progress", action="store_true", help="progress as lines on standard error, for programs")
    parser.add_argument("--workers", type=int, metavar="N", help="processes for large bundles (default: all cores)")
    return parser


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError("no_file", f"cannot read {path}: {error.strerror}", item=str(path)) from error
    if len(data) > limit:
        raise InputError("file_too_large", f"{path} is over the limit of {limit} bytes", item=str(path))
    return data


def _read_policy(path: Path | None) -> VerifyPolicy | None:
    if path is None:
        return None
    try:
        return parse_policy(_read(path, MAX_POLICY_BYTES).decode())
    except UnicodeDecodeError:
        raise InputError("bad_policy", f"{path} is not UTF-8", item=str(path)) from None


def show_progress(terminal: TextIO) -> Progress:
    """A progress line on a terminal, written again at most ten times a second."""
    shown_at = 0.0

    def show(number: int, done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at >= 0.1 or done >= total:
            shown_at = now
            terminal.write(f"\r\x1b[Kstep {number} ({STEPS[number]}): {100 * done // max(total, 1)} %")
            if done >= total:
                terminal.write("\r\x1b[K")
            terminal.flush()

    return show


def tell_progress(stream: TextIO) -> Progress:
    """Progress for programs: lines ``step done total``, at most ten a second and at the end of each step."""
    told_at = 0.0

    def tell(number: int, done: int, total: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= 0.1 or done >= total:
            told_at = now
            stream.write(f"{number} {done} {total}\n")
            stream.flush()

    return tell


def _progress(args: argparse.Namespace) -> Progress | None:
    if args.progress:
        return tell_progress(sys.stderr)
    return show_progress(sys.stderr) if sys.stderr.isatty() else None


def _reference_time(args: argparse.Namespace, policy: VerifyPolicy | None) -> int:
    """--at, else the policy's time, else now."""
    if args.at is not None:
        return parse_time(args.at)
    if policy is not None and policy.at_us is not None:
        return policy.at_us
    return time.time_ns() // 1_000


def _check(args: argparse.Namespace) -> int:
    """Verifies, prints the report, and gives the exit status once all of it is written."""
    policy = _read_policy(args.policy)
    report = verify_bundle(
        args.bundle,
        policy=policy,
        since=None if args.since is None else _read(args.since, MAX_NOTE_BYTES),
        at_us=_reference_time(args, policy),
        workers=min(MAX_WORKERS, max(1, args.workers or os.cpu_count() or 1)),
        progress=_progress(args),
    )
    print(format_json(report) if args.json else format_text(report, args.bundle.name))
    sys.stdout.flush()
    return report.result.exit_status


def _give_up(message: str) -> int:
    """Says why in one line, if that can be said; exit status 2."""
    with suppress(OSError, ValueError):
        # What could not be written is dropped: the interpreter would try once more at its end, and change the status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(OSError, ValueError):
        print(f"counterfoil-verify: {escape(message)}", file=sys.stderr, flush=True)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    args = _parser().parse_args(argv)
    try:
        return _check(args)
    except InputError as error:
        return _give_up(error.message)
    except Exception as error:  # noqa: BLE001 - the outermost edge: whatever else fails must not look like REJECTED
        return _give_up(f"the verifier failed, which says nothing about the bundle: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
