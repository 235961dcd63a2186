"""How a worker comes to objects that belong to their process, and that a script has in scope all the same.

The environment is each process's own (`--env`, `CUDA_VISIBLE_DEVICES`); TLS settings lie in every HTTP client that a
script makes (OpenAI's, httpx's); weak references in what `functools.singledispatch` makes.
"""

from __future__ import annotations

import os
import pickle
import queue
import ssl
import weakref
from collections.abc import Callable
from typing import Any


def _environment(environ: Any) -> tuple[Any, ...]:
    """Give the worker its own, under whatever name: a copy would be the supervisor's."""
    return getattr, (os, "environb" if environ is getattr(os, "environb", None) else "environ")


def _weak_mapping(mapping: Any) -> tuple[Any, ...]:
    return type(mapping), (), None, None, iter(list(mapping.items()))


def _weak_set(members: weakref.WeakSet[Any]) -> tuple[Any, ...]:
    return weakref.WeakSet, (), list(members), None, None, weakref.WeakSet.update


def _weak_reference(reference: weakref.ref[Any]) -> tuple[Any, ...]:
    target = reference()
    return (_dead, ()) if target is None else (weakref.ref, (target,))


def _dead() -> weakref.ref[Any]:
    return weakref.ref(type("gone", (), {})())


def _simple_queue(waiting: queue.SimpleQueue[Any]) -> tuple[Any, ...]:
    if not waiting.empty():
        raise pickle.PicklingError(f"a SimpleQueue that holds {waiting.qsize()} cannot be copied")
    return queue.SimpleQueue, ()


def _tls(context: ssl.SSLContext) -> tuple[Any, ...]:
    """Carry what can be read of it; a client's own certificate cannot, and its server will say that it misses it."""
    facts = {
        "check_hostname": False,  # it forbids some of the others
        "verify_mode": context.verify_mode,
        "verify_flags": context.verify_flags,
        "options": context.options,
        "minimum_version": context.minimum_version,
        "maximum_version": context.maximum_version,
    }
    known = b"".join(context.get_ca_certs(binary_form=True))
    return _tls_again, (context.protocol, facts, context.check_hostname, known)


def _tls_again(protocol: int, facts: dict[str, Any], named: bool, known: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    for name, value in facts.items():
        setattr(context, name, value)
    context.check_hostname = named
    if known:
        context.load_verify_locations(cadata=known)
    elif context.verify_mode != ssl.CERT_NONE:
        context.load_default_certs()
    return context


#: By exact type: what a pickle of such an object says instead of its content.
REMADE: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    type(os.environ): _environment,
    weakref.WeakKeyDictionary: _weak_mapping,
    weakref.WeakValueDictionary: _weak_mapping,
    weakref.WeakSet: _weak_set,
    weakref.ref: _weak_reference,
    ssl.SSLContext: _tls,
    queue.SimpleQueue: _simple_queue,
}
