<?php
foreach (['fastcgi_finish_request', 'fpm_get_status', 'apache_request_headers', 'apache_response_headers', 'getallheaders', 'apache_get_version', 'virtual', 'apache_note', 'cli_set_process_title', 'litespeed_finish_request', 'frankenphp_finish_request', 'opcache_get_status', 'dl', 'header_register_callback', 'headers_list', 'http_response_code', 'exec', 'pcntl_fork', 'mail'] as $name) {
    echo $name, '=', var_export(function_exists($name), true), "\n";
}
