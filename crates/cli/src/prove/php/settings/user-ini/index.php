<?php
// Beside it stands a .user.ini that wants to change a locked setting; the head of the answer tells whether it did.
require_once __DIR__ . '/../../prelude.php';
say('.user.ini', 'failed', 'the setting is ' . ini_get('default_mimetype'));
