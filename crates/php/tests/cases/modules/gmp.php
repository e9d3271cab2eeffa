<?php
// load: gmp
function work() {
    gmp_random_seed(7);
    return [gmp_strval(gmp_pow(2, 200)), gmp_strval(gmp_random_bits(64)), gmp_prob_prime('1000000007'), gmp_strval(gmp_invert(3, 11)), (string) (gmp_init(5) ** 30), serialize(gmp_init(5))];
}
function left() {
    $next = gmp_strval(gmp_random_bits(64));
    gmp_random_seed(7);
    $known = [];
    for ($i = 0; $i < 5; $i++) $known[] = gmp_strval(gmp_random_bits(64));
    return ['seed' => in_array($next, $known, true)];
}
function unique() { return [gmp_strval(gmp_random_bits(64))]; }
