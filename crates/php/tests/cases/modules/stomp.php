<?php
// load: stomp
// without a server
function work() {
    try { new Stomp('tcp://127.0.0.1:1'); } catch (StompException $e) { $said = $e->getMessage(); }
    return [$said, stomp_version(), (new StompFrame('SEND', ['a' => 'b'], 'text'))->body];
}
function left() { return ['error' => (string) stomp_connect_error() !== '']; }
