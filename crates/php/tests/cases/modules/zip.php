<?php
function work() {
    $name = tempnam(sys_get_temp_dir(), 'zip');
    $archive = new ZipArchive;
    $archive->open($name, ZipArchive::OVERWRITE);
    $archive->addFromString('a.txt', 'text');
    $archive->setEncryptionName('a.txt', ZipArchive::EM_AES_256, 'secret');
    $archive->close();
    $archive->open($name);
    $archive->setPassword('secret');
    $text = $archive->getFromName('a.txt');
    $archive->close();
    unlink($name);
    return [$text, $archive->open('/none'), $archive->lastId];
}
function left() { return ['error' => (new ZipArchive)->status !== 0]; }
