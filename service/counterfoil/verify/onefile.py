"""Checks an evidence bundle of Counterfoil offline. One file, the Python standard library (3.9 or later), nothing else.

    python3 verify.py BUNDLE.zip --log VKEY --bundle VKEY

VKEY is a C2SP verifier key (name+id+base64): of the log, and of whoever signs its bundles. Get both from elsewhere than
the bundle; without them it is only shown to agree with itself, which a forged one does too. A copy of this file is in
each bundle; the copy that counts is one that you got elsewhere, or read (it is set closely to stay within 300 lines).
Steps are those of docs/formats/bundle.md. Not done here, but by `counterfoil-verify`: 4, witnesses in 5, 6, 10, 12, 13,
related records, flat views, unknown files, the closest reading of the ZIP (1) and of a leaf's values and supersessions
(7). Exit status: 0 VERIFIED, 1 REJECTED, 2 INCOMPLETE.
"""
# fmt: off

import argparse
import base64
import hashlib
import itertools
import json
import re
import zipfile
from collections import Counter
from typing import Any, Iterator  # noqa: UP035 - Python 3.9

PATHS = {  # where in a leaf a filter looks, if not at the key of its name
    "agent": "agent.name,agent.id", "interaction": "interaction.id", "region": "interaction.region",
    "decision_type": "decision.type", "outcome": "decision.outcome", "risk": "decision.risk",
    "autonomy": "decision.autonomy", "producer": "producer.id", "fallback": "fallback.trigger",
    "handoff": "handoff.state,handoff.reason", "oversight": "oversight.verdict"}
Object = dict[str, Any]
Leaves = Iterator[tuple[int, Object, bytes]]
Key = tuple[str, bytes, bytes]  # name, id, Ed25519 public key

class Stop(Exception):  # refuted (status 1), or beyond this version (2), at the step and over the file under way
    step, file = 1, "the archive"
def at(step: int, file: str) -> str:
    Stop.step, Stop.file = step, file
    return file
def need(fact: object, why: str, status: int = 1) -> None:
    if not fact:
        raise Stop(why, status)
def unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
def parse_object(data: bytes, canonical: bool = False) -> Object:
    value = json.loads(data.decode())
    again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    need(isinstance(value, dict) and (again == data or not canonical), "not a JSON object, or not in canonical form")
    return dict(value)

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P  # Ed25519 (RFC 8032, 5.1.7), for reading: points are (x, y), adding divides

def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    t = D * a[0] * b[0] * a[1] * b[1]
    return (a[0] * b[1] + a[1] * b[0]) * pow(1 + t, -1, P) % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P
def multiply(factor: int, point: tuple[int, int]) -> tuple[int, int]:
    result = (0, 1)
    while factor:
        result = add(result, point) if factor & 1 else result
        point, factor = add(point, point), factor >> 1
    return result
def decompress(data: bytes) -> tuple[int, int]:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if len(data) != 32 or y >= P or x * x % P != square or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    return (x if x & 1 == sign else P - x), y
def verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    try:
        base, key, r = (decompress(each) for each in (b"\x58" + b"\x66" * 31, public, signature[:32]))
    except ValueError:
        return False
    return len(signature) == 64 and s < ORDER and multiply(s, base) == add(r, multiply(k, key))
def parse_vkey(text: str) -> Key:
    name, key_id, key = text.split("+", 2)
    data = unbase64(key)
    if len(data) != 33 or data[0] != 1 or hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] != key_id:
        raise ValueError("no verifier key of type Ed25519")
    return name, bytes.fromhex(key_id), data[1:]

class Bag:
    """Step 1: the files by name; `population` and `note` (the checkpoint) as soon as steps 3 and 5 have shown them."""
    def __init__(self, path: str) -> None:
        self.archive, self.entries, seen = zipfile.ZipFile(path), dict[str, zipfile.ZipInfo](), dict[str, str]()
        self.population, self.note = dict[str, Any](), ""
        for info in self.archive.infolist():
            top, *parts = at(1, info.orig_filename).split("/")
            plain = all(re.fullmatch("[A-Za-z0-9._-]+", part) and part not in (".", "..") for part in (top, *parts))
            need(plain and parts and info.orig_filename.lower() not in seen, "not a plain name, or there twice")
            need(info.external_attr >> 28 in (0, 8) and not info.flag_bits & 0x41, "a link, or encrypted")
            need(info.extra[:4] in (b"", b"\1\0%c\0" % max(0, len(info.extra) - 4)), "an extra field")
            need(info.file_size <= max(1 << 20, 200 * info.compress_size), "compressed more than 200-fold")
            need(seen.setdefault("", top) == seen.setdefault(info.orig_filename.lower(), top), "a second directory")
            self.entries["/".join(parts)] = info

    def read(self, name: str) -> bytes:
        need(name in self.entries and self.entries[name].file_size <= 1 << 26, f"{name} is missing or too large")
        return self.archive.read(self.entries[name])

    def lines(self, step: int, name: str) -> Iterator[Object]:
        with self.archive.open(self.entries[at(step, name)]) as file:
            for line in file:
                at(step, name)
                need(line.endswith(b"\n"), "the last line does not end")
                yield parse_object(line[:-1], canonical=True)

