<?php
// load: ds
function work() {
    $queue = new Ds\PriorityQueue;
    $queue->push('a', 1);
    $queue->push('b', 2);
    $map = new Ds\Map(['x' => 1]);
    $map->put(new stdClass, 2);
    return [$queue->pop(), $map->count(), (new Ds\Vector([3, 1, 2]))->sorted()->toArray(), (new Ds\Set([1, 1, 2]))->sum(), (new Ds\Deque([1]))->capacity()];
}
function left() { return ['values' => (new Ds\Vector)->count() !== 0]; }
