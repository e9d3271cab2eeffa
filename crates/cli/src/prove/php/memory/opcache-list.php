<?php
// Which scripts does this OPcache know? It says nothing by itself that it was told: only what the cache lists.
require_once __DIR__ . '/../prelude.php';
need_functions('opcache_get_status');
attempt('list', fn() => opcache_get_status(true) ?: throw new Exception('OPcache is off'));
