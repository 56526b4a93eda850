"""Words that names of files and columns are made of, in English and German: evidence beside the values, never alone.

Every pattern is searched in a name folded by columns.fold: 'Bestell-Nr.' is 'bestell nr'.
"""

from __future__ import annotations

import re

KINDS = {
    "pos": r"\bpos\b|order|bestell|auftrag|\bsales?\b|transact|receipt|basket|kauf|umsatz|kasse|\bbon\b|purchase|retail|\blines?\b",
    "finance": r"financ|invoice|rechnung|ledger|buchhaltung|costs?\b|kosten|billing|subscription|vertra|contracts?\b",
    "loyalty": r"loyal|member|mitglied|bonus|punkte|reward|kundenkarte",
    "crm": r"\bcrm\b|contact|kontakt|customer|kunde|client|person|people|accounts?\b|\bleads?\b|opportunit|stamm|\busers?\b",
    "email": r"e ?mail|newsletter|mailing|\besp\b",
    "web": r"\bweb|\bsite|click|page|session|analytics|browse|shop log",
    "mobile_app": r"\bapp\b|mobile|usage|telemetr|nutzung",
    "social": r"social|soziale|follower|engagement",
    "tickets": r"ticket|support|service|\bcases?\b|beschwerde|complaint|help ?desk|anfrage",
    "survey": r"survey|\bnps\b|umfrage|feedback|befragung|antwort|responses?\b",
    "ads": r"\bads?\b|advert|spend|\bmedia\b|werb|anzeige",
    "marketing_automation": r"marketing|campaign|kampagne|activit|aktion",
    "enrichment": r"enrich|firmograph|demograph|census|weather|wetter|\bgeo|extern",
}
CUSTOMER = r"cust(omer)?|client|kunden?|buyer|shopper|kaeufer|guest|gast|patient|abonnent|debitor|household|haushalt"
PEOPLE = (  # whom a row is about, the surest first
    (r"\b(" + CUSTOMER + r")\b|\b(kunden|kaeufer|debitor|customer)\w+", 12),
    (r"loyalty|\bmember|mitglied|karte|\bcard|\bclub|\breward", 11),
    (r"\baccount|\bkonto", 9),
    (
        r"subscriber|recipient|empfaenger|\busers?\b|\buid\b|nutzer|benutzer|contact|kontakt|person|\bprofile id|teilnehmer|\brespondent",
        8,
    ),
    (r"anonymous|visitor|besucher|cookie|device|geraet|client id|installation", 7),
    (r"handle|screen name|profile\b|author", 6),
)
NO_CUSTOMER_NUMBER = r"anonymous|visitor|besucher|cookie|device|geraet|handle|session|segment|group|gruppe|type|\btyp\b|since|seit|\bcount|anzahl|status|name|city|country|land\b|region|\bage\b|\balter\b|credit|gift"
NUMBER_WORD = r"\b(id|no|nr|num|number|key|code|nummer|ref|uuid|guid)\b|(nr|nummer|id|number|no)$"
CASE = r"ticket|\bcase|response|antwort|anfrage|vorgang|subscription|vertrag|contract|request"
ORDER_ID = (
    r"order|bestell|auftrag|basket|receipt|invoice|transact|\btrans\b|beleg|\bbon|rechnung|warenkorb|\bcart\b|purchase|kauf"
)
EVENT_ID = r"^(event|line|activity|message|row|log|hit|record|zeilen|ereignis|aktivitaets)? ?(id|uuid|guid)$"
ITEM = r"product|\bitem|\bsku\b|article|artikel|produkt|\bean\b|gtin|upc|stock code|\bplan\b|tarif"
CATEGORY = r"categor|kategorie|department|\bdept|abteilung|warengruppe|sortiment|genre|famil|\bgroup|gruppe|segment|rubrik|product type|produktart"
BRAND, OWN_BRAND = r"\bbrand|marke", ("private", "private label", "own", "own brand", "eigenmarke", "house brand")
QUANTITY = r"\bqty\b|quantit|menge|anzahl|stueck|\bunits?\b|\bpieces\b|\bcount\b|\bseats\b|\bdiscs\b"
NO_AMOUNT = (
    r"\btax|steuer|mwst|\bvat\b|discount|rabatt|nachlass|\bdisc\b|coupon|voucher|shipping|versand|freight|\bcost|kosten|qty|quantit|menge|anzahl|"
    r"\bcount|point|punkte|balance|saldo|\bfee\b|\brate\b|limit|score|rating|\bage\b|\balter\b|year|jahr|month|monat|impression|click|income|einkommen|"
    r"latitude|longitude|\blat\b|\blon\b|weight|gewicht|percent|prozent|\bpct\b|margin|marge|\bid\b|\bno\b|\bnr\b|number|nummer|zip|plz|code"
)
AMOUNT = (
    (r"\b(net|netto)\b|netto(betrag|umsatz|preis|wert)", 10), (r"amount|betrag|amt\b", 9), (r"revenue|umsatz|turnover|erloes", 9),
    (r"line total|sales value|\bsales\b", 9), (r"total|summe|gesamt|paid|bezahlt", 8), (r"gross|brutto|spent|ausgab", 6),
    (r"value|\bwert|warenwert", 6), (r"price|preis|charge", 4),
)  # fmt: skip
UNIT_PRICE = r"unit|einzel|stueck|\bper\b|je "
DISCOUNT = r"discount|\bdisc\b|rabatt|nachlass|coupon|voucher|gutschein|markdown"
COST = r"\bcosts?\b|cogs|kosten|wareneinsatz|einkauf|\bspend\b|\bspent\b|ausgaben"
CAMPAIGN = r"campaign|kampagne|mailing|newsletter|\baktion"
TOPIC = r"topic|thema|theme|subject|betreff|reason|grund|campaign type|anliegen|challenge|query"
SCORE = r"\bnps\b|csat|score|rating|sentiment|bewertung|\bnote\b|zufrieden|satisf|\bstars\b|sterne|recommend|empfehl"
CHANNEL = r"channel|kanal|network|netzwerk|platform|plattform|medium"
MACHINE = r"machine|\bbot\b|scanner|proxy|automat|crawler"
CURRENCY = r"currency|waehrung|\bcurr\b|\bccy\b"
EVENT_COLUMN = r"event|activit|action|\btype\b|\btyp\b|\bname\b|\bkind\b|aktion|ereignis|art$|vorgang|document type|status|verb"
CONSENT = (
    r"consent|\bopt ?(in|out)?\b|newsletter|einwillig|permission|erlaub|zustimm|accepts|marketing ok|subscribed|allow|werbe|darf"
)
ANSWERS = {  # what came of a mailing -> words of the column that says so
    "email_open": r"\bopen(ed|s)?\b|geoeffnet|oeffnung",
    "email_click": r"\bclick(ed|s)?\b|geklickt|\bklicks?\b",
    "email_bounce": r"\bbounced?\b",
    "email_unsubscribe": r"unsubscri|abgemeldet|abmeldung",
}
# Who has said no: read as a consent it would turn every refusal into a yes.
REFUSAL = r"unsubscri|opt(ed)? ?out|abgemeld|abmeld|widerruf|widersp|do not|\bdnc\b|sperr|robinson|block|suppress|\bno (mail|email|sms|call|contact|marketing)|\bkeine?\b"
CONSENT_CHANNELS = (
    ("email", r"mail|newsletter"),
    ("sms", r"\bsms\b|text"),
    ("phone", r"phone|tel|anruf|call"),
    ("post", r"\bpost|letter|brief"),
    ("push", r"push|app"),
)
AT = (
    (r"\b(transaction|event|occurred|ordered|order|purchase|invoice|activity|engaged|opened|submitted|sent|bestell|kauf|beleg|rechnung)", 6),
    (r"bestell|kauf|beleg|auftrag|eingang|gesendet|geoeffnet", 6), (r"timestamp|zeitstempel|\bts\b|zeitpunkt|date ?time", 5),
    (r"\bat\b|\bwhen\b|\bon\b", 3), (r"date|datum|time|zeit|\bday\b|\btag\b", 3), (r"created|erstellt|angelegt", 2),
)  # fmt: skip
NOT_AT = r"birth|geburt|\bdob\b|updated|modified|geaendert|closed|geschlossen|end\b|\bende\b|expir|ablauf|due|faellig|ship|versand|deliver|liefer|valid|gueltig|last|letzte"
ENDS_AT = r"closed|geschlossen|resolved|geloest|ended|\bend\b|\bende\b|erledigt|finished"
CREATED = r"created|creation|angelegt|anlage|erstellt|enrol|joined|join date|regist|signup|sign up|since|seit|eintritt|beitritt|first seen|opened|collected|start"
IDENTITY = {  # (words of the name, kind of values or none, share of them)
    "given_name": (r"(first|given|fore|christian) ?name|vorname|\bfname\b", "names", 0.8),
    "family_name": (r"(last|family) ?name|surname|nachname|familienname|zuname|\blname\b", "names", 0.8),
    "full_name": (r"full name|(customer|contact|client|kunden|person|member) ?name|^name$|vollstaendiger name", "names", 0.7),
    "house_number": (r"house (no|nr|number)|hausn", "single words", 0.7),
    "street": (r"street|strasse|\bstr\b|^address( line)?( 1)?$|^adresse$|anschrift", "", 0.0),
    "address_line_2": (r"address( line)? 2|adresszusatz|apartment|\bsuite\b", "", 0.0),
    "postcode": (r"post ?(al)? ?code|\bzip|\bplz\b|postleitzahl|postal$", "", 0.0),
    "city": (r"\bcity\b|\btown\b|^ort$|wohnort|\bstadt\b", "names", 0.8),
    "state": (r"^state$|bundesland|province|state code", "names", 0.8),
    "country": (r"country|^land$|nation$|laendercode", "names", 0.8),
    "organisation": (r"^company( name)?$|organi[sz]ation|^firma$|firmenname|unternehmen|account name|business name", "", 0.0),
    "handle": (r"handle|screen name|twitter|instagram", "single words", 0.8),
    "tax_id": (r"tax (id|no|nr|number)|tax number|\bvat (id|no|nr|number)|ust id|ustid|steuernummer|\bvatin\b", "codes", 0.8),
    "domain": (r"domain|website|homepage|\burl\b", "domains", 0.8),
}  # fmt: skip
PHONE = r"phone|mobil|\btel|handy|cell\b|rufnummer"
BIRTH = r"birth|\bdob\b|geburt|geb dat"
LOYALTY = r"loyalty|\bmember|mitglied|karte|\bcard|\bclub|\breward|bonus"

