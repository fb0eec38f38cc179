"""The record: what a leaf may hold, strictly read, and canonical."""

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import record, schema
from counterfoil.core.encoding import encode_base64, format_json
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.record import check_draft, check_record, format_record, parse_record
from counterfoil.core.rules import Rule

SAMPLES: dict[str, list[Any]] = {
    "token": ["refunds", "gpt-4o", "550e8400-e29b-41d4-a716-446655440000"],
    "boolean": [True, False],
    "decimal": ["0", "0.65", "1"],
    "origin": ["example.com/log"],
    "trace_id": ["4bf92f3577b34da6a3ce929d0e0e4736"],
    "span_id": ["00f067aa0ba902b7"],
    "field": ["rationale", "input"],
    "hash": [encode_base64(bytes(range(32)))],
    "field_digest": ["A" * 43],
    "digest": ["A" * 43, "0" * 64],
    "vkey": ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"],
    "time_us": ["2026-11-22T10:48:39.000123Z"],
    "time_ns": ["2026-11-22T10:48:39.000123456Z"],
    "ranges": [[[0, 3], [7, 7]]],
}
EITHER = [
    *("refunds", "all", 5, True, "A" * 43, "2026-11-22T10:48:39.000123Z", ["rationale"]),
    *({"id": "d-1"}, {"seq": 3}, {"trace_id": SAMPLES["trace_id"][0], "span_id": SAMPLES["span_id"][0]}),
]


def values_of(rule: Rule) -> st.SearchStrategy[Any]:
    """Values that a rule takes, by its name."""
    if rule.keys is not None:
        required = {key: values_of(rule.keys[key]) for key in rule.required}
        optional = {key: values_of(inner) for key, inner in rule.keys.items() if key not in rule.required}
        return st.fixed_dictionaries(required, optional=optional).filter(bool)
    if rule.item is not None:
        return st.lists(values_of(rule.item), min_size=1, max_size=3)
    if rule.name == "enum":
        return st.sampled_from(rule.values)
    if rule.name == "integer":
        return st.integers(rule.schema["minimum"], rule.schema["maximum"])
    if rule.name == "table":
        table = st.dictionaries(
            st.sampled_from(["rationale", "input", "output"]), st.sampled_from(["A" * 43]), min_size=1
        )
        return table if rule.accepts({"a": "A" * 43}) else table.map(lambda t: dict.fromkeys(t, "redacted"))
    if rule.name == "either":
        return st.sampled_from([value for value in EITHER if rule.accepts(value)])
    return st.sampled_from(SAMPLES[rule.name])


@st.composite
def leaves(draw: st.DrawFn, kinds: list[str] | None = None) -> dict[str, Any]:
    """Valid leaves of every kind."""
    kind = draw(st.sampled_from(kinds or sorted(schema.KINDS)))
    rules, required = schema.leaf_rules(kind)
    named = draw(st.sets(st.sampled_from(sorted(set(rules) - required)), max_size=8)) | required
    leaf = {key: draw(values_of(rules[key])) for key in sorted(named)}
    leaf["kind"] = kind
    return repaired(leaf)


def repaired(leaf: dict[str, Any]) -> dict[str, Any]:
    """The leaf with what lies between its keys put right."""
    leaf["prev"] = record.FIRST_PREV if leaf["seq"] == 0 else SAMPLES["hash"][0]
    leaf.pop("writer", None)
    if leaf["source"] == "service":
        leaf.pop("mapping", None)
    else:
        leaf["writer"] = "k-1"
    if leaf["source"].startswith("otlp:"):
        leaf["mapping"] = {"name": "counterfoil", "version": "1"}
    if leaf.get("supersedes", -1) >= leaf["seq"]:
        del leaf["supersedes"]
    if "n" in leaf.get("producer", {}):
        leaf["producer"]["id"] = "p-1"
    if leaf["kind"] == "key" and "vkey" in leaf["key"]:
        leaf["key"].pop("credential", None)
    return leaf


