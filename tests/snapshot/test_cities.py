"""City names: many spellings, one city."""

import pytest

from talentfeed.snapshot.cities import normalise


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
        ("Puéblo raro", "Perú", "Pueblo Raro"),
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
