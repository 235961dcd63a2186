"""Scores for what the target read from a message, and one score over the whole experiment."""

from __future__ import annotations

from collections import Counter
from typing import Any

CATEGORIES = ("billing", "change", "defect", "delivery", "question", "return")


def exact_match(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    """Score 1 if every field is right, else 0."""
    right = all(outputs.get(field) == value for field, value in reference_outputs.items())
    return {"key": "exact_match", "score": int(right)}


def fields(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    """Score what was found (precision) and what was there to be found (recall), and the category by itself.

    A field that is None says nothing: no order number found where there is none is neither right nor wrong.
    """
    found = {field: value for field, value in outputs.items() if value is not None}
    there = {field: value for field, value in reference_outputs.items() if value is not None}
    right = sum(there.get(field) == value for field, value in found.items())
    return {
        "results": [
            {"key": "field_precision", "score": right / len(found) if found else 0.0},
            {"key": "field_recall", "score": right / len(there) if there else 1.0},
            {"key": "category_right", "score": int(found.get("category") == there.get("category"))},
        ]
    }


def category_macro_f1(
    outputs: list[dict[str, Any]], reference_outputs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Score the categories over all examples: the mean of their F1, so that each counts as much."""
    said = [output.get("category") for output in outputs]
    meant = [reference.get("category") for reference in reference_outputs]
    both = Counter(one for one, other in zip(said, meant, strict=True) if one == other)
    said_times, meant_times = Counter(said), Counter(meant)
    scores = [2 * both[one] / max(1, said_times[one] + meant_times[one]) for one in CATEGORIES]
    return {"key": "category_macro_f1", "score": sum(scores) / len(scores)}
