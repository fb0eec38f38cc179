"""Every limit of the verifier, by name (docs/formats/bundle.md, section 2). Sizes in bytes."""

MIB = 1024 * 1024
GIB = 1024 * MIB

MAX_ENTRIES = 100_000
MAX_NAME_BYTES = 512
MAX_FILE_BYTES = 64 * GIB
MAX_TOTAL_BYTES = 256 * GIB
MAX_RATIO = 200
"""Declared size over compressed size, for files over `RATIO_FREE_BYTES`; a deflate bomb reaches 1,032."""
RATIO_FREE_BYTES = MIB

MAX_LINE_BYTES = 4 * MIB
MAX_MANIFEST_BYTES = 64 * MIB
MAX_ATTESTATION_BYTES = 64 * MIB
MAX_DOCUMENT_BYTES = 16 * MIB
MAX_DOCUMENT_DEPTH = 32
MAX_TIMESTAMP_BYTES = MIB
MAX_POLICY_BYTES = MIB
MAX_RELATED = 100_000
"""Related records are kept in memory by what they cover, so they are counted."""

CHUNK_BYTES = 256 * 1024
"""How much of a file is read at once."""
BLOCK_BYTES = MIB
"""How much of an NDJSON file is handed on at once (whole lines)."""
UNIT_LEAVES = 4_096
"""Leaves that one worker checks at a time; a range of 65,536 is 16 units."""
UNIT_BYTES = 4 * MIB
"""Content of a unit, so that memory does not grow with it (one record may exceed it)."""
MAX_RECORD_BYTES = 128 * MIB
"""Lines of disclosures of one record, beyond UNIT_BYTES. Larger values are blobs."""
MAX_RECORD_STATES_BYTES = 16 * 1024
"""Lines of states of one record: 64 fields (RECORD 2) of names, numbers and states of at most 150 bytes."""
MAX_EXPLANATIONS = 1_000_000
"""Ranges and fields of the erasures and expiries that states name, kept in memory."""
MAX_ROW_BYTES = 4 * MIB
MAX_COLUMNS = 4_096
PARALLEL_LEAVES = 2_000
"""Fewer leaves than this are checked in the calling process: starting workers would take longer."""
CLAIMS_AT_ONCE = 65_536
"""Supersessions resolved together."""
