"""Users as the auth part answers with them: without what is secret, empty or internal."""

from functools import cache
from typing import Any

from psycopg import sql

from failback.lab.product.queries import query

_USER = (
    *("id", "aud", "role", "email", "email_confirmed_at", "phone", "confirmed_at"),
    *("last_sign_in_at", "is_anonymous", "banned_until", "created_at", "updated_at", "deleted_at"),
)
_IDENTITY = (
    *("user_id", "identity_data", "provider", "last_sign_in_at", "created_at", "updated_at"),
    "email",
)
_FACTOR = (
    *("id", "friendly_name", "factor_type", "status", "phone", "last_challenged_at"),
    *("created_at", "updated_at"),
)


@cache
def with_user(name: str) -> sql.Composed:
    """A statement of ours in which `{user}` stands for a user with all that is shown of it."""
    return query(name).format(user=query("user_object"))


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A user's row, with its `identities` and `factors`, as an answer shows it."""
    factors = [_there(factor, _FACTOR) for factor in row.get("factors", ())]
    return {
        **_there(row, _USER),
        "app_metadata": row["raw_app_meta_data"],
        "user_metadata": row["raw_user_meta_data"],
        "identities": [
            # GoTrue's `id` of an identity is the provider's word for the user.
            {
                "identity_id": identity["id"],
                "id": identity["provider_id"],
                **_there(identity, _IDENTITY),
            }
            for identity in row.get("identities", ())
        ],
        **({"factors": factors} if factors else {}),
    }


def _there(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The columns of these names that have a value: GoTrue leaves the others out."""
    return {name: row[name] for name in names if row.get(name) is not None}
