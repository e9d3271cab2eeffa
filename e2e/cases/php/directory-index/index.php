<?php echo "index.php before index.html ", $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['DOCUMENT_URI'], ' ', $_SERVER['PHP_SELF'];
