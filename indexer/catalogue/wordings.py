"""What shops write for available, not available, for sale and not for sale, in eight languages.

Words are compared in lower case without white space, hyphens and punctuation: `In Stock`, `in_stock` and
`https://schema.org/InStock` are all `instock`. Sources: schema.org's ItemAvailability; the product data of
Google Merchant Center, Shopify, WooCommerce, Magento, BigCommerce and Amazon; shops in English, German,
French, Spanish, Italian, Dutch, Polish, Chinese and Japanese.
"""


def _compact(*lines: str) -> frozenset[str]:
    return frozenset(word.strip().replace(" ", "") for line in lines for word in line.split("|"))


AVAILABLE_WORDS = _compact(
    "ready for pickup|special order|on demand|on order|in production|lagerware|in den warenkorb|add to cart",
    "buy now|order now|na wyczerpaniu|morgen in huis|vandaag besteld, morgen in huis|○|◯|◎|✓|✔|✅|☑",
    "unlimited|unbegrenzt|illimité|ilimitado|illimitato|onbeperkt|nieograniczony|bez limitu|无限",
    "wahr|vrai|verdadero|vero|waar|prawda|verdadeiro|истина",
    "true|yes|y|t|on|1|ok|available|in stock|instock|stocked|in store|available now|on stock|ready to ship",
    "active",
    "in store only|online only|limited availability|limited stock|limited|low stock|few left|pre order",
    "preorder",
    "pre sale|presale|back order|backorder|backordered|on backorder|made to order|available for order",
    "preorderable",
    "ja|auf lager|lieferbar|verfügbar|vorrätig|sofort lieferbar|sofort verfügbar|lagernd|ab lager|bestellbar",
    "vorbestellbar|vorbestellung|auf bestellung|begrenzt verfügbar|wenige verfügbar|geringer bestand",
    "nachbestellbar",
    "oui|en stock|disponible|sur commande|précommande|stock limité|stock faible|derniers articles|en magasin",
    "sí|si|en existencia|en existencias|bajo pedido|por encargo|preventa|reserva|últimas unidades",
    "pocas unidades",
    "con stock|hay stock",
    "sì|disponibile|in magazzino|disponibilità immediata|su ordinazione|preordine|ultimi pezzi",
    "in pronta consegna",
    "disponibilità limitata|ordinabile",
    "op voorraad|leverbaar|beschikbaar|direct leverbaar|op bestelling|nabestelling|uit voorraad leverbaar",
    "voorradig",
    "beperkt leverbaar|beperkte voorraad|in voorraad",
    "tak|dostępny|dostępna|dostępne|dostępność|na stanie|w magazynie|na zamówienie|w sprzedaży|mało",
    "duża ilość",
    "średnia ilość|przedsprzedaż|ostatnie sztuki",
    "有|有货|有貨|是|现货|現貨|有库存|有庫存|库存充足|在售|充足|有现货|预售|預售|预订|可订购|可訂購",
    "库存紧张|少量|少量库存|可售",
    "在庫あり|在庫有り|在庫有|あり|有り|販売中|即納|予約受付中|予約|予約可|予約商品|取り寄せ|お取り寄せ",
    "取寄せ|受注生産",
    "残りわずか|残り僅か|在庫わずか|在庫僅少|注文可|購入可",
    "em estoque|em stock|disponível|i lager|på lager|finns i lager",
)
"""Words of products that can be bought now or ordered."""

