<?php
preg_match('/^SigIgn:\s*(\S+)$/m', file_get_contents('/proc/self/status'), $ignored);
pcntl_async_signals(true);
pcntl_signal(SIGTERM, SIG_IGN);
pcntl_signal(SIGUSR1, function () { echo 'taken '; });
posix_kill(getmypid(), SIGUSR1);
set_time_limit(10);
foreach ([SIGTERM, SIGUSR1, SIGPIPE] as $signal) {
    echo (hexdec($ignored[1]) >> ($signal - 1)) & 1;
}
