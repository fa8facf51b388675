"""Seeded choices that are the same under every Python version: only `random.Random.random` is promised to be."""

import random


class Dice:
    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def between(self, low, high):
        """An integer in [low, high]."""
        return low + self.below(high - low + 1)

    def one(self, items):
        return items[self.below(len(items))]

    def some(self, items, n):
        """`n` different items in random order."""
        return self.shuffled(items)[:n]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def sometimes(self, probability):
        return self.random() < probability
