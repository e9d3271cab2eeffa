<?php
function work() {
    $context = deflate_init(ZLIB_ENCODING_GZIP);
    $packed = deflate_add($context, str_repeat('text ', 1000), ZLIB_SYNC_FLUSH) . deflate_add($context, '', ZLIB_FINISH);
    $name = tempnam(sys_get_temp_dir(), 'zlib');
    file_put_contents("compress.zlib://$name", 'packed');
    $back = file_get_contents("compress.zlib://$name");
    unlink($name);
    return [strlen(gzdecode($packed)), $back, md5(gzcompress('text', 9)), zlib_get_coding_type()];
}
function left() { return ['filter' => !in_array('zlib.*', stream_get_filters(), true)]; }