# The systems' words for what happened -> ours, by the kind of the source; "" holds for every kind.
EVENT_WORDS: dict[str, dict[str, str]] = {
    "": {
        "login": "login", "log in": "login", "sign in": "login", "signin": "login", "anmeldung": "login", "page view": "page_view",
        "pageview": "page_view", "view": "page_view", "search": "search", "suche": "search", "add to cart": "add_to_cart",
        "addtocart": "add_to_cart", "cart": "add_to_cart", "checkout": "checkout", "begin checkout": "checkout", "purchase": "order",
        "transaction": "order", "order": "order", "sale": "order", "sales": "order", "kauf": "order", "verkauf": "order",
        "bestellung": "order", "rechnung": "order", "invoice": "order", "inv": "order", "return": "return", "refund": "return",
        "retoure": "return", "rueckgabe": "return", "gutschrift": "return", "crn": "return", "credit note": "return", "storno": "return",
        "redeemed": "coupon_redeemed", "redemption": "coupon_redeemed", "eingeloest": "coupon_redeemed", "offer redeemed": "coupon_redeemed",
        "offer sent": "campaign_sent", "delivered": "email_delivered", "zugestellt": "email_delivered", "open": "email_open",
        "opened": "email_open", "geoeffnet": "email_open", "oeffnung": "email_open", "click": "email_click", "clicked": "email_click",
        "klick": "email_click", "geklickt": "email_click", "bounce": "email_bounce", "bounced": "email_bounce", "unsubscribe": "email_unsubscribe",
        "unsubscribed": "email_unsubscribe", "abmeldung": "email_unsubscribe", "abgemeldet": "email_unsubscribe", "sent": "campaign_sent",
        "send": "campaign_sent", "gesendet": "campaign_sent", "versendet": "campaign_sent", "app open": "app_open", "session start": "app_open",
        "offer view": "offer_view", "list add": "list_add", "store locator": "store_locator", "visit": "page_view",
    },
    "email": {"sent": "email_sent", "send": "email_sent", "gesendet": "email_sent", "versendet": "email_sent", "processed": "email_sent"},
    "mobile_app": {"open": "app_open", "opened": "app_open", "view": "page_view", "click": "click"},
    "web": {"open": "page_view", "click": "click", "opened": "page_view"},
}  # fmt: skip


def event_word(word: str, kind: str) -> tuple[str, bool]:
    """A system's word for what happened -> (ours, whether it is known); an unknown one is kept as a plain name."""
    from workbench.ingest.draft.columns import fold

    folded = fold(word)
    for words in (EVENT_WORDS.get(kind, {}), EVENT_WORDS[""]):
        if folded in words:
            return words[folded], True
    return re.sub(r"[^a-z0-9]+", "_", folded).strip("_") or "other", False
