"""Bytes of a page to text: the encoding is detected, the main content extracted, both by resiliparse.

The same calls with the same options as DCLM's extraction, but for its strict UTF-8 (specification, section 1.3).
"""

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

EXTRACTOR = "resiliparse-main-content"


def decoded(body: bytes) -> tuple[str, str]:
    """The text of the bytes and the name of its detected encoding; never fails, wrong bytes become U+FFFD."""
    charset = detect_encoding(body) or "utf-8"
    return bytes_to_str(body, charset), charset


def main_text(body: bytes) -> tuple[str, str]:
    """Main content of an HTML page as plain text, and the page's detected encoding."""
    html, charset = decoded(body)
    return extract_plain_text(html, main_content=True), charset
