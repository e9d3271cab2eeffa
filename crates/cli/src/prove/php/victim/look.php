<?php
// As the victim: everything that attacks could have changed, as one text.
require __DIR__ . '/../prelude.php';

function describe(string $path): void
{
    $found = @lstat($path);
    if ($found === false) {
        echo "$path is not there\n";
        return;
    }
    printf("%s %o %d:%d %d", $path, $found['mode'], $found['uid'], $found['gid'], $found['nlink']);
    echo is_file($path) && !is_link($path) ? ' ' . hash_file('sha256', $path) : '', "\n";
}

clearstatcache();
describe($victim->home);
describe($victim->root);
foreach ([$victim->place, $victim->home, $victim->root] as $directory) {
    foreach (scandir($directory) as $name) {
        if ($directory === $victim->place) {
            describe("$directory/$name");
        } else {
            echo "$directory/$name\n";
        }
    }
}
// Where the site itself may be at work only what is the suite's counts.
foreach (['/tmp', '/var/tmp', '/var/lib/php/sessions', '/var/lib/php/opcache', '/dev/shm'] as $directory) {
    foreach (glob("$directory/{,.}*prove*", GLOB_BRACE) ?: [] as $path) {
        describe($path);
    }
}
// Of System V objects: content of the memory, number of messages, the mode and owner of all.
if (function_exists('shm_attach')) {
    $memory = shm_attach($victim->key, 4096, 0666);
    echo 'shared memory ', hash('sha256', (string) @shm_get_var($memory, 1)), "\n";
}
if (function_exists('msg_get_queue') && msg_queue_exists($victim->key)) {
    $state = msg_stat_queue(msg_get_queue($victim->key));
    echo "messages $state[msg_qnum] mode ", decoct($state['msg_perm.mode']), "\n";
} else {
    echo "no messages\n";
}
if (function_exists('sem_get')) {
    $semaphore = sem_get($victim->key, 1, 0666, false);
    echo 'semaphore ', $semaphore && sem_acquire($semaphore, true) && sem_release($semaphore) ? 'free' : 'taken', "\n";
}
ob_start();
include $victim->script;
echo 'script ', hash('sha256', ob_get_clean()), "\n";
echo 'done';
