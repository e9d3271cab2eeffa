<?php
function work() {
    libxml_use_internal_errors(true);
    $page = new DOMDocument;
    $page->loadHTML('<p id=a>one<p>two<nothing>');
    $path = new DOMXPath($page);
    $path->registerNamespace('php', 'http://php.net/xpath');
    $path->registerPhpFunctions();
    $page->registerNodeClass('DOMElement', 'Named');
    $schema = new DOMDocument;
    $schema->loadXML('<a b="1"/>');
    return [$path->evaluate('count(//p)'), $path->evaluate('php:functionString("strtoupper", //p[1])'), get_class($page->getElementById('a')),
        @$schema->validate(), count(libxml_get_errors()) > 0, $schema->C14N()];
}
class Named extends DOMElement {}
function left() { return ['errors' => libxml_get_errors() !== [], 'class' => get_class((new DOMDocument)->createElement('a')) !== 'DOMElement']; }
