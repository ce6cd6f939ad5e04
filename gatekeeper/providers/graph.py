"""Which groups somebody is in, asked of Microsoft Graph when a token has no room for them all."""

from __future__ import annotations

from gatekeeper.providers.fetch import Fetcher
from gatekeeper.providers.protocol import ProviderError

_AT_ONCE = 20
"""Graph takes no more in one question."""


async def member_of(
    fetcher: Fetcher, graph: str, access_token: str, groups: frozenset[str]
) -> frozenset[str]:
    """Those of `groups` (ids) that the owner of `access_token` is in, also through other groups.

    All or nothing: raises `ProviderError` ("groups_overage", "unreachable") rather than naming too few.
    https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups (permission User.Read)
    """
    found: set[str] = set()
    ordered = sorted(groups)
    for start in range(0, len(ordered), _AT_ONCE):
        asked = ordered[start : start + _AT_ONCE]
        answer = await fetcher.post_json(
            f"{graph}/v1.0/me/checkMemberGroups", {"groupIds": asked}, bearer=access_token
        )
        if answer.status >= 500 or answer.status == 429:
            raise ProviderError("provider_busy", f"Graph answered {answer.status}")
        if answer.status != 200:
            raise ProviderError("groups_overage", f"Graph refused the question for groups ({answer.status})")
        try:
            value = answer.json_object().get("value")
        except ValueError as error:
            raise ProviderError("groups_overage", f"Graph: {error}") from None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ProviderError("groups_overage", "Graph's answer is no list of groups")
        known = {each.lower(): each for each in asked}
        found.update(known[each.lower()] for each in value if each.lower() in known)
    return frozenset(found)
