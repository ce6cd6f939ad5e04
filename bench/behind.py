"""nginx that asks Gatekeeper about each request, with the files of deploy/nginx: the CPU of both together."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import servers
from bench.processes import Server, cores, free_port
from gatekeeper.cli.nginx import Mode, render
from gatekeeper.settings import make_settings

ALONE = "nginx"
ASKING: dict[Mode, str] = {
    "ask": "nginx asks Gatekeeper each time",
    "ask-cached": "nginx keeps each yes for a second",
}


@contextlib.contextmanager
def asking(folder: Path, mode: Mode, application: int) -> Iterator[tuple[Server, str]]:
    """The two on one core, counted together, and the Cookie header of somebody signed in."""
    port, place = free_port(), folder / mode
    place.mkdir()
    with servers.gatekeeper(folder, f"behind-{mode}", application, public=port) as (gate, cookie):
        settings: dict[str, Any] = {
            "public_url": f"http://127.0.0.1:{port}",
            "listen": f"127.0.0.1:{gate.port}",
            "upstream": f"http://127.0.0.1:{application}",
            "trusted_proxies": "127.0.0.1",
        }
        site = render(make_settings(settings, create=False), mode)
        site = site.replace(f"listen {port};", f"listen 127.0.0.1:{port} backlog=4096;")
        site = site.replace("/run/nginx-gatekeeper", str(place / "cache"))
        with servers.nginx(f"nginx-{mode}", folder, site, port, cores()[0]) as front:
            # nginx starts its worker first; its cache's manager and loader serve nobody.
            yield replace(front, name=ASKING[mode], pids=(front.pids[0], *gate.pids)), cookie


def report(figures: Mapping[str, Mapping[str, list[float]]], rounds: int) -> str:
    """The Markdown table: medians of µs by row and server, and what each is to nginx alone."""
    names = [ALONE, *ASKING.values()]
    lines = [
        f"| CPU of nginx and Gatekeeper together | {ALONE}, no sign-in | {' | '.join(names[1:])} |",
        "|---|" + "---:|" * len(names),
    ]
    for title, by_name in figures.items():
        medians = [statistics.median(by_name[name]) for name in names]
        cells = [f"{median:.1f} ({median / medians[0]:.2f})" for median in medians]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    foot = f"Median of {rounds} interleaved rounds, all on one core; in brackets what it is to nginx alone."
    return "\n".join([*lines, "", foot])
