<?php
var_dump(headers_sent());
header('X-Before: yes');
while (ob_get_level()) {
    ob_end_flush();
}
flush();
var_dump(headers_sent($file, $line), basename($file), $line);
var_dump(@header('X-After: no'));
var_dump(@http_response_code(404), http_response_code());
var_dump(@setcookie('late', '1'));
