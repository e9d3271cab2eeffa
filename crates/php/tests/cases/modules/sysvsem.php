<?php
function work() {
    $semaphore = sem_get(0x5eed0000 + getmypid());
    return [sem_acquire($semaphore), sem_acquire($semaphore, true), sem_release($semaphore), sem_remove($semaphore)];
}
function left() { return ['semaphore' => (bool) preg_match('/^\s*' . (0x5eed0000 + getmypid()) . '\b/m', (string) @file_get_contents('/proc/sysvipc/sem'))]; }
