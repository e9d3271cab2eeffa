<?php
function work() {
    header('X-Seen: 1');
    ob_start();
    return [php_sapi_name(), count(getallheaders()), function_exists('fastcgi_finish_request')];
}
function left() { return ['headers' => count(headers_list()) > 1]; }
