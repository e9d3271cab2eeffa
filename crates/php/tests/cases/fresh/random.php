<?php
$numbers = [
    'random_bytes' => bin2hex(random_bytes(16)),
    'random_int' => random_int(0, PHP_INT_MAX),
    'openssl' => bin2hex(openssl_random_pseudo_bytes(16)),
    'mt_rand' => mt_rand() . ' ' . mt_rand(),
    'rand' => rand() . ' ' . rand(),
    'lcg' => lcg_value(),
    'uniqid' => uniqid('', true),
    'session' => session_create_id(),
    'salt' => password_hash('x', PASSWORD_BCRYPT, ['cost' => 4]),
    'shuffle' => str_shuffle('abcdefghijklmnopqrstuvwxyz0123456789'),
    'array' => implode(' ', array_rand(range(0, 999), 10)),
    'key' => openssl_pkey_get_details(openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']))['key'],
    'sodium' => function_exists('sodium_crypto_secretbox_keygen') ? bin2hex(sodium_crypto_secretbox_keygen()) : bin2hex(random_bytes(16)),
];
echo json_encode($numbers);
