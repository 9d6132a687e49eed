"""What another machine has written is waited for, and its folder looked at anew meanwhile."""

from soundstorm.data.shared_files import wait_until


def test_a_folder_is_changed_between_looks_so_that_its_server_is_asked(tmp_path):
    changes = []

    def seen() -> bool:
        changes.append(tmp_path.stat().st_mtime_ns)
        return len(set(changes)) == 3

    assert wait_until(seen, [tmp_path, tmp_path / "missing"])
    assert len(changes) == 3 and not list(tmp_path.iterdir())


def test_pauses_grow_up_to_a_limit_and_end_in_time():
    pauses = []
    assert not wait_until(lambda: len(pauses) == 99, [], pause=pauses.append, seconds=0.0)
    assert pauses == []
    assert wait_until(lambda: len(pauses) == 9, [], pause=pauses.append)
    assert pauses[:3] == [0.1, 0.2, 0.4] and pauses[-1] == 5.0
