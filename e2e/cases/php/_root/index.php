<?php
// The front controller of the whole document root: says how it was reached.
foreach (['REQUEST_URI', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'PHP_SELF', 'PATH_INFO', 'PATH_TRANSLATED', 'QUERY_STRING', 'DOCUMENT_URI'] as $name) {
    echo $name, '=', $_SERVER[$name] ?? '(unset)', "\n";
}
