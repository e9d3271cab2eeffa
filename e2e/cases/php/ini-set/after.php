<?php
foreach (['memory_limit', 'max_execution_time', 'display_errors', 'precision', 'include_path'] as $name) {
    echo $name, '=', ini_get($name), "\n";
}
echo date_default_timezone_get(), ' ', setlocale(LC_ALL, 0);
