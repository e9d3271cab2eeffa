<?php
function work() {
    $name = sys_get_temp_dir() . '/seen-' . getmypid() . '.tar';
    @unlink($name);
    $archive = new PharData($name);
    $archive['a.txt'] = 'text';
    $archive->setMetadata(['m' => 1]);
    unset($archive);
    Phar::interceptFileFuncs();
    $text = file_get_contents("phar://$name/a.txt");
    $count = count(new PharData($name));
    unlink($name);
    return [$text, $count, Phar::canCompress(Phar::GZ), Phar::getSupportedSignatures()];
}
function left() { return ['archive' => (bool) @file_get_contents('phar://' . sys_get_temp_dir() . '/seen-' . getmypid() . '.tar/a.txt')]; }
