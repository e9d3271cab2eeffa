<?php
function work() {
    session_id('abcdefghijklmnopqrstuvwxyz');
    session_name('SEEN');
    session_start(['use_strict_mode' => 0]);
    $_SESSION['n'] = 1;
    $text = session_encode();
    session_write_close();
    session_start();
    $n = $_SESSION['n'];
    session_destroy();
    session_set_save_handler(new SessionHandler);
    return [$text, $n, session_status(), strlen(session_create_id())];
}
function left() { return ['id' => session_id() !== '', 'name' => session_name() === 'SEEN', 'values' => isset($_SESSION)]; }
function unique() { return [session_create_id()]; }
