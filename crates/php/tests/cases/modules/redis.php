<?php
// load: igbinary redis
// keeps: connection
function open() {
    $r = new Redis;
    $r->pconnect($_GET['servers'] . '/redis.sock', 0, 0, 'seen');
    return $r;
}
function work() {
    $r = open();
    $r->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_IGBINARY);
    $r->set('redis', [1, 2]);
    $r->rawCommand('CLIENT', 'SETNAME', 'seen');
    try { (new Redis)->connect('127.0.0.1', 1, 1); } catch (RedisException $e) { $said = $e->getMessage(); }
    return [$r->get('redis'), $r->multi()->incr('n')->del('n')->exec(), $said, $r->eval('return 5'), $r->get('none')];
}
function left() { return ['connection' => (string) open()->rawCommand('CLIENT', 'GETNAME') === 'seen']; }
