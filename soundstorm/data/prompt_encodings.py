"""How voice prompts are encoded: from their own seconds, or as the beginning of the whole recording."""

from soundstorm.data.errors import InputError

ALONE, IN_CONTEXT = "alone", "in-context"
PROMPT_ENCODING = ALONE  # the default; titles of systems name the other one


def check_encoding(encoding: str, kmeans: str | None, prompted: bool) -> None:
    """Refuse another encoding than these two, and prompts to be encoded without what encodes them."""
    if encoding not in (ALONE, IN_CONTEXT):
        raise InputError(f"--prompt-encoding is {encoding!r}, expected {ALONE} or {IN_CONTEXT}")
    if prompted and encoding == ALONE and not kmeans:
        raise InputError(
            f"--prompt-encoding {ALONE} needs --kmeans, the k-means directory of stage 1; without it give "
            f"--prompt-encoding {IN_CONTEXT}"
        )