def example(kind: str = "decision") -> dict[str, Any]:
    """One leaf of a kind with everything in it, the same each time."""
    rng = random.Random(kind)

    def one(rule: Rule) -> Any:
        if rule.keys is not None:
            return {key: one(inner) for key, inner in rule.keys.items()}
        if rule.item is not None:
            return [one(rule.item)]
        if rule.name == "enum":
            return rng.choice(rule.values)
        if rule.name == "integer":
            return rng.randint(rule.schema["minimum"], min(rule.schema["maximum"], 1_000))
        if rule.name == "table":
            return {"rationale": "A" * 43} if rule.accepts({"a": "A" * 43}) else {"input": "redacted"}
        if rule.name == "either":
            return next(value for value in EITHER if rule.accepts(value))
        return rng.choice(SAMPLES[rule.name])

    rules, _ = schema.leaf_rules(kind)
    leaf = {key: one(rule) for key, rule in rules.items()} | {"kind": kind}
    return repaired(leaf)


def refusal(leaf: Any) -> str:
    """Why a leaf is refused, in each of the ways that it can be."""
    with pytest.raises(EvidenceError) as checked:
        check_record(leaf)
    assert checked.value.check == "record"
    if isinstance(leaf, dict):
        with pytest.raises(InputError) as formatted:
            format_record(leaf)
        assert (formatted.value.code, formatted.value.message) == ("bad_record", checked.value.message)
    return checked.value.message


@given(leaves())
def test_every_valid_leaf_round_trips_as_the_write_path_prints_it(leaf: dict[str, Any]) -> None:
    data = format_record(leaf)
    assert parse_record(data) == leaf
    assert data == orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS) == format_json(leaf)
    assert len(data) <= schema.MAX_LEAF_BYTES


@pytest.mark.parametrize("kind", sorted(schema.KINDS))
def test_each_kind_needs_what_the_table_says_and_takes_nothing_else(kind: str) -> None:
    leaf = example(kind)
    check_record(leaf)
    rules, required = schema.leaf_rules(kind)
    for key in required - {"kind", "source"}:
        assert refusal({k: v for k, v in leaf.items() if k != key}) == f"{key} is missing"
    for key in sorted(set(leaf) - required - {"writer", "mapping"}):
        check_record({k: v for k, v in leaf.items() if k != key})
    assert "unknown is not a key" in refusal({**leaf, "unknown": 1})
    other = "fallback" if kind == "decision" else "decision"
    assert f"{other} is not a key" in refusal({**leaf, other: {"id": "a"}})
    for key, inner in rules.items():
        wrongs: list[Any] = [None, "", 1.5, [], {}, "no token", -1, True]
        for wrong in wrongs:
            if key in leaf and key != "kind" and not inner.accepts(wrong):
                assert refusal({**leaf, key: wrong}).startswith((key, "kind", "writer", "prev"))
    own = schema.facts_of(kind)
    for key in own:
        if kind in leaf:
            assert f"{kind}.{key} must be" in refusal({**leaf, kind: {**leaf[kind], key: object()}})
    needed = rules[kind].required if kind in rules else frozenset()
    for key in needed:
        assert f"{kind}.{key} is missing" in refusal({**leaf, kind: {k: v for k, v in leaf[kind].items() if k != key}})


def test_the_kinds_are_those_of_the_specification() -> None:
    assert len(schema.PRODUCER_KINDS) == 15
    assert len(schema.INTERACTIONS_LOG_KINDS) == 22
    assert {"access", "break_glass"} == schema.ACCESS_LOG_KINDS - schema.INTERACTIONS_LOG_KINDS
    assert not schema.PRODUCER_KINDS & schema.SERVICE_KINDS
    assert schema.KINDS == schema.PRODUCER_KINDS | schema.SERVICE_KINDS


