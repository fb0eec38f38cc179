"""The index, and what people read through it: search, interactions, the trail of one interaction.

Everything here is derived from the log and may be thrown away: `reindex` makes it again, `check_index` derives it again
and compares. Facts shown to a reader come from the leaf, never from the index: the index only says *which* leaves.

    tables facts fulltext numbers    what a row holds
    block                            one block of records as rows, in this order:
      census                         traces and interactions that it counts
      joins open_ends                traces that are one story
      opened conclusions             the words that rules need, and what rules conclude, as rows
    projector prepare reindex        the log into the index
    check_index                      the index against the log
    query walk search                questions and pages
    interactions trail               one conversation, joined
      missing_numbers                what its producers numbered and the log does not have
      steps said words messages      a record as a step; content as words
      concluded topics               what rules conclude as steps; what is reported, derived, absent
      story cards canvas             a trail as text for a terminal
    derive/                          the rules: pure, without words, never written to the log (docs/trails.md)
    completeness/                    producers, and whether anything was left out
    service router schemas           the room as others see it
"""
