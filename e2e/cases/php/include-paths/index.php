<?php
echo basename(__FILE__), ' ', basename(__DIR__), ' ', basename(getcwd()), ' ', get_include_path(), "\n";
include 'part.inc';
include './part.inc';
include __DIR__ . '/deep/other.php';
foreach (get_included_files() as $file) {
    echo basename($file), "\n";
}
