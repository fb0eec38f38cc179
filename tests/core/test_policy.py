"""C2SP tlog-policy: every syntax rule, and quorums."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import note, policy
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.note import Cosigner, NoteSigner
from counterfoil.core.policy import Policy, parse_policy

VECTOR = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "policy_quorum.json").read_text())
LOG = NoteSigner.from_seed("example.com/log", bytes(32))
LOG_2 = NoteSigner.from_seed("example.com/log2", b"2" * 32)
W = [Cosigner.from_seed(f"w{i}.example", bytes([i]) * 32) for i in range(8)]
ML_DSA = note.format_vkey(note.make_key("pq.example", note.MLDSA44_COSIGNATURE, bytes(1312)))
ECDSA = note.format_vkey(note.make_key("ecdsa.example", note.ECDSA, b"SPKI"))


def met(policy: Policy, keys: list[note.VerifierKey]) -> bool:
    try:
        policy.check_quorum(keys)
    except EvidenceError as error:
        if error.check != "quorum":
            raise
        return False
    return True


def policy_of(groups: str, names: list[str]) -> tuple[Policy, dict[str, note.VerifierKey]]:
    """A policy with a witness for each name and the lines of a vector, which are cut by semicolons."""
    witnesses = dict(zip(names, W, strict=False))
    lines = [f"witness {name} {witness.vkey}" for name, witness in witnesses.items()]
    text = "\n".join([*lines, *(part.strip() for part in groups.split(";"))])
    return parse_policy(text), {name: witness.verifier_key for name, witness in witnesses.items()}


def test_the_published_nested_quorum_is_met_where_it_should_be() -> None:
    case = VECTOR["cases"][0]
    parsed, keys = policy_of(case["policy_groups"], ["W1", "W2", "W3", "W4", "W5"])
    for signed, expected in case["eval"]:
        assert met(parsed, [keys[f"W{i}"] for i in signed]) is expected


def test_the_published_quorum_of_two_groups_is_met_where_it_should_be() -> None:
    case = VECTOR["cases"][1]
    parsed, keys = policy_of(case["policy_groups"], ["A1", "A2", "A3", "B1", "B2", "B3"])
    for first, second, expected in case["eval_AB"]:
        assert met(parsed, [keys[f"A{i}"] for i in first] + [keys[f"B{i}"] for i in second]) is expected


def test_the_quorum_error_says_who_did_cosign() -> None:
    parsed, keys = policy_of("group G all A B; quorum G", ["A", "B"])
    with pytest.raises(EvidenceError, match="quorum G is not met: cosigned by A"):
        parsed.check_quorum([keys["A"]])
    with pytest.raises(EvidenceError, match="nobody"):
        parsed.check_quorum([])


FULL = f"""
# who we trust\t
  log   {LOG.vkey}\thttps://example.com/log
