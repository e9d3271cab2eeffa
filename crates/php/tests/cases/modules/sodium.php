<?php
function work() {
    $pair = sodium_crypto_sign_seed_keypair(str_repeat('s', 32));
    $state = sodium_crypto_generichash_init();
    sodium_crypto_generichash_update($state, 'text');
    return [bin2hex(sodium_crypto_sign_detached('text', sodium_crypto_sign_secretkey($pair))), bin2hex(sodium_crypto_generichash_final($state)),
        sodium_crypto_secretbox_open(sodium_crypto_secretbox('t', str_repeat('n', 24), str_repeat('k', 32)), str_repeat('n', 24), str_repeat('k', 32)),
        strlen(sodium_crypto_box_keypair()), strlen(sodium_crypto_pwhash(16, 'p', str_repeat('s', 16), 1, 8192))];
}
function left() { return ['start' => strlen(sodium_bin2hex('a')) !== 2]; }
function unique() { return [bin2hex(sodium_crypto_box_keypair()), bin2hex(sodium_crypto_secretbox_keygen())]; }