@pytest.mark.parametrize("kind", ["", "Decision", "unknown", None, 1, ["decision"], "x" * 200])
def test_an_unknown_kind_is_refused(kind: Any) -> None:
    assert "is none of version 1" in refusal({**example(), "kind": kind})


@pytest.mark.parametrize("leaf", [None, 1, "x", [], True])
def test_a_leaf_is_an_object(leaf: Any) -> None:
    assert refusal(leaf) == "a record is a JSON object"


def test_sources_go_with_kinds() -> None:
    leaf = example("decision")
    assert refusal({**leaf, "source": "service"}).startswith("source must be one of otlp:traces")
    service = example("erasure")
    assert refusal({**service, "source": "otlp:logs", "mapping": leaf["mapping"]}).startswith(
        "source must be one of api"
    )


def test_writer_is_there_exactly_where_the_source_is_not_the_service() -> None:
    leaf = {**example("erasure"), "source": "api", "writer": "k-1"}
    check_record(leaf)
    assert refusal({k: v for k, v in leaf.items() if k != "writer"}).startswith("writer is the credential")
    leaf["source"] = "service"
    leaf.pop("mapping", None)
    assert refusal(leaf).startswith("writer is the credential")
    del leaf["writer"]
    check_record(leaf)
    assert refusal({**leaf, "mapping": {"name": "a", "version": "1"}}).startswith("mapping does not go with")


def test_a_record_from_otlp_names_its_mapping() -> None:
    leaf = {**example("decision"), "source": "otlp:traces", "mapping": {"name": "genai", "version": "1"}}
    check_record(leaf)
    del leaf["mapping"]
    assert refusal(leaf).startswith("mapping is missing")
    check_record({**leaf, "source": "api"})


def test_prev_is_zero_at_the_beginning_and_only_there() -> None:
    leaf = example()
    leaf.pop("supersedes", None)
    check_record({**leaf, "seq": 0, "prev": record.FIRST_PREV})
    check_record({**leaf, "seq": 1, "prev": SAMPLES["hash"][0]})
    assert refusal({**leaf, "seq": 0, "prev": SAMPLES["hash"][0]}).startswith("prev is 32 zero bytes")
    assert refusal({**leaf, "seq": 1, "prev": record.FIRST_PREV}).startswith("prev is 32 zero bytes")


def test_a_record_supersedes_only_an_earlier_one() -> None:
    leaf = {**example(), "seq": 5, "prev": SAMPLES["hash"][0]}
    check_record({**leaf, "supersedes": 4})
    for seq in (5, 6):
        assert refusal({**leaf, "supersedes": seq}) == "supersedes must be lower than seq"


def test_a_producers_number_needs_its_id() -> None:
    leaf = example("decision")
    check_record({**leaf, "producer": {"part": 1}})
    assert refusal({**leaf, "producer": {"n": 1}}) == "producer.id is missing beside producer.n"


def test_a_key_record_is_about_one_key() -> None:
    leaf = example("key")
    both = {**leaf["key"], "vkey": SAMPLES["vkey"][0], "credential": "k-1"}
    assert refusal({**leaf, "key": both}) == "key names a vkey or a credential, not both"


def sized(size: int) -> dict[str, Any]:
    """A leaf of exactly `size` bytes."""
    leaf = example("erasure")
    leaf["erasure"] = {"ranges": [[10 * i, 10 * i + 5] for i in range(1_000, 1_980)], "ground": "x"}
    spare = size - len(format_json(leaf))
    names = [f"f{i:063}"[:64] for i in range(64)]
    fields: list[str] = []
    leaf["erasure"]["fields"] = fields
    while (spare := size - len(format_json({**leaf, "erasure": {**leaf["erasure"], "fields": fields or ["a"]}}))) > 80:
        fields.append(names[len(fields)])
    leaf["erasure"]["ground"] = "x" * (1 + spare)
    return leaf


