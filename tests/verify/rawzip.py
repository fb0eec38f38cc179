"""ZIP archives put together byte by byte, so that a test can say anything in any header."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RawEntry:
    """One entry; `local` and `central` replace what their headers would say, `descriptor` what follows the data."""

    name: bytes
    data: bytes = b"x"
    method: int = 0
    flags: int = 0
    made_by: int = 3 << 8 | 20
    attributes: int = 0o100644 << 16
    raw: bytes | None = None
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    descriptor: bytes = b""
    zip64: bool = False

    def stored(self) -> bytes:
        """The data as it stands in the archive."""
        if self.raw is not None:
            return self.raw
        if self.method != 8:
            return self.data
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflate.compress(self.data) + deflate.flush()


def _extra64(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def raw_zip(entries: list[RawEntry], *, zip64_end: bool = False, **end: Any) -> bytes:
    """The archive; keywords replace fields of the end record: here, total, size, at, disk, comment, locator, end64."""
    body, directory = b"", b""
    for entry in entries:
        stored = entry.stored()
        said = {"crc": zlib.crc32(entry.data), "compressed": len(stored), "size": len(entry.data)}
        local: dict[str, Any] = {
            **said,
            "name": entry.name,
            "flags": entry.flags,
            "method": entry.method,
            "extra": b"",
            "mark": b"PK\x03\x04",
        }
        if entry.zip64:
            local |= {"extra": _extra64(said["size"], said["compressed"]), "compressed": 2**32 - 1, "size": 2**32 - 1}
        local |= entry.local
        central: dict[str, Any] = {
            **said,
            "name": entry.name,
            "extra": b"",
            "at": len(body),
            "mark": b"PK\x01\x02",
            "comment": 0,
            "disk": 0,
        }
        if entry.zip64:
            extra = _extra64(said["size"], said["compressed"], len(body))
            central |= {
                "extra": extra,
                "compressed": 2**32 - 1,
                "size": 2**32 - 1,
                "at": 2**32 - 1,
            }
        central |= entry.central
        body += struct.pack(
            "<4s5H3L2H", local["mark"], 20, local["flags"], local["method"], 0, 0x21,
            local["crc"], local["compressed"], local["size"], len(local["name"]), len(local["extra"]),
        ) + local["name"] + local["extra"] + stored + entry.descriptor  # fmt: skip
        directory += struct.pack(
            "<4s6H3L5H2L", central["mark"], entry.made_by, 20, entry.flags, entry.method, 0, 0x21,
            central["crc"], central["compressed"], central["size"], len(central["name"]), len(central["extra"]),
            central["comment"], central["disk"], 0, entry.attributes, central["at"],
        ) + central["name"] + central["extra"]  # fmt: skip
    tail: dict[str, Any] = {
        "disk": 0,
        "here": len(entries),
        "total": len(entries),
        "size": len(directory),
        "at": len(body),
        "comment": b"",
        "mark": b"PK\x05\x06",
        "between": b"",
        "before_end": b"",
    }
    tail |= end
    middle = b""
    if zip64_end:
        end64 = {"mark": b"PK\x06\x06", "rest": 44, **{k: tail[k] for k in ("disk", "here", "total", "size", "at")}}
        end64 |= end.get("end64", {})
        middle = struct.pack(
            "<4sQ2H2L4Q", end64["mark"], end64["rest"], 45, 45, end64["disk"], 0, end64["here"], end64["total"],
            end64["size"], end64["at"],
        )  # fmt: skip
        locator = {"mark": b"PK\x06\x07", "at": len(body + directory), "disks": 1} | end.get("locator", {})
        middle += struct.pack("<4sLQL", locator["mark"], 0, locator["at"], locator["disks"])
        tail |= {"here": 0xFFFF, "total": 0xFFFF, "size": 2**32 - 1, "at": 2**32 - 1}
    record = struct.pack(
        "<4s4H2LH",
        tail["mark"],
        tail["disk"],
        0,
        tail["here"],
        tail["total"],
        tail["size"],
        tail["at"],
        len(tail["comment"]),
    )
    archive: bytes = body + tail["between"] + directory + tail["before_end"] + middle + record + tail["comment"]
    return archive
