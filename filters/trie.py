"""Many words as one regular expression that tries each character once: (?:ab(?:c|d)?) for ab, abc, abd."""

import re
from collections.abc import Iterable


class _Node(dict[str, "_Node"]):
    """Children by character."""

    is_word = False


def trie_pattern(words: Iterable[str]) -> str:
    """Source of an expression that matches the longest of the words; they are not read as expressions."""
    root = _Node()
    for word in words:
        node = root
        for character in word:
            node = node.setdefault(character, _Node())
        node.is_word = True
    return _source(root)


def _source(node: _Node) -> str:
    """The words below a node, longer ones first; an empty trie matches nothing."""
    if not node:
        return "" if node.is_word else "(?!)"
    branches = [re.escape(character) + _source(child) for character, child in sorted(node.items())]
    return f"(?:{'|'.join(branches)}){'?' if node.is_word else ''}"
