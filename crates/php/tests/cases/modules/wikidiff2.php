<?php
// load: wikidiff2
function work() { return [md5(wikidiff2_do_diff("one\ntwo\n", "one\nthree\n", 2)), strlen(wikidiff2_inline_diff('a b', 'a c', 2)) > 0, wikidiff2_version()]; }
function left() { return ['difference' => wikidiff2_do_diff('a', 'a', 2) !== '']; }
