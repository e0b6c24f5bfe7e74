"""Words that negate: found in sixteen languages, and not where they mean something else."""

from __future__ import annotations

import pytest

from earmark.model.text.negation import negating_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no rain", "no"),
        ("No wind, rain", "no"),
        ("rain, no wind", "no"),
        ("rain with no wind", "no"),
        ("not a dog", "not"),
        ("without engine", "without"),
        ("Nothing", "nothing"),
        ("a dog that doesn't bark", "doesn't"),
        ("it isn’t raining", "isn’t"),
        ("non-speech", "non"),
        ("ohne Regen", "ohne"),
        ("kein Motor", "kein"),
        ("sin lluvia", "sin"),
        ("no hay viento", "no"),
        ("sans pluie", "sans"),
        ("il ne pleut pas", "pas"),
        ("il n'y a pas de vent", "pas"),
        ("senza pioggia", "senza"),
        ("nessun rumore", "nessun"),
        ("zonder regen", "zonder"),
        ("geen motor", "geen"),
        ("bez deszczu", "bez"),
        ("nie pada", "nie"),
        ("sem chuva", "sem"),
        ("não chove", "não"),
        ("na\u0303o chove", "não"),  # a letter and its accent apart
        ("без дождя", "без"),
        ("yağmur yok", "yok"),
        ("بدون مطر", "بدون"),
        ("لا مطر", "لا"),
        ("雨なし", "なし"),
        ("雨が降っていない", "ない"),
        ("雨が降りません", "ません"),
        ("無風", "無"),
        ("비 없음", "없"),
        ("비가 오지 않는다", "않"),
        ("ไม่มีฝน", "ไม่"),
        ("没有雨", "没"),
        ("无雨", "无"),
        ("不下雨", "不下雨"),
        ("沒有引擎", "沒"),
    ],
)
def test_what_negates_is_found(text: str, word: str) -> None:
    assert negating_word(text) == word


@pytest.mark.parametrize(
    "text",
    [
        "", "…", "rain", "nose", "snow", "notification", "note", "another", "knot", "piano",
        "non-stop music", "symphony no. 5", "No 9", "sin wave", "bruit de pas", "pas de course",
        "passos no cascalho", "chuva no telhado", "Mairegen", "1. Mai", "nem", "hıçkırık",
        "집 안", "못 박기", "끊임없는 비", "無線機", "无线电", "无人机", "無伴奏合唱", "無音",
        "不锈钢碗", "打嗝停不下來", "非洲鼓", "淹没", "沉沒", "切ない曲", "危ない", "はなし声",
        "きたない", "ในป่า", "ไม้", "สัญญาณสายไม่ว่าง", "дождь", "небо", "нетто", "مطر",
    ],
)  # fmt: skip
def test_what_only_looks_alike_is_not(text: str) -> None:
    assert negating_word(text) is None
