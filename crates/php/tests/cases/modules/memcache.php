<?php
// load: memcache
// keeps: connection
function work() {
    $m = new Memcache;
    $m->pconnect('unix://' . $_GET['servers'] . '/memcached.sock', 0);
    $m->set('memcache', ['a' => 1]);
    return [$m->get('memcache'), $m->increment('none'), @(new Memcache)->connect('127.0.0.1', 1, 1), $m->getVersion() !== false];
}
function left() { return ['connection' => connected()]; }
