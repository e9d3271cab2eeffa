<?php
// keeps: errors
function work() {
    $key = openssl_pkey_new(['private_key_bits' => 1024, 'private_key_type' => OPENSSL_KEYTYPE_RSA]);
    openssl_pkey_get_private('no key');
    openssl_sign('text', $signature, $key, OPENSSL_ALGO_SHA256);
    $public = openssl_pkey_get_details($key)['key'];
    $sealed = openssl_encrypt('text', 'aes-256-gcm', str_repeat('k', 32), 0, str_repeat('i', 12), $tag);
    $context = stream_context_create(['ssl' => ['verify_peer' => false]]);
    $refused = @stream_socket_client('tls://127.0.0.1:1', $code, $message, 1, STREAM_CLIENT_CONNECT, $context);
    return [openssl_verify('text', $signature, $public, OPENSSL_ALGO_SHA256), $sealed, bin2hex($tag), openssl_digest('a', 'sha3-256'), $refused,
        count(openssl_get_cipher_methods()) > 50];
}
function left() { return ['errors' => openssl_error_string() !== false]; }
function unique() { return [bin2hex(openssl_random_pseudo_bytes(16)), md5(openssl_pkey_get_details(openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']))['key'])]; }
