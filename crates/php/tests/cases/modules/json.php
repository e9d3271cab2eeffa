<?php
function work() {
    $text = json_encode(['a' => 1.5, 'b' => ["\u{20ac}"]], JSON_PRETTY_PRINT);
    json_decode('{');
    return [$text, json_last_error(), json_decode('[1,{"a":null}]', true)];
}
function left() { return ['error' => json_last_error() !== 0]; }
