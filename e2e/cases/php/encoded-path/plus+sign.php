<?php echo $_SERVER['SCRIPT_NAME'], "\n";
