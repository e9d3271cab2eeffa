<?php
// The same number by a function that is not switched off.
require_once __DIR__ . '/../prelude.php';
say('fileinode', 'done', 'inode ' . fileinode(__FILE__));
