"""Is this all of it? What each producer numbered, delivered, declared lost and never accounted for (RECORD 7).

Nothing here says more than was demonstrated. As the rest of the index it follows from the log and may be thrown away.

    ranges                 sets of numbers as ranges, with a limit
    verdict                what may be concluded from one producer's numbers: pure
    account                one producer while a block of records is read: pure
    tables rows follow     the accounts in the index, kept by the projector
    query service router   questions: `GET /api/v1/completeness`
    judged statement       one producer with its exact gaps; what all of them demonstrated
    dropped                losses that plain SDKs report, counted when asked for
    notes watch            an alarm, once, when a producer falls silent
    check                  whoever hides a gap in the index is named
    schemas sheet          the answer for a program, and for a terminal
"""
