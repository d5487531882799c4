"""Which votes are to be believed: pure rules over facts that were noted with each vote. Nothing here changes anything.

Rules about one vote (:mod:`leak`, :mod:`reading`, :mod:`duplicates`), about one voter (:mod:`sequential`), about many
who pull the same way (:mod:`rings`, :mod:`bursts`), and all of them over all votes at once (:mod:`judgement`). What is
done about their findings, and who may undo it, is in :mod:`web.records.integrity` and :mod:`web.admin.votes`. Why
these rules: ``ops/decisions/0012``.
"""
