<?php echo $_SERVER['REQUEST_URI'], "\n", $_SERVER['SCRIPT_NAME'], "\n", $_SERVER['DOCUMENT_URI'], "\n";
