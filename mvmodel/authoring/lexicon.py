"""The words that the grammar of motion knows: verbs, positions, counts, speeds. These lists are its documentation."""

from __future__ import annotations

VERBS: dict[str, tuple[str, ...]] = {
    "travel": (
        "go", "run", "walk", "move", "drive", "swim", "slide", "glide", "gallop", "trot", "crawl", "ride", "roll",
        "sail", "cross", "travel", "race", "stroll", "sprint", "wander", "creep", "march", "slither", "waddle", "head",
        "come", "pass", "skate", "ski", "dash", "proceed", "follow", "drift", "sneak", "tiptoe", "jog", "scurry",
        "scuttle", "scamper", "scramble", "rush", "hurry", "zoom", "hurtle", "whizz", "dart", "stride", "strut",
        "stalk", "prowl", "plod", "trudge", "lumber", "amble", "saunter", "shuffle", "limp", "stumble", "prance",
        "canter", "hike", "pedal", "cycle", "paddle", "cruise", "steam", "flee", "escape", "advance", "approach",
        "retreat", "recede", "reverse", "moonwalk", "meet", "collide", "crash",
    ),
    "fly": ("fly", "float", "soar", "hover", "flit"),
    "enter": ("enter", "arrive", "appear"),
    "leave": ("leave", "exit", "depart", "disappear", "vanish"),
    "return": ("return",),
    "jump": ("jump", "hop", "leap", "skip", "bounce", "spring", "bound", "pounce"),
    "fall": ("fall", "drop", "sink", "descend", "land", "plunge", "tumble", "dive", "swoop"),
    "rise": ("rise", "climb", "ascend", "lift", "launch"),
    "spin": ("spin", "turn", "rotate", "twirl", "whirl", "somersault", "pirouette", "revolve"),
    "circle": ("circle", "orbit",),
    "zigzag": ("zigzag", "weave", "meander", "zig-zag"),
    "sway": ("sway", "swing", "rock", "wobble", "pendulum", "wiggle", "waggle"),
    "shake": ("shake", "tremble", "vibrate", "shiver", "quiver", "jitter"),
    "flap": ("flap", "flutter", "beat"),
    "grow": ("grow", "swell", "expand", "inflate"),
    "shrink": ("shrink", "deflate", "dwindle"),
    "stay": ("stay", "stand", "stop", "wait", "rest", "sit", "pause", "halt", "sleep", "lie", "remain", "freeze"),
}  # fmt: skip
"""Kind of motion -> the verbs that mean it."""

IRREGULAR: dict[str, str] = {
    "ran": "run", "went": "go", "goes": "go", "gone": "go", "drove": "drive", "swam": "swim", "slid": "slide",
    "rode": "ride", "crept": "creep", "came": "come", "flew": "fly", "leapt": "leap", "sprang": "spring",
    "fell": "fall", "sank": "sink", "rose": "rise", "spun": "spin", "swung": "swing", "shook": "shake",
    "grew": "grow", "shrank": "shrink", "stood": "stand", "sat": "sit", "slept": "sleep", "lay": "lie", "lying": "lie",
    "dove": "dive", "wove": "weave", "froze": "freeze", "fled": "flee", "met": "meet", "strode": "stride",
    "speeds": "race", "speeding": "race", "sped": "race",
}  # fmt: skip
"""Irregular form -> verb. "left" is missing, since it is always the side."""

LIGHT_VERBS = frozenset({"make", "do", "take", "perform"})
"""Verbs without a meaning of their own: "makes three jumps" means "jumps three times"."""
HELPERS = frozenset({"start", "begin", "keep", "try", "want", "continue"})
"""Verbs in front of another verb, which are ignored: "starts to run" means "runs"."""

MEETING_VERBS = frozenset({"meet", "collide", "crash"})
"""Verbs of several actors that mean "move towards each other"."""
DEPTH_OF_VERB: dict[str, int] = {"approach": 1, "retreat": -1, "recede": -1}
"""Verb -> 1 if it comes nearer to the camera, -1 if it goes away."""

STEPS_PER_SECOND: dict[str, float] = {"gallop": 3.0, "run": 2.5, "walk": 1.5, "trot": 2.5, "sprint": 3.0, "waddle": 1.5}
"""Verb -> steps per second, each of which moves the actor a little up and down."""
ROLLING_VERBS = frozenset({"roll"})
"""Verbs of things that rotate as they travel."""

POSITIONS: dict[str, tuple[float | None, float | None]] = {
    "left": (0.18, None), "right": (0.82, None), "top": (None, 0.2), "bottom": (None, 0.8), "middle": (0.5, None),
    "center": (0.5, None), "centre": (0.5, None), "ceiling": (None, 0.2), "sky": (None, 0.2), "ground": (None, 0.8),
    "floor": (None, 0.8), "up": (None, 0.2), "down": (None, 0.8), "above": (None, 0.2), "below": (None, 0.8),
    "upper": (None, 0.2), "lower": (None, 0.8), "upward": (None, 0.2), "upwards": (None, 0.2),
    "downward": (None, 0.8), "downwards": (None, 0.8), "leftward": (0.18, None), "leftwards": (0.18, None),
    "rightward": (0.82, None), "rightwards": (0.82, None), "water": (None, 0.62), "west": (0.18, None),
    "east": (0.82, None), "north": (None, 0.2), "south": (None, 0.8),
}  # fmt: skip
"""Word -> the x and y it means, in shares of the picture; None leaves a coordinate open."""

