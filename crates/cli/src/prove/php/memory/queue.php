<?php
// System V messages: take the victim's, and put one there.
require_once __DIR__ . '/../prelude.php';
need_functions('msg_get_queue');
attempt('take', function () use ($victim) {
    if (!msg_queue_exists($victim->key)) {
        throw new Exception('no such queue');
    }
    $took = msg_receive(msg_get_queue($victim->key), 0, $kind, 4096, $text, true, MSG_IPC_NOWAIT);
    return $took ? $text : false;
});
attempt('put', fn() => msg_queue_exists($victim->key) ? msg_send(msg_get_queue($victim->key), 1, 'x', true, false) : throw new Exception('no such queue'));
attempt('ipcrm', fn() => command("ipcrm -Q $victim->key"));
