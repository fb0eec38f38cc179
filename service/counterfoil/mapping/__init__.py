"""OpenTelemetry to drafts of records and back, without losing anything.

    bytes --decode--> OTLP request --map--> Item(drafts) ... leaf + content --restore--> OTLP/JSON

The rule: every value of an item, its resource and its scope is kept, with key, type and order, in the leaf or in the
content of its records. What the tables recognise is *also* named in the leaf; what they do not is content all the same.
"""