UNAVAILABLE_WORDS = _compact(
    "notify me|end of life|endoflife|eol|x|✗|×|✘|❌|in arrivo|próximamente|proximamente|demnächst",
    "prossimamente",
    "binnenkort|wkrótce|即将上市|敬请期待|近日発売|発売前",
    "falsch|faux|falso|onwaar|fałsz|ложь",
    "false|no|n|f|off|0|none|unavailable|not available|out of stock|outofstock|oos|not in stock|sold out",
    "soldout",
    "discontinued|currently unavailable|temporarily unavailable|temporarily out of stock|no stock|reserved",
    "ended",
    "coming soon|not for sale|retired|obsolete|disabled|inactive|out",
    "nein|nicht auf lager|nicht lieferbar|nicht verfügbar|nicht vorrätig|ausverkauft|vergriffen",
    "derzeit nicht verfügbar",
    "momentan nicht verfügbar|momentan nicht lieferbar|nicht mehr lieferbar|leider ausverkauft",
    "auslaufartikel",
    "non|en rupture de stock|rupture de stock|rupture|en rupture|épuisé|indisponible|hors stock",
    "non disponible",
    "plus disponible|pas disponible",
    "agotado|agotada|sin stock|sin existencias|no disponible|fuera de stock|descatalogado|no hay stock",
    "non in stock|esaurito|esaurita|non a magazzino|fuori produzione|terminato|non ordinabile",
    "nee|niet op voorraad|uitverkocht|niet leverbaar|niet beschikbaar|tijdelijk uitverkocht|niet voorradig",
    "niet meer leverbaar",
    "nie|niedostępny|niedostępna|niedostępne|brak|brak w magazynie|wyprzedany|wyprzedana|wyprzedane",
    "brak towaru",
    "chwilowo niedostępny|wycofany|wyprzedano|brak na stanie",
    "无|無|无货|無貨|缺货|缺貨|售罄|售完|已售完|已售罄|否|没有|沒有|无库存|無庫存|下架|已下架|补货中",
    "補貨中|暂时缺货|暂无库存|停售|停产|到货通知",
    "なし|無し|無|在庫なし|在庫無し|在庫切れ|品切れ|売り切れ|売切れ|売切|完売|販売終了|入荷待ち|入荷未定",
    "生産終了|欠品|在庫無",
    "esgotado|indisponível|sem estoque|slut i lager|udsolgt|slutsåld|ej i lager",
)
"""Words of products that can't be bought."""

UNAVAILABLE_PARTS = (
    "not available", "unavailable", "out of stock", "sold out", "no longer", "not in stock", "discontinued",
    "not currently", "outofstock", "coming soon", "notify", "not allowed", "bientôt", "plus en stock",
    "non più", "presto disponib", "próximamente", "binnenkort", "wkrótce", "demnächst", "bald wieder",
    "em breve", "back in stock soon", "back soon", "available soon",
    "nicht", "ausverkauft", "vergriffen", "rupture", "épuisé",
    "indisponible", "non disponib", "plus disponible", "agotad", "sin stock", "sin existencia",
    "no disponible",
    "esaurit", "non in ", "niet ", "uitverkocht", "niedostępn", "brak", "wyprzedan", "无货", "無貨", "缺货",
    "缺貨",
    "售罄", "售完", "下架", "切れ", "完売", "なし", "無し", "終了", "未定", "esgotad", "indisponível",
)  # fmt: skip
"""Parts of a sentence that says that a product can't be bought."""

AVAILABLE_PARTS = (
    "in stock", "instock", "available", "left", "ready to ship", "backorder", "preorder", "pre-order",
    "low stock", "rimast", "pezzi", "库存", "庫存",
    "lieferbar", "auf lager", "verfügbar", "vorrätig", "lagernd", "bestellbar", "en stock", "disponib",
    "sur commande",
    "existencia", "bajo pedido", "magazzino", "su ordinazione", "voorraad", "leverbaar", "beschikbaar",
    "dostępn",
    "na stanie", "w magazynie", "na zamówienie", "现货", "現貨", "有货", "有貨", "预售", "在庫あり",
    "在庫有", "残り",
    "予約", "取り寄せ", "em estoque", "disponível",
)  # fmt: skip
"""Parts of a sentence that says that a product can be bought."""

DELIVERY_PARTS = (
    "ship", "deliver", "dispatch", "leaves warehouse", "lead time", "lieferzeit", "lieferung", "versand",
    "versendet",
    "livraison", "livré", "expédi", "envío", "envio", "entrega", "plazo", "spedi", "consegna", "levertijd",
    "levering", "verzonden", "verzend", "wysyłka", "dostawa", "wysylka", "czas realizacji", "发货", "發貨",
    "出荷", "お届け",
    "発送", "送达",
)  # fmt: skip
"""Parts of a sentence about when a product is delivered: it can be ordered."""

