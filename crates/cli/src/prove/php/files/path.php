<?php
require __DIR__ . '/../prelude.php';
foreach ($victim->files as $path) {
    attempt("read $path", fn() => content($path));
}
