<?php
// Have the victim's scripts forgotten or replaced.
require_once __DIR__ . '/../prelude.php';
need_functions('opcache_invalidate');
attempt('invalidate', fn() => opcache_invalidate($victim->script, true));
attempt('reset', fn() => opcache_reset());
