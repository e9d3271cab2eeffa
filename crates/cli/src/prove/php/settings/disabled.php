<?php
// A function that the administrator has switched off: it would tell the inode of this script.
require_once __DIR__ . '/../prelude.php';
attempt('ini_set', fn() => ini_set('disable_functions', ''));
attempt('call', fn() => 'inode ' . getmyinode());
attempt('call by name', fn() => 'inode ' . call_user_func('GetMyInode'));
attempt('call from the root', fn() => 'inode ' . \getmyinode());
attempt('reflection', fn() => 'inode ' . (new ReflectionFunction('getmyinode'))->invoke());
attempt('closure', fn() => 'inode ' . Closure::fromCallable('getmyinode')());
attempt('map', fn() => 'inode ' . array_map('getmyinode', [null])[0]);
attempt('define', fn() => eval('function getmyinode() { return 1; }') ?? 'defined');
