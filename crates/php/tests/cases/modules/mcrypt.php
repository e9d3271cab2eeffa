<?php
// load: mcrypt
function work() {
    $m = mcrypt_module_open('rijndael-128', '', 'cbc', '');
    mcrypt_generic_init($m, str_repeat('k', 16), str_repeat('i', 16));
    $sealed = mcrypt_generic($m, 'text');
    mcrypt_generic_deinit($m);
    return [bin2hex($sealed), count(mcrypt_list_algorithms()) > 5, strlen(mcrypt_create_iv(16)), mcrypt_get_key_size('blowfish', 'cbc'), @mcrypt_module_open('none', '', 'cbc', '')];
}
function left() { return ['directory' => ini_get('mcrypt.algorithms_dir') !== '']; }
function unique() { return [bin2hex(mcrypt_create_iv(16))]; }
