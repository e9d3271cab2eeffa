<?php
function work() {
    $context = hash_init('sha256', HASH_HMAC, 'key');
    hash_update($context, 'text');
    $copy = hash_copy($context);
    return [hash_final($context), hash_final($copy), hash('xxh3', 'a'), hash('murmur3f', 'a', options: ['seed' => 7]), hash_pbkdf2('sha1', 'a', 'b', 10, 20),
        count(hash_algos()) > 40];
}
function left() { return ['algorithms' => count(hash_algos()) < 40]; }
