"""Where both sides keep their objects, and how they are carried back."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from failback.models.common import Side
from failback.sections.base import Section


class StorageEndpointConfig(Section):
    """One side's endpoint that speaks S3."""

    url: str = ""
    """Base URL; Supabase: `https://<project>.supabase.co/storage/v1/s3`. Empty: AWS."""
    region: str = "us-east-1"
    access_key: SecretStr | None = None
    """Left out with the secret key: boto3's usual places, such as an instance's role."""
    secret_key: SecretStr | None = None
    path_style: bool = True
    """Whether the bucket stands in the path; AWS itself wants it in the host name."""
    connect_timeout_seconds: float = Field(default=5.0, gt=0)
    read_timeout_seconds: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _both_keys(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together: give both or none")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url begins with http:// or https://")
        return self


class BucketConfig(Section):
    """A bucket of the target and where its objects belong on the source."""

    target: str = Field(min_length=1)
    source: str = ""
    """Empty: it has the same name there."""
    prefix: str = ""
    """Only keys that begin so."""

    def on(self, side: Side) -> str:
        """The bucket's name on one side."""
        return self.target if side is Side.TARGET else self.source or self.target


class StorageConfig(Section):
    """The storage sync."""

    source: StorageEndpointConfig
    target: StorageEndpointConfig
    buckets: tuple[BucketConfig, ...] = Field(min_length=1)
    inventory: Path | None = None
    """A SQLite file on a local disk. Left out: below the user's state folder."""
    parallel: int = Field(default=8, ge=1, le=128)
    part_mb: int = Field(default=8, ge=5, le=512)
    """Larger objects go in parts of this size; `parallel` of them are in memory at most."""
    passes: int = Field(default=5, ge=1, le=100)
    max_deleted_share: float = Field(default=0.5, ge=0, le=1)
    """Of the objects that a bucket was known to have; beyond it a person has to accept."""

    @model_validator(mode="after")
    def _each_bucket_once(self) -> Self:
        for side in Side:
            names = [bucket.on(side) for bucket in self.buckets]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"the {side.value}'s bucket {min(twice)} is named twice")
        if self.source.url == self.target.url:
            shared = {(bucket.on(Side.SOURCE)) for bucket in self.buckets} & {
                bucket.target for bucket in self.buckets
            }
            if shared:
                raise ValueError(f"bucket {min(shared)} is on both sides of one endpoint")
        return self
