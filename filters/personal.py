"""Personal data in the text: mail addresses, public IP addresses, phone numbers, IBANs, card numbers.

What looks like one is checked as far as it can be: top-level domain, allocated and public address, numbering plan
(phonenumbers), country's format and check digits (python-stdnum), issuer and Luhn's check digit (ISO/IEC 7812).
The masks are the entity names of Microsoft's Presidio.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal, NamedTuple

import numpy as np
import phonenumbers
import pyarrow as pa
from stdnum import iban, luhn

from lakeloom.filters.links import top_level_domains
from lakeloom.filters.steps import check, edit, signal
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import unknown

Kind = Literal["email", "iban", "card", "ip", "phone"]
KINDS: tuple[Kind, ...] = ("email", "iban", "card", "ip", "phone")  # of two that begin alike, the first counts
_MASKS: dict[Kind, str] = {
    "email": "<EMAIL_ADDRESS>",
    "iban": "<IBAN_CODE>",
    "card": "<CREDIT_CARD>",
    "ip": "<IP_ADDRESS>",
    "phone": "<PHONE_NUMBER>",
}
_MAX_TRIES = 10_000  # candidates of one text that are no phone numbers, before the rest of it is left alone
_UNICAST = ip_network("2000::/3")  # all of IPv6 that IANA gives out; "a::b" of a program is outside

# Each begins where no longer one can: so a text of one letter or digit, however long, is gone over once.
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}([^\W\d_]{2,24})(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]*:)[0-9A-Fa-f:]{3,39}(?![\w:])")
_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")
_CARD = re.compile(r"(?<![\w.-])[0-9](?:[ -]?[0-9]){12,18}(?![\w-]|\.[0-9]| [0-9])")
_ISSUED = re.compile(  # Visa; Mastercard; American Express; Discover; JCB; Diners Club
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}|"
    r"3[47][0-9]{13}|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12,15}|35(?:2[89]|[3-8][0-9])[0-9]{12,15}|"
    r"3(?:0[0-5]|[689][0-9])[0-9]{11,16}"
)


class Span(NamedTuple):
    """Where in a text something personal stands: characters from `start` up to `end`."""

    start: int
    end: int
    kind: Kind


@signal
def num_personal_data(index: TextIndex, *, kinds: tuple[Kind, ...] = KINDS, region: str = "") -> pa.DoubleArray:
    """How many mail addresses, IBANs, card numbers, public IP addresses and phone numbers are in the text.

    Phone numbers count with their country code; with a `region` (US, DE) also as they are written there; after
    10,000 candidates of a text that are none, the rest of it is not looked through for them.
    """
    counts = [np.nan if text is None else len(personal_data(text, kinds, region)) for text in index.strings]
    return index.doubles(np.array(counts, np.float64))


@edit(drops_empty=False)
def mask_personal_data(index: TextIndex, *, kinds: tuple[Kind, ...] = KINDS, region: str = "") -> pa.StringArray:
    """Put Presidio's names (<EMAIL_ADDRESS>, <IBAN_CODE>, <CREDIT_CARD>, <IP_ADDRESS>, <PHONE_NUMBER>) in the place
    of what num_personal_data counts.
    """
    return index.with_strings([None if text is None else _masked(text, kinds, region) for text in index.strings])


def _masked(text: str, kinds: tuple[Kind, ...], region: str) -> str:
    parts, done = list[str](), 0
    for start, end, kind in personal_data(text, kinds, region):
        parts += [text[done:start], _MASKS[kind]]
        done = end
    return "".join([*parts, text[done:]]) if parts else text


def personal_data(text: str, kinds: tuple[Kind, ...] = KINDS, region: str = "") -> list[Span]:
    """What is found, from left to right, without overlap."""
    found = [Span(start, end, kind) for kind in kinds for start, end in _finders[kind](text, region)]
    kept, done = list[Span](), 0
    for span in sorted(found, key=lambda span: (span.start, KINDS.index(span.kind))):
        if span.start >= done:
            kept.append(span)
            done = span.end
    return kept


def _emails(text: str, _: str) -> Iterator[tuple[int, int]]:
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        name = match[0].partition("@")[0]
        if (
            match[1].lower() in top_level_domains()
            and not name.startswith(".")
            and not name.endswith(".")
            and ".." not in name
        ):
            yield match.span()


def _ibans(text: str, _: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        # Each country has one length: what follows it in capital letters is not of the number.
        ends = [end for end in range(match.end(), match.start() + 14, -1) if text[end - 1] != " "]
        for end in ends:
            follows = text[end : end + 1]
            number = text[match.start() : end]
            # The check digits first: python-stdnum looks up the country's format, ten times as slow.
            if not (follows.isalnum() or follows == "_") and _remainder(number) == 1 and iban.is_valid(number):
                yield match.start(), end
                break


def _remainder(number: str) -> int:
    """Modulo 97, letters as 10 to 35 and the first four characters last (ISO 7064)."""
    number = number.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97


def _cards(text: str, _: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = match[0].replace(" ", "").replace("-", "")
        if _ISSUED.fullmatch(digits) and luhn.is_valid(digits):
            yield match.span()


def _addresses(text: str, _: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ip_address(match[0])
            except ValueError:
                continue
            if address.is_global and (not isinstance(address, IPv6Address) or address in _UNICAST):
                yield match.span()


def _phones(text: str, region: str) -> Iterator[tuple[int, int]]:
    if not region and "+" not in text and "\uff0b" not in text:  # the full-width plus sign
        return
    matcher = phonenumbers.PhoneNumberMatcher(text, region or None, max_tries=_MAX_TRIES)
    for match in matcher:
        number = match.raw_string
        is_open = number.startswith("(") and number.count("(") > number.count(")")  # of the sentence, not of the number
        yield match.start + is_open, match.end


_finders: dict[Kind, Callable[[str, str], Iterator[tuple[int, int]]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ip": _addresses,
    "phone": _phones,
}


def _check_region(*, kinds: tuple[Kind, ...], region: str) -> None:
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        raise unknown("region of phone numbers", region, phonenumbers.SUPPORTED_REGIONS)


check(num_personal_data, _check_region)
check(mask_personal_data, _check_region)
