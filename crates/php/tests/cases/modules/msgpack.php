<?php
// load: msgpack
function work() {
    $u = new MessagePackUnpacker;
    $u->feed(msgpack_pack([1, 'a' => null]));
    return [$u->execute(), $u->data(), bin2hex(msgpack_serialize([1, 2.5])), @msgpack_unpack("\xc1"), ini_set('msgpack.php_only', '0')];
}
function left() { return ['switch' => ini_get('msgpack.php_only') === '0']; }
