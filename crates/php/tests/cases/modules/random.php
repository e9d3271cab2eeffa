<?php
function work() {
    mt_srand(5);
    $one = [mt_rand(), mt_rand(), rand(1, 6)];
    $engine = new Random\Engine\Xoshiro256StarStar(7);
    return [$one, (new Random\Randomizer($engine))->getInt(1, 1000), strlen(random_bytes(16)), random_int(5, 5)];
}
function left() {
    $next = [];
    mt_srand(5);
    for ($i = 0; $i < 10; $i++) $next[] = mt_rand();
    mt_srand();
    return ['seed' => in_array(mt_rand(), $next, true)];
}
function unique() { return [mt_rand() . ' ' . mt_rand(), bin2hex(random_bytes(8)), (string) (new Random\Randomizer)->getInt(0, PHP_INT_MAX)]; }