def test_a_leaf_has_at_most_16384_bytes() -> None:
    data = format_record(sized(16_384))
    assert len(data) == 16_384
    assert parse_record(data) == sized(16_384)
    with pytest.raises(InputError, match="16385 bytes is over the limit of 16384") as caught:
        format_record(sized(16_385))
    assert caught.value.code == "leaf_too_large"
    with pytest.raises(EvidenceError, match="16385 bytes is over the limit of 16384"):
        parse_record(format_json(sized(16_385)))


def test_every_changed_byte_of_a_leaf_changes_its_hash_or_makes_it_unreadable() -> None:
    data = format_record(example())
    original, readable = leaf_hash(data), 0
    for at in range(len(data)):
        for flip in (1, 2, 4, 0x10, 0x20, 0x80):
            changed = data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :]
            assert leaf_hash(changed) != original
            try:
                leaf = parse_record(changed)
            except (EvidenceError, UnsupportedError):
                continue
            readable += 1
            assert format_record(leaf) == changed
        for shorter in (data[:at], data[:at] + data[at + 1 :]):
            assert leaf_hash(shorter) != original
    assert readable


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kind":"decision"', '"kind": "decision"'),
        ('"kind":"decision"', '"kind":"decision","kind":"decision"'),
        ('"kind":"decision"', '"kind":"decisio\\u006e"'),
        ('"v":1', '"v":1.0'),
        ('"v":1', '"v":null'),
        ('"v":1', '"v":0'),
        ('"v":1', '"v":true'),
        ('"v":1', '"v":"2"'),
        ('"v":1,', ""),
    ],
)
def test_a_leaf_in_any_other_spelling_is_rejected(old: str, new: str) -> None:
    text = format_record(example()).decode()
    assert old in text
    with pytest.raises(EvidenceError) as caught:
        parse_record(text.replace(old, new, 1).encode())
    assert caught.value.check == "record"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"{", b'"v"', b"null", b"[" * 10_000])
