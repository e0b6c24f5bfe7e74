"""Words that negate, in sixteen languages: ar de en es fr it ja ko nl pl pt ru th tr zh zh-TW.

An embedding of "no rain" lies beside that of "rain". Whole words are looked for, and where a script
has no spaces, parts of the text. Left out is what means something else at least as
often: French "pas" (steps), Korean 안 (inside) and 못 (nail), German "Mai".
"""

from __future__ import annotations

import re
import unicodedata

_WORDS = frozenset(
    """
    not without never none neither nor nothing nobody non cannot
    kein keine keinen keinem keiner keines nicht nichts ohne nie niemals niemand
    sin nunca jamás jamas ningún ningun ninguna ninguno nada nadie
    sans jamais aucun aucune rien
    senza nessun nessuna nessuno niente nulla
    geen zonder niet niets nooit niemand
    bez nigdy brak żaden żadna żadne żadnego żadnej nikt nic
    sem não nao nenhum nenhuma ninguém ninguem
    без не нет ни никогда никто ничего никакой никакого
    yok değil degil hiç hiçbir asla olmadan
    بدون بلا لا ليس ليست غير دون لم لن عدم
    """.split()
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CONTRACTED = re.compile(r"n['’]t$")  # don't
_FRENCH = re.compile(r"\b(?:ne\b|n['’]).*\b(pas)\b")
# In Portuguese "no" is "in the": what begins with it negates, not "passos no cascalho".
_NO = re.compile(r"(?:^|[,;:(/]|\b(?:and|but|with|y|pero))\s*(no)\b")
_ELSE = re.compile(r"\bnon[- ]?stop\b|\bno\.? ?\d+|\bsin waves?\b|\boriginal sin\b")

_NEITHER_RADIO_NOR_DRONE = "线線人机機軌轨料论論聊限尽盡数數声聲音伴"  # 無線, 无人机, 無音 …
_PARTS = re.compile(
    "|".join(
        (
            "(?<![沉淹出隐隱埋吞])[没沒]",
            f"[无無](?![{_NEITHER_RADIO_NOR_DRONE}])",
            "不下[雨雪]|不[是要会會带帶含用能响響]",
            "(?<![少危切])(?<![きつし]た)ない(?![しぶ])",
            "(?<![はか])なし(?![いくみさ])",
            "ません|無し",
            "(?<!끊임)(?<!틀림)(?<!변함)없|않|아닌|아님",
            "ไม่(?!ว่าง)|ปราศจาก",
        )
    )
)


def negating_word(text: str) -> str | None:
    """The first word or part of a text that negates; None where nothing does."""
    plain = _ELSE.sub(" ", unicodedata.normalize("NFC", text).lower())
    for word in _WORD.findall(plain):
        if word in _WORDS or _CONTRACTED.search(word):
            return str(word)
    found = _NO.search(plain) or _FRENCH.search(plain)
    if found:
        return found[1]
    part = _PARTS.search(plain)
    return part[0] if part else None
