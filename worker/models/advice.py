"""What to change when engines do not fit, in words a person can act on, checked to be enough before it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from worker.memory import NOTHING, Bytes
from worker.models.errors import size_text
from worker.models.memory import Scene, Sized, least_kv_bytes
from worker.models.units import exact, gib, mib, round_down, spoken

FOUR_BITS = 0.37
"""Size of an AWQ build beside its 16-bit weights: Llama-3.1-8B 0.36, Qwen2.5-7B 0.37, Mistral-7B 0.29."""
_LENGTHS = (32768, 16384, 8192, 4096, 2048, 1024)


def for_one(engine: Sized, scene: Scene) -> str:
    """Why the engine fits nowhere, and what would."""
    need = engine.footprint.resident
    fixes = list(_fixes((engine,), scene)) or [_another(engine, scene)]
    return f"needs {shortage(need, scene)}; {', or '.join(fixes[:2])}"


def for_pair(a: Sized, b: Sized, scene: Scene) -> str:
    """Why the two cannot be in memory together, what happens instead, and what would make them fit."""
    need = a.footprint.resident + b.footprint.resident
    fixes = list(_fixes((a, b), scene))
    fix = (
        f"to have both, {', or '.join(fixes[:2])}" if fixes else "with ARENA_MAX_RESIDENT=1 each has all of it in turn"
    )
    return (
        f"one at a time only, their battles answered one side after the other: both need {shortage(need, scene)}; {fix}"
    )


def shortage(need: Bytes, scene: Scene) -> str:
    """``17.6 GiB of GPU memory, and there are 15.0 GiB``: of the ledger that is short."""
    if need.device > scene.budget.device:
        return _more(need.device, "GPU memory", scene.budget.device)
    return _more(need.host, "host memory", scene.budget.host)


def _more(need: int, what: str, there: int) -> str:
    text = gib if gib(need) != gib(there) else mib
    return f"{text(need)} of {what}, and there are {text(there)}"


def excess(need: Bytes, scene: Scene) -> str:
    """``2.4 GiB of GPU memory``: how much more it is than there is."""
    over = need - scene.budget
    return f"{spoken(over.device)} of GPU memory" if over.device > 0 else f"{spoken(max(over.host, 0))} of host memory"


def _fixes(engines: Sequence[Sized], scene: Scene) -> Iterator[str]:
    """Changes that are enough by themselves, the least painful first."""
    over = sum((e.footprint.resident for e in engines), NOTHING) - scene.budget
    if scene.on_gpu and over.host > 0:
        yield f"give the machine {spoken(over.host)} more host memory"
        return
    short = over.device if scene.on_gpu else over.host
    smaller = _smaller_caches(engines, short, _own_lengths(engines))
    if smaller:
        yield _lower(smaller, engines)
    if scene.on_gpu:
        yield from _quantized(engines, short)
    if not smaller:
        yield from _shorter(engines, short)


def _smaller_caches(engines: Sequence[Sized], short: int, lengths: Mapping[str, int]) -> dict[str, int]:
    """New ``kv_bytes`` that save ``short`` bytes and still hold an answer of ``lengths`` each; empty: none do."""
    slack = {
        e.id: max(0, e.kv_bytes - least)
        for e in engines
        if (least := least_kv_bytes(e.spec, e.facts, lengths[e.id])) is not None
    }
    generous = max(slack, key=lambda m: slack[m], default=None)
    if generous is not None and slack[generous] >= short:
        slack = {generous: slack[generous]}
    total = sum(slack.values())
    if total < short or total == 0:
        return {}
    sized = {e.id: e for e in engines}
    found = {}
    for model, most in slack.items():
        wanted = sized[model].kv_bytes - -(-short * most // total)
        least = sized[model].kv_bytes - most
        if most:
            found[model] = max(round_down(wanted), least)
    return found


def _quantized(engines: Sequence[Sized], short: int) -> Iterator[str]:
    """The heaviest 16-bit weights in 4 bits, all of them where one is not enough, smaller caches besides if need be."""
    heavy = [e for e in engines if not e.facts.few_bits and e.facts.weights]
    heavy.sort(key=lambda e: -(e.facts.weights or 0))
    for some in (heavy[:1], heavy):
        left = short - sum(_saved(e) for e in some)
        caches = _smaller_caches(engines, left, _own_lengths(engines)) if left > 0 else {}
        if some and (left <= 0 or caches):
            builds = (f"{_of(e.id, engines)}(4-bit weights, about {size_text(_in_four_bits(e))})" for e in some)
            yield f"use the AWQ build {' and '.join(builds)}" + (f" and {_lower(caches, engines)}" if caches else "")
            return


def _in_four_bits(engine: Sized) -> int:
    return int((engine.facts.weights or 0) * FOUR_BITS)


def _saved(engine: Sized) -> int:
    return ((engine.facts.weights or 0) - _in_four_bits(engine)) // engine.spec.tensor_parallel


def _lower(caches: Mapping[str, int], engines: Sequence[Sized]) -> str:
    return "lower " + " and ".join(f"kv_bytes {_of(model, engines)}to {exact(kv)}" for model, kv in caches.items())


def _of(model: str, engines: Sequence[Sized]) -> str:
    """Which model is meant, where it could be another."""
    return f"of {model} " if len(engines) > 1 else ""


def _own_lengths(engines: Sequence[Sized]) -> dict[str, int]:
    return {e.id: e.spec.max_model_len for e in engines}


def _shorter(engines: Sequence[Sized], short: int) -> Iterator[str]:
    """The longest contexts, all alike, whose caches save enough."""
    for length in _LENGTHS:
        lengths = {e.id: min(length, e.spec.max_model_len) for e in engines}
        caches = _smaller_caches(engines, short, lengths)
        if caches:
            changed = (
                f"max_model_len {_of(m, engines)}to {lengths[m]} with kv_bytes {exact(kv)}"
                + _answer(engines, m, lengths[m])
                for m, kv in caches.items()
            )
            yield f"lower {' and '.join(changed)}"
            return


def _answer(engines: Sequence[Sized], model: str, length: int) -> str:
    """The longest answer must leave room for a prompt."""
    spec = next(e.spec for e in engines if e.id == model)
    return f" and max_tokens {length // 2}" if spec.max_tokens >= length else ""


def _another(engine: Sized, scene: Scene) -> str:
    """Nothing about its settings helps: more of the machine, or less of the model."""
    need, spec = engine.footprint.resident, engine.spec
    if need.device <= scene.budget.device:
        return f"use a smaller model, or a machine with {gib(need.host)} free"
    whole = need.device + (engine.facts.weights or 0) * (spec.tensor_parallel - 1) // spec.tensor_parallel
    for devices in (2, 4, 8):
        each = whole - (engine.facts.weights or 0) * (devices - 1) // devices
        if devices > spec.tensor_parallel and each <= scene.budget.device:
            several = f"tensor_parallel = {devices} on as many of these"
            return f"use a GPU with {gib(need.device)}, {several}, or a smaller model"
    return f"use a GPU with {gib(need.device)}, or a smaller model"
