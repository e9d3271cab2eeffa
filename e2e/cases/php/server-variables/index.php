<?php
// Every variable there is; those that differ from request to request by their type.
$variables = $_SERVER;
foreach (['REQUEST_TIME', 'REQUEST_TIME_FLOAT'] as $name) {
    $variables[$name] = gettype($variables[$name]);
}
$variables['REMOTE_PORT'] = $variables['REMOTE_PORT'] > 0 ? 'a port' : $variables['REMOTE_PORT'];
$variables['SERVER_SOFTWARE'] = preg_match('~^[a-z]+/\d~i', $variables['SERVER_SOFTWARE']) ? 'name/version' : $variables['SERVER_SOFTWARE'];
$variables['HOME'] = is_string($variables['HOME'] ?? null) ? 'a directory' : 'none';
ksort($variables);
var_export($variables);
