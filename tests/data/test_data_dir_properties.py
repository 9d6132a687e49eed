"""Whatever the directory: no tool loses, repeats or invents a line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundstorm.data.data_dir import invert
from soundstorm.data.data_dir_derive import combine, rename
from soundstorm.data.data_dir_edit import Contents, fix_contents, keep

FAST = settings(max_examples=150, deadline=None)
SPEAKERS = st.dictionaries(st.sampled_from(["anna", "ben", "cora", "d", "e.f"]), st.integers(1, 5), min_size=1)


@st.composite
def directories(draw, complete=True):
    """A directory of up to 25 utterances, cut from recordings or not; perhaps with entries that are missing."""
    spoken = [(f"{name}-{n}", name) for name, count in sorted(draw(SPEAKERS).items()) for n in range(count)]
    utterances = [utterance for utterance, _ in spoken]
    tables = {
        "utt2spk": dict(spoken),
        "text": {u: f"words of {u}" for u in utterances},
        "utt2dur": {u: f"{1 + n % 7}.5" for n, u in enumerate(utterances)},
        "phones.ctm": {u: "1 0 0.5 sil\n1 0.5 0.5 a" for u in utterances},
        "spk2gender": {name: "f" for _, name in spoken},
    }
    if draw(st.booleans()):
        # Several utterances to a recording, some recordings with several speakers.
        places = [n // 2 for n in range(len(utterances))]
        tables["segments"] = {u: f"reco{place} {n} {n + 1}" for n, (u, place) in enumerate(zip(utterances, places))}
        tables["wav.scp"] = {f"reco{place}": f"audio/{place}.wav" for place in places}
        tables["reco2dur"] = {f"reco{place}": "99" for place in places}
    else:
        tables["wav.scp"] = {u: f"audio/{u}.wav" for u in utterances}
    if not complete:
        for name in sorted(tables):
            missing = draw(st.sets(st.sampled_from(sorted(tables[name])), max_size=2))
            tables[name] = {key: value for key, value in tables[name].items() if key not in missing}
    return Contents(tables)


def used(contents, utterances):
    """What each file must hold for these utterances, one at a time."""
    segments = contents.tables.get("segments", {})
    keys = {"spk": set(), "reco": set()}
    for utterance in utterances:
        keys["spk"].add(contents.tables["utt2spk"][utterance])
        keys["reco"].add(segments[utterance].split()[0] if segments else utterance)
    return {"spk2gender": keys["spk"], "wav.scp": keys["reco"], "reco2dur": keys["reco"]}


@FAST
@given(contents=directories(), data=st.data())
def test_a_part_has_its_utterances_and_what_they_use_and_nothing_else(contents, data):
    utterances = list(contents.tables["utt2spk"])
    chosen = data.draw(st.lists(st.sampled_from([*utterances, "unknown-1"])))
    part, wanted = keep(contents, chosen), set(chosen) - {"unknown-1"}
    others = used(contents, wanted)
    for name, table in part.tables.items():
        assert set(table) == others.get(name, wanted), name
        assert table.items() <= contents.tables[name].items()
    assert sorted(" ".join(invert(part.tables["utt2spk"]).values()).split()) == sorted(wanted)


@FAST
@given(contents=directories(), data=st.data())
def test_parts_put_together_are_the_whole_however_it_was_cut(contents, data):
    utterances = list(contents.tables["utt2spk"])
    number = data.draw(st.integers(1, min(4, len(utterances))))
    owners = [*range(number), *data.draw(st.lists(st.integers(0, number - 1), min_size=len(utterances)))]
    parts = {
        f"part{piece}": keep(contents, [u for u, owner in zip(utterances, owners) if owner == piece])
        for piece in data.draw(st.permutations(range(number)))
    }
    whole, left_out = combine(parts)
    assert left_out == []
    assert whole.tables == contents.tables
    assert all(list(table) == sorted(table) for table in whole.tables.values())


@FAST
@given(contents=directories(complete=False))
def test_fixing_keeps_the_utterances_that_have_everything_and_no_other(contents):
    tables = contents.tables
    wanted = []
    for utterance, speaker in tables["utt2spk"].items():
        complete = all(utterance in tables[name] for name in ("text", "utt2dur"))
        recording = utterance
        if "segments" in tables:
            complete = complete and utterance in tables["segments"]
            recording = tables["segments"].get(utterance, "").split(" ")[0]
        if complete and recording in tables["wav.scp"] and speaker in tables["spk2gender"]:
            wanted.append(utterance)
    if not wanted:
        with pytest.raises(ValueError, match="nothing would be left"):
            fix_contents(contents)
        return
    fixed = fix_contents(contents)
    assert list(fixed.tables["utt2spk"]) == list(fixed.tables["text"]) == wanted
    assert fix_contents(fixed).tables == fixed.tables
    for name, table in fixed.tables.items():
        assert table.items() <= tables[name].items(), name


@FAST
@given(contents=directories(), prefix=st.sampled_from(["", "a-", "sp0.9-"]), suffix=st.sampled_from(["", "-x"]))
def test_renaming_loses_and_mixes_up_nothing(contents, prefix, suffix):
    renamed = rename(contents, utt_prefix=prefix, utt_suffix=suffix, spk_prefix=prefix)
    by_utterance = "segments" not in contents.tables
    for name, table in contents.tables.items():
        kind = {"spk2gender": "spk", "wav.scp": "reco", "reco2dur": "reco"}.get(name, "utt")
        for key, value in table.items():
            new = {"spk": prefix + key, "utt": prefix + key + suffix}.get(kind, key)
            if kind == "reco" and by_utterance:
                new = prefix + key + suffix
            assert renamed.tables[name][new] == (prefix + value if name == "utt2spk" else value)
        assert len(renamed.tables[name]) == len(table)
