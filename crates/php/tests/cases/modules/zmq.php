<?php
// load: zmq
// keeps: context
function work() {
    $context = new ZMQContext(1, true);
    $a = $context->getSocket(ZMQ::SOCKET_PAIR);
    $b = (new ZMQContext(1, true))->getSocket(ZMQ::SOCKET_PAIR);
    $a->bind('tcp://127.0.0.1:*');
    $b->setSockOpt(ZMQ::SOCKOPT_RCVTIMEO, 2000);
    $b->connect($a->getSockOpt(ZMQ::SOCKOPT_LAST_ENDPOINT));
    $a->send('text');
    return [$b->recv(), $context->isPersistent()];
}
function left() { return ['context' => count(glob('/proc/self/task/*')) > 1]; }
