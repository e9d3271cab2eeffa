<?php
// load: amqp
// without a server
function work() {
    $c = new AMQPConnection(['host' => '127.0.0.1', 'port' => 1, 'connect_timeout' => 1]);
    foreach (['connect', 'pconnect'] as $how) {
        try { $c->$how(); } catch (AMQPConnectionException $e) { $said[] = $e->getMessage() !== ''; }
    }
    return [$said, $c->isConnected(), $c->getLogin(), (string) (new AMQPTimestamp(5)), (new AMQPDecimal(2, 314))->getSignificand()];
}
function left() { return ['connection' => (new AMQPConnection)->isConnected()]; }
