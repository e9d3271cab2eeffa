<?php echo "a directory whose name ends in .php: ", $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '(unset)', "\n";
