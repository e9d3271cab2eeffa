<?php
function work() {
    $x = simplexml_load_string('<a xmlns:n="urn:n"><b n:c="1">t</b><b>u</b></a>');
    $x->addChild('d', 'v');
    return [(string) $x->b[1], count($x->xpath('//b')), $x->asXML(), (string) $x->b[0]->attributes('urn:n')['c']];
}
function left() { return ['errors' => libxml_get_errors() !== []]; }
