"""The catalogue's titles as a tree of tokens: what a constrained search may write next."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
from jaxtyping import Float


@dataclass
class TitleTrie:
    """Token paths of all titles: `children[node]` maps a token to its node, `items[node]` names the item.

    Node 0 is the root. `items_below[node]` are the items whose path runs through the node.
    """

    children: list[dict[int, int]] = field(default_factory=lambda: [{}])
    items: dict[int, int] = field(default_factory=dict)
    items_below: list[list[int]] = field(default_factory=lambda: [[]])

    @classmethod
    def of(cls, paths: Sequence[tuple[int, ...]]) -> "TitleTrie":
        """Return the trie of these paths, item i at the end of path i; equal paths mean the first item."""
        trie = cls()
        for item, path in enumerate(paths):
            node = 0
            trie.items_below[0].append(item)
            for token in path:
                node = trie.children[node].setdefault(token, len(trie.children))
                if node == len(trie.children):
                    trie.children.append({})
                    trie.items_below.append([])
                trie.items_below[node].append(item)
            trie.items.setdefault(node, item)
        return trie

    def forced_tail(self, node: int) -> tuple[int, ...]:
        """Return the tokens from a node to its only item, or nothing where a choice is left on the way.

        >>> trie = TitleTrie.of([(1, 2, 3), (1, 4)])
        >>> trie.forced_tail(2), trie.forced_tail(1)
        ((3,), ())
        """
        tokens: list[int] = []
        while node not in self.items:
            if len(self.children[node]) != 1:
                return ()
            ((token, node),) = self.children[node].items()
            tokens.append(token)
        return tuple(tokens)

    def nodes_without(self, excluded: Collection[int]) -> frozenset[int]:
        """Return the nodes that lead to none but the excluded items: where a search without them must not go.

        >>> trie = TitleTrie.of([(1, 2), (1, 3), (4,)])
        >>> sorted(trie.nodes_without([0])), sorted(trie.nodes_without([0, 1]))
        ([2], [1, 2, 3])
        """
        paths = [self._paths[item] for item in set(excluded) if item in self._paths]
        below = Counter(chain.from_iterable(paths))
        closed = (node for node, count in below.items() if count == self._writable_below[node])
        # A title that begins another one ends the search there, whatever follows.
        return frozenset(closed).union(path[-1] for path in paths)

    @cached_property
    def _paths(self) -> dict[int, list[int]]:
        """The nodes on the path of each item that can be written, from the root to its end."""
        paths: dict[int, list[int]] = {item: [] for item in self.items.values()}
        for node, items in enumerate(self.items_below):
            for item in items:
                if item in paths:
                    paths[item].append(node)
        return paths

    @cached_property
    def _writable_below(self) -> Counter[int]:
        return Counter(chain.from_iterable(self._paths.values()))

    def sum_by_node(self, values: Float[np.ndarray, "rows items"]) -> Float[np.ndarray, "rows nodes"]:
        """Return the sum of the item values below each node.

        >>> TitleTrie.of([(1, 2), (1, 3), (4,)]).sum_by_node(np.array([[0.5, 0.25, 0.25]])).tolist()
        [[1.0, 0.75, 0.5, 0.25, 0.25]]
        """
        # no list of `items_below` is empty, which `reduceat` would silently answer with a wrong value
        starts = np.cumsum([0, *(len(items) for items in self.items_below[:-1])])
        sums: Float[np.ndarray, "rows nodes"] = np.add.reduceat(
            values[:, list(chain.from_iterable(self.items_below))], starts, axis=1
        )
        return sums
