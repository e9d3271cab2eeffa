<?php
function work() {
    iconv_set_encoding_quietly();
    return [iconv('UTF-8', 'ISO-8859-15//TRANSLIT', '€ä') === "\xa4\xe4", @iconv('UTF-8', 'ASCII', 'ä'), iconv_strlen('äö', 'UTF-8'), iconv('UTF-8', 'SHIFT_JIS', 'あ') === "\x82\xa0",
        iconv_mime_decode('=?UTF-8?B?w6Q=?=', 0, 'UTF-8')];
}
function iconv_set_encoding_quietly() { @iconv_set_encoding('internal_encoding', 'ISO-8859-1'); }
function left() { return ['encoding' => iconv_get_encoding('internal_encoding') === 'ISO-8859-1']; }
