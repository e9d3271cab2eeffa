<?php
// Libraries that open files by themselves.
require __DIR__ . '/../prelude.php';
foreach ($victim->files as $path) {
    if (function_exists('curl_init')) {
        attempt("curl file://$path", function () use ($path) {
            $curl = curl_init("file://$path");
            curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
            $text = curl_exec($curl);
            return $text === false ? throw new Exception(curl_error($curl)) : $text;
        });
    }
    if (class_exists('DOMDocument')) {
        attempt("XML entity $path", function () use ($path) {
            $document = new DOMDocument();
            $document->loadXML("<!DOCTYPE x [<!ENTITY e SYSTEM 'file://$path'>]><x>&e;</x>", LIBXML_NOENT | LIBXML_DTDLOAD);
            return $document->textContent ?: false;
        });
    }
    if (class_exists('finfo')) {
        attempt("finfo $path", fn() => (new finfo())->file($path));
    }
    if (class_exists('PDO') && in_array('sqlite', PDO::getAvailableDrivers(), true)) {
        attempt("sqlite $path", fn() => (new PDO("sqlite:$path"))->query('select 1') ? 'opened' : false);
    }
}
