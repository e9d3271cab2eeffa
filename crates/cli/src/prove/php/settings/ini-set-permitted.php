<?php
// A setting that nobody has locked.
ini_set('default_charset', 'got-through');
require_once __DIR__ . '/../prelude.php';
say('ini_set', 'done', 'permitted');
