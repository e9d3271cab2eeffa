<?php
// load: tidy
function work() {
    $t = new tidy;
    $t->parseString('<p>one<p>two', ['indent' => true, 'output-xhtml' => true], 'utf8');
    $t->cleanRepair();
    return [md5(preg_replace('/version [\d.]+/', '', (string) $t)), tidy_error_count($t), tidy_get_config(new tidy)['indent'] ?? null, $t->body()->name];
}
function left() { return ['option' => (new tidy)->getOpt('indent') !== 0 && (new tidy)->getOpt('indent') !== false]; }
