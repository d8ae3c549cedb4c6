"""Follow mode on a real API server: every write becomes a commit of its manager, through kills, cuts and compaction."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.controllers import wait_for
from tests.support.following import MAPS, NAMES, wait_for_text, write
from tests.support.following import following as following_process
from tests.testbed.apiserver import ApiServer


def test_each_write_is_a_commit_of_its_manager_and_the_tree_is_that_of_a_capture(
    api: ApiServer, tmp_path: Path
) -> None:
    """The commits have the order of the writes. A capture finds no difference afterwards."""
    with following_process(api, tmp_path) as following:
        time.sleep(1.1)  # managedFields have whole seconds
        for number, manager in enumerate(("alice", "bob", "carol"), 1):
            write(api, "a", str(number), manager)
            wait_for_text(following, "a", str(number))
            time.sleep(1.1)
        api.ask("DELETE", f"{MAPS}/b")
        wait_for(lambda: "1 ConfigMap deleted" in following.git("log", "-1", "--format=%s"), "the deletion")
        assert following.git("log", "-4", "--format=%an").split() == ["unknown", "carol", "bob", "alice"]
        assert "Gitsnap-Seen" not in following.git("log", "--format=%B")
        assert following.stop() == 0
        assert "unchanged" in following.capture()
        assert following.git("fsck", "--strict", "--no-dangling") == ""


def test_nothing_is_lost_or_doubled_by_kills_cuts_and_compaction(api: ApiServer, tmp_path: Path) -> None:
    """The archive tells where the next process continues."""
    with following_process(api, tmp_path) as following:
        number = 0
        for fault in ("kill", "cut", "kill", "down", "kill and compact", "cut"):
            for name in NAMES:
                number += 1
                written = write(api, name, str(number), "writer")
            if fault.startswith("kill"):
                time.sleep(0.3 * (number % 4))
                following.kill()
                number += 1
                written = write(api, "c", str(number), "writer")
                if fault == "kill and compact":
                    api.compact(written["metadata"]["resourceVersion"])
                following.start()
            else:
                following.switch.off()
                number += 1
                write(api, "c", str(number), "writer")
                if fault == "down":
                    time.sleep(2)
                following.switch.on()
            wait_for_text(following, "c", str(number))

        assert following.stop() == 0, following.log()
        assert "unchanged" in following.capture()
        texts = following.git("log", "-p", "--reverse", "--format=", "--", "configuration/default/ConfigMap/c.yaml")
        values = [int(line.rpartition(" ")[2].strip('"')) for line in texts.splitlines() if line.startswith("+  text:")]
        assert values == sorted(set(values))
        assert following.git("fsck", "--strict", "--no-dangling") == ""
