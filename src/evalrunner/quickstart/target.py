"""Reads messages to a small online shop: which order, which product, what about, and is it urgent?

Plain rules, and wrong in ways that can be explained: the first number wins, the loudest words win, and nobody
told it that a coffee machine is an espresso machine. The evaluation says how often that matters.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

from langsmith import traceable

PRODUCTS = {
    "kettle": ("kettle",),
    "espresso machine": ("espresso machine", "coffee maker"),
    "blender": ("blender",),
    "desk lamp": ("desk lamp", "lamp"),
    "backpack": ("backpack", "rucksack"),
    "headphones": ("headphones",),
    "rain jacket": ("rain jacket", "jacket"),
    "office chair": ("office chair", "chair"),
    "frying pan": ("frying pan", "pan"),
    "bike light": ("bike light",),
    "thermos": ("thermos", "flask"),
    "keyboard": ("keyboard",),
}
ORDER = re.compile(r"\bk[ -]{0,2}((?:\d[ -]?){6})\b|(?:order|number|#)\D{0,12}(\d{3} ?\d{3})\b|\b(\d{6})\b")
SIMILAR = 0.76

#: How strongly a word speaks for a category. All that are found are added up; the highest sum wins.
HINTS: dict[str, dict[str, int]] = {
    "delivery": {
        r"deliver(y|ed|ies)?|shipment|shipping|redirect(ed)?": 2,
        r"track(ing)?|in transit|customs|depot|courier|carrier|driver|dispatch|on the .* truck": 3,
        r"arrived?|waiting|parcels?|missing|neighbours?|letterbox|where is|wheres|when will|nobody": 2,
        r"left your warehouse|hasn't shipped|is still coming|gets? here|got to|still nothing": 3,
    },
    "return": {
        r"return(ed|ing)?|exchange(d)?|send(ing)? (it |them |the \w+ |one )?back|goe?s? back|swap": 4,
        r"withdraw|size|colour|too (small|big|loud|bright|long)|label|fit|suit|no longer want|gone back": 2,
    },
    "defect": {
        r"broken?|broke|crack(ed|le)?|leak\w*|faulty|warranty|repair|torn|snapped|split|bent": 4,
        r"stopped working|doesn't (work|turn|switch)|won't|dead|silent|flickers?|rust|sticks|fuse|seized": 4,
        r"smell|shock|smoke|swelling|soaked|wet|loses|coming off|came off|no longer|spare part|shuts down": 3,
    },
    "billing": {
        r"invoices?|refunds?|refunded|charged?|paid|pay(ment|able)?|money|price|receipt|billed?|billing": 4,
        r"card|bank|paypal|klarna|voucher|discount|code|euros?|vat|amount|sum|fee|debit|account": 2,
    },
    "change": {
        r"cancel|cancle|change|swap|stop the order|postpone|combine|remove|add|increase|quantity": 5,
        r"address|typo|by accident|before (it|you)|not (been )?shipped|streets?|must not go": 3,
        r"one click too many|forget about|make it|should (read|say|become)|don't send": 4,
    },
    "question": {
        r"how (long|often|many|do|bright)|what (is|size|does)|which|does|is there|are (your|the)|do you": 2,
        r"can (the|it|i)|is (the|it|that)|looking for|recommend|manual|will the|may|wonder|best way|can i": 2,
    },
}
URGENT = re.compile(
    r"urgent(ly)?|today|tomorrow|tonight|at once|right away|immediately|asap|within (the|an) hour|by friday"
)


def extract(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return order, product, category and urgency of one message."""
    text = normalise(inputs["message"])
    found = find_entities(text)
    return {**found, **classify(text)}


@traceable
def normalise(message: str) -> str:
    """Return the message in lower case, with plain apostrophes, dashes and spaces."""
    for fancy, plain in (("\u2019", "'"), ("\u2013", "-"), ("\u2014", "-")):
        message = message.replace(fancy, plain)
    return " ".join(message.lower().split())


@traceable
def find_entities(text: str) -> dict[str, str | None]:
    """Return the first order number and the most similar product."""
    match = ORDER.search(text)
    digits = next(filter(None, match.groups())) if match else None
    order = "K-" + re.sub(r"\D", "", digits) if digits else None
    return {"order": order, "product": closest_product(text)}


def closest_product(text: str) -> str | None:
    """Compare every one or two words with every product's names, and return the most similar product."""
    words = re.findall(r"[a-z]+", text)
    pairs = [f"{one} {two}" for one, two in pairwise(words)]
    best, product = SIMILAR, None
    for name, spellings in PRODUCTS.items():
        for spelling in spellings:
            for candidate in pairs if " " in spelling else words:
                score = similarity(candidate, spelling)
                if score > best:
                    best, product = score, name
    return product


def similarity(one: str, other: str) -> float:
    """Return 1 for equal texts and less the more they differ."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


@traceable
def classify(text: str) -> dict[str, Any]:
    """Return the category with the highest sum of hints, and whether the words sound urgent."""
    scores = {category: weigh(text, hints) for category, hints in HINTS.items()}
    return {"category": max(scores, key=scores.__getitem__), "urgent": bool(URGENT.search(text))}


def weigh(text: str, hints: dict[str, int]) -> int:
    """Add up what the hints say: each pattern's weight, once per occurrence."""
    return sum(weight * len(re.findall(rf"\b(?:{pattern})\b", text)) for pattern, weight in hints.items())
