<?php
// load: yac
// set: yac.enable = 1
// shares: shared memory
function work() {
    $y = new Yac('seen_');
    $y->set('a', [1, 2]);
    $y->set('b', 5, 100);
    return [$y->get('a'), $y->delete('b'), $y->get('b'), $y->info()['slots_size'] > 0];
}
function left() { return ['shared memory' => (new Yac('seen_'))->get('a') !== false]; }
