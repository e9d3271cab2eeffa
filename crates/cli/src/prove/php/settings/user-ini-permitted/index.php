<?php
// Beside it stands a .user.ini that changes a setting which nobody has locked.
require_once __DIR__ . '/../../prelude.php';
say('.user.ini', 'done', 'permitted');
