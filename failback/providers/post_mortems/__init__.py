"""Where post-mortems are kept: files, and the fake."""

from failback.providers.post_mortems.fake import FakePostMortems
from failback.providers.post_mortems.files import FilePostMortems, default_directory

__all__ = ["FakePostMortems", "FilePostMortems", "default_directory"]
