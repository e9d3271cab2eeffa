<?php echo $_SERVER['REQUEST_URI'], "\n", $_SERVER['SCRIPT_NAME'], "\n", basename(__DIR__), "\n";
