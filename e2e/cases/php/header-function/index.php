<?php
header('X-Replaced: first');
header('X-Replaced: second');
header('X-Added: first');
header('X-Added: second', false);
header('x-case: a');
header('X-Case: b');
header('X-Removed: yes');
header_remove('x-removed');
header('X-Spaces:    many   ');
header('X-Empty:');
header('X-NoSpace:value');
header('X-Number: ' . 42);
@header("X-Broken: a\r\nX-Injected: b");
@header("X-Null: a\0b");
foreach (headers_list() as $line) {
    echo $line, "\n";
}
