<?php
function work() {
    mb_internal_encoding('ISO-8859-1');
    mb_regex_encoding('UTF-8');
    mb_substitute_character(0x21);
    mb_language('Japanese');
    mb_ereg_search_init('a1b2', '[0-9]');
    mb_ereg_search();
    return [mb_strtoupper('äß', 'UTF-8'), mb_detect_encoding("\xe4", ['UTF-8', 'ISO-8859-1']), mb_ereg_replace('b+', 'c', 'abba'), mb_convert_encoding('あ', 'SJIS', 'UTF-8') === "\x82\xa0",
        mb_ereg_search_getpos(), mb_http_output()];
}
function left() {
    return ['encoding' => mb_internal_encoding() !== 'UTF-8', 'language' => mb_language() !== 'neutral', 'character' => mb_substitute_character() !== 63,
        'search' => @mb_ereg_search_getregs() !== false];
}
