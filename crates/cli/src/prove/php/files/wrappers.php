<?php
// The ways to a file that PHP has by its wrappers.
require __DIR__ . '/../prelude.php';
$forms = ['file://%s', 'php://filter/resource=%s', 'php://filter/read=convert.base64-encode/resource=%s',
    'compress.zlib://%s', 'phar://%s', 'zip://%s#x', 'glob://%s', 'file:///proc/self/root%s'];
foreach ($victim->files as $path) {
    foreach ($forms as $form) {
        attempt($form, function () use ($form, $path) {
            $text = content(sprintf($form, $path));
            return $text !== false && str_contains($form, 'base64') ? base64_decode($text) : $text;
        });
    }
}
