<?php
function work() {
    Locale::setDefault('de_DE');
    $money = new NumberFormatter('de_DE', NumberFormatter::CURRENCY);
    $date = new IntlDateFormatter('fr_FR', IntlDateFormatter::FULL, IntlDateFormatter::NONE, 'UTC');
    $collator = new Collator('sv_SE');
    $words = ['ö', 'z', 'a'];
    $collator->sort($words);
    intl_is_failure(0);
    @numfmt_create('x', 99);
    return [$money->formatCurrency(1234.5, 'EUR'), $date->format(0), $words, Normalizer::normalize("a\u{308}"), transliterator_transliterate('Any-Latin; Latin-ASCII', 'Ж'),
        MessageFormatter::formatMessage('en', '{0,plural,one{# day}other{# days}}', [3]), idn_to_ascii('bücher.example'), grapheme_strlen("e\u{301}"),
        count(ResourceBundle::getLocales('')) > 100, IntlCalendar::createInstance('UTC', 'de')->getFirstDayOfWeek(), intl_get_error_code()];
}
function left() { return ['locale' => Locale::getDefault() === 'de_DE', 'error' => intl_get_error_code() !== 0]; }
