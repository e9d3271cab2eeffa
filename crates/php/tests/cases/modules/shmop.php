<?php
function work() {
    $id = shmop_open(0x5eed0000 + getmypid(), 'c', 0600, 100);
    shmop_write($id, 'text', 0);
    $text = shmop_read($id, 0, 4);
    return [$text, shmop_size($id), shmop_delete($id)];
}
function left() { return ['segment' => @shmop_open(0x5eed0000 + getmypid(), 'a', 0, 0) !== false]; }
