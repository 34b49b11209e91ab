"""`mien serve`: the REST service."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from mien.classify.session import providers_of
from mien.cli.console import remark
from mien.cli.options import DEFAULT_MODELS, HARDWARE, NETWORK, Device, Models, Quiet, Tta, classifier_of, option
from mien.detect.yunet import YuNet
from mien.serve.app import create_app
from mien.serve.limits import Limits
from mien.serve.pages import find_local_page
from mien.serve.server import listen, run

_LOCAL = ("localhost", "127.0.0.1", "::1")


def serve(
    host: Annotated[
        str, option("--host", panel=NETWORK, metavar="ADDRESS", help="Listen on this address; 0.0.0.0: on all.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        option(
            "--port", panel=NETWORK, metavar="N", help="Listen on this port; 0: any that is free.", min=0, max=65535
        ),
    ] = 8000,
    allow_host: Annotated[
        list[str] | None,
        option(
            "--allow-host",
            panel=NETWORK,
            metavar="NAME",
            help="Answer requests for this name, too, such as that of a proxy; may be repeated. Default: "
            "localhost, 127.0.0.1 and [::1] where --host is one of them, else any name.",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str,
        option(
            "--token",
            panel=NETWORK,
            metavar="TEXT",
            help="Ask requests for this secret: `Authorization: Bearer TEXT`. The variable MIEN_TOKEN sets it, too, "
            "and does not show in lists of processes. Default: none.",
            envvar="MIEN_TOKEN",
            show_default=False,
            show_envvar=False,
        ),
    ] = "",
    model: Models = DEFAULT_MODELS,
    tta: Tta = "none",
    workers: Annotated[
        int, option("--workers", panel=HARDWARE, metavar="N", help="Threads that read pictures; 0: one a CPU.", min=0)
    ] = 0,
    device: Device = "auto",
    web: Annotated[
        Path | None,
        option(
            "--web",
            panel=NETWORK,
            metavar="DIR",
            help="Offer at /local the page that uploads nothing, from this folder that `make web` built. Default: "
            "web/dist of a checkout.",
            show_default=False,
        ),
    ] = None,
    job_seconds: Annotated[
        float,
        option(
            "--job-seconds",
            panel=NETWORK,
            metavar="SECONDS",
            help="Keep the answer for a clip so long, unless it is fetched before.",
            min=1,
        ),
    ] = Limits().job_seconds,
    _quiet: Quiet = False,
) -> None:
    """Read the expressions of the faces in pictures and clips that come over HTTP.

    Ctrl-C ends it, after what has come in is answered. Pictures are kept in memory until they are answered, and nowhere
    else. A clip lies in a private folder for temporary files until it is read; the folder goes when the service ends.

    Examples
    --------
    mien serve
    mien serve --port 9000 -m swift-nano
    MIEN_TOKEN=sesame mien serve --host 0.0.0.0
    """
    limits = Limits(job_seconds=job_seconds)
    providers = providers_of(device)
    app = create_app(
        classifier_of(model, tta=tta, threads=1, providers=providers),
        detector=YuNet(providers=providers),
        limits=limits,
        token=token,
        hosts=_hosts(host, allow_host or []),
        workers=workers,
        web=find_local_page(web),
    )
    with listen(host, port) as listener:
        remark(f"serving on http://{_in_url(host)}:{listener.getsockname()[1]}; Ctrl-C ends it")
        if not _is_local(host) and not token:
            remark("everybody who reaches this address may use it; --token asks for a secret")
        logging.getLogger("mien.io.image").setLevel(logging.ERROR)  # a client's dark pictures are no remark of ours
        run(app, listener, limits)


def _is_local(host: str) -> bool:
    return host in _LOCAL or host.startswith("127.")


def _hosts(host: str, allowed: list[str]) -> list[str]:
    """Return the names that the header Host may have; none: any."""
    wrong = [name for name in allowed if "/" in name or not name.strip()]
    if wrong:
        raise typer.BadParameter(f"must be a name such as faces.example.org, got {wrong[0]}", param_hint="--allow-host")
    if not _is_local(host) and not allowed:
        return []
    return [_in_url(name) for name in dict.fromkeys([*_LOCAL, *[host] * _is_local(host), *allowed])]


def _in_url(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
