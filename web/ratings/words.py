"""What the detectors of :mod:`web.ratings.features` look for: scripts that mostly write one language, short words of
those in Latin script, and (as regular expressions) the vocabulary of programmers and of mathematics.
"""

from __future__ import annotations

SCRIPTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("ja", (("\u3040", "\u30ff"), ("\u31f0", "\u31ff"))),
    ("zh", (("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\U00020000", "\U0002fa1f"))),
    ("ko", (("\u1100", "\u11ff"), ("\uac00", "\ud7af"))),
    ("ru", (("\u0400", "\u04ff"),)),
    ("ar", (("\u0600", "\u06ff"), ("\u0750", "\u077f"))),
    ("he", (("\u0590", "\u05ff"),)),
    ("hi", (("\u0900", "\u097f"),)),
    ("bn", (("\u0980", "\u09ff"),)),
    ("ta", (("\u0b80", "\u0bff"),)),
    ("th", (("\u0e00", "\u0e7f"),)),
    ("el", (("\u0370", "\u03ff"),)),
    ("ka", (("\u10a0", "\u10ff"),)),
    ("hy", (("\u0530", "\u058f"),)),
)
"""Language, and the ranges of letters that speak for it."""

UKRAINIAN_ONLY = "іїєґІЇЄҐ"

_SHORT = {
    "en": "the of and to is in that it for what how a with are write you this can i my your please be do does explain",
    "de": "der die das und ist nicht ein eine mit wie was ich zu den von für auf im bitte sie wir schreibe einen dem",
    "fr": "le la les des est et un une que pour dans qui je vous comment avec sur du moi pas quel quelle écris au",
    "es": "el los las es y un una que para en por cómo con qué del me se escribe cuál más como sobre explica lo",
    "it": "il gli è e un una che per di come con del della sono mi cosa non nel alla scrivi quale perché lo spiega",
    "pt": "os as é e um uma que para em por como com do da não você o são escreva qual mais seu dos na explique",
    "nl": "de het een en is van dat niet ik hoe wat met voor je op zijn schrijf kun aan deze er naar mijn",
    "pl": "jest i w na nie że się jak co z do to czy dla napisz jaki jakie są mi o po przez",
    "tr": "bir ve bu için ne nasıl ile mi da de çok daha olarak nedir yaz bana en olan",
    "sv": "och är att det en som på för hur vad med jag inte av till den skriv om kan ett",
    "cs": "je a v na se že jak co pro to není jsou s do napiš mi nebo jaký který",
    "vi": "là và của có cho không một những được trong như thế nào tôi hãy viết các với",
    "id": "yang dan di adalah untuk dengan apa bagaimana ini itu saya tidak dari buatkan tolong ke",
}
SHORT_WORDS = {code: frozenset(words.split()) for code, words in _SHORT.items()}

PROGRAMMING = (
    r"python|javascript|typescript|java|golang|rust lang\w*|kotlin|ruby on rails|php|sql|html|css|bash|powershell",
    r"shell script|regex(?:es|p)?|regular expressions?|docker\w*|kubernetes|git (?:commit|rebase|merge|push)",
    r"numpy|pandas|pytorch|react|node\.js|django|flask|source code|pseudo-?code|unit tests?|stack ?trace",
    r"compil(?:er|e error)|debug\w*|refactor\w*|code snippet|linked list|binary (?:search|tree)|api endpoint",
    r"write (?:(?:a|an|the|some)\s+)?(?:\w+ ){0,3}(?:program|function|script|code)",
    r"implement (?:a|an|the)\s+(?:\w+ ){0,4}(?:function|algorithm|class|program|method|structure)",
)
MATHEMATICS = (
    r"equations?|inequalit(?:y|ies)|integrals?|derivatives?|differentiate|polynomials?|theorem|lemma|matri(?:x|ces)",
    r"eigenvalues?|logarithms?|trigonometr\w+|geometry|triangles?|hypotenuse|quadratic|algebra\w*|calculus|factorial",
    r"prime numbers?|divisible|divisors?|remainder|modulo|probability (?:that|of)|permutations?|combinatori\w+",
    r"arithmetic|geometric series|standard deviation|solve for|prove that|square root|perimeter",
    r"calculate the (?:sum|area|volume|mean|probability)",
)