log {LOG_2.vkey}
witness W0 {W[0].vkey} https://w0.example
witness W1 {W[1].vkey}
witness pq {ML_DSA}
\t
group G 1 W0 W1
quorum G
"""


def test_a_policy_is_read_with_all_that_it_says() -> None:
    parsed = parse_policy(FULL)
    assert parsed == parse_policy(FULL.encode())
    assert [(log.key.name, log.url) for log in parsed.logs] == [
        ("example.com/log", "https://example.com/log"),
        ("example.com/log2", None),
    ]
    assert [(witness.name, witness.url) for witness in parsed.witnesses] == [
        ("W0", "https://w0.example"),
        ("W1", None),
        ("pq", None),
    ]
    assert parsed.groups == (policy.PolicyGroup("G", 1, ("W0", "W1")),)
    assert parsed.quorum == "G"
    assert parsed.keys == parsed.log_keys + parsed.witness_keys
    assert len(parsed.keys) == 5


def test_a_policy_without_witnesses_asks_for_none() -> None:
    parsed = parse_policy("quorum none")
    assert parsed == Policy((), (), (), "none")
    parsed.check_quorum([])


def test_a_single_witness_may_be_the_quorum() -> None:
    parsed, keys = policy_of("quorum A", ["A", "B"])
    assert met(parsed, [keys["A"]])
    assert not met(parsed, [keys["B"], LOG.verifier_key])


def test_names_are_octets() -> None:
    kelvin = f"witness \u212a {W[0].vkey}\nwitness K {W[1].vkey}\nquorum \u212a\n"
    parsed = parse_policy(kelvin)
    assert met(parsed, [W[0].verifier_key])
    assert not met(parsed, [W[1].verifier_key])
    raw = b"witness \xff\xfe " + W[0].vkey.encode() + b"\nquorum \xff\xfe"
    assert met(parse_policy(raw), [W[0].verifier_key])
    assert parse_policy(raw.decode("utf-8", "surrogateescape")) == parse_policy(raw)
    non_breaking = f"witness a\u00a0b {W[0].vkey}\nquorum a\u00a0b"
    assert parse_policy(non_breaking).quorum == "a\u00a0b"


WITNESSES = f"witness A {W[0].vkey}\nwitness B {W[1].vkey}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no quorum line"),
        (WITNESSES, "no quorum line"),
        ("quorum none\nquorum none", "line 2: a second quorum line"),
        ("quorum A\n" + WITNESSES, "line 1: A is not defined above"),
        ("quorum", "line 1: not a log"),
        ("quorum none none", "line 1: not a log"),
        ("Quorum none", "line 1: not a log"),
        (WITNESSES + "group G any A C\nwitness C x", "line 3: C is not defined above"),
        (WITNESSES + "group G any G", "line 3: G is not defined above"),
        (WITNESSES + "group G any A\ngroup H any A B", "line 4: A is a member already"),
        (WITNESSES + "group G any A A", "line 3: A is a member already"),
        (WITNESSES + "group G any none", "line 3: none is not defined above"),
        (WITNESSES + "group G 0 A B", "line 3: a group of 2 cannot ask for 0"),
        (WITNESSES + "group G 3 A B", "line 3: a group of 2 cannot ask for 3"),
        (WITNESSES + "group G 01 A B", "line 3: not an ASCII decimal"),
        (WITNESSES + "group G -1 A B", "line 3: not an ASCII decimal"),
        (WITNESSES + "group G some A B", "line 3: not an ASCII decimal"),
        (WITNESSES + "group G any", "line 3: not a log"),
        (WITNESSES + "group A any B", "line 3: the name A is taken"),
        (WITNESSES + "group none any B", "line 3: the name none is taken"),
        (f"witness none {W[0].vkey}", "line 1: the name none is taken"),
        (f"{WITNESSES}witness A {W[2].vkey}", "line 3: the name A is taken"),
        (f"{WITNESSES}witness C {W[0].vkey}", "line 3: a witness with this public key"),
        (f"witness C {W[0].vkey} url more", "line 1: not a log"),
        ("witness C", "line 1: not a log"),
        ("witness C vkey", "line 1: not of the form"),
        (f"witness C {LOG.vkey}", "line 1: a witness does not cosign with keys of type 0x01"),
        (f"log {LOG.vkey} url more", "line 1: not a log"),
        ("log", "line 1: not a log"),
        ("log vkey", "line 1: not of the form"),
        (f"log {LOG.vkey}\nlog {LOG.vkey}", "line 2: a log with this public key"),
        (f"log {W[0].vkey}", "line 1: a log does not sign with keys of type 0x04"),
        (f"log {ECDSA}", "line 1: a log does not sign with keys of type 0x02"),
        ("quorum none\r\n", "line 1: a control character"),
        ("quorum none\n\x00", "line 2: a control character"),
        ("quorum\x0bnone", "line 1: a control character"),
        ("# \x7f\nquorum none", "line 1: a control character"),
        ("#" * 1_048_577, "over the limit"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_policy(text)
    assert caught.value.code == "bad_policy"
    assert caught.value.item == (message.split(":")[0] if message.startswith("line") else None)


def test_text_that_no_file_could_hold_is_refused() -> None:
    with pytest.raises(InputError, match="not text"):
        parse_policy("# \ud800\nquorum none")


def test_a_key_listed_twice_under_two_names_is_refused() -> None:
    same = Cosigner.from_seed("another.example", bytes([0]) * 32)
    assert same.verifier_key.public == W[0].verifier_key.public
    with pytest.raises(InputError, match="public key is listed already"):
        parse_policy(f"witness A {W[0].vkey}\nwitness B {same.vkey}\nquorum A")


def test_policies_may_be_large_but_not_endless() -> None:
    logs = [NoteSigner.from_seed(f"log{i}.example", i.to_bytes(32, "big")).vkey for i in range(1_025)]
    assert len(parse_policy("\n".join(f"log {vkey}" for vkey in logs[:1024]) + "\nquorum none").logs) == 1_024
    with pytest.raises(InputError, match="line 1025: too many lines"):
        parse_policy("\n".join(f"log {vkey}" for vkey in logs) + "\nquorum none")


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[str], Any]:
    """Lines of groups over the witnesses 0 to 6, and the same as nested (threshold, members)."""
    nodes: list[tuple[str, Any]] = [(f"N{i}", i) for i in range(7)]
    lines = []
    for number in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, len(nodes)))
        picked = draw(st.permutations(nodes))[:size]
        threshold = draw(st.integers(1, size))
        lines.append(f"group G{number} {threshold} " + " ".join(name for name, _ in picked))
        nodes = [node for node in nodes if node not in picked]
        nodes.append((f"G{number}", (threshold, [member for _, member in picked])))
    lines.append(f"quorum {nodes[-1][0]}")
    return lines, nodes[-1][1]


def witnessed(node: Any, signed: set[int]) -> bool:
    """The definition, recursively."""
    if isinstance(node, int):
        return node in signed
    threshold, members = node
    return bool(sum(witnessed(member, signed) for member in members) >= threshold)


@given(trees())
def test_every_set_of_witnesses_is_judged_as_the_definition_says(tree: tuple[list[str], Any]) -> None:
    lines, root = tree
    parsed = parse_policy("\n".join([*(f"witness N{i} {W[i].vkey}" for i in range(7)), *lines]))
    for count in range(8):
        for signed in combinations(range(7), count):
            assert met(parsed, [W[i].verifier_key for i in signed]) is witnessed(root, set(signed))
