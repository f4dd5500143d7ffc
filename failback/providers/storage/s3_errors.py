"""What an S3 client raises, as errors that an operator can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from failback.errors import (
    BucketMissingError,
    CredentialsError,
    FailbackError,
    MissingRightError,
    ObjectChangedError,
    StorageRefusedError,
    UnreachableError,
)

_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
_CONDITION = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "InvalidRange"})
_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "AuthorizationHeaderMalformed",
        "401",
    }
)
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})
_AWAY = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"})
_FIRST_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501


def code_of(error: ClientError) -> str:
    """The code that the server gave; for a HEAD, which has no body, the status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def not_implemented(error: ClientError) -> bool:
    """Whether the server does not know what it was asked for."""
    return code_of(error) in {"NotImplemented", "501"} or _status(error) == _NOT_IMPLEMENTED


def missing(error: ClientError) -> bool:
    """Whether there is no such object, or no such bucket."""
    return code_of(error) in _MISSING | {"NoSuchBucket"}


@contextmanager
def explained(place: str, bucket: str, key: str = "") -> Iterator[None]:
    """Raise what the client raises as one of ours.

    Args:
        place: the endpoint, for people.
        bucket: what was worked on.
        key: the object; empty where it was the bucket as a whole.
    """
    what = f"{bucket}/{key}" if key else f"bucket {bucket}"
    try:
        yield
    except ClientError as error:
        raise _answered(error, place, bucket, what) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CredentialsError(
            f"There are no credentials for {place}: {error}.",
            "Give access_key and secret_key of this side, or the environment that boto3 reads.",
        ) from error
    except ParamValidationError as error:
        raise StorageRefusedError(
            f"{what} has what S3 cannot carry: {_short(error)}.",
            "Non-ASCII metadata has to be encoded (RFC 2047) by who writes it.",
        ) from error
    except BotoCoreError as error:
        raise UnreachableError(
            f"{place} did not answer about {what}: {_short(error)}.",
            "Check the endpoint's url and that it runs.",
        ) from error


def _answered(error: ClientError, place: str, bucket: str, what: str) -> FailbackError:
    code = code_of(error)
    if code == "NoSuchBucket":
        return no_bucket(place, bucket)
    if code in _MISSING | _CONDITION | {"NoSuchUpload"}:
        return ObjectChangedError(f"{what} changed while it was worked on ({code}).")
    if code in _CREDENTIALS:
        return CredentialsError(
            f"{place} refused the credentials ({code}).",
            "Check access_key, secret_key and region of this side, and the machine's clock.",
        )
    if code in _DENIED:
        return MissingRightError(
            f"{place} does not allow {error.operation_name} on {what}.",
            "See docs/storage.md for the rights that each side needs.",
        )
    if not not_implemented(error) and (code in _AWAY or _status(error) >= _FIRST_SERVER_ERROR):
        return UnreachableError(
            f"{place} failed at {error.operation_name} on {what} ({code}).",
            "Repeat once the endpoint is well; its log says why.",
        )
    return StorageRefusedError(
        f"{place} refused {error.operation_name} on {what}: {_short(error)}.",
        "The server's message says what does not fit.",
    )


def no_bucket(place: str, bucket: str) -> BucketMissingError:
    """The error about a bucket that is not there."""
    return BucketMissingError(
        f"{place} has no bucket {bucket}.",
        "Make it, or mend its name under storage.buckets; a bucket that was lost is level 4's.",
    )


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