def check_manifests(bag: Bag) -> dict[str, str]:  # step 2: BagIt
    need(bag.read(at(2, "bagit.txt")) == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n", "no BagIt 1.0")
    payload, digests = {name for name in bag.entries if name.startswith("data/")}, dict[str, str]()
    for name in bag.entries.keys() - {"tagmanifest-sha256.txt"}:
        with bag.archive.open(bag.entries[at(2, name)]) as file:
            found = hashlib.sha256()
            while chunk := file.read(1 << 16):
                found.update(chunk)
        digests[name] = found.hexdigest()
    for manifest, names in (("manifest-sha256.txt", payload), ("tagmanifest-sha256.txt", digests.keys() - payload)):
        listed = "".join(f"{digests[name]}  {name}\n" for name in sorted(names)).encode()
        need(bag.read(at(2, manifest)) == listed, "does not list exactly the files that are there with their digests")
    oxum = f"Payload-Oxum: {sum(bag.entries[name].file_size for name in payload)}.{len(payload)}"
    need(oxum.encode() in bag.read(at(2, "bag-info.txt")).split(b"\n"), f"must say {oxum}")
    return digests

def check_attestation(bag: Bag, digests: dict[str, str], keys: list[Key]) -> Object:  # step 3: DSSE, in-toto
    envelope = parse_object(bag.read(at(3, "attestation.dsse.json")))
    kind, body = envelope["payloadType"].encode(), unbase64(envelope["payload"])
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
    signatures = [unbase64(each["sig"]) for each in envelope["signatures"][:64]]
    need(any(verifies(key[2], message, each) for key in keys for each in signatures), "no trusted bundle key signed it")
    statement, free = parse_object(body), ("attestation.dsse.json", "attestation.tsr")
    need(statement["predicateType"] == "urn:counterfoil:bundle:1", "an attestation of another version", 2)
    named = sorted((each["name"], each["digest"]["sha256"]) for each in statement["subject"])
    need(named == sorted(each for each in digests.items() if each[0] not in free), "its subjects are not the files")
    population, predicate = parse_object(bag.read("data/population.json")), statement["predicate"]
    need(population["format"] == "counterfoil/bundle/1", "a bundle of another version", 2)
    said = {key: population[key] for key in ("form", "origin", "root", "tree_size")}
    said.update(population=digests["data/population.json"], request={"sha256": digests["data/run.json"]})
    need({key: predicate[key] for key in said} == said, "its predicate is not what the bundle holds")
    return population

def check_checkpoint(bag: Bag, keys: list[Key]) -> str:  # step 5: C2SP note
    note, origin = bag.read(at(5, "data/checkpoint")).decode(), bag.population["origin"]
    text, _, lines = note.rpartition("\n\n")
    signatures = [(name, unbase64(data)) for _, name, data in (line.split(" ") for line in lines.splitlines())]
    signed = [verifies(key[2], f"{text}\n".encode(), blob[4:]) for key in keys for name, blob in signatures
              if (name, blob[:4]) == key[:2] and name == origin]
    need(signed and all(signed), "no trusted key of this log signed it, or a signature does not verify")
    said = f"{origin}\n{bag.population['tree_size']}\n{bag.population['root']}"
    need(text == said, "not of the origin, size and root of the population")
    return note

def check_inclusion(bag: Bag, leaf: bytes, seq: int, proof: str) -> None:  # step 8: tlog-proof, RFC 9162 2.1.3.2
    at(8, "data/proofs.ndjson")
    (header, index, *siblings), checkpoint = proof.partition("\n\n")[0].split("\n"), proof.partition("\n\n")[2]
    node, last, found = seq, bag.population["tree_size"] - 1, hashlib.sha256(b"\0" + leaf).digest()
    right = (header, index, checkpoint) == ("c2sp.org/tlog-proof@v1", f"index {seq}", bag.note)
    need(right and 0 <= node <= last, f"not a proof of record {seq} under the checkpoint")
    for sibling in map(unbase64, siblings):
        need(last and len(sibling) == 32, f"the proof of record {seq} is too long")
        is_right = node & 1 or node == last
        found = hashlib.sha256(b"\1" + (sibling + found if is_right else found + sibling)).digest()
        while is_right and node and not node & 1:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    need(not last and found == unbase64(bag.population["root"]), f"record {seq} is not in the tree of the log")

def parse_leaf(bag: Bag, file: str, data: bytes, seq: int, before: Object) -> Object:  # step 7
    at(7, file)
    leaf = parse_object(data, canonical=True)
    need(leaf["v"] == 1, f"record {seq} is of version {leaf['v']}", 2)
    need((leaf["log"], leaf["seq"]) == (bag.population["origin"], seq), f"another record is in the place of {seq}")
    need(leaf["recorded_at"] >= before.get("recorded_at", ""), f"record {seq} goes back in time")
    at(8, file)
    return leaf

def leaves_file(n: int, width: int) -> str:
    groups = re.findall("...", str(n).zfill((len(str(n)) + 2) // 3 * 3))
    return f"data/leaves/{''.join(f'x{each}/' for each in groups[:-1])}{groups[-1]}" + f".p/{width}" * (width < 256)

def range_leaves(bag: Bag) -> Leaves:  # steps 7 and 8: each leaf holds the hash of the one before; the last is proven
    a, b, size, border = (bag.population[key] for key in ("a", "b", "tree_size", "border"))
    times, data, seq, wanted, leaf = bag.population["filter"]["parsed"], b"", -1, set(), dict[str, Any]()
    borders = {"before": "from" in times and a > 0, "after": "to" in times and b < size}
    need(0 <= a <= b <= size and border == borders, "no range, or not with the borders that it needs")
    starts = range((a - border["before"]) // 256 * 256, b + border["after"], 256)
    for start in starts if a < b or any(border.values()) else ():
        place, file = 0, at(8, leaves_file(start // 256, min(256, size - start)))
        wanted.add(file)
        entries = bag.read(file)
        for seq in range(start, min(start + 256, size)):
            link, before, size_at = hashlib.sha256(b"\0" + data).digest(), leaf, place
            place += 2 + int.from_bytes(entries[size_at : size_at + 2], "big")
            data = entries[size_at + 2 : place]
            leaf = parse_leaf(bag, file, data, seq, before)
            need(not before or unbase64(leaf["prev"]) == link, f"record {seq} does not hold the hash of the one before")
            late = seq == b and border["after"] and leaf["recorded_at"] < times["to"][0]
            early = seq == a - 1 and border["before"] and leaf["recorded_at"] >= times["from"][0]
            need(not early and not late, f"record {seq}, a border, lies inside the time range")
            yield seq, leaf, data
        need(place == len(entries), f"{at(7, file)} holds other leaves than its name says")
    need(wanted == {name for name in bag.entries if name.startswith("data/leaves/")}, at(8, "data/leaves"))
    proofs = [line["proof"] for line in bag.lines(8, "data/proofs.ndjson")]
    need(len(proofs) == bool(wanted), "there must be one proof, of the last leaf present")
    check_inclusion(bag, data, seq, proofs[0]) if wanted else None

def selected_leaves(bag: Bag) -> Leaves:  # steps 7 and 8: each record has its own proof
    leaf = dict[str, Any]()
    for line in bag.lines(8, "data/proofs.ndjson"):
        need(line["seq"] > leaf.get("seq", -1), "records are not in order")
        leaf = parse_leaf(bag, "data/proofs.ndjson", unbase64(line["leaf"]), line["seq"], leaf)
        check_inclusion(bag, unbase64(line["leaf"]), line["seq"], line["proof"])
        yield line["seq"], leaf, unbase64(line["leaf"])

def check_content(bag: Bag, seq: int, content: Object, disclosed: list[Object], states: list[Object]) -> None:  # step 9
    for line in disclosed:
        field, encoded = line["field"], line["disclosure"] if at(9, "data/disclosures.ndjson") else ""
        digest = base64.urlsafe_b64encode(hashlib.sha256(encoded.encode()).digest()).decode().rstrip("=")
        need(content.get(field) == digest, f"record {seq}: {field} does not match its digest in the leaf")
        salt, name, value = json.loads(base64.urlsafe_b64decode(encoded + "=="))
        need(name == field and len(salt) >= 22, f"record {seq}: {field} discloses another name")
        if isinstance(value, dict) and value.keys() == {"blob"} and value["blob"].keys() == {"salt", "sha256", "size"}:
            salted = base64.urlsafe_b64decode(value["blob"]["salt"] + "==")
            salted += bag.read(at(9, f"data/blobs/{seq}/{field}"))
            need(hashlib.sha256(salted).digest() == unbase64(value["blob"]["sha256"]), "not the bytes committed to")
    at(9, "data/states.ndjson")
    for line in states:
        known = ("ERASED", "EXPIRED") if "by" in line else ("WITHHELD",)
        need(line["state"] in known, f"record {seq}: {line['field']} is {line['state']}")
    fields = sorted(line["field"] for line in disclosed + states)
    need(fields == sorted(content), f"record {seq}: a field is neither disclosed nor has a state, or both")

def holds(leaf: Object, name: str, values: list[str]) -> bool:  # step 11
    if name in ("from", "to"):
        return bool((leaf["recorded_at"] >= values[0]) == (name == "from"))
    paths = [path.partition(".") for path in PATHS.get(name, name).split(",")]
    reported = [leaf.get(outer, {}).get(inner) if inner else leaf.get(outer) for outer, _, inner in paths]
    is_any = name in ("fallback", "handoff", "oversight") and leaf["kind"] == name and "any" in values
    return is_any or any(each in values for each in reported)

def check_records(bag: Bag) -> None:  # steps 7, 8, 9 and 11 in one pass
    said, files = bag.population, ("data/disclosures.ndjson", "data/states.ndjson")
    streams = [itertools.groupby(bag.lines(9, file), lambda line: line["seq"]) for file in files]
    waiting: list[Any] = [next(stream, None) for stream in streams]
    seqs, hashes, kinds, outcomes = list[int](), hashlib.sha256(), Counter[str](), Counter[str]()
    for seq, leaf, data in (range_leaves if said["form"] == "range" else selected_leaves)(bag):
        selected = all(holds(leaf, name, values) for name, values in said["filter"]["parsed"].items())
        if said["form"] == "range" and not (said["a"] <= seq < said["b"] and selected):
            continue
        need(selected or not at(11, "data/proofs.ndjson"), f"the filter does not select record {seq}")
        lines: list[list[Object]] = [[], []]
        for each, stream in enumerate(streams):
            if waiting[each] is not None and waiting[each][0] == seq:
                lines[each], waiting[each] = list(waiting[each][1]), next(stream, None)
        check_content(bag, seq, leaf.get("content", {}), *lines)
        hashes.update(hashlib.sha256(b"\0" + data).digest())
        seqs = [*seqs[:1], seq]
        kinds[leaf["kind"]] += 1
        outcomes.update([leaf["decision"]["outcome"]] if "outcome" in leaf.get("decision", {}) else [])
    need(waiting == [None, None], f"{at(9, 'data/disclosures.ndjson')}: content of a record that is not presented")
    found: Object = {"count": sum(kinds.values()), "by_kind": dict(kinds), "by_outcome": dict(outcomes)}
    found.update({"first": seqs[0], "last": seqs[-1]} if seqs else {"first": None, "last": None})
    found["hash_total"] = base64.b64encode(hashes.digest()).decode()
    for key, value in found.items():
        need(said.get(key) == value, f"{at(11, 'data/population.json')}: {key} is {value} by the leaves")

def verify(path: str, log: list[Key], bundle: list[Key]) -> str:  # what is missing for VERIFIED; raises at a failure
    digests = check_manifests(bag := Bag(path))
    missing = [f"no step for {name}" for name in ("data/sample.json", "data/completeness.json") if name in bag.entries]
    if not log or not bundle:
        hints = parse_object(bag.read("data/keys/keys.json"))
        log, bundle = ([parse_vkey(each["vkey"]) for each in hints[name]] for name in ("log", "bundles"))
        missing.insert(0, "self-consistent only: give --log and --bundle")
    bag.population = check_attestation(bag, digests, bundle)
    bag.note = check_checkpoint(bag, log)
    check_records(bag)
    return "; ".join(missing)

def main() -> int:
    parser = argparse.ArgumentParser(description="Checks an evidence bundle of Counterfoil offline.")
    parser.add_argument("bundle_file", metavar="BUNDLE.zip")
    parser.add_argument("--log", action="append", default=[], metavar="VKEY", type=parse_vkey)
    parser.add_argument("--bundle", action="append", default=[], metavar="VKEY", type=parse_vkey)
    args, why, status = parser.parse_args(), at(1, "the archive"), 0
    try:
        why = verify(args.bundle_file, args.log, args.bundle)
    except Stop as stop:
        why, status = stop.args
    except Exception as error:  # noqa: BLE001 - whatever hostile bytes make the standard library raise refutes them
        why, status = f"malformed: {error!r}", 1
    passed = (step for step in (1, 2, 3, 5, 7, 8, 9, 11) if not status or step < Stop.step)
    print("steps passed:", *passed, "(not done here: 4, witnesses in 5, 6, 10, 12, 13, related records, flat views)")
    why, status = (f"step {Stop.step}, {Stop.file}: {why}", status) if status else (why, 2 if why else 0)
    print(("VERIFIED", "REJECTED", "INCOMPLETE")[status], ascii(why[:400]) if why else "")
    return status

if __name__ == "__main__":
    raise SystemExit(main())
