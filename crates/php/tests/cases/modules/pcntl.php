<?php
// keeps: mask
function work() {
    pcntl_async_signals(true);
    pcntl_signal(SIGUSR2, function () { $GLOBALS['seen'] = 1; });
    posix_kill(getmypid(), SIGUSR2);
    pcntl_sigprocmask(SIG_BLOCK, [SIGUSR1], $before);
    $child = pcntl_fork();
    if ($child === 0) posix_kill(getmypid(), SIGKILL);
    pcntl_waitpid($child, $status);
    pcntl_alarm(100);
    return [$GLOBALS['seen'] ?? 0, pcntl_wtermsig($status), pcntl_strerror(2)];
}
function left() {
    pcntl_sigprocmask(SIG_BLOCK, [], $mask);
    return ['mask' => in_array(SIGUSR1, $mask), 'handler' => pcntl_signal_get_handler(SIGUSR2) !== SIG_DFL, 'switch' => pcntl_async_signals()];
}
