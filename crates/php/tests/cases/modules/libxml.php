<?php
function work() {
    libxml_use_internal_errors(true);
    libxml_set_external_entity_loader(fn () => null);
    $text = libxml_get_last_error();
    simplexml_load_string('<a><b></a>');
    return [$text, count(libxml_get_errors()), libxml_get_last_error()->code, LIBXML_DOTTED_VERSION];
}
function left() {
    return ['errors' => libxml_get_last_error() !== false, 'switch' => libxml_use_internal_errors(), 'loader' => libxml_get_external_entity_loader() !== null];
}
