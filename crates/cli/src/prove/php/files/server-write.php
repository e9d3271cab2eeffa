<?php
// Change what the server reads and writes.
require __DIR__ . '/../prelude.php';
foreach ($server->files as $path) {
    attempt("append to $path", fn() => file_put_contents($path, 'x', FILE_APPEND));
    attempt("chmod $path", fn() => chmod($path, 0600));
}
foreach ($server->directories as $directory) {
    attempt("make a file in $directory", fn() => file_put_contents("$directory/.hostel-prove-$server->run-planted", 'x'));
}
