<?php
// load: ice
// keeps: communicator
// without a server
function work() {
    set_include_path('/var/lib/hostel-test/php-modules/usr/share/php');
    require_once 'Ice.php';
    $communicator = Ice\initialize();
    $proxy = $communicator->stringToProxy('a:tcp -h 127.0.0.1 -p 1');
    Ice\register($communicator, 'seen', 1);
    return [(string) $proxy, Ice\identityToString(Ice\stringToIdentity('a/b'), 0)];
}
function left() { return ['communicator' => Ice\find('seen') !== null]; }
