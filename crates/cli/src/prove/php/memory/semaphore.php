<?php
// The victim's semaphore: whoever removes it lets all in.
require_once __DIR__ . '/../prelude.php';
need_functions('sem_get');
attempt('list', fn() => content('/proc/sysvipc/sem'));
attempt('remove', fn() => sem_remove(sem_get($victim->key, 1, 0666, false)));
attempt('ipcrm', fn() => command("ipcrm -S $victim->key"));
