<?php
echo php_sapi_name(), ' ', PHP_SAPI, ' ', PHP_VERSION, ' ', PHP_ZTS, ' ', PHP_OS_FAMILY, "\n";
var_dump(defined('STDIN'), defined('STDERR'), isset($argc), isset($_SERVER['argv']), ini_get('cgi.fix_pathinfo'));
