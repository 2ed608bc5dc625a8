"""Random input: how much of it, and what may come out."""

import math
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from dope_ros2.common.errors import UserError

TOTAL = int(os.environ.get("DOPE_FUZZ", "0"))  # examples of all properties together; `make fuzz` asks for 10,000
SHARES = {
    "image": 11, "compressed": 7, "camera_info": 9, "node": 12, "parameters": 6, "tf": 4, "starting": 3, "loading": 2,
    "objects": 8, "datagen": 7, "training": 7, "camera": 4, "weights": 6, "bags": 4, "maps": 7, "pnp": 3,
}  # fmt: skip
SHORT = 400  # examples without it, always the same ones
LONGEST = 1000  # message of an error [characters]

assert sum(SHARES.values()) == 100


def fuzz(name):
    """Settings of the property that has this share of the examples."""
    return settings(
        max_examples=max(1, (TOTAL or SHORT) * SHARES[name] // 100),
        derandomize=not TOTAL,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=[p for p in Phase if p is not Phase.explain and (TOTAL or p is not Phase.shrink)],
    )


def tried(call, *arguments, **named):
    """What comes out, None where it is refused; any other exception than a UserError of one short line goes on."""
    try:
        return call(*arguments, **named)
    except UserError as error:
        text = str(error)
        assert len(text.splitlines()) == 1, text
        assert 10 < len(text) <= LONGEST, text
        return None


odd_numbers = st.sampled_from(
    [0, -1, 1, 2**31, 2**63, 10**400, 0.0, -0.5, 1e-300, 1e300, math.nan, math.inf, -math.inf]
)
numbers = st.one_of(odd_numbers, st.integers(-1000, 1000), st.floats())
words = st.one_of(
    st.sampled_from(
        ["", "carton", "x" * 5000, "~no-such-user/x", "a\nb", "a\0b", "../..", "/", "*", "{}", "\x1b[31m", "日本"]
    ),
    st.text(max_size=30),
)
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words, st.dates(), st.binary(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.one_of(words, numbers, st.none()), inner, max_size=5)
    ),
    max_leaves=12,
)
SNIPPETS = [
    ":", "-", "[", "]", "{", "}", "\t", "\n", "\n  ", "#", "'", '"', "|", ">", "%", "@", "`", "!!int ", "!!bool x",
    "!!timestamp x", "!!binary x", "!!set", "!!python/object:os.system", "!x ", "&a ", "*a", "<<: ", "---\n", "...\n",
    ".nan", "-.inf", "1e999", "0x", "0b", "1:99", "2001-99-99", "null", "~", "\0", "\x85", "é", "- " * 3000,
]  # fmt: skip


@st.composite
def damaged(draw, whole):
    """Bytes with some of them cut away, repeated, turned or replaced."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["cut", "flip", "number", "drop", "repeat"]))
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            width = draw(st.sampled_from([1, 2, 4, 8]))
            data[at : at + width] = draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b"\x80"])) * width
        elif kind == "drop":
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
    return bytes(data)


@st.composite
def rewritten(draw, text):
    """Text with some lines, signs or numbers changed."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        until = at + draw(st.sampled_from([0, 0, 1, 5, 40]))
        text = text[:at] + draw(st.one_of(st.sampled_from(SNIPPETS), words, numbers.map(str))) + text[until:]
    return text


@st.composite
def replaced(draw, tree, odd=trees):
    """A tree of mappings and lists with one of its values replaced, left out, or one added."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(tree)))
        return tree | {key: draw(replaced(tree[key], odd))}
    if isinstance(tree, list) and tree and draw(st.booleans()):
        index = draw(st.integers(0, len(tree) - 1))
        return [*tree[:index], draw(replaced(tree[index], odd)), *tree[index + 1 :]]
    return draw(odd)
