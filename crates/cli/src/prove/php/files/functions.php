<?php
// Every function of PHP's own that opens what it is given.
require __DIR__ . '/../prelude.php';
$spoken = fn(callable $act) => function (string $path) use ($act) {
    ob_start();
    try {
        $result = $act($path);
        $said = ob_get_contents();
    } finally {
        ob_end_clean();
    }
    return $result === false ? false : $said;
};
$ways = [
    'readfile' => $spoken(fn($path) => readfile($path)),
    'highlight_file' => $spoken(fn($path) => highlight_file($path)),
    'php_strip_whitespace' => fn($path) => php_strip_whitespace($path) ?: false,
    'file' => fn($path) => file($path),
    'fgets' => fn($path) => ($file = fopen($path, 'r+')) ? fgets($file) : false,
    'fopen a+' => fn($path) => ($file = fopen($path, 'a+')) ? fread($file, 4096) : false,
    'SplFileObject' => fn($path) => (new SplFileObject($path))->fgets(),
    'parse_ini_file' => fn($path) => parse_ini_file($path, false, INI_SCANNER_RAW),
    'copy' => function ($path) use ($told) {
        $copy = "/tmp/hostel-prove-$told->marker";
        $text = copy($path, $copy) ? file_get_contents($copy) : false;
        @unlink($copy);
        return $text;
    },
    'include' => $spoken(fn($path) => include $path),
];
foreach ($victim->files as $path) {
    foreach ($ways as $name => $way) {
        attempt("$name $path", fn() => $way($path));
    }
}
