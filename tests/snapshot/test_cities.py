"""City names: many spellings, one city."""

import pytest

from talentfeed.snapshot.cities import normalise, normalised


@pytest.mark.parametrize(
    ("city", "country", "expected"),
    [
        ("Bogota", None, "Bogotá"),
        ("Bogotá D.C.", "Colombia", "Bogotá"),
        (" BOGOTÁ, d. c. ", None, "Bogotá"),
        ("Bogotá DC", None, "Bogotá"),
        ("Medellin", None, "Medellín"),
        ("MEDELLI\u0301N", None, "Medellín"),
        ("Distrito Federal", None, "CDMX"),
        ("Ciudad de México", "México", "CDMX"),
        ("cdmx", None, "CDMX"),
        ("Nuevo León", None, "Monterrey"),
        ("monterrey", None, "Monterrey"),
        ("pueblo  RARO", None, "Pueblo Raro"),
        ("Puéblo raro", "Perú", "Puéblo Raro"),
        ("Bogotá, Cundinamarca", None, "Bogotá"),
        ("Bogota - Colombia", None, "Bogotá"),
        ("Medellin (Antioquia)", None, "Medellín"),
        ("Monterrey, N.L.", None, "Monterrey"),
        ("Nuevo Leon, Mexico", None, "Monterrey"),
        ("Pueblo Raro, Perú", None, "Pueblo Raro Perú"),
        ("N/A, Colombia", "CO", "Other-Colombia"),
        ("Colombia", None, "Other-Colombia"),
        ("MEXICO", "Perú", "Other-México"),
        ("Ciudad de Panamá", None, "Ciudad de Panamá"),
        ("Other-Colombia", None, "Other-Colombia"),
        ("other-mexico", None, "Other-México"),
        ("Other-Wakanda", None, "Other-Wakanda"),
        ("other", "Colombia", "Other-Colombia"),
        ("Bad Caro", None, "Bad Caro"),
        (None, "Colombia", "Other-Colombia"),
        ("", "colombia ", "Other-Colombia"),
        ("N/A", "mexico", "Other-México"),
        ("-", "Wakanda", "Other-Wakanda"),
        (None, None, "Unknown"),
        ("  ", "", "Unknown"),
        ("null", "null", "Unknown"),
    ],
)
def test_every_spelling_gives_the_one_name(city: str | None, country: str | None, expected: str) -> None:
    assert normalise(city, country) == expected


def test_unknown_cities_match_without_their_accents_and_keep_them() -> None:
    places = [("sutamarchan", None), ("Sutamarchán", "Colombia"), ("SUTAMARCHAN", None), ("Ráquira", None)]
    assert normalised(places) == ["Sutamarchán"] * 3 + ["Ráquira"]
    assert normalised(places[::-1]) == normalised(places)[::-1]


def test_a_name_is_its_own_name() -> None:
    names = ["Bogotá", "CDMX", "Other-México", "Other-Wakanda", "Unknown", "Sutamarchán", "Ciudad de Panamá"]
    assert normalised((name, None) for name in names) == names
