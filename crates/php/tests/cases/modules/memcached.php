<?php
// load: igbinary msgpack memcached
// keeps: connection, options
function open() {
    $m = new Memcached('seen');
    if (!$m->getServerList()) $m->addServer($_GET['servers'] . '/memcached.sock', 0);
    return $m;
}
function work() {
    $m = open();
    $m->setOption(Memcached::OPT_PREFIX_KEY, 'prefix');
    $m->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
    $m->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_IGBINARY);
    $m->set('a', [1, 2]);
    $refused = new Memcached;
    $refused->addServer('127.0.0.1', 1);
    return [$m->get('a'), $m->get('none'), $m->getResultMessage(), $refused->get('a'), $m->getMulti(['a', 'b'])];
}
function left() { return ['connection' => connected(), 'options' => (new Memcached('seen'))->getOption(Memcached::OPT_PREFIX_KEY) === 'prefix']; }
