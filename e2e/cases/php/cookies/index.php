<?php
var_export($_COOKIE);
echo $_SERVER['HTTP_COOKIE'] ?? '(unset)';
