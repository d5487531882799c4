"""The OpenAPI document: what an endpoint says of itself (``declare``), and what is made of that (``document``).

A view says with :func:`problems` which refusals it can give and with :func:`access` who may ask. Everything that holds
for every endpoint of a kind (writes are refused from another site, bodies may be no JSON, ...) is added to it here, so
that it cannot be forgotten::

    @bp.post("/<battle_id>/vote")
    @bp.input(VoteIn, arg_name="body")
    @bp.output(VoteOut, status_code=201)
    @problems(UnknownBattle, NotVotable, AlreadyVoted)
    @access(scope="battle")
    def vote(battle_id: str, body: VoteIn) -> Response: ...
"""

from web.openapi.declare import (
    access,
    also_as,
    leads_to,
    may_be_challenged,
    problems,
    revalidates,
    speaks_openai,
    takes,
    text_body,
)

__all__ = [
    "access",
    "also_as",
    "leads_to",
    "may_be_challenged",
    "problems",
    "revalidates",
    "speaks_openai",
    "takes",
    "text_body",
]
