"""Runs claude-mpm's agent sync once against another GitHub than the real one, and says what it did.

usage: agent_sync.py API FILES OWNER/REPOSITORY BRANCH DIRECTORY CACHE

API and FILES take the places of api.github.com and raw.githubusercontent.com, which the service knows by heart.
Prints one line of JSON: the seconds that the sync itself took, without the start of Python, and its counts.
"""

import contextlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import requests


def main() -> None:
    api, files, repository, branch, directory, cache = sys.argv[1:]
    lead_to({"https://api.github.com": api, "https://raw.githubusercontent.com": files})
    # Whatever it prints on its way is not the answer.
    with contextlib.redirect_stdout(sys.stderr):
        from claude_mpm.services.agents.sources.git_source_sync_service import GitSourceSyncService

        service = GitSourceSyncService(
            source_url=f"https://raw.githubusercontent.com/{repository}/{branch}/{directory}",
            cache_dir=Path(cache),
            source_id="bench",
        )
        begun = time.perf_counter()
        result = service.sync_agents(show_progress=False)
        seconds = time.perf_counter() - begun
    told = {
        "version": version("claude-mpm"),
        "seconds": seconds,
        "synced": len(result["synced"]),
        "cached": len(result["cached"]),
        "failed": len(result["failed"]),
    }
    print(json.dumps(told))


def lead_to(places: dict[str, str]) -> None:
    """Has every request go to another place."""
    request = requests.Session.request

    def led(self, method, url, *arguments, **named):
        for known, place in places.items():
            if url.startswith(known + "/"):
                url = place + url[len(known) :]
        return request(self, method, url, *arguments, **named)

    requests.Session.request = led


main()
