<?php
function work() {
    $queue = msg_get_queue(0x5eed0000 + getmypid());
    msg_send($queue, 1, ['a' => 1]);
    msg_receive($queue, 1, $type, 1000, $message);
    return [$message, msg_stat_queue($queue)['msg_qnum'], msg_remove_queue($queue)];
}
function left() { return ['queue' => msg_queue_exists(0x5eed0000 + getmypid())]; }
