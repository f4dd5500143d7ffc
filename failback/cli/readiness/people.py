"""Questions about approvals: whether the people who are known could reach each quorum."""

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate

LEVELS = (1, 2)
"""The levels that this version runs."""


def examine_people(estate: Estate) -> list[Finding]:
    """Look at each level's quorum, roles and people."""
    part = Part("approvals")
    people = estate.approvals.people
    for level in LEVELS:
        policy = estate.plan(level).approval
        question = f"level {level} can be approved"
        if policy.quorum == 0:
            part.say(question, True, "acts at once, nobody is asked")
            continue
        if not people:
            part.say(
                question,
                None,
                "no people are named: anybody may approve under any name",
                "Name people with their roles under approvals.people.",
            )
            continue
        for role, wanted in policy.quorum_by_role.items():
            held = sorted(name for name, roles in people.items() if role in roles)
            part.say(
                f"level {level} finds its approvals as {role}",
                len(held) >= wanted,
                f"needs {wanted}; known: {', '.join(held) or 'nobody'}",
                f"Give more people the role {role} under approvals.people.",
            )
        able = sorted(
            name
            for name, roles in people.items()
            if roles and (not policy.roles or set(roles) & set(policy.roles))
        )
        roles = " or ".join(policy.roles) or "any role"
        part.say(
            question,
            len(able) >= policy.quorum,
            f"needs {policy.quorum} with {roles}; known: {', '.join(able) or 'nobody'}",
            f"Add people with {roles} under approvals.people, or lower the quorum.",
        )
        # Who asks cannot approve alone, so a quorum of exactly everybody may be one short.
        if policy.quorum == len(able) == 1:
            part.say(
                f"level {level} can be approved when {able[0]} asks for it",
                None,
                "there is nobody else who may approve",
                "Add a second person under approvals.people.",
            )
    return part.findings