def test_bytes_that_are_no_leaf_are_rejected(data: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_record(data)
    assert caught.value.check == "record"


@pytest.mark.parametrize(
    "data",
    [
        b'{"v":2}',
        b'{"v": 3, "new": 1.5, "also": null}',
        format_json({**example(), "v": 2}),
        b'{"v":9007199254740993,"pad":"' + b"x" * 40_000 + b'"}',
    ],
    ids=range(4),
)
def test_a_later_version_is_unsupported_and_not_rejected(data: bytes) -> None:
    with pytest.raises(UnsupportedError, match=r"version \d+; this software knows version 1"):
        parse_record(data)


def test_a_later_version_must_still_fit_a_tile_entry() -> None:
    with pytest.raises(EvidenceError, match="record"):
        parse_record(b'{"v":2,"pad":"' + b"x" * 65_535 + b'"}')


def test_a_leaf_that_only_utf_16_could_hold_is_not_written() -> None:
    leaf = example("genesis")
    vkey = SAMPLES["vkey"][0].replace("foo", "\ud800")
    with pytest.raises(InputError):
        format_record({**leaf, "genesis": {**leaf["genesis"], "vkeys": [vkey]}})


DRAFT_LEFT_OUT = (*schema.ENVELOPE_KEYS, "kind")


@given(leaves())
def test_the_draft_of_every_valid_leaf_is_valid(leaf: dict[str, Any]) -> None:
    facts = {key: value for key, value in leaf.items() if key not in DRAFT_LEFT_OUT}
    check_draft(leaf["kind"], facts)
    del facts["source"]
    if "mapping" not in facts or leaf["source"] != "service":
        check_draft(leaf["kind"], facts)


@pytest.mark.parametrize("key", sorted(DRAFT_LEFT_OUT))
def test_a_draft_does_not_hold_what_the_service_adds(key: str) -> None:
    leaf = example()
    with pytest.raises(InputError, match=f"{key} is not a key of a decision draft") as caught:
        check_draft("decision", {key: leaf.get(key, "k-1")})
    assert (caught.value.code, caught.value.item) == ("bad_record", key)


@pytest.mark.parametrize(
    ("kind", "facts", "item", "message"),
    [
        ("unknown", {}, "kind", "is none of version 1"),
        ("decision", {"decision": {"risk": "huge"}}, "decision", "decision.risk must be one of low"),
        ("decision", {"decision": {}}, "decision", "decision must be an object"),
        ("decision", {"name": "two words"}, "name", "name must be a token"),
        ("decision", {"source": "otlp:logs"}, "mapping", "mapping is missing"),
        ("decision", {"producer": {"n": 1}}, "producer.id", "producer.id is missing"),
        ("erasure", {}, "erasure", "erasure is missing"),
        ("erasure", {"erasure": {"fields": "all"}}, "erasure", "erasure.ranges is missing"),
        ("erasure", {"erasure": {"ranges": [[0, 3]]}}, "erasure", "erasure.fields is missing"),
        ("expiry", {"expiry": {"ranges": [[0, 3]]}}, "expiry", "expiry.fields is missing"),
        ("redaction", {"redaction": {"ranges": [[0, 3]]}}, "redaction", "redaction.fields is missing"),
        ("producer", {}, "producer", "producer is missing"),
        ("decision", {"x" * 200: 1}, "x" * 64, "is not a key"),
    ],
)
def test_a_bad_draft_is_refused_and_the_key_named(kind: str, facts: dict[str, Any], item: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_draft(kind, facts)
    assert (caught.value.code, caught.value.item) == ("bad_record", item)


def test_mapping_can_ask_what_may_be_promoted() -> None:
    facts = schema.facts_of("decision")
    assert facts["risk"].name == "enum"
    assert facts["risk"].values == ("low", "medium", "high", "critical", "other")
    assert facts["confidence"].accepts("0.65")
    assert not facts["confidence"].accepts(0.65)
    assert schema.common_facts()["agent"].keys is not None
    assert schema.facts_of("operation") == {}
    for ask in (schema.facts_of, schema.leaf_rules):
        with pytest.raises(KeyError):
            ask("unknown")
    with pytest.raises(TypeError):
        facts["new"] = facts["risk"]  # type: ignore[index]  # a read-only view is what is tested


def test_a_real_leaf_is_what_it_was_when_this_format_was_published() -> None:
    leaf = {
        "v": 1,
        "log": "example.com/acme/interactions",
        "seq": 1,
        "prev": SAMPLES["hash"][0],
        "recorded_at": "2026-11-22T10:48:39.000123Z",
        "kind": "decision",
        "source": "otlp:logs",
        "writer": "k-refunds",
        "mapping": {"name": "counterfoil", "version": "1"},
        "producer": {"id": "refunds-5f2c", "n": 17, "part": 0},
        "interaction": {"id": "conv-42", "channel": "chat", "region": "eu"},
        "decision": {"type": "refund", "outcome": "deny", "risk": "medium", "confidence": "0.65"},
        "content": {"rationale": "A" * 43},
    }
    data = (
        b'{"content":{"rationale":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},'
        b'"decision":{"confidence":"0.65","outcome":"deny","risk":"medium","type":"refund"},'
        b'"interaction":{"channel":"chat","id":"conv-42","region":"eu"},"kind":"decision",'
        b'"log":"example.com/acme/interactions","mapping":{"name":"counterfoil","version":"1"},'
        b'"prev":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",'
        b'"producer":{"id":"refunds-5f2c","n":17,"part":0},"recorded_at":"2026-11-22T10:48:39.000123Z",'
        b'"seq":1,"source":"otlp:logs","v":1,"writer":"k-refunds"}'
    )
    assert format_record(leaf) == data
    assert parse_record(data) == leaf
    assert json.loads(data) == leaf
