<?php
// Names of files are secrets too.
require __DIR__ . '/../prelude.php';
$directories = ['/', '/home', '/srv', '/var/www', dirname($victim->home), ...$victim->directories];
foreach ($directories as $directory) {
    attempt("scandir $directory", fn() => scandir($directory));
    attempt("glob $directory", fn() => glob("$directory/{,.}*", GLOB_BRACE) ?: false);
    attempt("glob:// $directory", fn() => iterator_to_array(new DirectoryIterator("glob://$directory/*")) ? 'listed' : false);
    attempt("iterate $directory", function () use ($directory) {
        $names = [];
        foreach (new FilesystemIterator($directory) as $path => $_) {
            $names[] = $path;
        }
        return $names ?: false;
    });
}
