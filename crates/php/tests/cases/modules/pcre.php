<?php
function work() {
    for ($i = 0; $i < 300; $i++) preg_match("/a(?<n>b|c)+$i/u", 'abc', $m);
    ini_set('pcre.backtrack_limit', '100');
    $long = @preg_match('/(?:\D+|<\d+>)*[!?]/', 'foobar foobar foobar');
    return [preg_replace_callback('/\d/', fn ($m) => $m[0] + 1, 'a1b2'), $long, preg_last_error_msg(), preg_split('/,/', 'a,b')];
}
function left() { return ['error' => preg_last_error() !== 0, 'limit' => ini_get('pcre.backtrack_limit') === '100']; }
