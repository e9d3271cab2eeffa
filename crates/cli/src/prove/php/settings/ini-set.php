<?php
// A setting that the administrator has locked; the head of the answer tells whether it was changed.
require_once __DIR__ . '/../prelude.php';
attempt('ini_set', fn() => ini_set('default_mimetype', 'text/got-through'));
attempt('ini_alter', fn() => ini_alter('default_mimetype', 'text/got-through'));
attempt('ini_restore', fn() => ini_restore('default_mimetype') ?? ini_set('default_mimetype', 'text/got-through'));
attempt('environment', fn() => putenv('PHP_VALUE=default_mimetype=text/got-through') && putenv('PHPRC=/tmp') ? 'set' : false);
