"""The columns of WooCommerce's export in other languages: a shop exports them in its own."""

import re

from indexer.catalogue.presets.preset import plain_name

_TRANSLATIONS = {
    "Type": "Typ|Type|Tipo|Rodzaj",
    "SKU": "Artikelnummer|UGS|Referencia|COD|SKU|Symbol",
    "GTIN, UPC, EAN, or ISBN": (
        "GTIN, UPC, EAN oder ISBN|GTIN, UPC, EAN ou ISBN|GTIN, UPC, EAN o ISBN|GTIN, UPC, EAN of ISBN|"
        "GTIN, UPC, EAN lub ISBN"
    ),
    "Name": "Name|Nom|Nombre|Nome|Naam|Nazwa",
    "Published": "Veröffentlicht|Publié|Publicado|Pubblicato|Gepubliceerd|Opublikowano|Opublikowany",
    "Visibility in catalog": (
        "Sichtbarkeit im Katalog|Visibilité dans le catalogue|Visibilidad en el catálogo|"
        "Visibilità nel catalogo|Zichtbaarheid in catalogus|Widoczność w katalogu"
    ),
    "Short description": (
        "Kurzbeschreibung|Description courte|Descripción corta|Breve descrizione|Korte beschrijving|"
        "Krótki opis"
    ),
    "Description": "Beschreibung|Description|Descripción|Descrizione|Beschrijving|Opis",
    "Date sale price starts": (
        "Datum, an dem Angebotspreis beginnt|Date de début de promo|Día en que empieza el precio rebajado|"
        "Data di inizio del prezzo in offerta|Startdatum actieprijs|Data rozpoczęcia promocji"
    ),
    "Date sale price ends": (
        "Datum, an dem Angebotspreis endet|Date de fin de promo|Día en que termina el precio rebajado|"
        "Data di fine del prezzo in offerta|Einddatum actieprijs|Data zakończenia promocji"
    ),
    "In stock?": (
        "Vorrätig?|Auf Lager?|En stock ?|¿Existencias?|¿Hay existencias?|¿En inventario?|In stock?|"
        "Op voorraad?|Na stanie?|W magazynie?"
    ),
    "Stock": "Lagerbestand|Bestand|Lager|Stock|Inventario|Existencias|Magazzino|Voorraad|Stan magazynowy",
    "Sale price": (
        "Angebotspreis|Tarif promo|Prix promo|Precio rebajado|Prezzo in offerta|Actieprijs|Cena promocyjna"
    ),
    "Regular price": (
        "Regulärer Preis|Tarif régulier|Prix régulier|Precio normal|Precio regular|Prezzo di listino|"
        "Prezzo regolare|Reguliere prijs|Normale prijs|Cena regularna|Cena"
    ),
    "Categories": "Kategorien|Catégories|Categorías|Categorie|Categorieën|Kategorie",
    "Tags": "Schlagwörter|Étiquettes|Etiquetas|Tag|Tags|Znaczniki|Tagi",
    "Images": "Bilder|Images|Imágenes|Immagini|Immagine|Afbeeldingen|Obrazki|Obrazy",
    "Parent": "Übergeordnetes Produkt|Übergeordnet|Parent|Superior|Genitore|Hoofd|Bovenliggend|Nadrzędny",
    "External URL": "Externe URL|URL externe|URL externa|URL esterno|Zewnętrzny adres URL",
    "Brands": "Marken|Marques|Marcas|Marchi|Brand|Merken|Marki",
    "Weight (kg)": "Gewicht (kg)|Poids (kg)|Peso (kg)|Waga (kg)",
}
_ENGLISH = {
    plain_name(name): english for english, names in _TRANSLATIONS.items() for name in names.split("|")
}
_ATTRIBUTE = re.compile(
    r"(?:attribut|attribute|nom_de_l_attribut|nombre_del_atributo|nome_dell_attributo|attributo|naam_kenmerk|"
    r"eigenschap|atrybut|nazwa_atrybutu)_(\d{1,2})(?:_(?:name|nome|naam|nazwa))?"
)
_VALUES = re.compile(
    r"(?:attribut_\d_wert|valeur_s_de_l_attribut|valor_es_del_atributo|valore_i_dell_attributo|"
    r"attributo_\d_valore|kenmerk|waarde|wartość_i_atrybutu|atrybut_\d_wartość).*?"
)


def translate_column(column: str) -> str:
    """Return the English name of a column of the export, the name itself where it is not known."""
    name = plain_name(column)
    if name in _ENGLISH:
        return _ENGLISH[name]
    if match := _ATTRIBUTE.fullmatch(name):
        return f"Attribute {match[1]} name"
    number = re.search(r"\d{1,2}", name)
    if number and _VALUES.match(name):
        return f"Attribute {number[0]} value(s)"
    return column
