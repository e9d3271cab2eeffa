<?php
function work() {
    libxml_use_internal_errors(true);
    $reader = XMLReader::XML('<a><b c="1">t</b></a>');
    $names = [];
    while ($reader->read()) $names[] = $reader->name;
    $broken = XMLReader::XML('<a>');
    while (@$broken->read());
    return [$names, count(libxml_get_errors())];
}
function left() { return ['errors' => libxml_get_errors() !== []]; }
