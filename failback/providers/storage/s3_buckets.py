"""What is asked of a whole bucket: to be made, and whether it keeps versions."""

from typing import Any

from botocore.exceptions import ClientError

from failback.providers.storage.s3_errors import code_of, explained, missing, no_bucket

_FIRST_REGION = "us-east-1"
_THERE_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def make_bucket(client: Any, place: str, bucket: str) -> None:
    """See `ObjectEndpoint.make`.

    Args:
        client: boto3's, of S3.
        place: the endpoint, for people.
        bucket: its name.
    """
    region = client.meta.region_name
    # AWS itself wants its other regions named; servers of one region may refuse the word.
    named = place.startswith("AWS") and region != _FIRST_REGION
    where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if named else {}
    with explained(place, bucket):
        try:
            client.create_bucket(Bucket=bucket, **where)
        except ClientError as error:
            if code_of(error) not in _THERE_ALREADY:
                raise


def keeps_versions(client: Any, place: str, bucket: str) -> bool:
    """Whether what is overwritten or deleted there can be had back."""
    try:
        answer = client.get_bucket_versioning(Bucket=bucket)
    except ClientError as error:
        if missing(error):
            raise no_bucket(place, bucket) from error
        return False  # it knows no versions, or does not tell us: nothing is built on them
    return bool(answer.get("Status") == "Enabled")
