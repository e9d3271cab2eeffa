<?php
function work() {
    $info = new finfo(FILEINFO_MIME);
    $info->set_flags(FILEINFO_MIME_TYPE);
    return [$info->buffer("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), $info->file(__FILE__), mime_content_type('/bin/sh'), (new finfo)->buffer('text')];
}
function left() { return ['flags' => (new finfo)->buffer('text') === 'text/plain']; }
