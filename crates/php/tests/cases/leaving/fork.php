<?php
echo 'before ';
$child = pcntl_fork();
if ($child === 0) {
    echo 'child';
    flush();
    error_log('child logs');
    fastcgi_finish_request();
    echo str_repeat('child', 100000);
    if (isset($_GET['exit'])) {
        exit(7);
    }
} else {
    pcntl_waitpid($child, $status);
    echo 'parent ', pcntl_wexitstatus($status), ' ', pcntl_wifexited($status);
}
