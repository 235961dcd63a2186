"""No module imports itself by way of others, in no room and between none; not for its types' sake either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import grimp

#: The face of the package: it names, for type checkers, what it loads when that is first used; and the version.
FACE = "evalrunner"


def circles(imports: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Yield what is left when everything that imports nothing, or is imported by nothing, is taken away."""
    left = {module: set(targets) for module, targets in imports.items()}
    while left:
        imported = set().union(*left.values())
        ends = {module for module, targets in left.items() if not targets or module not in imported}
        if not ends:
            yield sorted(left)
            return
        left = {module: targets - ends for module, targets in left.items() if module not in ends}


def test_what_is_found_is_a_circle() -> None:
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": set()})) == []
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()})) == [["b", "c"]]


def test_nothing_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph(
        "evalrunner", "evalbackend", exclude_type_checking_imports=False, cache_dir=None
    )
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules - {FACE}}
    assert len(imports) > 200
    assert list(circles({module: targets - {FACE} for module, targets in imports.items()})) == []
