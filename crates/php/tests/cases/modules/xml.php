<?php
function work() {
    $seen = [];
    $parser = xml_parser_create_ns('UTF-8', '|');
    xml_parser_set_option($parser, XML_OPTION_CASE_FOLDING, 0);
    xml_set_element_handler($parser, function ($p, $name) use (&$seen) { $seen[] = $name; }, function () {});
    $well = xml_parse($parser, '<a xmlns="urn:n"><b/></a>', true);
    $other = xml_parser_create();
    xml_parse($other, '<a>', true);
    return [$well, $seen, xml_error_string(xml_get_error_code($other))];
}
function left() { return ['option' => xml_parser_get_option(xml_parser_create(), XML_OPTION_CASE_FOLDING) != 1]; }
