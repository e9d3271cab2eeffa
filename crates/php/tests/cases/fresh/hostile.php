<?php
// Patterns of every kind that does harm, as many as are asked for.
error_reporting(0);
setlocale(LC_ALL, $_GET['locale'] ?? 'C');
$found = 0;
for ($i = 0; $i < (int)($_GET['many'] ?? 0); $i++) {
    $found += preg_match("/^number $i (a|b)*$/", "number $i abab");
}
$kinds = [
    'huge' => '/' . str_repeat('(abc|de+f){2,5}', 2000) . '/',
    'large' => '/' . implode('|', range(1, 6000)) . '/',
    'zero' => "/a\0b/",
    'invalid' => '/(unclosed/',
    'delimiter' => 'xyz',
    'empty' => '',
    'modifier' => '/a/Q',
    'nested' => '/' . str_repeat('(?:', 240) . 'a' . str_repeat(')*', 240) . '/',
    'repeated' => '/(?:(?:(?:a{1,30}){1,30}){1,20})x/',
    'names' => '/(?<n1>a)(?<n2>b)(?<n3>c)/J',
    'unicode' => '/\p{Lu}\X+[\p{L}\p{N}]*+/ui',
    'recursive' => '/(\((?:[^()]++|(?1))*\))/',
    'callout' => '/a(?C1)b/',
    'reset' => '/(?|(a)|(b)|(c))\K\R/A',
];
foreach ($kinds as $pattern) {
    $found += (int)@preg_match($pattern, "a\0b (a(b)c) ABC");
}
foreach (range(1, (int)($_GET['paths'] ?? 0)) as $i) {
    $name = '/tmp/hostel-path-' . getmypid() . "-$i";
    touch($name);
    realpath($name);
    unlink($name);
}
echo 'found ', $found > 0 ? 'some' : 'none';
