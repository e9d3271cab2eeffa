<?php
// load: bz2
function work() {
    $name = tempnam(sys_get_temp_dir(), 'bz2');
    $file = bzopen($name, 'w');
    bzwrite($file, str_repeat('text', 1000));
    bzclose($file);
    $text = file_get_contents("compress.bzip2://$name");
    unlink($name);
    return [strlen($text), bzdecompress(bzcompress('text', 9)), bzdecompress('none')];
}
function left() { return ['filter' => !in_array('bzip2.*', stream_get_filters(), true)]; }