NUMBERS: dict[str, float] = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "half": 0.5, "both": 2,
}  # fmt: skip
COUNT_WORDS: dict[str, float] = {"once": 1, "twice": 2, "thrice": 3}
VAGUE_COUNTS: dict[str, float] = {
    "several": 3,
    "few": 3,
    "many": 5,
    "couple": 2,
    "some": 3,
    "repeatedly": 4,
    "again": 4,
}
"""Counts that leave the number open -> the number that is assumed."""
COUNTED_NOUNS = frozenset(
    {"times", "time", "turns", "turn", "laps", "rounds", "circles", "loops", "steps", "swings", "flips"}
)
"""Nouns after a number that counts a motion: "three laps"."""

SPEEDS: dict[str, float] = {
    "slowly": 0.5, "slow": 0.5, "gently": 0.6, "lazily": 0.5, "calmly": 0.6, "leisurely": 0.6, "quickly": 2.0,
    "fast": 2.0, "rapidly": 2.0, "quick": 2.0, "swiftly": 2.0, "hastily": 2.0, "suddenly": 3.0, "briskly": 1.5,
}  # fmt: skip
"""Word -> factor on a motion's speed."""
EASING_OF_WORD: dict[str, str] = {
    "accelerating": "ease-in", "accelerates": "ease-in", "faster": "ease-in", "slower": "ease-out",
    "decelerating": "ease-out", "decelerates": "ease-out", "braking": "ease-out", "brakes": "ease-out",
}  # fmt: skip
"""Word -> key of `paths.EASINGS`."""
AMOUNTS: dict[str, float] = {"little": 0.5, "slightly": 0.5, "bit": 0.5, "briefly": 0.5, "high": 1.6, "halfway": 0.5}
"""Word -> factor on a motion's distance or height."""

SEQUENCE_WORDS = frozenset({"then", "before", "afterwards", "afterward", "until", "finally", "next", "."})
SIMULTANEITY_WORDS = frozenset({"while", "as", "when", "whilst", "during"})
"""Words before a verb that say that it begins after the one before it, or at the same time."""
CONNECTORS = SEQUENCE_WORDS | SIMULTANEITY_WORDS | {",", ";", "and", "but", "after", "first"}
DETERMINERS = frozenset({"a", "an", "the", "this", "that", "its", "his", "her", "their", "some", "another"})
PREPOSITIONS = frozenset(
    {"to", "from", "in", "into", "on", "onto", "at", "over", "across", "out", "of", "off", "through", "towards",
     "toward", "by", "with", "under", "past", "around", "along", "up", "down"}
)  # fmt: skip


OTHER_PREPOSITIONS = frozenset(
    {"beside", "behind", "between", "among", "near", "against", "inside", "outside", "before", "above", "below",
     "beneath", "beyond", "like", "for", "without", "throughout", "amid", "upon", "next"}
)  # fmt: skip
"""Prepositions of scenery only: what follows them is not in the masks."""
PRONOUNS = frozenset({"it", "he", "she", "they", "one", "which", "who", "that"})
MODIFIER_WORDS = frozenset(
    {"away", "distance", "background", "closer", "nearer", "camera", "us", "viewer", "foreground", "picture", "frame",
     "screen", "image", "view", "back", "forth", "where", "started", "began", "in-circle", "up-down", "sideways",
     "clockwise", "counterclockwise", "counter-clockwise", "anticlockwise", "anti-clockwise", "edge", "side", "corner",
     "far", "very", "really", "extremely", "starting", "starts", "still", "is", "are", "was", "were", "be",
     "each-other", "from-each-other", "crossing-each-other", "diagonally", "forward", "forwards", "ahead", "backward",
     "backwards", "place", "spot", "itself", "too", "also", "both", "all", "so", "just", "not", "straight",
     "side-by-side"}
)  # fmt: skip
"""Further words that the grammar reads, or that change nothing."""


def _forms(verb: str) -> set[str]:
    """A verb's regular forms: jump -> jump, jumps, jumped, jumping; hop -> hopped; slide -> sliding; fly -> flies."""
    forms = {verb, verb + "s", verb + "es", verb + "ed", verb + "ing"}
    if verb.endswith("e"):
        forms |= {verb[:-1] + "ing", verb + "d"}
    if verb.endswith("y") and verb[-2] not in "aeiou":
        forms |= {verb[:-1] + "ies", verb[:-1] + "ied"}
    if len(verb) > 2 and verb[-1] not in "aeiouwxy" and verb[-2] in "aeiou" and verb[-3] not in "aeiou":
        forms |= {verb + verb[-1] + "ing", verb + verb[-1] + "ed"}
    return forms


KIND_OF_VERB: dict[str, str] = {verb: kind for kind, verbs in VERBS.items() for verb in verbs}
VERB_OF_FORM: dict[str, str] = {form: verb for verb in KIND_OF_VERB for form in _forms(verb)} | IRREGULAR
"""Every form of every verb -> the verb."""
LIGHT_FORMS = {form for verb in LIGHT_VERBS for form in _forms(verb)} | {"made", "did", "took"}
HELPER_FORMS = {form for verb in HELPERS for form in _forms(verb)} | {"began", "kept"}
KNOWN_WORDS: frozenset[str] = frozenset(
    VERB_OF_FORM.keys() | POSITIONS.keys() | NUMBERS.keys() | COUNT_WORDS.keys() | VAGUE_COUNTS.keys() | SPEEDS.keys()
    | EASING_OF_WORD.keys() | AMOUNTS.keys() | COUNTED_NOUNS | CONNECTORS | DETERMINERS | PREPOSITIONS
    | OTHER_PREPOSITIONS | PRONOUNS | MODIFIER_WORDS | LIGHT_FORMS | HELPER_FORMS
)  # fmt: skip
"""Every word that the grammar reads."""
