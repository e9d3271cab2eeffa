<?php
foreach (['PHP_AUTH_USER', 'PHP_AUTH_PW', 'PHP_AUTH_DIGEST', 'AUTH_TYPE', 'REMOTE_USER', 'HTTP_AUTHORIZATION'] as $name) {
    echo $name, '=', var_export($_SERVER[$name] ?? null, true), "\n";
}
if (!isset($_SERVER['PHP_AUTH_USER'])) {
    header('WWW-Authenticate: Basic realm="tests"');
    http_response_code(401);
}
