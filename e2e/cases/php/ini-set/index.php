<?php
var_dump(ini_set('memory_limit', '99M'), ini_get('memory_limit'));
var_dump(ini_set('max_execution_time', '5'), ini_get('max_execution_time'));
var_dump(@ini_set('upload_max_filesize', '99M'), ini_get('upload_max_filesize'));
var_dump(@ini_set('disable_functions', 'exec'), ini_get('disable_functions'));
var_dump(@ini_set('no.such', '1'));
var_dump(ini_set('display_errors', '1'), ini_set('precision', 5), 1 / 3, set_include_path('/tmp'), get_include_path());
ini_restore('memory_limit');
var_dump(ini_get('memory_limit'));
date_default_timezone_set('Asia/Tokyo');
setlocale(LC_ALL, 'C.UTF-8');
