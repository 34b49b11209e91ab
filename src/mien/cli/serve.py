"""`mien serve`: the REST service."""

import logging
from pathlib import Path
from typing import Annotated

from mien.classify.session import providers_of
from mien.cli.console import remark
from mien.cli.options import DEFAULT_MODELS, HARDWARE, NETWORK, Device, Models, Quiet, Tta, classifier_of, option
from mien.detect.yunet import YuNet
from mien.serve.app import create_app
from mien.serve.limits import Limits
from mien.serve.pages import find_local_page
from mien.serve.server import listen, run

_LOCAL = ("127.0.0.1", "::1", "localhost")


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
        workers=workers,
        web=find_local_page(web),
    )
    with listen(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        remark(f"serving on http://{shown}:{listener.getsockname()[1]}; Ctrl-C ends it")
        if host not in _LOCAL and not token:
            remark("everybody who reaches this address may use it; --token asks for a secret")
        logging.getLogger("mien.io.image").setLevel(logging.ERROR)  # a client's dark pictures are no remark of ours
        run(app, listener, limits)
