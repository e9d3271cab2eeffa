<?php echo $_SERVER['REQUEST_URI'], "\n", $_SERVER['SCRIPT_NAME'], "\n", __FILE__ === $_SERVER['SCRIPT_FILENAME'] ? 'same' : 'other', "\n";
