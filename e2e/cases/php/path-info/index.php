<?php
foreach (['REQUEST_URI', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'PHP_SELF', 'PATH_INFO', 'PATH_TRANSLATED', 'ORIG_PATH_INFO', 'ORIG_SCRIPT_NAME', 'QUERY_STRING', 'DOCUMENT_URI'] as $name) {
    echo $name, '=', $_SERVER[$name] ?? '(unset)', "\n";
}
