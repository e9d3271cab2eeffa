<?php
// Change what the victim has: content, names, modes, owners, times.
require __DIR__ . '/../prelude.php';
foreach ([...$victim->files, $victim->script] as $path) {
    attempt("append to $path", fn() => file_put_contents($path, 'x', FILE_APPEND));
    attempt("replace $path", fn() => file_put_contents($path, 'x'));
    attempt("truncate $path", fn() => ($file = fopen($path, 'c')) && ftruncate($file, 0));
    attempt("rename $path", fn() => rename($path, "$path-x"));
    attempt("chmod $path", fn() => chmod($path, 0777));
    attempt("chown $path", fn() => chown($path, $me->uid));
    attempt("touch $path", fn() => touch($path, 1));
    attempt("remove $path", fn() => unlink($path));
}