DURATION_UNITS = (
    "hours?|hrs?|days?|business days?|working days?|weeks?|months?|stunden?|tage?n?|werktage?n?|wochen?|"
    "monate?n?|"
    "heures?|jours?|semaines?|mois|horas?|días?|dias?|semanas?|meses|ore|giorn[oi]|settiman[ae]|mes[ei]|"
    "uur|dagen?|"
    "werkdagen|we[e]?ken|maanden?|godzin\\w*|dni|dzień|tygodni\\w*|miesi\\w*|天|日|周|週間|週|个月|ヶ月|"
    "か月|小时|時間|h|d|wk"
)
"""Units of time, as a regular expression."""

FOR_SALE_WORDS = _compact(
    "active|published|publish|enabled|enable|visible|true|yes|y|t|on|1|live|online|public|catalog,search",
    "catalog|search",
    "wahr|vrai|verdadero|vero|waar|prawda|verdadeiro|истина",
    "in stock|instock|everywhere|visible individually",
    "catalog and search|both|shop only|search results only|for sale|available|approved|ok|normal|buyable",
    "listed",
    "aktiv|aktiviert|veröffentlicht|sichtbar|freigegeben|ja|actif|active|activé|activée|publié|publiée|oui",
    "visible",
    "en ligne|activo|activado|publicado|habilitado|sí|si|attivo|attiva|attivato|pubblicato|abilitato|sì",
    "visibile",
    "actief|gepubliceerd|ingeschakeld|zichtbaar|aktywny|aktywna|aktywne|opublikowany|opublikowana|włączony",
    "widoczny|tak",
    "上架|已上架|在售|启用|啟用|是|显示|已发布|公開|有効|販売中|表示|公開中",
)
"""Words of products that shoppers may find."""

NOT_FOR_SALE_WORDS = _compact(
    "draft|archived|archive|hidden|disabled|disable|inactive|unpublished|private|trash|trashed|pending",
    "false|no|n|f|off|falsch|faux|falso|onwaar|fałsz|ложь",
    "0|-1|deleted|removed|not visible individually|not visible|invisible|discontinued|blocked|suspended",
    "expired|ended|future|suppressed",
    "offline|closed|rejected|disapproved|auto draft|unlisted|delisted|not for sale|nowhere|none|incomplete",
    "entwurf|archiviert|versteckt|verborgen|inaktiv|deaktiviert|nein|gelöscht|gesperrt|unsichtbar",
    "nicht sichtbar",
    "brouillon|archivé|archivée|masqué|masquée|inactif|désactivé|désactivée|non|caché|hors ligne|supprimé",
    "dépublié",
    "borrador|archivado|oculto|inactivo|desactivado|deshabilitado|bozza|archiviato|nascosto|inattivo",
    "disattivato",
    "disabilitato|concept|gearchiveerd|inactief|uitgeschakeld|nee|verwijderd|szkic|zarchiwizowany|ukryty",
    "ukryta",
    "nieaktywny|nieaktywna|nieaktywne|wyłączony|wyłączona|nie|usunięty",
    "草稿|已下架|下架|隐藏|隱藏|禁用|停用|否|删除|已删除|归档|未发布|下書き|非公開|アーカイブ|無効|停止",
    "非表示|販売停止|削除",
)
"""Words of products that shoppers must not find: drafts, archived, hidden and disabled ones."""

NO_PRICE_WORDS = _compact(
    "n/a|na|none|null|nan|-|--|–|—|?|tba|tbd|tbc|poa|p.o.a.|p.o.a|price on application|price on request",
    "on request|call|call us|call for price|call for pricing|contact us|request a quote|ask for price",
    "auf anfrage|preis auf anfrage|a.a.|sur demande|prix sur demande|nous consulter|a consultar|consultar",
    "bajo consulta|su richiesta|prezzo su richiesta|a richiesta|op aanvraag|prijs op aanvraag|na zapytanie",
    "cena na zapytanie|sold out|ausverkauft|épuisé|agotado|esaurito|uitverkocht|sur devis",
    "auf anfrage erhältlich",
    "quote|login for price|login to see price|see price in cart|siehe warenkorb|nicht verfügbar",
    "要相談|応相談|価格未定|询价",
    "面议|電議|电议|价格面议|要問合せ|要問い合わせ|お問い合わせ|お問合せ|オープン価格|オープン",
)
"""Words of a product that has no price."""

FREE_WORDS = _compact("free|gratis|kostenlos|umsonst|gratuit|gratuito|bezpłatny|za darmo|免费|免費|無料")
"""Words of a product that costs nothing."""
